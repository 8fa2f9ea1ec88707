"""Ranges in parallel measure what one decode does; whatever is odd about one of them leaves the word to that one decode."""

from __future__ import annotations

import threading
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES
from tests.source_support import X264, run
from vidpipe.errors import Interrupted
from vidpipe.media.ffmpeg import find
from vidpipe.source import decode as decoding
from vidpipe.source import ranges
from vidpipe.source.decode import Measured, decode
from vidpipe.source.decode_commands import picture_argv
from vidpipe.source.facts import Source, Stretch, VideoStream
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.ranges import BadRange, PictureRange, picture_ranges, read_range
from vidpipe.source.validate import validate

POLICY = load_policy()
MOVING, STILL, OTHER, BLACK = (f"{name}s=160x120:r=25:d=" for name in ("testsrc2=", "color=red:", "color=blue:", "color=black:"))
MP2 = ["-c:a", "mp2"]  # encoded in no time
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "keyint=10:open-gop=1:scenecut=0:log-level=error"]
VP9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "200k", "-c:a", "libopus"]
TROUBLE = [
    *(MOVING + "1.4", STILL + "0.7"),  # a still over the border at 1.6 s
    *(MOVING + "2.6", BLACK + "0.2", MOVING + "1"),  # black for five pictures, half of them before the border at 4.8 s
    *(STILL + "1.3", OTHER + "2.7"),  # two stills, with the border at 7.2 s between them
    MOVING + "2.1",
]
"""12 s in all."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges")


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "LEAST_SECONDS", 1)


def moved(folder: Path, name: str, *options: str, parts: list[str] = TROUBLE, video: str = "null") -> Source:
    """A clip of parts one after the other. The name stands for the options: it is made once."""
    graph = ";".join(f"{part}[p{number}]" for number, part in enumerate(parts))
    graph += ";" + "".join(f"[p{number}]" for number in range(len(parts))) + f"concat=n={len(parts)},{video}"
    tone = f"aevalsrc='0.3*sin(1000*t)*lt(mod(t\\,4)\\,2)|0':s=48000:c=stereo:d={sum(float(part.split('d=')[1]) for part in parts)}"
    if not (folder / name).exists():
        run(["-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", tone, *options], folder / name)
    return probe(str(folder / name))


def decoded(source: Source, workers: int, **more: object) -> Measured:
    return decode(source, POLICY, find().path, limits=SourceLimits(), workers=workers, **more)  # type: ignore[arg-type]


def as_one(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is filled each time that one run decodes everything."""
    calls: list[str] = []
    whole = decoding._Decode.as_one

    def counted(self: decoding._Decode) -> Measured:
        calls.append("one")
        return whole(self)

    monkeypatch.setattr(decoding._Decode, "as_one", counted)
    return calls


CLIPS: dict[str, tuple[str, list[str], str]] = {
    "h264": ("t.mp4", [*X264, "-g", "10", "-sc_threshold", "0", *MP2], "null"),
    "h264-open-gop": ("o.mkv", [*X264, "-x264-params", "open-gop=1:keyint=10:bframes=3:b-adapt=0:scenecut=0", *MP2], "null"),
    "hevc-open-gop": ("o.mp4", [*X265, *MP2], "null"),
    "mpeg2-open-gop": ("o.mxf", ["-c:v", "mpeg2video", "-g", "10", "-bf", "2", "-q:v", "4", "-c:a", "pcm_s16le"], "null"),
    "interlaced": ("i.mp4", [*X264, "-g", "10", *MP2], "tinterlace=interleave_top,setfield=prog"),
    "vfr": ("v.mkv", [*X264, "-g", "10", *MP2, "-fps_mode", "vfr"], "select='not(eq(mod(n,7),3))'"),
    "vp9": ("v.webm", VP9, "null"),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.nightly] if kind == "h264-open-gop" else []) for kind in CLIPS])
def test_ranges_measure_what_one_decode_does(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, options, video = CLIPS[kind]
    source = moved(folder, file, *options, video=video)
    found = picture_ranges(source.video, 2)
    assert len(found) == 8
    if kind == "h264":
        borders = [float(each.start * source.video.time_base) for each in found]
        assert {1.6, 4.8, 7.2} <= set(borders)
    one, calls = decoded(source, 1), as_one(monkeypatch)
    assert decoded(source, 2) == one
    assert calls == []
    assert one.picture.pictures == source.video.frames
    assert len(one.picture.frozen) >= 3
    assert one.picture.black


@pytest.mark.parametrize(
    "name", ["ntsc-29.97.mp4", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("surround-51.mp4", "rotated-90.mp4"))]
)
def test_fixtures_are_judged_alike(name: str) -> None:
    source = probe(str(FIXTURES / name))
    assert len(picture_ranges(source.video, 3)) > 1
    assert decoded(source, 3) == decoded(source, 1)
    assert validate(source, POLICY, find(), workers=3) == validate(source, POLICY, find())


def test_damage_in_the_middle_is_found_where_one_decode_finds_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray((FIXTURES / "ntsc-29.97.mp4").read_bytes())
    begin = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[begin : begin + 4000] = b"\x5a" * 4000
    file = folder / "damaged.mp4"
    file.write_bytes(data)
    source = probe(str(file)).model_copy(update={"video": probe(str(FIXTURES / "ntsc-29.97.mp4")).video})
    calls = as_one(monkeypatch)
    report = validate(source, POLICY, find(), workers=3)
    assert calls == ["one"]
    assert "decode-errors" in [each.id for each in report.findings]
    assert report == validate(source, POLICY, find())


def test_a_range_that_does_not_begin_at_its_key_frame_leaves_it_to_one_decode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = moved(folder, "t.mp4", *X264, "-g", "10", *MP2)
    wrong = source.video.model_copy(update={"key_pts": tuple(pts + 512 if pts else 0 for pts in source.video.key_pts)})  # one picture late
    calls = as_one(monkeypatch)
    assert decoded(source.model_copy(update={"video": wrong}), 2).picture == decoded(source, 1).picture
    assert calls == ["one", "one"]


def test_pictures_that_no_range_has_leave_it_to_one_decode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = moved(folder, "t.mp4", *X264, "-g", "10", *MP2)
    promised = source.model_copy(update={"video": source.video.model_copy(update={"frames": source.video.frames + 50})})
    calls = as_one(monkeypatch)
    assert "missing-pictures" in [each.id for each in validate(promised, POLICY, find(), workers=2).findings]
    assert calls == ["one"]


def test_cancel_ends_all_ranges(folder: Path) -> None:
    source = moved(folder, "t.mp4", *X264, "-g", "10", *MP2)
    cancel = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    with pytest.raises(Interrupted):
        decoded(source, 2, cancel=cancel)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("validate")]


def test_progress_adds_up(folder: Path) -> None:
    source = moved(folder, "t.mp4", *X264, "-g", "10", *MP2)
    for workers in (1, 2):
        seen: list[int] = []
        decoded(source, workers, on_frames=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == source.video.frames


# Pure


def stream(**facts: object) -> VideoStream:
    about: dict[str, object] = {
        **{"index": 0, "codec": "h264", "pixel_format": "yuv420p", "bit_depth": 8, "width": 160, "height": 90},
        "time_base": Fraction(1, 1000),
        **{"frame_rate": Fraction(25), "start_pts": 500, "start": Fraction(1, 2), "duration": Fraction(100), "frames": 2500},
        **{"key_pts": tuple(range(500, 100_500, 2000))},
        **facts,
    }
    return VideoStream.model_validate(about)


def test_ranges_begin_at_key_frames_and_cover_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "LEAST_SECONDS", 20)
    found = picture_ranges(stream(), 2)
    assert [(each.start, each.end, each.seek) for each in found] == [
        *((500, 20500, False), (20500, 40500, True), (40500, 60500, True), (60500, 80500, True), (80500, None, True)),
    ]
    assert sum(each.frames for each in found) == 2500
    long = stream(duration=Fraction(7200), frames=180_000, key_pts=tuple(range(500, 7_200_500, 2000)))
    assert len(picture_ranges(long, 2)) == 8
    assert len(picture_ranges(long, 16)) == 64


@pytest.mark.parametrize(
    ("facts", "workers"),
    [({}, 1), ({"duration": Fraction(39), "frames": 975}, 8), ({"exact_seek": False}, 8), ({"key_pts": (500,)}, 8), ({"key_pts": ()}, 8)],
    ids=["one worker", "short", "no seek", "one key frame", "no key frame"],
)
def test_where_ranges_win_nothing_there_is_one(facts: dict[str, object], workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "LEAST_SECONDS", 20)
    assert [(each.start, each.end) for each in picture_ranges(stream(**facts), workers)] == [(500, None)]


def test_the_whole_command_of_a_range() -> None:
    source = probe(str(FIXTURES / "one-second.mp4"))
    range_ = PictureRange(start=6144, end=12288, seek=True, frames=12)
    argv = picture_argv(source, POLICY, "ffmpeg", range_, 1, "picture-1.txt")
    end = 12288 + ceil((Fraction(1, 5) + 4 / source.video.frame_rate) / source.video.time_base)
    assert argv[argv.index("-threads") :] == [
        *("-threads", "1", "-bsf:0", "noise=drop='lt(pts,6144)*not(eq(pts,nopts))'", "-seek_timestamp", "1", "-noaccurate_seek"),
        *("-ss", f"{int(6144 * source.video.time_base * 10**6) / 10**6:.6f}", "-reinit_filter:v", "0", "-i", f"file:{source.location}"),
        *("-filter_complex_threads", "1", "-filter_complex"),
        f"[0:0]setpts=PTS-0,trim=start_pts=6144:end_pts={end},"
        f"setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709,scale={source.video.width}:{source.video.height},"
        "idet=intl_thres=1.2,scale=w='min(320,iw)':h=-2:flags=area,"
        "blackdetect=d=0.1:pix_th=0.1:pic_th=0.98,freezedetect=n=0.001:d=0.2,"
        "metadata=mode=add:key=lavfi.picture:value=1,metadata=mode=print:file=picture-1.txt[v]",
        *("-map", "[v]", "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def test_a_range_counts_from_after_its_key_frame_to_the_next_one() -> None:
    printed = [
        line
        for pts in (2000, 2040, 2080, 2120)
        for line in (f"frame:{pts // 40 - 50}    pts:{pts}    pts_time:{pts / 1000}\n", "lavfi.idet.single.current_frame=tff\n")
    ]
    range_ = PictureRange(start=2500, end=2580, seek=True, frames=2)
    assert read_range(printed, range_, stream()).interlacing.top_first == 2
    for other in ([], printed[2:], ["nonsense"]):
        with pytest.raises(BadRange):
            read_range(other, range_, stream())


def test_stretches_are_joined_where_ranges_saw_the_same_one_only() -> None:
    parts = [
        ranges.Measurements(frozen=(Stretch(start=Fraction(1), end=Fraction(2)), Stretch(start=Fraction(2), end=Fraction("2.3")))),
        ranges.Measurements(frozen=(Stretch(start=Fraction(2), end=Fraction(4)),)),
    ]
    assert [(each.start, each.end) for each in ranges.whole(parts).frozen] == [(1, 2), (2, 4)]
