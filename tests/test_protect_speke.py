"""Keys from a key server: it is asked for what the standard says, and nothing that it answers wrongly is ever used."""

from __future__ import annotations

import base64
import re
import traceback
import uuid
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.ingest_support import FIXTURES, joined, run, settings, tree, version
from tests.key_server import CPIX, PSKC, SYSTEMS, KeyServer, key_for, key_server, signalling
from tests.playback import read_barcodes
from vidpipe.errors import KeyServiceFailed, UsageError
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.lifecycle.rekeying import RekeyRequest, rekey
from vidpipe.preview import playing
from vidpipe.protect import speke
from vidpipe.protect.cpix import MOST_BYTES
from vidpipe.protect.key_store import KeyStore, new_key_id
from vidpipe.protect.key_uses import IntendedTrackType, KeyUse
from vidpipe.protect.speke import SpekeKeys
from vidpipe.settings import Settings
from vidpipe.work.jobs import unfinished


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as found:
        yield found


def source(server: KeyServer, folder: Path, scheme: str = "aes-128", authorization: str | None = None) -> SpekeKeys:
    return SpekeKeys(server.url, KeyStore(folder, bytes(32)), scheme, authorization)


def uses(*types: IntendedTrackType, periods: int = 1) -> tuple[KeyUse, ...]:
    return tuple(KeyUse(frozenset({kind}), first * 100, kind) for first in range(periods) for kind in types)


THREE: tuple[IntendedTrackType, ...] = ("AUDIO", "SD", "HD")


def ids(number: int) -> tuple[str, ...]:
    return tuple(new_key_id() for _ in range(number))


@pytest.mark.parametrize(("types", "periods"), [(("ALL",), 1), (("AUDIO", "VIDEO"), 1), (THREE, 3)], ids=["one", "two", "rotated"])
def test_a_server_gives_the_keys_that_it_was_asked_for(
    types: tuple[IntendedTrackType, ...], periods: int, server: KeyServer, tmp_path: Path
) -> None:
    wanted = uses(*types, periods=periods)
    names = ids(len(wanted))
    found = source(server, tmp_path).keys("film", wanted, names)
    assert server.wrong == []
    assert (found.ids, found.uses, found.signals) == (names, wanted, ())
    assert [key.key for key in found.keys] == [key_for(key_id) for key_id in names]
    (asked,) = server.asked
    assert asked.get("contentId") == "film"
    store = KeyStore(tmp_path, bytes(32))
    assert tuple(store.get(key_id) for key_id in names) == found.keys, "a title can be read without the server"
    assert source(server, tmp_path).keys("film", wanted, names) == found, "asked again"


def test_nothing_is_asked_for_what_is_clear(server: KeyServer, tmp_path: Path) -> None:
    assert source(server, tmp_path).keys("film", (), ()).keys == ()
    assert server.asked == []


def test_drm_systems_are_asked_for_where_samples_are_encrypted(server: KeyServer, tmp_path: Path) -> None:
    server.scheme = "cbcs"
    names = ids(2)
    found = source(server, tmp_path, "cbcs").keys("film", uses("AUDIO", "VIDEO"), names)
    assert server.wrong == []
    assert {(each.key_id, each.system_id) for each in found.signals} == {(key_id, system) for key_id in names for system in SYSTEMS}
    for each in found.signals:
        kid, parts = str(uuid.UUID(each.key_id)), ("pssh", "content_protection", "hls_media", "hls_master")
        said = {name: base64.b64decode(text) for name in parts if (text := getattr(each, name))}
        kinds = {"pssh": "PSSH", "content_protection": "ContentProtectionData"} if not each.system_id.startswith("94ce") else {}
        wanted = {name: signalling(kind, None, each.system_id, kid) for name, kind in kinds.items()}
        for_hls = {f"hls_{playlist}": signalling("HLSSignalingData", playlist, each.system_id, kid) for playlist in ("media", "master")}
        assert said == wanted | for_hls


def test_what_drm_systems_want_to_be_said_passes_through_into_a_title(server: KeyServer, tmp_path: Path) -> None:
    server.scheme = "cbcs"
    more = {"key_classes": "audio-video", "key_source": f"cpix:{server.url}", "session_keys": True, "encrypt": "cbcs"}
    files = tree(version(run(CLIP, settings(tmp_path, 90, **more), content_id="film")))
    assert server.wrong == []
    known = read_inventory(files["inventory.json"])
    assert isinstance(known, Inventory)
    assert re.findall("HDCP-LEVEL=([^,\n]*)", files["master.m3u8"].decode()) == ["NONE"] * len(known.video)
    for track in known.media:
        kid = str(uuid.UUID(track.segments[0].key_id))
        boxes = [signalling("PSSH", None, system, kid) for system in SYSTEMS if not system.startswith("94ce")]
        assert [files[str(track.init)].count(box) for box in boxes] == [1, 1]
        media = [signalling("HLSSignalingData", "media", system, kid) for system in SYSTEMS]
        assert [files[track.playlist].count(tag) for tag in media] == [1, 1, 1]
        assert all(signalling("HLSSignalingData", "master", system, kid) in files["master.m3u8"] for system in SYSTEMS)
        assert all(base64.b64encode(box) in files["manifest.mpd"] for box in boxes)


def test_the_header_is_sent_and_kept_secret(server: KeyServer, tmp_path: Path) -> None:
    server.authorization = "Bearer t0ken"
    assert source(server, tmp_path, authorization="Bearer t0ken").keys("film", (KeyUse(),), ids(1))
    assert "t0ken" not in repr(source(server, tmp_path, authorization="Bearer t0ken"))
    for wrong in (None, "Bearer other"):
        with pytest.raises(KeyServiceFailed, match="answers 401") as failed:
            source(server, tmp_path, authorization=wrong).keys("film", (KeyUse(),), ids(1))
        assert "key_source_authorization" in str(failed.value.fix)
        assert "other" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize(("status", "fix"), [(401, "authorization"), (403, "authorization"), (404, "log"), (500, "log"), (503, "log")])
def test_a_refusal_is_said_without_the_servers_words(status: int, fix: str, server: KeyServer, tmp_path: Path) -> None:
    server.status, server.raw = status, b"s3cret words"
    with pytest.raises(KeyServiceFailed, match=f"answers {status}") as failed:
        source(server, tmp_path).keys("film", (KeyUse(),), ids(1))
    assert fix in str(failed.value.fix)
    assert failed.value.where == "127.0.0.1"
    assert "s3cret" not in "".join(traceback.format_exception(failed.value))
    assert KeyStore(tmp_path, bytes(32)).find() == ()


def first(root: ElementTree.Element, tag: str) -> ElementTree.Element:
    found = root.find(f".//{tag}")
    assert found is not None
    return found


def without(tag: str) -> Callable[[ElementTree.Element], object]:
    def change(root: ElementTree.Element) -> None:
        parent = first(root, f"{tag}/..")
        parent.remove(first(root, tag))

    return change


def other_value(text: str) -> Callable[[ElementTree.Element], object]:
    return lambda root: setattr(first(root, f"{PSKC}PlainValue"), "text", text)


def other_attribute(tag: str, name: str, value: str) -> Callable[[ElementTree.Element], object]:
    return lambda root: first(root, tag).set(name, value)


def same_keys(root: ElementTree.Element) -> None:
    for element in root.iter(f"{PSKC}PlainValue"):
        element.text = base64.b64encode(bytes(16)).decode()


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (without(f"{CPIX}ContentKey"), "is missing"),
        (other_attribute(f"{CPIX}ContentKey", "kid", "0" * 8 + "-0000-0000-0000-" + "0" * 12), "which was not asked for"),
        (other_attribute(f"{CPIX}ContentKey", "kid", "7"), "not a UUID"),
        (without(f"{PSKC}PlainValue"), "has no value"),
        (other_value("c2VjcmV0"), "6 bytes instead of 16"),
        (other_value(base64.b64encode(bytes(32)).decode()), "32 bytes instead of 16"),
        (other_value("?"), "not base64"),
        (same_keys, "two keys are the same"),
        (other_attribute(f"{CPIX}ContentKeyUsageRule", "intendedTrackType", "UHD"), "is for another class"),
        (without(f"{CPIX}ContentKeyUsageRule"), "is for nothing"),
        (lambda root: root.set("contentId", "another"), "for another title"),
    ],
    ids=["missing", "wrong id", "no id", "no value", "short", "long", "no base64", "same", "other contract", "no contract", "other title"],
)
def test_a_wrong_answer_is_never_used(
    answer: Callable[[ElementTree.Element], object], what: str, server: KeyServer, tmp_path: Path
) -> None:
    server.answer = answer
    with pytest.raises(KeyServiceFailed, match=what) as failed:
        source(server, tmp_path).keys("film", uses(*THREE), ids(3))
    assert failed.value.fix
    assert KeyStore(tmp_path, bytes(32)).find() == (), "nothing of it is kept"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "no XML"),
        (b"<html>", "no XML"),
        (b"<html/>", "root is not CPIX"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "has a DTD"),
        (b" " * (MOST_BYTES + 1), "more than"),
    ],
)
def test_what_is_no_document_is_refused(raw: bytes, what: str, server: KeyServer, tmp_path: Path) -> None:
    server.raw = raw
    with pytest.raises(KeyServiceFailed, match=what):
        source(server, tmp_path).keys("film", (KeyUse(),), ids(1))


def test_another_version_of_speke_is_refused(server: KeyServer, tmp_path: Path) -> None:
    server.version = "1.0"
    with pytest.raises(KeyServiceFailed, match=r"SPEKE '1\.0' instead of 2\.0"):
        source(server, tmp_path).keys("film", (KeyUse(),), ids(1))


def test_a_server_that_is_silent_or_not_there_is_no_endless_wait(
    server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speke, "SILENCE", 0.2)
    server.seconds = 2
    with pytest.raises(KeyServiceFailed, match="sends nothing"):
        source(server, tmp_path).keys("film", (KeyUse(),), ids(1))
    gone = SpekeKeys("http://127.0.0.1:1/", KeyStore(tmp_path), "aes-128")
    with pytest.raises(KeyServiceFailed, match="cannot be asked") as failed:
        gone.keys("film", (KeyUse(),), ids(1))
    assert "run the same command again" in str(failed.value.fix)


def test_a_server_that_gives_another_key_is_not_believed(server: KeyServer, tmp_path: Path) -> None:
    """The segments are under the one that it gave before."""
    names = ids(2)
    store = KeyStore(tmp_path, bytes(32))
    source(server, tmp_path).keys("film", (KeyUse(),), names[:1])
    server.answer = lambda root: setattr(root.findall(f".//{PSKC}PlainValue")[1], "text", base64.b64encode(b"another" + bytes(9)).decode())
    with pytest.raises(KeyServiceFailed, match="gives another key"):
        source(server, tmp_path).keys("film", uses("AUDIO", "VIDEO"), names[::-1])
    assert store.get(names[0]).key == key_for(names[0])
    assert [info.key_id for info in store.find()] == [names[0]], "nothing of that answer is kept"


@pytest.mark.parametrize(
    "setting", ["cpix:", "cpix:keys.example.com", "cpix:ftp://keys.example.com/", "cpix:https://me:s3cret@k.example.com/", "cpix:https://[x/"]
)
def test_what_is_no_key_server_is_refused(setting: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the URL of a key server") as refused:
        Settings(home=tmp_path, key_source=setting)
    assert "s3cret" not in str(refused.value)


def test_keys_do_not_cross_the_network_in_clear(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in clear over the network"):
        Settings(home=tmp_path, key_source="cpix:http://keys.example.com/")
    for url in ("https://keys.example.com/", "http://127.0.0.1:8080/", "http://localhost/", "http://[::1]/"):
        assert Settings(home=tmp_path, key_source=f"cpix:{url}").key_source == f"cpix:{url}"
    with pytest.raises(UsageError, match="not the text of a header") as refused:
        Settings(home=tmp_path, key_source_authorization="Bearer s3cret\nX-Other: 1")
    assert "s3cret" not in str(refused.value)


# --- whole titles -----------------------------------------------------------------------------------------------------

CLIP = FIXTURES / "one-second.mp4"


def asking(server: KeyServer, folder: Path) -> Settings:
    lengths = {"segment_seconds": Fraction(1, 4), "gop_seconds": Fraction(1, 4)}
    more = {"key_classes": "audio-video", "key_rotation": "1 segment", "key_source": f"cpix:{server.url}"}
    return settings(folder, 90, **lengths, **more)


def test_a_title_is_under_the_keys_of_the_server(server: KeyServer, tmp_path: Path) -> None:
    configured = asking(server, tmp_path)
    first_time = run(CLIP, configured, content_id="film")
    assert server.wrong == []
    known = read_inventory(tree(version(first_time))["inventory.json"])
    assert isinstance(known, Inventory)
    store = KeyStore(configured.keys)
    assert all(store.get(key_id).key == key_for(key_id) for key_id in known.keys)
    assert len(known.keys) >= 4
    assert read_barcodes(joined(first_time, configured, known.video[0].playlist, tmp_path)) == list(range(30))
    asked = len(server.asked)
    assert run(CLIP, configured, content_id="film").unchanged
    with playing("film", configured):
        assert len(server.asked) == asked, "what is published is read without the server"
    renamed = run(CLIP, configured, content_id="film", title="Another")
    assert renamed.record.encryption == first_time.record.encryption
    record = rekey(RekeyRequest(content_id="film"), configured).record
    assert record
    assert server.wrong == []
    assert not {*record.encryption.key_ids} & {*known.keys}
    assert all(store.get(key_id).key == key_for(key_id) for key_id in record.encryption.key_ids)


def test_a_server_that_fails_stops_it_before_the_encode_and_is_asked_again(server: KeyServer, tmp_path: Path) -> None:
    configured = asking(server, tmp_path)
    server.status = 503
    with pytest.raises(KeyServiceFailed, match="answers 503"):
        run(CLIP, configured, content_id="film")
    note = unfinished(configured.work, "film")
    assert note
    assert not (configured.work / "chunks").exists(), "nothing is encoded"
    server.status = 200
    done = run(CLIP, configured, content_id="film").record
    assert (done.version, done.encryption.key_ids) == (note.version, note.key_ids)
