"""What DRM systems want to be said: it passes through into playlists and init sections, and nothing else does."""

from __future__ import annotations

import base64
import struct
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.inventory_support import KEY_ID, inventory, segments
from tests.title_support import KEY, PREFIX, Encoded, publish_title
from vidpipe.errors import KeyServiceFailed, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.manifest.drm import check_signals
from vidpipe.manifest.hls import playlists
from vidpipe.manifest.parse import MasterPlaylist, MediaPlaylist, parse
from vidpipe.mp4.encryption import TrackEncryption
from vidpipe.mp4.writing import full_box
from vidpipe.package.result import TrackFacts
from vidpipe.progress import Silent
from vidpipe.protect.drm_systems import boxes_for
from vidpipe.protect.key_source import DrmSignal, KeySet
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.key_uses import KeyUse
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.upload import publish_object
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.proof import verify

FAIRPLAY = 'METHOD=SAMPLE-AES,URI="skd://{0}",KEYFORMAT="com.apple.streamingkeydelivery",KEYFORMATVERSIONS="1"'
PLAYREADY = 'METHOD=SAMPLE-AES,URI="data:text/plain;base64,{0}",KEYFORMAT="com.microsoft.playready",KEYFORMATVERSIONS="1"'
OTHER = "cd" * 16


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def signal(key_id: str, attributes: str, **more: Any) -> DrmSignal:
    said = attributes.format(key_id[:4])
    media, master = coded(f"#EXT-X-KEY:{said}\n"), coded(f"#EXT-X-SESSION-KEY:{said}")
    return DrmSignal(key_id=key_id, system_id="94ce86fb-07ff-4f43-adb8-93d2fa968ca2", hls_media=media, hls_master=master, **more)


BOTH = (signal(KEY_ID, FAIRPLAY), signal(KEY_ID, PLAYREADY), signal(OTHER, FAIRPLAY))


def two_keys(**changes: Any) -> Inventory:
    """The picture under one key, then another."""
    made = inventory(keys=(KEY_ID, OTHER), **changes)
    iv = "AB" * 16
    video = tuple(
        replace(segment, iv=iv, key_id=KEY_ID if segment.index < 2 else OTHER) for segment in segments("90p", "video/90p/{:05d}.m4s", 3)
    )
    rung = made.video[0].model_copy(update={"segments": video})
    others = {
        kind: tuple(
            track.model_copy(update={"segments": tuple(replace(each, iv=iv) for each in track.segments)}) for track in getattr(made, kind)
        )
        for kind in ("audio", "subtitles")
    }
    return made.model_copy(update={"video": (rung,), **others})


def test_each_key_has_the_tags_of_its_systems_once() -> None:
    known = two_keys(drm=BOTH)
    text = playlists(known)["video-90p.m3u8"]
    lines = [line for line in text.splitlines() if "KEYFORMAT" in line]
    assert lines == [f"#EXT-X-KEY:{each}" for each in (FAIRPLAY.format("abab"), PLAYREADY.format("abab"), FAIRPLAY.format("cdcd"))]
    assert text.index("#EXT-X-MAP") < text.index(lines[0]), "the init section is in clear"
    read = parse(text.encode())
    assert isinstance(read, MediaPlaylist)
    first, second, third = ({key.keyformat: key.uri for key in entry.keys} for entry in read.segments)
    assert first == second
    assert first["identity"] == f"keys/{KEY_ID}"
    assert (third["identity"], third["com.apple.streamingkeydelivery"]) == (f"keys/{OTHER}", "skd://cdcd")
    assert all(not entry.init or not entry.init.keys for entry in read.segments)


def test_the_master_playlist_names_them_when_asked() -> None:
    assert "skd:" not in playlists(two_keys(drm=BOTH))["master.m3u8"]
    read = parse(playlists(two_keys(drm=BOTH, session_keys=True))["master.m3u8"].encode())
    assert isinstance(read, MasterPlaylist)
    named = [(key.keyformat, key.uri) for key in read.session_keys]
    assert named[0] == ("identity", f"keys/{KEY_ID}"), "the key that it begins with alone"
    assert [format_ for format_, _ in named[1:]] == ["com.apple.streamingkeydelivery", "com.microsoft.playready"]
    assert named[1][1] == "skd://abab"


def test_a_system_that_says_nothing_of_playlists_only_makes_them_say_what_licenses_may_ask_for() -> None:
    made = playlists(two_keys(drm=(DrmSignal(key_id=KEY_ID, system_id="s"),)))
    assert {path: text.replace("HDCP-LEVEL=NONE,", "") for path, text in made.items()} == playlists(two_keys())


@pytest.mark.parametrize(
    "said",
    [
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="https://elsewhere/key"',
        '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="https://elsewhere/key",KEYFORMAT="identity"',
        '#EXT-X-KEY:METHOD=SAMPLE-AES,KEYFORMAT="com.example"',
        '#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="x",KEYFORMAT="com.example"',
        "#EXT-X-ENDLIST",
        "https://elsewhere/00001.m4s",
        f"#EXT-X-KEY:{FAIRPLAY}\nhttps://elsewhere/00001.m4s",
        "#EXT-X-KEY:" + FAIRPLAY.replace("skd", "sk\u00e9"),
    ],
)
def test_what_is_no_tag_of_a_key_is_refused(said: str) -> None:
    """A key server must not put a segment, another key of ours, or the end into a playlist."""
    with pytest.raises(ValueError, match="DRM system wants"):
        check_signals([DrmSignal(key_id=KEY_ID, system_id="s", hls_media=coded(said))])
    with pytest.raises(ValueError, match="DRM system wants"):
        check_signals([DrmSignal(key_id=KEY_ID, system_id="s", hls_media="?")])


def test_it_is_proven_as_published(encoded_title: Encoded, tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    made = publish_title(encoded_title, storage).model_copy(update={"drm": (signal(KEY.key_id, FAIRPLAY),), "session_keys": True})

    def proven(alter: tuple[str, str] = ("", "")) -> Any:
        put = [
            publish_object(storage, PREFIX, path, text.replace(*alter).encode() if alter[0] else text.encode(), reporter=Silent())
            for path, text in playlists(made).items()
        ]
        known = made.with_objects(put)
        return verify(known, storage, key_for=lambda _: KEY, ffmpeg=None, reporter=Silent(), cancel=threading.Event())

    assert proven()
    for alter, what in (
        (("#EXT-X-KEY:METHOD=SAMPLE-AES", "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR"), "EXT-X-KEY of DRM systems"),
        (('SESSION-KEY:METHOD=SAMPLE-AES,URI="skd', 'SESSION-KEY:METHOD=SAMPLE-AES,URI="skx'), "EXT-X-SESSION-KEY of DRM systems"),
        (('SESSION-KEY:METHOD=AES-128,URI="keys/', 'SESSION-KEY:METHOD=AES-128,URI="key/'), "EXT-X-SESSION-KEY"),
    ):
        with pytest.raises(VerificationFailed, match=what):
            proven(alter)


@dataclass(frozen=True)
class Samples:
    """A scheme and container that say what an init section would have."""

    def header(self, track: Any, key: ContentKey | None = None) -> Any:
        if isinstance(track, TrackEncryption):  # as the container
            return b"".join(track.systems)
        return TrackEncryption("cbcs", bytes.fromhex(key.key_id), 0, systems=(b"own",)) if key else None


def pssh(data: bytes) -> bytes:
    return full_box(b"pssh", 0, 0, bytes(16), struct.pack(">I", len(data)), data)


NO_PSSH = (b"", b"widevine", pssh(b"")[:-1], pssh(b"") + b"?", full_box(b"free", 0, 0, bytes(20)), b"\0\0\0\x08pssh")


@pytest.mark.parametrize("said", NO_PSSH)
def test_what_is_no_pssh_is_refused(said: bytes) -> None:
    """It would make an init section that nobody can read, after hours of encoding."""
    with pytest.raises(ValueError, match="wants a pssh that is no box"):
        check_signals([DrmSignal(key_id=KEY_ID, system_id="s", pssh=base64.b64encode(said).decode(), content_protection=coded("<a/>"))])
    check_signals([DrmSignal(key_id=KEY_ID, system_id="s", pssh=base64.b64encode(pssh(b"a") + pssh(b"b")).decode())])


def test_pssh_boxes_go_into_the_init_section_of_their_key() -> None:
    boxes = pssh(b"widevine") + pssh(b"more")
    signals = (
        DrmSignal(key_id=KEY.key_id, system_id="a", pssh=base64.b64encode(boxes).decode()),
        DrmSignal(key_id=KEY.key_id, system_id="b"),
        DrmSignal(key_id=OTHER, system_id="a", pssh=base64.b64encode(pssh(b"another key")).decode()),
    )
    keys = KeySet((KeyUse(),), (KEY,), signals)
    facts = TrackFacts(id="v", type="video", codecs="avc1", timescale=1)
    both: Any = Samples()
    assert Protection(both, keys).header(facts, both) == b"own" + boxes
    assert boxes_for(signals, KEY.key_id) == (pssh(b"widevine"), pssh(b"more")), "each by itself, as readers find them"
    assert Protection(scheme_of("aes-128"), keys).header(facts, _Whole()) == b"clear"


class _Whole:
    """The container of a scheme that says nothing."""

    entry = None

    def header(self, encryption: TrackEncryption | None = None) -> bytes:
        return b"clear" if encryption is None else b"?"

    def write(self, cut: Any, samples: Any = None) -> Any:
        raise NotImplementedError


def test_a_server_that_wants_something_else_said_is_refused_before_the_encode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.ingest_support import FIXTURES, run, settings
    from tests.key_server import key_server
    from vidpipe.protect import speke

    bad = (DrmSignal(key_id=KEY_ID, system_id="s", hls_media=coded("#EXT-X-ENDLIST")),)
    read = speke.read_answer
    monkeypatch.setattr(speke, "read_answer", lambda *given, **more: (read(*given, **more)[0], bad))
    with key_server() as server:
        configured = settings(tmp_path, 90, key_source=f"cpix:{server.url}")
        with pytest.raises(KeyServiceFailed, match="cannot say what the key server wants") as refused:
            run(FIXTURES / "one-second.mp4", configured, content_id="film")
    assert all(name in str(refused.value.fix) for name in ("PSSH", "ContentProtectionData", "HLSSignalingData"))
    assert not (configured.work / "chunks").exists()
