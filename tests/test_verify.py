"""The proof before publishing: a sound title passes, and every single fault is found and named."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.encode_support import Seen
from tests.title_support import KEY, PREFIX, SPOKEN, THUMBNAILS, WORDS, Encoded, publish_title, with_tracks
from vidpipe.errors import Interrupted, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.manifest.cues import CueError, read_pictures
from vidpipe.manifest.manifests import manifests
from vidpipe.media import ffmpeg, process
from vidpipe.mp4.boxes import Movie, parse_movie, read_fragments
from vidpipe.mp4.fragment import write_fragment
from vidpipe.package.result import Segment
from vidpipe.progress import Note, Silent
from vidpipe.protect.key_store import ContentKey
from vidpipe.protect.schemes.aes128 import decrypt, encrypt
from vidpipe.publish.result import PublishedObject, PublishedSegment
from vidpipe.storage.base import Stored
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.proof import Verification, verify


@pytest.fixture(scope="module")
def published(encoded_title: Encoded, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Inventory]:
    folder = tmp_path_factory.mktemp("published")
    return folder, publish_title(encoded_title, LocalStorage(folder))


@pytest.fixture
def title(published: tuple[Path, Inventory], tmp_path: Path) -> tuple[Path, Inventory]:
    """A copy of the title that a test may spoil."""
    shutil.copytree(published[0], tmp_path / "target")
    return tmp_path / "target", published[1]


def check(
    folder: Path,
    expected: Inventory,
    key: ContentKey = KEY,
    decode: bool = False,
    cancel: threading.Event | None = None,
    copied: Collection[str] = (),
) -> Verification:
    return verify(
        expected,
        LocalStorage(folder),
        key_for={KEY.key_id: key}.__getitem__,
        cues={SPOKEN.id: WORDS},
        ffmpeg=ffmpeg.find() if decode else None,
        reporter=Silent(),
        cancel=cancel or threading.Event(),
        copied=copied,
        workers=2,
    )


def test_a_sound_title_is_proven(published: tuple[Path, Inventory]) -> None:
    folder, expected = published
    found = check(folder, expected, decode=True)
    assert (found.objects, found.segments) == (9, 9)
    assert found.bytes == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    assert set(found.rates) == {"low", "high", "en"}
    audio = found.decoded - 2 * (24 + 12)
    assert 40 < audio < 94  # of two of three audio segments; the priming does not come out
    unknown = {"colour": None, "layout": None}
    older = with_tracks(expected, lambda track: {"facts": track.facts.model_copy(update=unknown)})
    assert check(folder, older).objects == found.objects, "an inventory of before says less"


def test_audio_and_picture_start_together_in_an_ordinary_player(title: tuple[Path, Inventory]) -> None:
    """ffmpeg plays the master playlist, keys and all; -copyts shows the times as they are."""
    folder, _ = title
    (folder / PREFIX / "keys").mkdir()
    (folder / PREFIX / "keys" / KEY.key_id).write_bytes(KEY.key)
    master = folder / PREFIX / "master.m3u8"
    times: dict[str, list[Fraction]] = {}
    for stream in ("v:0", "v:1", "a:0"):
        argv = [ffmpeg.find().path, "-v", "error", "-xerror", "-copyts", "-allowed_extensions", "ALL", "-i", master, "-map", f"0:{stream}"]
        done = process.run([*argv, "-fps_mode:v", "passthrough", "-enc_time_base", "1/48000", "-f", "framecrc", "-"])
        assert (done.returncode, done.stderr_tail) == (0, "")
        rows = [line.split(",") for line in done.stdout.decode().splitlines() if not line.startswith("#")]
        times[stream] = [Fraction(int(row[2]), 48000) for row in rows]
    assert times["v:0"] == times["v:1"] == [Fraction(number, 24) for number in range(60)]
    assert times["a:0"] == [Fraction(1024 * number, 48000) for number in range(len(times["a:0"]))]
    assert abs(times["a:0"][-1] + Fraction(1024, 48000) - Fraction(5, 2)) <= Fraction(1024, 48000)


def test_a_clear_title_is_proven(encoded_title: Encoded, tmp_path: Path) -> None:
    expected = publish_title(encoded_title, LocalStorage(tmp_path), encrypted=False)
    assert check(tmp_path, expected).segments == 9


def test_a_title_without_pictures_is_proven(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    objects = {path: entry for path, entry in expected.objects.items() if not path.startswith("thumbnails/")}
    shutil.rmtree(folder / PREFIX / "thumbnails")
    assert check(folder, expected.model_copy(update={"pictures": None, "objects": objects})).objects == 7


@pytest.mark.parametrize(
    ("larger", "copied", "said"),
    [
        pytest.param(0, (), r"read back 18 objects, [0-9]{2,3}\.[0-9] kB: all as published", id="small"),
        pytest.param(1_000_000, (), r"read back 18 objects, 1\.[0-9] MB: all as published", id="large"),
        pytest.param(
            0,
            ("thumbnails/sprite-001.jpg", "video/low/00002.m4s", "video/low/00001.m4s", "master.m3u8"),
            r"read back 16 objects, [0-9]{2,3}\.[0-9] kB: all as published; 2 others have the size and hash of what was proven before",
            id="copies",
        ),
        pytest.param(
            0,
            ("video/low/00002.m4s",),
            r"read back 17 objects, [0-9]{2,3}\.[0-9] kB: all as published; 1 other has the size and hash of what was proven before",
            id="a copy",
        ),
    ],
)
def test_a_note_says_what_was_read(title: tuple[Path, Inventory], larger: int, copied: Collection[str], said: str) -> None:
    folder, expected = title
    expected = object_replaced(folder, expected, "thumbnails/sprite-001.jpg", b"a picture" + bytes(larger))
    seen = Seen()
    options: Any = {"ffmpeg": None, "reporter": seen, "cancel": threading.Event(), "copied": copied}
    verify(expected, LocalStorage(folder), key_for=lambda _: KEY, **options)
    *progress, note = seen.events
    assert isinstance(note, Note)
    assert [event.bytes for event in progress] == sorted({event.bytes for event in progress}), "more with each object"
    assert progress[-1].bytes == progress[-1].bytes_total, "all that is read, and nothing else"
    assert re.fullmatch(said, note.text), note.text


def with_dash(folder: Path, made: Inventory) -> Inventory:
    """Write the DASH manifest of a clear title of one rung; return its inventory."""
    movies = {track.id: parse_movie((folder / PREFIX / track.init).read_bytes()) for track in made.media}
    delays = {id_: sum(edit.media_time for edit in movie.tracks[0].edits) for id_, movie in movies.items()}
    known = with_tracks(made, lambda track: {"delay": delays[track.id]} if track.id in delays else {})
    known = known.model_copy(update={"video": known.video[:1], "formats": ("hls", "dash")})
    for path, text in manifests(known).items():
        if path in ("master.m3u8", "manifest.mpd"):
            known = object_replaced(folder, known, path, text)
    return known


def test_a_title_with_a_dash_manifest_is_proven(encoded_title: Encoded, tmp_path: Path) -> None:
    made = with_dash(tmp_path, publish_title(encoded_title, LocalStorage(tmp_path), encrypted=False, words=WORDS))
    assert check(tmp_path, made).objects == 13
    lost = made.model_copy(update={"objects": {path: entry for path, entry in made.objects.items() if path != "manifest.mpd"}})
    with pytest.raises(VerificationFailed, match="the object was not published"):
        check(tmp_path, lost)
    manifest = (tmp_path / PREFIX / "manifest.mpd").read_text()
    (first,) = re.findall(r'timescale="48000".*?<S t="0" d="(\d+)"', manifest, re.DOTALL)
    spoiled = manifest.replace(f'<S t="0" d="{first}"', f'<S t="0" d="{int(first) + 1024}"')
    with pytest.raises(VerificationFailed, match=r"when audio/en/00001\.m4s is shown"):  # the edit list skips as much
        check(tmp_path, object_replaced(tmp_path, made, "manifest.mpd", spoiled))


SEGMENT = "video/low/00002.m4s"
BYTES = (r"expected: \d+ bytes", r"found: \d+ bytes")
HASH = (r"expected: SHA-256 [0-9a-f]{64}", r"found: SHA-256 [0-9a-f]{64}")
NOTHING = (BYTES[0], "found: nothing")


@pytest.mark.parametrize(
    ("path", "spoil", "what", "said"),
    [
        pytest.param(SEGMENT, lambda data: data[:-16], "another size than was sent", BYTES, id="cut"),
        pytest.param(SEGMENT, lambda data: data[:-1] + bytes([data[-1] ^ 1]), "not those that were sent", HASH, id="one-bit"),
        pytest.param(SEGMENT, None, "cannot be read back", NOTHING, id="missing"),
        pytest.param("video/low/init.mp4", lambda data: data.replace(b"cmfc", b"cmfd"), "not those that were sent", HASH, id="init"),
        pytest.param("thumbnails/sprite-001.jpg", lambda data: b"", "another size", BYTES, id="sprite"),
        pytest.param("master.m3u8", lambda data: data + b"\n", "another size", BYTES, id="master"),
    ],
)
def test_an_object_that_is_not_as_sent(title: tuple[Path, Inventory], path: str, spoil: object, what: str, said: tuple[str, str]) -> None:
    folder, expected = title
    file = folder / PREFIX / path
    if spoil is None:
        file.unlink()
    else:
        file.write_bytes(spoil(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, expected)
    assert caught.value.where == str(file)
    assert all(map(re.fullmatch, said, caught.value.details)), caught.value.details
    (found,) = caught.value.diagnostics()
    assert (f"expected: {found.limit}", f"found: {found.measured}", found.at.file) == (*caught.value.details, caught.value.where)
    assert (found.id, found.severity, found.message, found.advice) == (VerificationFailed.id, "error", caught.value.what, caught.value.fix)
    assert caught.value.exit_code == 6


def replaced(folder: Path, expected: Inventory, uri: str, data: bytes, **changes: object) -> Inventory:
    """Store other bytes for a segment, consistently: as if the pipeline itself had made the mistake."""
    (folder / PREFIX / uri).write_bytes(data)
    changes |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return with_tracks(
        expected,
        lambda track: {"segments": tuple(replace(segment, **changes) if segment.uri == uri else segment for segment in track.segments)},
    )


def find(expected: Inventory, uri: str) -> PublishedSegment:
    return next(segment for track in expected.tracks for segment in track.segments if segment.uri == uri)


def opened(folder: Path, segment: PublishedSegment) -> bytes:
    return decrypt((folder / PREFIX / segment.uri).read_bytes(), KEY.key, bytes.fromhex(segment.iv or ""))


def rewritten(folder: Path, expected: Inventory, uri: str, clear: bytes, **changes: object) -> Inventory:
    """Store another segment, encrypted, under its IV in inventory and playlist: as if packaging had made the mistake."""
    before = find(expected, uri)
    track = next(track for track in expected.tracks if before in track.segments)
    after = encrypt(Segment(track.id, before.index, before.start, before.duration, before.samples, clear), KEY)
    assert before.iv
    assert after.iv
    iv = after.iv.hex().upper()
    text = (folder / PREFIX / track.playlist).read_text().replace(before.iv, iv)
    return object_replaced(folder, replaced(folder, expected, uri, after.data, iv=iv, **changes), track.playlist, text)


def test_a_segment_that_was_left_clear(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    with pytest.raises(VerificationFailed, match="not encrypted") as caught:
        check(folder, replaced(folder, expected, SEGMENT, opened(folder, find(expected, SEGMENT))))
    assert caught.value.where == str(folder / PREFIX / SEGMENT)
    assert caught.value.details == ("expected: aes-128", "found: clear: a media segment")


def test_a_wrong_key(title: tuple[Path, Inventory]) -> None:
    with pytest.raises(VerificationFailed, match=r"does not decrypt|not fragmented MP4") as caught:
        check(*title, key=ContentKey(key_id=KEY.key_id, content_id="title", key=bytes(16)))
    assert caught.value.where == str(title[0] / PREFIX / "video/high/00001.m4s")
    assert caught.value.details == (f"expected: a segment under key {KEY.key_id}", "found: other bytes")
    assert KEY.key.hex() not in "\n".join(caught.value.lines())


def test_a_segment_of_another_place(title: tuple[Path, Inventory]) -> None:
    """The bytes of segment 1 stand where segment 2 should: sizes, hashes and keys fit, time does not."""
    folder, expected = title
    first = opened(folder, find(expected, "video/low/00001.m4s"))
    with pytest.raises(VerificationFailed, match=re.escape("the decode time (ticks) is wrong")) as caught:
        check(folder, rewritten(folder, expected, SEGMENT, first))
    assert caught.value.where == str(folder / PREFIX / SEGMENT)
    assert caught.value.details == ("expected: 12288", "found: 0")


@pytest.mark.parametrize(
    ("late", "what", "details"),
    [
        pytest.param(slice(None), "not shown at the segment's start", ("expected: 1024", "found: 1124"), id="all"),
        pytest.param(slice(9, 10), "when a frame gives way to the next", ("expected: 5120", "found: 5220"), id="one"),
    ],
)
def test_a_segment_whose_frames_come_late(title: tuple[Path, Inventory], late: slice, what: str, details: tuple[str, str]) -> None:
    folder, expected = title
    segment = find(expected, "video/low/00001.m4s")
    clear = opened(folder, segment)
    movie = parse_movie((folder / PREFIX / "video/low/init.mp4").read_bytes())
    (fragment,) = read_fragments(io.BytesIO(clear), movie)
    samples = list(fragment.samples)
    samples[late] = [replace(sample, cts=sample.cts + 100) for sample in samples[late]]
    data = write_fragment(1, 1, 0, samples, clear[fragment.samples[0].offset :])
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, rewritten(folder, expected, segment.uri, data))
    assert caught.value.where == str(folder / PREFIX / segment.uri)
    assert caught.value.details == details


@pytest.mark.parametrize(
    ("delays", "what", "where", "details"),
    [
        pytest.param({"high": 1536}, "the edit list of all rungs", "video/high/init.mp4", ("expected: 1024", "found: 1536"), id="unequal"),
        pytest.param(
            {"low": 6144, "high": 6144},
            "the last segment is not longer than the edit list",
            "video/high/00003.m4s",
            ("expected: over 6144 ticks", "found: 6144"),
            id="short-tail",
        ),
    ],
)
def test_edit_lists_that_players_stumble_over(
    encoded_title: Encoded, tmp_path: Path, delays: dict[str, int], what: str, where: str, details: tuple[str, str]
) -> None:
    expected = publish_title(encoded_title, LocalStorage(tmp_path), delays=delays)
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(tmp_path, expected)
    assert caught.value.where == str(tmp_path / PREFIX / where)
    assert caught.value.details == details


@pytest.mark.parametrize(
    ("name", "gop"),
    [pytest.param("00001", 0, id="the first GOP"), pytest.param("00003", -1, id="the last GOP")],
)
def test_a_segment_that_does_not_decode(title: tuple[Path, Inventory], name: str, gop: int) -> None:
    folder, expected = title
    segment = find(expected, f"video/high/{name}.m4s")
    movie = parse_movie((folder / PREFIX / "video/high/init.mp4").read_bytes())
    changed = rewritten(folder, expected, segment.uri, with_empty_gop(opened(folder, segment), movie, gop))
    check(folder, changed)  # the boxes are all right
    with pytest.raises(VerificationFailed, match="does not decode") as caught:
        check(folder, changed, decode=True)
    assert caught.value.where == str(folder / PREFIX / segment.uri)
    assert caught.value.details[0] == "expected: 12 frames"
    assert caught.value.details[1].startswith("found: [h264 @ ")


def with_empty_gop(data: bytes, movie: Movie, gop: int) -> bytes:
    """Return a segment with zeros in the place of a GOP of 12 frames."""
    (fragment,) = read_fragments(io.BytesIO(data), movie)
    samples = fragment.samples[:12] if gop == 0 else fragment.samples[-12:]
    start, end = samples[0].offset, samples[-1].offset + samples[-1].size
    return data[:start] + bytes(end - start) + data[end:]


@pytest.mark.parametrize(
    ("script", "copied", "where", "what", "details"),
    [
        pytest.param(
            "printf 'frame=7\\nfps=0\\nprogress=continue\\nframe=11\\nprogress=end\\n'",
            "",
            "video/high/00001.m4s",
            "does not decode completely",
            ("expected: 12 frames", "found: 11 frames"),
            id="a frame is gone",
        ),
        pytest.param(
            "echo '#tb 0: 1/48000'",
            "video/",
            "audio/en/00001.m4s",
            "does not decode completely",
            ("expected: 48 frames", "found: 0 frames"),
            id="no audio",
        ),
        pytest.param("exit 3", "", "video/high/00001.m4s", "does not decode", ("expected: 12 frames", "found: exit code 3"), id="silent"),
        pytest.param(
            "true",
            "",
            "video/high/00001.m4s",
            "does not decode completely",
            ("expected: 12 frames", "found: 0 frames"),
            id="no report",
        ),
        pytest.param(
            "test $(ulimit -v) != unlimited || test $(ulimit -f) != unlimited && exit 9\nexit 8",
            "",
            "video/high/00001.m4s",
            "does not decode",
            ("expected: 12 frames", "found: exit code 9"),
            id="within limits",
        ),
    ],
)
def test_a_segment_of_which_a_decoder_gives_less(
    published: tuple[Path, Inventory], tmp_path: Path, script: str, copied: str, where: str, what: str, details: tuple[str, str]
) -> None:
    """Decoders conceal much; so a program that gives as little as can be stands for them."""
    folder, expected = published
    (tmp_path / "decoder").write_text(f"#!/bin/sh\ncat > {tmp_path}/read\n{script}\n")
    (tmp_path / "decoder").chmod(0o755)
    copies = [segment.uri for segment in expected.segments if copied and segment.uri.startswith(copied)]
    options: Any = {"reporter": Silent(), "cancel": threading.Event(), "copied": copies, "workers": 1}
    decoder = ffmpeg.FFmpeg(str(tmp_path / "decoder"), "1")
    with pytest.raises(VerificationFailed, match=f"{what}$") as caught:
        verify(expected, LocalStorage(folder), key_for=lambda _: KEY, ffmpeg=decoder, **options)
    assert caught.value.where == str(folder / PREFIX / where)
    assert caught.value.details == details


def test_a_stop_ends_a_decoder_that_hangs(published: tuple[Path, Inventory], tmp_path: Path) -> None:
    folder, expected = published
    cancel = threading.Event()
    (tmp_path / "decoder").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "decoder").chmod(0o755)
    threading.Timer(0.5, cancel.set).start()
    began = time.monotonic()
    options: Any = {"ffmpeg": ffmpeg.FFmpeg(str(tmp_path / "decoder"), "1"), "reporter": Silent(), "cancel": cancel}
    with pytest.raises(Interrupted):
        verify(expected, LocalStorage(folder), key_for=lambda _: KEY, **options)
    assert time.monotonic() - began < 30


def object_replaced(folder: Path, expected: Inventory, path: str, new: str | bytes) -> Inventory:
    data = new.encode() if isinstance(new, str) else new
    (folder / PREFIX / path).write_bytes(data)
    return expected.with_objects([PublishedObject(path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())])


VIDEO_KEY = r"\[\('AES-128', '{}/\w{{32}}', '{}'\)\]"
SEGMENTS = r"\['{0}/00001.m4s', '{0}/0000{1}.m4s', '{0}/00003.m4s'\]"
DIFFERENCES = {  # id of a case -> what was expected, what was found
    "bandwidth": (r"\d{6}", r"1\d{6}"),
    "average": (r"\d{6}", "1"),
    "codecs": (r"\['avc1.\w+', 'mp4a.40.2'\]", r"\['avc1.\w+'\]"),
    "resolution": (r"\(160, 90\)", r"\(160, 92\)"),
    "frame-rate": ("24.0", "23.976"),
    "no-frame-rate": ("24.0", "None"),
    "channels": ("2", "6"),
    "video-range": ("None", "PQ"),
    "score": (r"\[False, False\]", r"\[True, False\]"),
    "no-audio-group": ("audio-2ch", "None"),
    "variant-twice": (r"\['video-high.m3u8', 'video-low.m3u8'\]", r"\['video-high.m3u8'\]"),
    "independent": ("True", "False"),
    "no-header": ("a master playlist", "line 1: .*"),
    "kind": (r"\[\]", r"\['VIDEO'\]"),
    "media-no-header": ("a media playlist", "line 1: .*"),
    "no-type": (r"\('VOD', True\)", r"\(None, True\)"),
    "no-map": ("video/low/init.mp4", "None"),
    "part-of-init": ("video/low/init.mp4", ".*length=100.*"),
    "extinf": ("1", "101/100"),
    "target": ("1", "2"),
    "version": ("6", "7"),
    "endlist": (r"\('VOD', True\)", r"\('VOD', False\)"),
    "key-uri": (VIDEO_KEY.format("keys", r"\w{32}"), VIDEO_KEY.format("key", r"\w{32}")),
    "iv": (VIDEO_KEY.format("keys", r"\w{32}"), VIDEO_KEY.format("keys", "0" * 32)),
    "key-before-map": ("video/low/init.mp4", r".*AES-128.*"),
    "segment-twice": (SEGMENTS.format("video/low", 2), SEGMENTS.format("video/low", 3)),
    "other-init": ("video/low/init.mp4", "video/high/init.mp4"),
    "audio-tail": (SEGMENTS.format("audio/en", 2), r"\['audio/en/00001.m4s', 'audio/en/00002.m4s'\]"),
    "sprite": ("an object", "thumbnails/sprite-002.jpg"),
    "thumbnails-end": ("2.5", "2.4"),
    "thumbnails-empty": ("a picture", "none"),
    "thumbnails-late": ("2.5", "2.511"),
    "no-webvtt": ("WebVTT", "line 1: .*"),
}


@pytest.mark.parametrize(
    ("path", "pattern", "new", "what", "line"),
    [
        pytest.param("master.m3u8", r",BANDWIDTH=(\d+)", r",BANDWIDTH=1\1", "BANDWIDTH", 4, id="bandwidth"),
        pytest.param("master.m3u8", r"AVERAGE-BANDWIDTH=\d+", "AVERAGE-BANDWIDTH=1", "AVERAGE-BANDWIDTH", 4, id="average"),
        pytest.param("master.m3u8", ",mp4a.40.2", "", "CODECS", 4, id="codecs"),
        pytest.param("master.m3u8", "160x90", "160x92", "RESOLUTION", 4, id="resolution"),
        pytest.param("master.m3u8", "=24.000", "=23.976", "FRAME-RATE", 4, id="frame-rate"),
        pytest.param("master.m3u8", "FRAME-RATE=[0-9.]+,", "", "FRAME-RATE", 4, id="no-frame-rate"),
        pytest.param("master.m3u8", 'CHANNELS="2"', 'CHANNELS="6"', "CHANNELS", 3, id="channels"),
        pytest.param("master.m3u8", "FRAME-RATE", "VIDEO-RANGE=PQ,FRAME-RATE", "VIDEO-RANGE", 4, id="video-range"),
        pytest.param("master.m3u8", "FRAME-RATE", "SCORE=1,FRAME-RATE", "SCORE", None, id="score"),
        pytest.param("master.m3u8", ',AUDIO="audio-2ch"', "", "audio group", 4, id="no-audio-group"),
        pytest.param("master.m3u8", "video-low.m3u8", "video-high.m3u8", "list of variants", None, id="variant-twice"),
        pytest.param("master.m3u8", "#EXT-X-INDEPENDENT-SEGMENTS\n", "", "INDEPENDENT", None, id="independent"),
        pytest.param("master.m3u8", "#EXTM3U\n", "", "cannot be read", None, id="no-header"),
        pytest.param("master.m3u8", "(#EXT-X-STREAM)", '#EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID="v",NAME="x"\n\\1', "kinds", None, id="kind"),
        pytest.param("video-low.m3u8", "#EXTM3U\n", "", "cannot be read", None, id="media-no-header"),
        pytest.param("video-low.m3u8", "#EXT-X-PLAYLIST-TYPE:VOD\n", "", "PLAYLIST-TYPE", None, id="no-type"),
        pytest.param("video-low.m3u8", "#EXT-X-MAP.*\n", "", "EXT-X-MAP is missing", 8, id="no-map"),
        pytest.param("video-low.m3u8", '(init.mp4")', r'\1,BYTERANGE="100@0"', "clear init section", 9, id="part-of-init"),
        pytest.param("video-low.m3u8", "#EXTINF:1.000000", "#EXTINF:1.010000", "EXTINF", 9, id="extinf"),
        pytest.param("video-low.m3u8", "TARGETDURATION:1", "TARGETDURATION:2", "TARGETDURATION", None, id="target"),
        pytest.param("video-low.m3u8", "VERSION:6", "VERSION:7", "VERSION", None, id="version"),
        pytest.param("video-low.m3u8", "#EXT-X-ENDLIST\n", "", "ENDLIST", None, id="endlist"),
        pytest.param("video-low.m3u8", "keys/", "key/", "EXT-X-KEY", 9, id="key-uri"),
        pytest.param("video-low.m3u8", r"IV=0x\w+", "IV=0x" + "0" * 32, "EXT-X-KEY", 9, id="iv"),
        pytest.param("video-low.m3u8", r"(#EXT-X-MAP.*\n)(#EXT-X-KEY.*\n)", r"\2\1", "clear init section", 9, id="key-before-map"),
        pytest.param("video-low.m3u8", r"00002.m4s", "00003.m4s", "list of segments", None, id="segment-twice"),
        pytest.param("video-low.m3u8", "video/low/init", "video/high/init", "EXT-X-MAP", 9, id="other-init"),
        pytest.param("audio-en.m3u8", r"#EXTINF:[\d.]+,\n.*\n#EXT-X-ENDLIST", "#EXT-X-ENDLIST", "list of segments", None, id="audio-tail"),
        pytest.param("thumbnails/thumbnails.vtt", "sprite-001", "sprite-002", "not published", 3, id="sprite"),
        pytest.param("thumbnails/thumbnails.vtt", "00:02.500", "00:02.400", "does not span", None, id="thumbnails-end"),
        pytest.param("thumbnails/thumbnails.vtt", r"(?s)\n.*", "", "is empty", None, id="thumbnails-empty"),
        pytest.param("thumbnails/thumbnails.vtt", "00:02.500", "00:02.511", "does not span", None, id="thumbnails-late"),
        pytest.param("thumbnails/thumbnails.vtt", "WEBVTT", "WEBVT", "cannot be read", None, id="no-webvtt"),
    ],
)  # fmt: skip
def test_a_text_that_says_something_else(
    title: tuple[Path, Inventory], path: str, pattern: str, new: str, what: str, line: int | None, request: pytest.FixtureRequest
) -> None:
    folder, expected = title
    text = (folder / PREFIX / path).read_text()
    spoiled = re.sub(pattern, new, text, count=1)
    assert spoiled != text
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, object_replaced(folder, expected, path, spoiled))
    assert caught.value.where
    where = caught.value.where.removeprefix(str(folder / PREFIX / path))
    assert where == (f":{line}" if line else "")
    expected_, found = DIFFERENCES[request.node.callspec.id]
    assert all(map(re.fullmatch, (f"expected: {expected_}", f"found: {found}"), caught.value.details)), caught.value.details


def test_one_picture_may_span_the_title(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    text = "WEBVTT\n\n00:00.000 --> 00:0{}\nsprite-001.jpg#xywh=0,0,160,90\n"
    for end in ("2.500", "2.510"):  # as near as a picture needs to be
        check(folder, object_replaced(folder, expected, "thumbnails/thumbnails.vtt", text.format(end)))
    with pytest.raises(VerificationFailed, match="does not span") as caught:
        check(folder, object_replaced(folder, expected, "thumbnails/thumbnails.vtt", text.format("1.500")))
    assert caught.value.details == ("expected: 2.5", "found: 1.5")


def test_keys_are_named_by_the_url_that_was_asked_for(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    options: Any = {"ffmpeg": None, "reporter": Silent(), "cancel": threading.Event(), "workers": 1}
    url = "https://keys.example.com/{content_id}/{key_id}"
    with pytest.raises(VerificationFailed, match="EXT-X-KEY is wrong") as caught:
        verify(expected, LocalStorage(folder), key_url=url, key_for=lambda _: KEY, **options)
    assert f"'https://keys.example.com/title/{KEY.key_id}'" in caught.value.details[0]
    named = expected.model_copy(update={"session_keys": True})
    for path, text in manifests(named, url).items():
        named = object_replaced(folder, named, path, text)
    verify(named, LocalStorage(folder), key_url=url, key_for=lambda _: KEY, **options)


@pytest.mark.parametrize(("path", "other"), [("master.m3u8", "video-low.m3u8"), ("video-low.m3u8", "master.m3u8")])
def test_a_playlist_of_the_other_kind(title: tuple[Path, Inventory], path: str, other: str) -> None:
    folder, expected = title
    with pytest.raises(VerificationFailed, match="of the wrong kind") as caught:
        check(folder, object_replaced(folder, expected, path, (folder / PREFIX / other).read_bytes()))
    kinds = ["a media playlist", "a master playlist"]
    wanted, found = kinds if path.startswith("video") else kinds[::-1]
    assert caught.value.where == str(folder / PREFIX / path)
    assert caught.value.details == (f"expected: {wanted}", f"found: {found}")


@pytest.mark.parametrize("path", ["master.m3u8", "video-low.m3u8", "audio/en/init.mp4", "thumbnails/thumbnails.vtt"])
def test_an_object_that_was_never_published(title: tuple[Path, Inventory], path: str) -> None:
    folder, expected = title
    objects = {name: entry for name, entry in expected.objects.items() if name != path}
    with pytest.raises(VerificationFailed, match="was not published") as caught:
        check(folder, expected.model_copy(update={"objects": objects}))
    assert caught.value.where == str(folder / PREFIX / path)
    assert caught.value.details == ("expected: an object", "found: none")


def test_frames_that_the_plan_promised_but_nobody_made(title: tuple[Path, Inventory]) -> None:
    folder, expected = title
    with pytest.raises(VerificationFailed, match="number of frames") as caught:
        check(folder, with_tracks(expected, lambda _: {"frames": 61}))
    assert caught.value.where == str(folder / PREFIX / "video-high.m3u8")
    assert caught.value.details == ("expected: 61", "found: 60")


@pytest.mark.parametrize("frames", [-1, 1])
def test_a_title_that_is_a_frame_too_short_or_too_long(title: tuple[Path, Inventory], frames: int) -> None:
    folder, expected = title
    duration = expected.duration + Fraction(frames, 24)
    with pytest.raises(VerificationFailed, match="shorter or longer") as caught:
        check(folder, expected.model_copy(update={"duration": duration}))
    assert caught.value.where == str(folder / PREFIX / "video-high.m3u8")
    assert caught.value.details == (f"expected: {float(duration)}", "found: 2.5")


def test_a_stop_ends_it(title: tuple[Path, Inventory]) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        check(*title, cancel=cancel)


def test_copies_are_compared_and_their_ends_read(published: tuple[Path, Inventory]) -> None:
    folder, expected = published
    whole = check(folder, expected, decode=True)
    found = check(folder, expected, decode=True, copied=expected.entries.keys())
    assert found.compared == 4, "the middle segments and the sprites"
    assert found.bytes < whole.bytes
    assert (found.decoded, found.rates, found.segments) == (0, whole.rates, whole.segments)


class Reads(LocalStorage):
    """A target that remembers what was read of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: set[str] = set()

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        self.read.add(path.removeprefix(f"{PREFIX}/"))
        return super().get(path, sha256, size=size)


def unread(folder: Path, expected: Inventory) -> set[str]:
    """Verify a title of which everything is a copy, and return what was only compared."""
    storage = Reads(folder)
    options: Any = {"ffmpeg": None, "reporter": Silent(), "cancel": threading.Event(), "copied": expected.entries.keys()}
    verify(expected, storage, key_for=lambda _: KEY, **options)
    return expected.entries.keys() - storage.read


def test_copies_between_the_ends_are_not_read(published: tuple[Path, Inventory]) -> None:
    middle = {f"{track}/00002.m4s" for track in ("video/low", "video/high", "audio/en")}
    assert unread(*published) == {*middle, "thumbnails/sprite-001.jpg"}


@pytest.mark.parametrize(
    ("path", "what"),
    [
        pytest.param(SEGMENT, "not the one that was verified", id="a middle segment"),
        pytest.param("video/low/00003.m4s", "not the one that was verified", id="a last segment"),
        pytest.param("video/low/init.mp4", "not the one that was verified", id="an init section"),
        pytest.param("thumbnails/sprite-001.jpg", "not the one that was verified", id="a picture"),
    ],
)
def test_a_copy_that_is_another_object(title: tuple[Path, Inventory], path: str, what: str) -> None:
    folder, expected = title
    data = (folder / PREFIX / path).read_bytes()
    (folder / PREFIX / path).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, expected, copied=expected.entries.keys())
    assert caught.value.where == str(folder / PREFIX / path)
    assert all(map(re.fullmatch, [rf"{word}: \(\d+, '[0-9a-f]{{64}}'\)" for word in ("expected", "found")], caught.value.details))
    (folder / PREFIX / path).unlink()
    with pytest.raises(VerificationFailed, match=what) as caught:
        check(folder, expected, copied=expected.entries.keys())
    assert caught.value.details[1] == "found: None"


def test_a_copy_with_the_headers_of_another_time(tmp_path: Path, encoded_title: Encoded) -> None:
    class Keeps(LocalStorage):
        keeps_headers = True

        def head(self, path: str) -> Stored | None:
            found = super().head(path)
            headers = {"content_type": "video/mp4", "cache_control": "public, max-age=60"}
            return found.model_copy(update=headers) if found else None

    expected = publish_title(encoded_title, LocalStorage(tmp_path))
    options: Any = {"ffmpeg": None, "reporter": Silent(), "cancel": threading.Event(), "copied": [SEGMENT]}
    with pytest.raises(VerificationFailed, match="other headers") as caught:
        verify(expected, Keeps(tmp_path), key_for=lambda _: KEY, **options)
    assert verify(expected, Keeps(tmp_path), key_for=lambda _: KEY, headers=False, **options).compared == 1, "they are those of its time"
    assert caught.value.where == str(tmp_path / PREFIX / SEGMENT)
    assert "604800" in caught.value.details[0]
    found = {"content_type": "video/mp4", "cache_control": "public, max-age=60", "content_encoding": None}
    assert caught.value.details[1] == f"found: {found}"


def test_pictures_of_a_thumbnails_track() -> None:
    first, second = read_pictures(THUMBNAILS.encode())
    assert (first.start, first.end, first.sheet, first.x, second.x, second.line) == (0, 2, "sprite-001.jpg", 0, 160, 6)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("WEBVTT\n\n00:01.000 --> 00:02.000\ns.jpg#xywh=0,0,1,1", id="not-from-0"),
        pytest.param("WEBVTT\n\n00:00.000 --> 00:00.000\ns.jpg#xywh=0,0,1,1", id="no-length"),
        pytest.param("WEBVTT\n\n00:00.000 --> 00:01.000\ns.jpg", id="no-region"),
        pytest.param("WEBVTT\n\n00:00.000 --> 00:01.000", id="no-payload"),
        pytest.param("WEBVTT\n\n00:00 --> 00:01\ns.jpg#xywh=0,0,1,1", id="no-milliseconds"),
    ],
)
def test_what_is_no_thumbnails_track(text: str) -> None:
    with pytest.raises(CueError):
        list(read_pictures(text.encode()))
