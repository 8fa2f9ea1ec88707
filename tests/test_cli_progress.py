"""Progress: the sums are right with parallel chunks, on resume and on a retry; the three ways of showing them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from vidpipe.cli.exits import Failure
from vidpipe.cli.reporters import Bar, Meter, Ndjson, Plain, Quiet, Snapshot, clock, line, size, watcher
from vidpipe.data import report
from vidpipe.diagnostics import Diagnostic, Where
from vidpipe.progress import (
    ChunkFinished,
    ChunkProgress,
    DecodeProgress,
    EncodePlanned,
    Event,
    Fetched,
    FileStarted,
    Note,
    StageFinished,
    StageStarted,
    Uploaded,
)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock_() -> Clock:
    return Clock()


PLANNED = EncodePlanned(chunks=4, frames=2400, frame_rate=24.0)


def feed(meter: Meter, now: Clock, *timed: tuple[float, Event]) -> Snapshot:
    """Give events with the seconds that pass before each, and return the state after the last."""
    for seconds, event in timed:
        now.now += seconds
        meter.take(event)
    return meter.snapshot()


def test_nothing_is_claimed_before_the_plan(clock_: Clock) -> None:
    assert feed(Meter(clock_), clock_, (1, StageStarted(stage="probe"))) == Snapshot(stages=("probe",))


def test_parallel_chunks_add_up(clock_: Clock) -> None:
    now = feed(
        Meter(clock_),
        clock_,
        (0, PLANNED),
        (5, ChunkProgress(chunk=0, frames=240)),
        (0, ChunkProgress(chunk=1, frames=240)),
        (5, ChunkProgress(chunk=0, frames=480)),
        (0, ChunkProgress(chunk=1, frames=480)),
    )
    assert (now.percent, now.frames, now.fps, now.speed, now.eta) == (40.0, 960, 96.0, 4.0, 15.0)
    assert (now.chunks_done, now.chunks) == (0, 4)


def test_reused_chunks_are_done_but_not_speed(clock_: Clock) -> None:
    now = feed(
        Meter(clock_),
        clock_,
        (0, PLANNED),
        (0, ChunkFinished(chunk=0, frames=600, reused=True)),
        (0, ChunkFinished(chunk=1, frames=600, reused=True)),
        (10, ChunkProgress(chunk=2, frames=240)),
    )
    assert (now.percent, now.fps, now.eta) == (60.0, 24.0, 40.0)
    assert (now.chunks_done, now.chunks_reused) == (2, 2)


def test_only_reused_chunks_have_no_speed(clock_: Clock) -> None:
    now = feed(Meter(clock_), clock_, (0, PLANNED), *[(1.0, ChunkFinished(chunk=n, frames=600, reused=True)) for n in range(4)])
    assert (now.percent, now.fps, now.speed, now.eta) == (100.0, None, None, None)


def test_a_retry_goes_back_and_is_counted_once(clock_: Clock) -> None:
    now = feed(
        Meter(clock_),
        clock_,
        (0, PLANNED),
        (5, ChunkProgress(chunk=0, frames=500)),
        (0, ChunkProgress(chunk=0, frames=0)),
        (5, ChunkProgress(chunk=0, frames=300)),
    )
    assert (now.frames, now.fps) == (300, 30.0)


def test_late_progress_of_a_finished_chunk_is_ignored(clock_: Clock) -> None:
    now = feed(
        Meter(clock_), clock_, (0, PLANNED), (5, ChunkFinished(chunk=0, frames=600, reused=False)), (0, ChunkProgress(chunk=0, frames=590))
    )
    assert (now.frames, now.chunks_done) == (600, 1)


def test_speed_is_that_of_the_last_half_minute(clock_: Clock) -> None:
    meter = Meter(clock_)
    feed(meter, clock_, (0, PLANNED), *[(1.0, ChunkProgress(chunk=0, frames=n)) for n in range(1, 61)])
    now = feed(meter, clock_, *[(1.0, ChunkProgress(chunk=0, frames=60 + 10 * n)) for n in range(1, 41)])
    assert now.fps == pytest.approx(10, abs=0.5)


def test_uploads_and_stages(clock_: Clock) -> None:
    meter = Meter(clock_)
    now = feed(meter, clock_, (0, StageStarted(stage="a")), (0, StageStarted(stage="b")), (0, Uploaded(path="x", bytes=5)))
    assert (now.stages, now.bytes_uploaded) == (("a", "b"), 5)
    assert feed(meter, clock_, (0, StageFinished(stage="a", seconds=1)), (0, Uploaded(path="y", bytes=7))).bytes_uploaded == 12
    assert meter.snapshot().stages == ("b",)


def test_the_line_for_people() -> None:
    full = Snapshot(
        percent=41.7, frames=1000, frames_total=2400, fps=35.12, speed=1.46, eta=3671.4,
        chunks_done=3, chunks=8, chunks_reused=1, bytes_uploaded=12_345_678
    )  # fmt: skip
    assert line(full) == "42 %  35.1 fps  1.46x  ETA 1:01:11  chunks 3/8 (1 reused)  12.3 MB uploaded"
    assert line(Snapshot()) == ""


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (31.4, "0:31"), (59.6, "1:00"), (3600, "1:00:00")])
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5_300_000_000, "5.3 GB"), (10**16, "10000.0 TB")]
)
def test_size(count: int, shown: str) -> None:
    assert size(count) == shown


WHEN = datetime(2026, 11, 20, 22, 15, 4, 120_400, tzinfo=UTC)
EVENTS: list[tuple[float, Event]] = [
    (0, StageStarted(stage="encode")),
    (0.1, PLANNED),
    (0.1, Note(level="warning", text="a title with \x1b[31m colour")),
    *[(0.25, ChunkProgress(chunk=0, frames=6 * n)) for n in range(1, 41)],
    (0, ChunkFinished(chunk=0, frames=600, reused=False)),
    (0, Uploaded(path="video/1", bytes=1000)),
    (0, StageFinished(stage="encode", seconds=10.2)),
]


def ndjson(now: Clock, failure: Failure | None) -> list[dict[str, object]]:
    """Run the events through the NDJSON reporter and return its lines."""
    stream = io.StringIO()
    shown = Ndjson(stream, now)
    shown.open()
    for seconds, event in EVENTS:
        now.now += seconds
        shown.emit(event.model_copy(update={"run": "r1", "content_id": "film", "at": WHEN}))
    assert shown.close(failure)
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_ndjson(clock_: Clock) -> None:
    lines = ndjson(clock_, None)
    kinds = [entry["event"] for entry in lines]
    assert kinds[0] == "stage_started"
    assert kinds[-1] == "finished"
    assert kinds.count("progress") == 12  # at once, each second, and at the end
    assert {(entry["run"], entry["content_id"]) for entry in lines} == {("r1", "film")}, "also those that are no events"
    assert all({"time", "elapsed"} <= entry.keys() for entry in lines)
    assert {entry["time"] for entry in lines if entry["event"] not in ("progress", "finished")} == {"2026-11-20T22:15:04.120+00:00"}
    last = lines[-2]
    assert last | {"time": 0, "elapsed": 0} == {
        "run": "r1", "content_id": "film",
        "event": "progress", "percent": 25.0, "frames": 600, "frames_total": 2400, "fps": 59.4, "speed": 2.48, "eta": 30.3,
        "chunks_done": 1, "chunks_reused": 0, "chunks": 4, "bytes_uploaded": 1000, "time": 0, "elapsed": 0,
    }  # fmt: skip


def test_ndjson_of_a_failure(clock_: Clock) -> None:
    found = Diagnostic(id="encode-failed", severity="error", at=Where(file="chunk 3"), message="failed", advice="run again")
    last = ndjson(clock_, Failure(4, ("chunk 3: failed", "fix: run again"), "Traceback", (found,)))[-1]
    assert {key: last[key] for key in ("event", "exit_code", "message", "traceback", "diagnostics")} == {
        "event": "failed",
        "exit_code": 4,
        "message": ["chunk 3: failed", "fix: run again"],
        "traceback": "Traceback",
        "diagnostics": [report(found)],
    }


def test_a_failure_before_the_first_event_names_no_run(clock_: Clock) -> None:
    stream = io.StringIO()
    Ndjson(stream, clock_).close(Failure(2, ("--workers: 'none' is not allowed",)))
    last = json.loads(stream.getvalue())
    assert (last["event"], last["run"], last["content_id"]) == ("failed", None, None)


def test_the_documented_keys_are_those_that_are_written(clock_: Clock) -> None:
    from pathlib import Path

    document = (Path(__file__).parent.parent / "docs" / "progress.md").read_text(encoding="utf-8")
    others = [Fetched(bytes=1), FileStarted(file="a", number=1, files=1), DecodeProgress(frames=1, frames_total=2)]
    known = [event.model_dump(exclude={"at"}) for event in others]
    for entry in [*ndjson(clock_, None), *ndjson(clock_, Failure(4, ("x",), "y")), *known]:
        for word in (str(entry["event"]), *entry):
            assert f"`{word}`" in document, word


def test_plain_lines_come_every_ten_seconds(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Plain(clock_)
    for seconds, event in EVENTS:
        clock_.now += seconds
        shown.emit(event)
    shown.close(None)
    assert capsys.readouterr().err.splitlines() == [
        "encoding 2400 frames in 4 chunks",
        "warning: a title with \\x1b[31m colour",
        "10 %  23.8 fps  0.99x  ETA 1:31  chunks 0/4",
        "25 %  59.4 fps  2.48x  ETA 0:30  chunks 1/4  1.0 kB uploaded",
    ]


@pytest.mark.parametrize("make", [Bar, Quiet])
def test_the_others_take_every_event_and_say_no_escape(make: Callable[[], Bar | Quiet], capsys: pytest.CaptureFixture[str]) -> None:
    shown = make()
    shown.open()
    for _, event in [*FETCHING, *EVENTS]:
        shown.emit(event)
    assert not shown.close(None)
    written = capsys.readouterr()
    assert written.out == ""
    assert "\\x1b[31m" in written.err
    assert "\x1b" not in written.err


FETCHING: list[tuple[float, Event]] = [
    (0, StageStarted(stage="fetch")),
    *[(0.25, Fetched(bytes=n * 1_000_000, total=60_000_000)) for n in range(1, 61)],
    (0, StageFinished(stage="fetch", seconds=15)),
]


def test_fetching_is_reported_once_a_second_and_at_the_end(clock_: Clock) -> None:
    stream = io.StringIO()
    shown = Ndjson(stream, clock_)
    for seconds, event in FETCHING:
        clock_.now += seconds
        shown.emit(event)
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [entry["event"] for entry in lines] == ["stage_started", *["fetched"] * 16, "stage_finished"]
    assert {key: lines[-2][key] for key in ("bytes", "total")} == {"bytes": 60_000_000, "total": 60_000_000}


def test_the_last_of_a_source_is_reported_even_if_nobody_said_how_much_comes(clock_: Clock) -> None:
    stream = io.StringIO()
    shown = Ndjson(stream, clock_)
    for event in (StageStarted(stage="fetch"), *(Fetched(bytes=1000 * n) for n in (1, 2, 3)), StageFinished(stage="fetch", seconds=1.0)):
        shown.emit(event)
    shown.emit(StageFinished(stage="fetch", seconds=1.0))
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [entry.get("bytes") for entry in lines if entry["event"] == "fetched"] == [1000, 3000]
    assert [entry["event"] for entry in lines][-3:] == ["fetched", "stage_finished", "stage_finished"]


def test_fetching_does_not_look_dead(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Plain(clock_)
    for seconds, event in FETCHING:
        clock_.now += seconds
        shown.emit(event)
    assert capsys.readouterr().err.splitlines() == ["40.0 MB of 60.0 MB fetched"]
    assert line(Snapshot(stages=("fetch",), bytes_fetched=1000)) == "1.0 kB fetched"


DECODING: list[tuple[float, Event]] = [
    (0, FileStarted(file="a\x1b[31m.mp4", number=1, files=2)),
    (0, StageStarted(stage="validate")),
    *[(0.25, DecodeProgress(frames=n * 10, frames_total=1200)) for n in range(61)],
    (0, StageFinished(stage="validate", seconds=15)),
    (0, FileStarted(file="b.mp4", number=2, files=2)),
    (0, StageStarted(stage="validate")),
    *[(0.25, DecodeProgress(frames=n * 50, frames_total=2500)) for n in range(45)],
]


def test_decoding_shows_how_far_it_is_and_of_which_file(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    shown = Plain(clock_)
    for seconds, event in DECODING:
        clock_.now += seconds
        shown.emit(event)
    assert capsys.readouterr().err.splitlines() == [
        "validating a\\x1b[31m.mp4 (1 of 2)",
        "32 %  40.0 fps  ETA 0:20  a\\x1b[31m.mp4 (1 of 2)",
        "validating b.mp4 (2 of 2)",
        "36 %  200.0 fps  ETA 0:08  b.mp4 (2 of 2)",
    ]


def test_a_second_attempt_to_decode_begins_from_zero(clock_: Clock) -> None:
    meter = Meter(clock_)
    again = [(1.0, DecodeProgress(frames=frames, frames_total=1000)) for frames in (0, 100, 200, 0, 20, 40)]
    now = feed(meter, clock_, (0, FileStarted(file="a", number=1, files=1)), *again)
    assert (now.frames_decoded, now.percent, now.fps, now.file) == (40, 4.0, 20.0, None)


def test_decoding_is_said_once_a_second_and_at_the_end(clock_: Clock) -> None:
    stream = io.StringIO()
    shown = Ndjson(stream, clock_)
    for seconds, event in DECODING[:64]:
        clock_.now += seconds
        shown.emit(event)
    with shown.aside():
        pass
    shown.close(None, 3)
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [entry["event"] for entry in lines] == [
        *("file_started", "stage_started"),
        *["decode_progress"] * 16,
        *("stage_finished", "finished"),
    ]
    assert {key: lines[-3][key] for key in ("frames", "frames_total")} == {"frames": 600, "frames_total": 1200}
    assert lines[-1]["exit_code"] == 3


def test_the_bar_makes_way_for_results(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Bar()
    shown.open()
    for _, event in DECODING:
        shown.emit(event)
    with shown.aside():
        print("result")
    assert not shown.close(None)
    written = capsys.readouterr()
    assert written.out == "result\n"
    assert "\x1b[31m" not in written.err


def test_auto_is_plain_without_a_terminal() -> None:
    assert isinstance(watcher("auto"), Plain)
