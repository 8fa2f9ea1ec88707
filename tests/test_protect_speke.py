"""Keys from a key server: it is asked for what the standard says, and nothing that it answers wrongly is ever used."""

from __future__ import annotations

import base64
import re
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from fractions import Fraction
from http import HTTPStatus
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.ingest_support import FIXTURES, Recorder, joined, run, settings, tree, version
from tests.key_server import CPIX, FAIRPLAY, PLAYREADY, PSKC, SYSTEMS, WIDEVINE, KeyServer, added, key_for, key_server, signalling
from tests.playback.barcodes import read_barcodes
from vidpipe.catalog.store import Catalog
from vidpipe.errors import KeyServiceFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.inventory.model import VideoTrack
from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe
from vidpipe.lifecycle.rekeying import RekeyRequest, rekey
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.pipeline.versions import begin
from vidpipe.preview import playing
from vidpipe.progress import Silent
from vidpipe.protect import key_server_client
from vidpipe.protect.cpix_markup import MOST_BYTES
from vidpipe.protect.key_server_client import KeyServerClient
from vidpipe.protect.key_store import ContentKey, KeyStore, new_key_id
from vidpipe.protect.key_uses import IntendedTrackType, KeyUse
from vidpipe.protect.speke import SpekeKeys
from vidpipe.publish.upload import publish_object
from vidpipe.settings import Settings
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.proof import verify
from vidpipe.work.jobs import JobNote, claim, unfinished


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_server_client, "WAITS", (0.0, 0.0))


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with key_server() as found:
        yield found


def source(server: KeyServer, folder: Path, scheme: str = "aes-128", authorization: str | None = None) -> SpekeKeys:
    return SpekeKeys(KeyServerClient(server.url, authorization), KeyStore(folder, bytes(32)), scheme)


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
    store = KeyStore(tmp_path, bytes(32))
    store.add(ContentKey(new_key_id(), "another film", key_for(names[0])))  # keys of other titles are not compared
    found = source(server, tmp_path).keys("film", wanted, names)
    assert server.wrong == []
    assert (found.ids, found.uses, found.signals) == (names, wanted, ())
    assert [key.key for key in found.keys] == [key_for(key_id) for key_id in names]
    (asked,) = server.asked
    assert asked.get("contentId") == "film"
    assert tuple(store.get(key_id) for key_id in names) == found.keys, "a title can be read without the server"
    assert source(server, tmp_path).keys("film", wanted, names) == found, "asked again"


def test_nothing_is_asked_for_what_is_clear(server: KeyServer, tmp_path: Path) -> None:
    assert source(server, tmp_path).keys("film", (), ()).keys == ()
    assert server.asked == []


@pytest.mark.parametrize("scheme", ["cbcs", "cenc"])
def test_drm_systems_are_asked_for_where_samples_are_encrypted(scheme: str, server: KeyServer, tmp_path: Path) -> None:
    server.scheme = scheme
    names = ids(2)
    found = source(server, tmp_path, scheme).keys("film", uses("AUDIO", "VIDEO"), names)
    assert server.wrong == []
    systems = SYSTEMS if scheme == "cbcs" else SYSTEMS - {FAIRPLAY}  # which plays no cenc
    assert {(each.key_id, each.system_id) for each in found.signals} == {(key_id, system) for key_id in names for system in systems}
    for each in found.signals:
        kid, parts = str(uuid.UUID(each.key_id)), ("pssh", "content_protection", "hls_media", "hls_master")
        said = {name: base64.b64decode(text) for name in parts if (text := getattr(each, name))}
        kinds = {"pssh": "PSSH", "content_protection": "ContentProtectionData"} if not each.system_id.startswith("94ce") else {}
        wanted = {name: signalling(kind, None, each.system_id, kid) for name, kind in kinds.items()}
        for_hls = {f"hls_{playlist}": signalling("HLSSignalingData", playlist, each.system_id, kid) for playlist in ("media", "master")}
        assert said == wanted | for_hls


def licensed(server: KeyServer, folder: Path, **changes: Any) -> Settings:
    """Settings of a title whose keys DRM systems license."""
    server.scheme = "cbcs"
    more = {"key_classes": "audio-video", "key_source": f"cpix:{server.url}", "session_keys": True, "encrypt": "cbcs"}
    return settings(folder, 90, **(more | changes))


def inventory_of(result: IngestResult) -> Inventory:
    found = read_inventory(tree(version(result))["inventory.json"])
    assert isinstance(found, Inventory)
    return found


def test_what_drm_systems_want_to_be_said_passes_through_into_a_title(server: KeyServer, tmp_path: Path) -> None:
    configured = licensed(server, tmp_path, key_classes="all", key_url="https://keys.example/{content_id}/{key_id}")
    files = tree(version(run(CLIP, configured, content_id="film")))
    assert server.wrong == []
    known = read_inventory(files["inventory.json"])
    assert isinstance(known, Inventory)
    named = re.findall("INF:.*HDCP-LEVEL=([^,\n]*)", files["master.m3u8"].decode())
    assert named == ["NONE"] * 2 * len(known.video), "of each rung, and of its I-frames"
    for track in known.media:
        kid = str(uuid.UUID(track.segments[0].key_id))
        boxes = [signalling("PSSH", None, system, kid) for system in SYSTEMS if not system.startswith("94ce")]
        assert [files[str(track.init)].count(box) for box in boxes] == [1, 1]
        media = [signalling("HLSSignalingData", "media", system, kid) for system in SYSTEMS]
        assert [files[track.playlist].count(tag) for tag in media] == [1, 1, 1]
        if isinstance(track, VideoTrack) and track.i_frames:
            assert [files[track.i_frames.playlist].count(tag) for tag in media] == [1, 1, 1]
        assert all(signalling("HLSSignalingData", "master", system, kid) in files["master.m3u8"] for system in SYSTEMS)
        assert all(base64.b64encode(box) in files["manifest.mpd"] for box in boxes)
    scrub(ScrubRequest(title="film"), configured)  # which key server playlists name is read beside what DRM systems say
    assert redescribe(RedescribeRequest(content_id="film", title="Another"), configured).copied
    with playing("film", configured) as preview:
        _, _, playlist = preview.answer(f"/{preview.prefix}/{known.video[0].playlist}")
    assert playlist.count(b'URI="skd://') == len(SYSTEMS)
    assert playlist.count(b'URI="keys/') == 1


def test_kept_keys_keep_what_is_said_of_them(server: KeyServer, tmp_path: Path) -> None:
    """A run without the setting has the keys from the key store, which knows nothing of DRM systems."""
    before = inventory_of(run(CLIP, licensed(server, tmp_path), content_id="film"))
    again = run(CLIP, licensed(server, tmp_path, key_source="local"), content_id="film", title="Another")
    assert inventory_of(again).drm == before.drm
    assert (again.artifacts, len(before.drm)) == (0, 2 * len(SYSTEMS))


def test_another_pssh_of_the_same_key_costs_init_sections_alone(server: KeyServer, tmp_path: Path) -> None:
    configured = licensed(server, tmp_path)
    before = run(CLIP, configured, content_id="film")
    boxes = {system: signalling("PSSH", None, system, "another") for system in (WIDEVINE, PLAYREADY)}

    def other(root: ElementTree.Element) -> None:
        for system in root.iter(f"{CPIX}DRMSystem"):
            for each in system.iter(f"{CPIX}PSSH"):
                each.text = base64.b64encode(boxes[system.get("systemId") or ""] * 2).decode()

    server.answer = other
    again = run(CLIP, configured, content_id="film", title="Another")
    old, new = inventory_of(before), inventory_of(again)
    assert (again.artifacts, again.warnings) == (0, ())
    assert again.copied >= sum(len(track.segments) for track in new.tracks)
    files, earlier = tree(version(again)), tree(version(before))
    assert [files[track.init].count(box) for track in new.media for box in boxes.values()] == [2, 2, 2, 2]
    assert all(files[track.init] != earlier[track.init] for track in new.media)
    assert [segment.sha256 for segment in new.segments] == [segment.sha256 for segment in old.segments]


def test_what_dash_says_of_drm_systems_is_proven(server: KeyServer, tmp_path: Path) -> None:
    def blank(root: ElementTree.Element) -> None:
        for system in root.iter(f"{CPIX}DRMSystem"):
            if system.get("systemId") == PLAYREADY:
                first(system, f"{CPIX}ContentProtectionData").text = base64.b64encode(b" ").decode()

    server.answer = blank
    configured = licensed(server, tmp_path)
    done = run(CLIP, configured, content_id="film")
    known, text = inventory_of(done), tree(version(done))["manifest.mpd"].decode()
    assert PLAYREADY not in text, "it has nothing to say there, and that is no fault"
    kid = str(uuid.UUID(known.video[0].segments[0].key_id))
    said = base64.b64encode(signalling("PSSH", None, WIDEVINE, kid)).decode()
    assert said in text
    storage = LocalStorage(Path(configured.target))
    altered = text.replace(said, said.replace("A", "B")).encode()
    put = publish_object(storage, f"film/{known.version}", "manifest.mpd", altered, reporter=Silent())
    with pytest.raises(VerificationFailed, match="key systems of ContentProtection and their pssh"):
        verify(
            known.with_objects([put]),
            storage,
            key_for=KeyStore(configured.keys).get,
            ffmpeg=None,
            reporter=Silent(),
            cancel=threading.Event(),
        )


def test_a_title_of_local_keys_takes_those_of_the_server_only_when_it_is_told_to(server: KeyServer, tmp_path: Path) -> None:
    local = run(CLIP, licensed(server, tmp_path, key_source="local"), content_id="film")
    configured = licensed(server, tmp_path)
    assert run(CLIP, configured, content_id="film").unchanged
    with pytest.raises(KeyServiceFailed, match="gives another key") as failed:
        run(CLIP, configured, content_id="film", title="Another")
    assert "--new-key" in str(failed.value.fix)
    new = ingest(IngestRequest(source=str(CLIP), content_id="film", new_key=True), configured).record
    assert not {*new.encryption.key_ids} & {*local.record.encryption.key_ids}


def test_a_server_that_serves_no_drm_is_said(server: KeyServer, tmp_path: Path) -> None:
    server.answer = lambda root: [each.clear() for each in root.iter(f"{CPIX}DRMSystemList")]
    recorder = Recorder()
    done = ingest(IngestRequest(source=str(CLIP), content_id="film"), licensed(server, tmp_path), recorder)
    assert inventory_of(done).drm == ()
    assert [text for text in recorder.warnings if "says nothing for Widevine and PlayReady and FairPlay" in text]


def test_the_header_is_sent_and_kept_secret(server: KeyServer, tmp_path: Path) -> None:
    server.authorization = "Bearer t0ken"
    assert source(server, tmp_path, authorization="Bearer t0ken").keys("film", (KeyUse(),), ids(1))
    assert "t0ken" not in repr(source(server, tmp_path, authorization="Bearer t0ken"))
    for wrong in (None, "Bearer other"):
        with pytest.raises(KeyServiceFailed, match="answers 401") as failed:
            source(server, tmp_path, authorization=wrong).keys("film", (KeyUse(),), ids(1))
        assert "key_source_authorization" in str(failed.value.fix)
        assert "other" not in "".join(traceback.format_exception(failed.value))


@pytest.mark.parametrize(
    ("status", "fix"), [(401, "authorization"), (403, "authorization"), (404, "URL"), (422, "log"), (500, "log"), (503, "log")]
)
def test_a_refusal_is_said_without_the_servers_words(status: int, fix: str, server: KeyServer, tmp_path: Path) -> None:
    server.status, server.raw = status, b"s3cret words"
    with pytest.raises(KeyServiceFailed, match=f"answers {status} {HTTPStatus(status).phrase}") as failed:
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


def said_by_all(tag: str, data: bytes) -> Callable[[ElementTree.Element], object]:
    return lambda root: [setattr(each, "text", base64.b64encode(data).decode()) for each in root.iter(tag)]


def exchanged(elements: list[ElementTree.Element]) -> None:
    """Exchange the ids of two elements."""
    one, other = elements
    one.attrib["id"], other.attrib["id"] = other.attrib["id"], one.attrib["id"]


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
        (without(f"{CPIX}ContentKeyUsageRule"), "has no ContentKeyUsageRule"),
        (lambda root: root.set("contentId", "another"), "for another title"),
        (other_attribute(f"{CPIX}KeyPeriodFilter", "periodId", "period-100"), "for another period"),
        (lambda root: exchanged(root.findall(f".//{CPIX}ContentKeyPeriod")), "for another period"),
    ],
    ids=[
        *("missing", "wrong id", "no id", "no value", "short", "long", "no base64", "same", "other contract", "no contract", "other title"),
        *("period", "periods"),
    ],
)
def test_a_wrong_answer_is_never_used(
    answer: Callable[[ElementTree.Element], object], what: str, server: KeyServer, tmp_path: Path
) -> None:
    server.answer = answer
    with pytest.raises(KeyServiceFailed, match=what) as failed:
        source(server, tmp_path).keys("film", uses(*THREE, periods=2), ids(6))
    assert failed.value.fix
    assert KeyStore(tmp_path, bytes(32)).find() == (), "nothing of it is kept"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (other_attribute(f"{CPIX}ContentKey", "commonEncryptionScheme", "cenc"), "for another scheme"),
        (other_attribute(f"{CPIX}ContentKey", "explicitIV", base64.b64encode(bytes(16)).decode()), "has another IV"),
        (other_attribute(f"{CPIX}ContentKey", "explicitIV", "?"), "has another IV"),
        (without(f"{CPIX}DRMSystem"), "of some keys, and not of the key"),
        (said_by_all(f"{CPIX}PSSH", b"hello"), "a pssh that is no box"),
        (said_by_all(f"{CPIX}PSSH", signalling("PSSH", None, FAIRPLAY, "x")), "Widevine wants .* is that of another DRM system"),
        (other_attribute(f"{CPIX}DRMSystem", "systemId", "widevine"), "a systemId is not a UUID"),
        (lambda root: first(root, f"{CPIX}DRMSystemList").append(first(root, f"{CPIX}DRMSystem")), "says twice what a DRM system wants"),
        (lambda root: first(root, f"{CPIX}DRMSystem").clear(), "kid is not a UUID"),
        (lambda root: [setattr(each, "text", "") for each in first(root, f"{CPIX}DRMSystem")], "of some keys, and not of the key"),
    ],
)
def test_what_is_not_as_the_samples_need_it_is_refused(
    answer: Callable[[ElementTree.Element], object], what: str, server: KeyServer, tmp_path: Path
) -> None:
    server.scheme, server.answer = "cbcs", answer
    with pytest.raises(KeyServiceFailed, match=what):
        source(server, tmp_path, "cbcs").keys("film", uses("AUDIO", "VIDEO"), ids(2))
    assert KeyStore(tmp_path, bytes(32)).find() == ()


def test_a_server_may_leave_out_what_it_was_told(server: KeyServer, tmp_path: Path) -> None:
    """Periods, scheme and IV are those of the question then, and so are systems that it does not serve at all."""

    def short(root: ElementTree.Element) -> None:
        for key in root.iter(f"{CPIX}ContentKey"):
            del key.attrib["explicitIV"], key.attrib["commonEncryptionScheme"]
        for system in root.iter(f"{CPIX}DRMSystem"):
            for each in system if system.get("systemId") == FAIRPLAY else ():
                each.text = None

    server.scheme, server.answer = "cbcs", short
    found = source(server, tmp_path, "cbcs").keys("film", uses("AUDIO", "VIDEO"), ids(2))
    assert {each.system_id for each in found.signals} == SYSTEMS - {FAIRPLAY}


def test_systems_that_were_not_asked_for(server: KeyServer, tmp_path: Path) -> None:
    """One that does not play the scheme is left out; another one passes through, as the server says it."""
    other = str(uuid.UUID(int=7))

    def more(root: ElementTree.Element) -> None:
        for key in root.iter(f"{CPIX}ContentKey"):
            for system in (FAIRPLAY, other):
                said = added(first(root, f"{CPIX}DRMSystemList"), f"{CPIX}DRMSystem")
                said.attrib |= {"kid": key.get("kid") or "", "systemId": system}
                tag = added(said, f"{CPIX}HLSSignalingData")
                tag.set("playlist", "multiVariant")  # CPIX 2.4
                tag.text = base64.b64encode(b"of " + system.encode()).decode()

    server.scheme, server.answer = "cenc", more
    found = source(server, tmp_path, "cenc").keys("film", uses("AUDIO", "VIDEO"), ids(2)).signals
    assert {each.system_id for each in found} == {WIDEVINE, PLAYREADY, other}
    assert {base64.b64decode(each.hls_master or "") for each in found if each.system_id == other} == {b"of " + other.encode()}


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
    monkeypatch.setattr(key_server_client, "SILENCE", 0.2)
    monkeypatch.setattr(key_server_client, "WAITS", ())
    server.seconds = 2
    with pytest.raises(KeyServiceFailed, match="sends nothing"):
        source(server, tmp_path).keys("film", (KeyUse(),), ids(1))
    gone = SpekeKeys(KeyServerClient("http://127.0.0.1:1/"), KeyStore(tmp_path), "aes-128")
    with pytest.raises(KeyServiceFailed, match="cannot be asked") as failed:
        gone.keys("film", (KeyUse(),), ids(1))
    assert "run the same command again" in str(failed.value.fix)


def test_keys_that_are_there_are_not_sought_in_the_files_of_all_titles(
    server: KeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ids(2)
    found = source(server, tmp_path).keys("film", uses("AUDIO", "VIDEO"), names)
    monkeypatch.delattr(KeyStore, "find")
    assert source(server, tmp_path).keys("film", uses("AUDIO", "VIDEO"), names) == found


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
    server.answer = lambda root: setattr(root.find(f".//{PSKC}PlainValue"), "text", base64.b64encode(b"another" + bytes(9)).decode())
    configured = settings(tmp_path, 90, key_source=f"cpix:{server.url}")
    with claim(configured.work, "film") as held:
        held.save(JobNote(content_id="film", fingerprint="f", version="v2", target="here", key_ids=names[:1], copy_of="v1"))
    other = pytest.raises(KeyServiceFailed, match="gives another key")
    with Catalog(configured.catalog_url) as catalog, claim(configured.work, "film") as held, other as failed:
        begin(held, catalog, configured, store, "film", "f", Silent(), uses=(KeyUse(),), fresh=False, copy_of="v1")
    assert "vidpipe work clean --unfinished" in str(failed.value.fix), "no ingest makes a copy, whose option would help"


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
