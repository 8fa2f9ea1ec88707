"""Chunks join without a seam: whatever the rate, the container and the number of chunks, frame n shows what a single encode shows."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import FAST, Seen, barcodes, chunks_of, clip, ffmpeg, inits, joined, remux, rung, times, tiny_plan, whole
from vidpipe.encode.scheduler import encode
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan
from vidpipe.progress import ChunkFinished
from vidpipe.work.artifacts import Store

RATES = ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001"]


def shown(plan: Plan, store: Store, program: FFmpeg, target: Path) -> list[int]:
    """Encode a plan, check what must hold of every title, and return the source frame that each frame shows."""
    chunks = chunks_of(list(encode(plan, store, ffmpeg=program)))
    assert [done.chunk for done in chunks] == list(plan.chunks)
    for rendition in plan.video:
        path = joined(chunks, rendition.id, target.with_name(f"{rendition.id}-{target.name}"))
        assert len(inits(chunks, rendition.id)) == 1, "the init sections of all chunks are the same bytes"
        step = rendition.frame_step / plan.grid.frame_rate
        assert times(path) == [number * step for number in range(rendition.frames(plan.grid.frames))]
    return barcodes(path)


ORDINARY = {("mp4", "24000/1001"), ("mp4", "25"), ("mp4", "60000/1001"), ("mkv", "24000/1001"), ("mkv", "30000/1001"), ("mkv", "50")}
"""The others lie between these; nightly."""


@pytest.mark.parametrize(
    ("container", "rate"),
    [
        pytest.param(*each, marks=[] if each in ORDINARY else [pytest.mark.nightly])
        for each in itertools.product(("mp4", "mkv"), RATES)
    ],
)
def test_every_rate(container: str, rate: str, tmp_path: Path, program: FFmpeg) -> None:
    """The clip ends inside a GOP; mkv rounds times to milliseconds."""
    frames = 5 * 24 + 7 if rate != "50" else 5 * 24 + 12 + 1
    source = clip(tmp_path / "source.mp4", rate, frames, gop=19)
    if container == "mkv":
        source = remux(source, tmp_path / "source.mkv")
    plan = tiny_plan(source)
    assert plan.grid.frame_rate == Fraction(rate)
    assert len(plan.chunks) == 3
    assert any(chunk.start / plan.grid.frame_rate > 1.2 for chunk in plan.chunks), "at least one chunk is reached by a seek"
    assert shown(plan, Store(tmp_path / "work"), program, tmp_path / "chunked.mp4") == list(range(frames))


@pytest.mark.parametrize("frames", [1, *(pytest.param(n, marks=pytest.mark.nightly) for n in (11, 12, 24, 25, 47)), 13, 48, 49, 121])
def test_every_end(frames: int, tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", frames))
    assert shown(plan, Store(tmp_path / "work"), program, tmp_path / "out.mp4") == list(range(frames))


@pytest.mark.parametrize("chunk", [24, *(pytest.param(n, marks=pytest.mark.nightly) for n in (72, 144))])
def test_any_number_of_chunks_of_variable_frame_rate(chunk: int, tmp_path: Path, program: FFmpeg) -> None:
    """Frames drop out for a while and times jitter; the chunked and the single encode show the same."""
    drop = ",select='not(between(n,30,33)+between(n,60,95)+eq(mod(n,7),3))'"
    source = clip(tmp_path / "source.mkv", "24", 144, filters=drop, options=[*FAST, "-fps_mode", "passthrough"])
    probed = tiny_plan(source, chunk=chunk)
    video = probed.source.video.model_copy(update={"frame_rate": Fraction(24)})
    plan = tiny_plan(probed.source.model_copy(update={"video": video, "duration": Fraction(6)}), chunk=chunk)
    assert len(plan.chunks) == 144 // chunk
    chunked = shown(plan, Store(tmp_path / "work"), program, tmp_path / "chunked.mp4")
    single = shown(whole(plan), Store(tmp_path / "work"), program, tmp_path / "single.mp4")
    assert chunked == single
    dropped = {n for n in range(144) if 30 <= n <= 33 or 60 <= n <= 95 or n % 7 == 3}
    last = 0
    for number, seen in enumerate(single):
        last = last if number in dropped else number
        assert seen == last, "a missing frame is replaced by the one before it"


@pytest.mark.parametrize("case", ["ts at 3602 s", "mkv at 0.067 s", "mp4 with an edit list"])
def test_start_times(case: str, tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mp4", "30000/1001", 130, gop=25)
    if case.startswith("ts"):
        source = remux(source, tmp_path / "source.ts", "-output_ts_offset", "3600")
    elif case.startswith("mkv"):
        source = remux(source, tmp_path / "source.mkv", "-output_ts_offset", "0.067")
    else:  # the first 25 frames are there but not shown
        source = remux(source, tmp_path / "cut.mp4")
        ffmpeg("-ss", "1.0", "-i", tmp_path / "source.mp4", "-c", "copy", source)
    plan = tiny_plan(source)
    seen = shown(plan, Store(tmp_path / "work"), program, tmp_path / "out.mp4")
    assert seen == list(range(seen[0], seen[0] + plan.grid.frames))
    if not case.startswith("mp4"):
        assert (seen[0], len(seen)) == (0, 130)


def test_a_seek_that_lands_too_late_is_noticed(tmp_path: Path, program: FFmpeg) -> None:
    """MPEG-TS has no index: ffmpeg lands on a later key frame. The chunk is made again from the start."""
    source = remux(clip(tmp_path / "source.mp4", "24000/1001", 216, gop=37), tmp_path / "source.ts", "-output_ts_offset", "3600")
    honest = tiny_plan(source)
    assert not honest.source.video.exact_seek
    video = honest.source.video.model_copy(update={"exact_seek": True})
    plan = tiny_plan(honest.source.model_copy(update={"video": video}), chunk=24)
    assert len(plan.chunks) > 3
    assert shown(plan, Store(tmp_path / "work"), program, tmp_path / "out.mp4") == list(range(216))


def test_a_slower_rung_keeps_every_second_frame(tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mp4", "60000/1001", 151)
    plan = tiny_plan(source, rung("fast"), rung("slow", 72, max_frame_rate="30"))
    assert [rendition.frame_step for rendition in plan.video] == [1, 2]
    assert shown(plan, Store(tmp_path / "work"), program, tmp_path / "out.mp4") == list(range(0, 151, 2))


def test_a_rate_over_sixty_is_halved(tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "120", 150))
    assert plan.grid.frame_rate == 60
    assert shown(plan, Store(tmp_path / "work"), program, tmp_path / "out.mp4") == list(range(0, 150, 2))


def test_a_name_is_just_a_name(tmp_path: Path, program: FFmpeg) -> None:
    name = "-y two words it's \"quoted\" 100%d %03d naïve 影片 🎬 a,b;[c]=d:e\\f new\nline.mp4"
    folder = tmp_path / "home with %d and 'quotes'"
    folder.mkdir()
    made = clip(tmp_path / "plain.mp4", "25", 30)
    source = made.rename(folder / name)
    plan = tiny_plan(source)
    assert shown(plan, Store(folder / "work"), program, tmp_path / "out.mp4") == list(range(30))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"codec": "h264", "profile": "high", "crf": 28, "preset": "veryfast"}, id="x264 capped crf"),
        pytest.param({"codec": "hevc", "preset": "ultrafast"}, id="x265", marks=pytest.mark.nightly),
        pytest.param({"codec": "hevc", "preset": "ultrafast", "crf": 30, "profile": "main"}, id="x265 capped crf"),
        pytest.param({"codec": "av1", "preset": "10"}, id="svt-av1", marks=pytest.mark.nightly),
        pytest.param({"codec": "av1", "preset": "10", "crf": 40}, id="svt-av1 capped crf"),
    ],
)
def test_every_encoder(changes: dict[str, object], tmp_path: Path, program: FFmpeg) -> None:
    """Chunks of one rung may have different threads (the last ones do), and still share its init section."""
    plan = tiny_plan(clip(tmp_path / "source.mp4", "30000/1001", 60), rung("a", 96, **changes), gop=10, segment=20, chunk=40)
    found: set[bytes] = set()
    for threads in (1, 3):
        store = Store(tmp_path / f"work-{threads}")
        chunks = chunks_of(list(encode(plan, store, ffmpeg=program, workers=1, threads=threads)))
        assert len(chunks) > 1
        assert barcodes(joined(chunks, "a", tmp_path / f"out-{threads}.mp4")) == list(range(60))
        found |= inits(chunks, "a")
    assert len(found) == 1


def test_progress_counts_every_frame_once(tmp_path: Path, program: FFmpeg) -> None:
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 130))
    seen = Seen()
    list(encode(plan, Store(tmp_path / "work"), ffmpeg=program, reporter=seen))
    first = seen.events[0]
    assert (first.event, getattr(first, "chunks", 0), getattr(first, "frames", 0)) == ("encode_planned", len(plan.chunks), 130)
    finished = [event for event in seen.events if isinstance(event, ChunkFinished)]
    assert sum(event.frames for event in finished) == 130
    for event in seen.events:
        if event.event == "chunk_progress":
            assert event.frames <= plan.chunks[event.chunk].frames
