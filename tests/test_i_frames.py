"""I-frame playlists: what a player shows while a viewer seeks. Each range shows one picture, and what is declared is measured."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, key_of, ladder, run, settings, tree, version
from tests.test_manifest import LADDER, segments, variant
from tests.title_support import KEY, PREFIX, TARGET, Encoded, publish_title, with_tracks
from vidpipe.cdn.objects import PREFETCHED, title_report
from vidpipe.errors import VerificationFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.inventory.build import build, with_i_frames
from vidpipe.inventory.measure import measure
from vidpipe.inventory.model import IFrames, VideoTrack
from vidpipe.lifecycle.rekeying import RekeyRequest, rekey
from vidpipe.lifecycle.resealing import Resealed
from vidpipe.manifest.manifests import manifests
from vidpipe.manifest.parse import Entry, MediaPlaylist, parse
from vidpipe.media import ffmpeg, process
from vidpipe.package.result import IFrame
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.preview import playing
from vidpipe.progress import Silent
from vidpipe.publish.result import PublishedObject
from vidpipe.settings import Settings
from vidpipe.storage.local import LocalStorage
from vidpipe.verify.proof import verify

CLIP = FIXTURES / "portrait-25.mp4"
Title = tuple[Settings, IngestResult, Inventory]


def inventory_of(result: IngestResult) -> Inventory:
    inventory = read_inventory((version(result) / "inventory.json").read_bytes())
    assert isinstance(inventory, Inventory)
    return inventory


TITLES: dict[str, dict[str, str]] = {
    "clear": {"encrypt": "none"},
    "cbcs": {"encrypt": "cbcs"},
    "cenc": {"encrypt": "cenc"},
    "keys that change": {"encrypt": "cbcs", "key_rotation": "1 segment"},
    "hevc": {"encrypt": "none", "codec": "hevc"},
    "av1": {"encrypt": "none", "codec": "av1"},
}


@pytest.fixture(scope="module", params=TITLES.values(), ids=TITLES.keys())
def title(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Title:
    folder, changes = tmp_path_factory.mktemp("title"), dict(request.param)
    chosen = ladder(folder, 90, 120, codec=changes.pop("codec", "h264"))
    if "av1" in chosen:
        Path(chosen).write_text(Path(chosen).read_text().replace("ultrafast", "10"))
    configured = settings(folder, **{"ladder": chosen, **changes})
    result = run(CLIP, configured, content_id="film")
    return configured, result, inventory_of(result)


def listed(result: IngestResult, path: str) -> MediaPlaylist:
    playlist = parse((version(result) / path).read_bytes())
    assert isinstance(playlist, MediaPlaylist)
    return playlist


def test_every_rung_has_one_and_it_declares_what_anybody_can_measure(title: Title) -> None:
    _, result, inventory = title
    found = inspect(result.manifest)
    assert (found.problems, found.notes) == ((), ())
    alone = {variant.uri: variant for variant in found.variants if variant.i_frames}
    assert set(alone) == {"i-frames-90p.m3u8", "i-frames-120p.m3u8"}
    assert {segment.i_frame for track in inventory.audio for segment in track.segments} == {None}
    for track in inventory.video:
        assert track.i_frames is not None
        own = alone[track.i_frames.playlist]
        assert own.measured is not None
        assert (own.bandwidth, own.average_bandwidth) == (own.measured.peak, own.measured.average)
        assert (own.width, own.height, own.codecs) == (track.facts.width, track.facts.height, (track.facts.codecs,))
        assert (own.frame_rate, own.audio, own.subtitles, own.closed_captions) == (None, None, None, None)
        assert own.bandwidth < track.bitrate.peak
        playlist, whole = listed(result, track.i_frames.playlist), listed(result, track.playlist)
        assert (playlist.i_frames_only, whole.i_frames_only) == (True, False)
        assert sum(entry.duration for entry in playlist.segments) == sum(entry.duration for entry in whole.segments)
        shown = [entry.model_copy(update={"byte_range": None, "line": 0, "keys": (), "init": None}) for entry in playlist.segments]
        assert shown == [entry.model_copy(update={"line": 0, "keys": (), "init": None}) for entry in whole.segments]
        keys, own_keys = ([[key.uri for key in entry.keys] for entry in each.segments] for each in (whole, playlist))
        assert own_keys == keys


def pictures(argv: list[str], data: bytes) -> list[str]:
    """Return the hash of each picture that ffmpeg decodes; of a part of a segment, the rest of which is missing, it says so."""
    front = [ffmpeg.find().path, "-v", "quiet", *argv, "-f", "mp4", "-i", "pipe:0", "-fps_mode", "passthrough", "-f", "framemd5", "pipe:1"]
    done = process.run(front, stdin=data)
    return [line.rpartition(",")[2].strip() for line in done.stdout.decode().splitlines() if not line.startswith("#")]


def test_each_range_shows_the_first_picture_of_its_segment_and_no_other(title: Title) -> None:
    configured, result, inventory = title
    for track in inventory.video:
        assert track.i_frames is not None
        for entry, segment in zip(listed(result, track.i_frames.playlist).segments, track.segments, strict=True):
            assert entry.init is not None
            init = (version(result) / entry.init.uri).read_bytes()
            argv = ["-decryption_key", key_of(configured)(segment.key_id).hex()] if segment.key_id else []
            data = (version(result) / entry.uri).read_bytes()
            part = part_of(entry, data)
            assert part[4:8] == b"moof", "and not what comes before it"
            whole = pictures(argv, init + data)
            assert len(whole) > 1
            assert pictures(argv, init + part) == whole[:1]
            assert pictures(argv, init + part[:-1]) != whole[:1], "nothing of it is too much"


def part_of(entry: Entry, data: bytes) -> bytes:
    assert entry.byte_range is not None
    return data[entry.byte_range.offset : entry.byte_range.offset + entry.byte_range.length]


def test_of_what_is_encrypted_whole_nothing_is_listed_by_itself(tmp_path: Path) -> None:
    result = run(CLIP, settings(tmp_path, 90), content_id="film")
    assert "I-FRAME" not in (version(result) / "master.m3u8").read_text()
    assert [track.i_frames for track in inventory_of(result).video] == [None]
    assert not list(version(result).glob("i-frames*"))


def test_another_name_takes_them_over(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="cbcs")
    first = run(CLIP, configured, content_id="film")
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(CLIP), content_id="film", title="Another name"), configured, recorder)
    assert (again.chunks, version(again) != version(first)) == (0, True)
    assert inventory_of(again).video == inventory_of(first).video
    *_, last = recorder.named("verify_progress")
    assert last.bytes == last.bytes_total, "what is copied and read all the same is counted"


def test_new_keys_change_them_with_the_rest(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="cbcs")
    first = run(CLIP, configured, content_id="film")
    done = rekey(RekeyRequest(content_id="film"), configured)
    assert done.record is not None
    again = first.model_copy(update={"record": done.record, "manifest": done.record.playback.hls})
    (track,) = inventory_of(again).video
    assert track.i_frames is not None
    assert len(listed(again, track.i_frames.playlist).segments) == len(track.segments)
    assert inspect(again.manifest).problems == ()


def test_inspection_asks_a_server_for_each_segment_once(tmp_path: Path) -> None:
    result = run(CLIP, settings(tmp_path, 90, encrypt="none"), content_id="film")
    with servers.web() as server:
        server.files = {f"/{path}": data for path, data in tree(version(result)).items()}
        found = inspect(f"{server.url}/master.m3u8")
        assert (found.problems, len(found.playlists)) == ((), 3)
        asked = [path for method, path, _ in server.asked if method == "HEAD"]
    assert sorted(set(asked)) == sorted(asked)
    assert "/video/90p/00001.m4s" in asked


def test_their_rates_follow_the_segments_under_new_keys() -> None:
    """What a key server wants to be said in segments may get longer, and with it the part that is listed."""
    before = tuple(replace(one, i_frame=IFrame(24, 1000)) for one in segments(6, 6))
    listed_before = IFrames(playlist="i.m3u8", bitrate=measure(before, 6, i_frames=True))
    track = LADDER[0].model_copy(update={"segments": before, "i_frames": listed_before})
    sent = {(track.id, one.index): replace(one, i_frame=IFrame(24, 1500)) for one in before}
    after = Resealed(sent, ()).track(track, 6)
    assert isinstance(after, VideoTrack)
    assert after.i_frames is not None
    assert (listed_before.bitrate.peak, after.i_frames.bitrate.peak) == (1334, 2000)


def test_the_preview_of_a_clear_title_keeps_them_and_a_cdn_fetches_them_early(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none")
    result = run(CLIP, configured, content_id="film")
    with playing("film", configured) as server:
        _, _, master = server.answer(f"/clear/{server.prefix}/master.m3u8")
    assert b"#EXT-X-I-FRAME-STREAM-INF" in master
    with closing(LocalStorage(Path(configured.target))) as storage:
        served = {item.path.rpartition("/")[2]: item.priority for item in title_report(result.record, storage).objects}
    assert served["i-frames-90p.m3u8"] == PREFETCHED


def test_a_version_of_before_is_put_back_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version never changes: what a later vidpipe lists beyond it, its playlists do not."""
    configured = settings(tmp_path, 90, encrypt="cbcs")
    with monkeypatch.context() as then:
        then.setattr("vidpipe.pipeline.making.build", lambda *given, i_frames, **named: build(*given, i_frames=False, **named))
        first = run(CLIP, configured, content_id="film")
    before = tree(version(first))
    assert not [path for path in before if path.startswith("i-frames")]
    lost = sorted((version(first) / "video/90p").glob("*.m4s"))
    for segment in lost:
        segment.unlink()
    again = run(CLIP, configured, content_id="film")
    assert (again.restored, tree(version(first))) == (len(lost), before)


def test_of_rungs_of_one_size_and_codec_the_one_with_the_fewest_bits_has_one() -> None:
    def able(track: VideoTrack) -> VideoTrack:
        return track.model_copy(update={"segments": tuple(replace(one, i_frame=IFrame(24, 100)) for one in segments(6, 6))})

    rungs = [able(track) for track in LADDER]
    rungs += [able(variant("high", 1280, 720, 3_000_000, 2_900_000)), able(variant("hevc", 1280, 720, 900_000, 800_000, "hvc1.1.6.L93.B0"))]
    half = variant("half", 426, 240, 300_000, 200_000)
    some = (replace(segments(6, 6)[0], i_frame=IFrame(24, 100)), segments(6, 6)[1])
    assert with_i_frames([*rungs, half.model_copy(update={"segments": some})]) == {"1080p", "720p", "360p", "hevc"}


# --- the proof --------------------------------------------------------------------------------------------------------


@pytest.fixture
def published(encoded_title: Encoded, tmp_path: Path) -> Inventory:
    return publish_title(encoded_title, LocalStorage(tmp_path), scheme="cenc")


def prove(folder: Path, expected: Inventory) -> None:
    verify(
        expected, LocalStorage(folder), key_for=lambda _: KEY, ffmpeg=None, reporter=Silent(), cancel=threading.Event(), workers=1
    )  # fmt: skip


LOW = "i-frames-low.m3u8"


def of_low(text: str, old: str, new: str) -> str:
    """Change the line of the playlist of the lower rung."""
    return "".join(f"{line.replace(old, new, 1) if LOW in line else line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("path", "change", "what"),
    [
        pytest.param(LOW, lambda text: text.replace("@24", "@23", 1), "EXT-X-BYTERANGE", id="where a range begins"),
        pytest.param(LOW, lambda text: text.replace("#EXT-X-BYTERANGE:", "#EXT-X-BYTERANGE:1", 1), "EXT-X-BYTERANGE", id="how long it is"),
        pytest.param(LOW, lambda text: text.replace("#EXT-X-I-FRAMES-ONLY\n", ""), "EXT-X-I-FRAMES-ONLY", id="that it has I-frames only"),
        pytest.param(LOW, lambda text: text.replace("EXTINF:1.0", "EXTINF:0.9", 1), "EXTINF", id="how long a picture is shown"),
        pytest.param(
            "video-low.m3u8",
            lambda text: text.replace("#EXT-X-TARGET", "#EXT-X-I-FRAMES-ONLY\n#EXT-X-TARGET"),
            "EXT-X-I-FRAMES-ONLY",
            id="a rung that is said to have I-frames only",
        ),
        pytest.param(
            "video-low.m3u8",
            lambda text: text.replace("\nvideo/", "\n#EXT-X-BYTERANGE:9@0\nvideo/", 1),
            "BYTERANGE",
            id="a part of a segment",
        ),
        pytest.param(
            "master.m3u8",
            lambda text: "".join(f"{line}\n" for line in text.splitlines() if LOW not in line),
            "the list of I-frame playlists",
            id="one is not named",
        ),
        pytest.param("master.m3u8", lambda text: of_low(text, "BANDWIDTH=", "BANDWIDTH=1"), "BANDWIDTH", id="the rate"),
        pytest.param("master.m3u8", lambda text: of_low(text, "GE-BANDWIDTH=", "GE-BANDWIDTH=1"), "AVERAGE-BANDWIDTH", id="the average"),
        pytest.param("master.m3u8", lambda text: of_low(text, "=160x", "=170x"), "RESOLUTION", id="the size"),
        pytest.param("master.m3u8", lambda text: of_low(text, "avc1", "avc3"), "CODECS", id="the codec"),
        pytest.param("master.m3u8", lambda text: of_low(text, ",URI", ",FRAME-RATE=1.000,URI"), "FRAME-RATE and groups", id="a frame rate"),
        *(
            pytest.param("master.m3u8", partial(of_low, old=",URI", new=f",{more},URI"), "FRAME-RATE and groups", id=f"also {more}")
            for more in ('AUDIO="audio-2ch"', 'SUBTITLES="subtitles"', "CLOSED-CAPTIONS=NONE")
        ),
        pytest.param("master.m3u8", lambda text: of_low(text, ",URI", ",VIDEO-RANGE=PQ,URI"), "VIDEO-RANGE", id="the dynamic range"),
        pytest.param("master.m3u8", lambda text: of_low(text, ",URI", ",HDCP-LEVEL=NONE,URI"), "HDCP-LEVEL", id="outputs"),
    ],
)
def test_what_they_declare_is_compared_with_what_was_measured(
    path: str, change: Callable[[str], str], what: str, published: Inventory, tmp_path: Path
) -> None:
    prove(tmp_path, published)
    text = (tmp_path / PREFIX / path).read_text()
    spoiled = change(text).encode()
    assert spoiled != text.encode()
    (tmp_path / PREFIX / path).write_bytes(spoiled)
    sent = PublishedObject(path=path, size=len(spoiled), sha256=hashlib.sha256(spoiled).hexdigest())
    with pytest.raises(VerificationFailed, match=what):
        prove(tmp_path, published.with_objects([sent]))


@pytest.mark.parametrize("scheme", ["none", "cbcs", "cenc"])
@pytest.mark.parametrize("change", [(1, 0), (0, 1)])
def test_the_part_of_a_segment_is_measured_in_its_boxes(
    scheme: str, change: tuple[int, int], encoded_title: Encoded, tmp_path: Path
) -> None:
    made = publish_title(encoded_title, LocalStorage(tmp_path), encrypted=scheme != "none", scheme=scheme)
    prove(tmp_path, made)

    def other(track: Any) -> dict[str, Any]:
        if not isinstance(track, VideoTrack) or not track.i_frames:
            return {}
        known = [(one, one.i_frame) for one in track.segments if one.i_frame]
        wrong = tuple(replace(one, i_frame=IFrame(part.offset + change[0], part.size + change[1])) for one, part in known)
        return {"segments": wrong, "i_frames": track.i_frames.model_copy(update={"bitrate": measure(wrong, TARGET, i_frames=True)})}

    wrong = with_tracks(made, other)
    with pytest.raises(VerificationFailed, match="EXT-X-BYTERANGE"):
        prove(tmp_path, wrong)
    for path, text in manifests(wrong).items():
        (tmp_path / PREFIX / path).write_text(text)
        sent = PublishedObject(path=path, size=len(text), sha256=hashlib.sha256(text.encode()).hexdigest())
        wrong = wrong.with_objects([sent])
    with pytest.raises(VerificationFailed, match="the part that shows its first picture"):
        prove(tmp_path, wrong)


def test_a_playlist_of_segments_that_have_none(published: Inventory, tmp_path: Path) -> None:
    text = (tmp_path / PREFIX / LOW).read_text()
    spoiled = "".join(f"{line}\n" for line in text.splitlines() if "BYTERANGE" not in line).encode()
    (tmp_path / PREFIX / LOW).write_bytes(spoiled)
    sent = PublishedObject(path=LOW, size=len(spoiled), sha256=hashlib.sha256(spoiled).hexdigest())

    def unknown(track: Any) -> dict[str, Any]:
        return {"segments": tuple(replace(segment, i_frame=None) for segment in track.segments)}

    with pytest.raises(VerificationFailed, match="no picture that can be shown by itself"):
        prove(tmp_path, with_tracks(published, unknown).with_objects([sent]))


def test_a_playlist_that_is_published_and_not_said_to_be(encoded_title: Encoded, tmp_path: Path) -> None:
    made = publish_title(encoded_title, LocalStorage(tmp_path), encrypted=False)
    unlisted = with_tracks(made, lambda track: {"i_frames": None} if isinstance(track, VideoTrack) else {})
    with pytest.raises(VerificationFailed, match="the list of I-frame playlists"):
        prove(tmp_path, unlisted)
