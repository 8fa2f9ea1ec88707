"""Progress: the sums are right with parallel chunks, on resume and on a retry; the ways of showing them."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import pytest

from vidpipe.cli.exits import Failure
from vidpipe.cli.reporters import lines, watcher
from vidpipe.cli.reporters import plain as plain_module
from vidpipe.cli.reporters.checklist import ASCII, checklist
from vidpipe.cli.reporters.live import Checklist
from vidpipe.cli.reporters.meter import EncodeState, Headway, Meter, Snapshot, StageState
from vidpipe.cli.reporters.ndjson import Ndjson
from vidpipe.cli.reporters.plain import Plain, progress
from vidpipe.cli.reporters.quiet import Quiet
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
    Stages,
    StageStarted,
    Uploaded,
    VerifyProgress,
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


def encode(meter: Meter, now: Clock, *timed: tuple[float, Event]) -> EncodeState:
    """Give events as ``feed`` does, and return the state of the encode."""
    state = feed(meter, now, *timed).encode
    assert state
    return state


def feed(meter: Meter, now: Clock, *timed: tuple[float, Event]) -> Snapshot:
    """Give events with the seconds that pass before each, and return the state after the last."""
    for seconds, event in timed:
        now.now += seconds
        meter.take(event)
    return meter.snapshot()


def test_nothing_is_claimed_before_the_plan(clock_: Clock) -> None:
    now = feed(Meter(clock_), clock_, (1, StageStarted(stage="probe")))
    assert now == Snapshot(seconds=1, stages=(StageState(name="probe", seconds=0),))


def test_parallel_chunks_add_up(clock_: Clock) -> None:
    now = encode(
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
    now = encode(
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
    now = encode(Meter(clock_), clock_, (0, PLANNED), *[(1.0, ChunkFinished(chunk=n, frames=600, reused=True)) for n in range(4)])
    assert (now.percent, now.fps, now.speed, now.eta) == (100.0, None, None, None)


def test_a_retry_goes_back_and_is_counted_once(clock_: Clock) -> None:
    now = encode(
        Meter(clock_),
        clock_,
        (0, PLANNED),
        (5, ChunkProgress(chunk=0, frames=500)),
        (0, ChunkProgress(chunk=0, frames=0)),
        (5, ChunkProgress(chunk=0, frames=300)),
    )
    assert (now.frames, now.fps) == (300, 30.0)


def test_late_progress_of_a_finished_chunk_is_ignored(clock_: Clock) -> None:
    now = encode(
        Meter(clock_), clock_, (0, PLANNED), (5, ChunkFinished(chunk=0, frames=600, reused=False)), (0, ChunkProgress(chunk=0, frames=590))
    )
    assert (now.frames, now.chunks_done) == (600, 1)


def test_speed_is_that_of_the_last_half_minute(clock_: Clock) -> None:
    meter = Meter(clock_)
    feed(meter, clock_, (0, PLANNED), *[(1.0, ChunkProgress(chunk=0, frames=n)) for n in range(1, 61)])
    now = encode(meter, clock_, *[(1.0, ChunkProgress(chunk=0, frames=60 + 10 * n)) for n in range(1, 41)])
    assert now.fps == pytest.approx(10, abs=0.5)


def test_uploads_and_stages(clock_: Clock) -> None:
    meter = Meter(clock_)
    now = feed(meter, clock_, (0, StageStarted(stage="a")), (0, StageStarted(stage="b")), (0, Uploaded(path="x", bytes=5)))
    assert (now.running, now.uploaded) == (("a", "b"), 5)
    assert feed(meter, clock_, (0, StageFinished(stage="a", seconds=1)), (0, Uploaded(path="y", bytes=7))).uploaded == 12
    assert meter.snapshot().running == ("b",)
    assert meter.snapshot().stages[0] == StageState(name="a", seconds=1, finished=True)


def test_what_is_encoded_again_is_counted_from_zero(clock_: Clock) -> None:
    """Copies that turn out to be wrong have everything made anew, in the same run."""
    meter = Meter(clock_)
    feed(meter, clock_, (0, PLANNED), (5, ChunkFinished(chunk=0, frames=600, reused=False)))
    assert encode(meter, clock_, (1, PLANNED)).frames == 0
    assert encode(meter, clock_, (5, ChunkProgress(chunk=0, frames=120))).fps == 24


def test_a_failed_stage_is_no_finished_one(clock_: Clock) -> None:
    stages = Stages(events := Collected())
    with pytest.raises(KeyError), stages("verify"):
        raise KeyError
    meter = Meter(clock_)
    for event in events.all:
        meter.take(event)
    (state,) = meter.snapshot().stages
    assert (state.finished, state.failed) == (True, True)


class Collected:
    """A Reporter that keeps the events."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def emit(self, event: Event) -> None:
        self.all.append(event)


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
    others = [
        *(Fetched(bytes=1), FileStarted(file="a", number=1, files=1), DecodeProgress(frames=1, frames_total=2)),
        VerifyProgress(bytes=1, bytes_total=2),
    ]
    known = [event.model_dump(exclude={"at"}) for event in others]
    for entry in [*ndjson(clock_, None), *ndjson(clock_, Failure(4, ("x",), "y")), *known]:
        for word in (str(entry["event"]), *entry):
            assert f"`{word}`" in document, word


def plain(now: Clock, events: Sequence[tuple[float, Event]], *, stages: bool = True) -> Plain:
    """Run events through the plain reporter, which looks every ten seconds."""
    shown = Plain(now, lambda: WHEN, stages=stages)
    looked = now.now
    for seconds, event in events:
        now.now += seconds
        shown.emit(event)
        if now.now - looked >= 10:
            looked = now.now
            shown.tick()
    return shown


def lines_of(written: str) -> list[str]:
    """Return the lines without the time that each begins with."""
    stamp = "2026-11-20T22:15:04Z "
    assert all(line.startswith(stamp) for line in written.splitlines())
    return [line.removeprefix(stamp) for line in written.splitlines()]


def test_plain_lines_have_the_time_and_come_seldom(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    plain(clock_, EVENTS).close(None)
    assert lines_of(capsys.readouterr().err) == [
        "encode: 2400 frames in 4 chunks",
        "warning: a title with \\x1b[31m colour",
        "encode: 10%, 23.8 fps, 0.99x, 1:31 left, chunks 0/4",
        "encode: done in 10 s, chunks 1/4, 1.0 kB uploaded",
    ]


def test_an_encode_of_hours_does_not_flood_the_log(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    hours = 5 * 3600
    moving = [(1.0, ChunkProgress(chunk=0, frames=24 * second)) for second in range(hours)]
    plain(clock_, [(0, StageStarted(stage="encode")), (0, EncodePlanned(chunks=1, frames=24 * hours, frame_rate=24.0)), *moving])
    said = lines_of(capsys.readouterr().err)
    assert 280 <= len(said) <= 320, "one a minute"
    assert said[31] == "encode: 10%, 24.0 fps, 1.00x, 4:29:01 left, chunks 0/1"


def test_a_short_encode_is_shown_in_steps(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    moving = [(1.0, ChunkProgress(chunk=0, frames=24 * second)) for second in range(100)]
    plain(clock_, [(0, StageStarted(stage="encode")), (0, EncodePlanned(chunks=1, frames=2400, frame_rate=24.0)), *moving])
    assert [text.split()[1] for text in lines_of(capsys.readouterr().err)[1:]] == [f"{share}%," for share in range(9, 100, 10)]


def test_a_silent_stage_is_shown_to_be_alive(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """CI systems end jobs that print nothing for some minutes."""
    plain(clock_, [(0, StageStarted(stage="thumbnails")), *[(10.0, Uploaded(path="x", bytes=1))] * 18])
    assert lines_of(capsys.readouterr().err) == [f"thumbnails: running for {time}" for time in ("1:00", "2:00", "3:00")]


def test_a_stage_that_fails_is_not_said_to_be_done(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    plain(clock_, [(0, StageStarted(stage="plan")), (0, StageFinished(stage="plan", seconds=1, failed=True))])
    assert capsys.readouterr().err == ""


def test_what_only_plans_says_no_stages(clock_: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    plain(clock_, [(0, StageStarted(stage="plan")), (0, StageFinished(stage="plan", seconds=1))], stages=False)
    assert capsys.readouterr().err == ""


def test_plain_looks_by_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(lines, "SECONDS", 0.01)
    monkeypatch.setattr(plain_module, "LONGEST_SECONDS", 0.02)
    shown = Plain()
    shown.open()
    shown.emit(StageStarted(stage="verify"))
    written, deadline = "", time.monotonic() + 10
    while "verify: running for" not in written:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        written += capsys.readouterr().err
    assert not shown.close(None)


@pytest.mark.parametrize("make", [Checklist, Quiet])
def test_the_others_take_every_event_and_say_no_escape(make: Callable[[], Checklist | Quiet], capsys: pytest.CaptureFixture[str]) -> None:
    shown = make()
    shown.open()
    for _, event in [*FETCHING, *EVENTS]:
        shown.emit(event)
    assert not shown.close(None)
    written = capsys.readouterr()
    assert written.out == ""
    assert "warning: a title with \\x1b[31m colour" in written.err
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
    plain(clock_, FETCHING)
    assert lines_of(capsys.readouterr().err) == [
        "fetch: 66%, 40.0 MB of 60.0 MB, 4.1 MB/s, 5 s left",
        "fetch: done in 15 s, 60.0 MB",
    ]
    unknown = Snapshot(stages=(StageState(name="fetch", seconds=3),), headway={"fetch": Headway(what="bytes", done=1000)})
    assert progress(unknown) == ("fetch: 1.0 kB", 0.0)


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
    plain(clock_, DECODING, stages=False)
    assert lines_of(capsys.readouterr().err) == [
        "validate: a\\x1b[31m.mp4 (1 of 2)",
        "validate: 32%, 40.0 fps, 20 s left",
        "validate: b.mp4 (2 of 2)",
    ]


def test_a_second_attempt_to_decode_begins_from_zero(clock_: Clock) -> None:
    meter = Meter(clock_)
    again = [(1.0, DecodeProgress(frames=frames, frames_total=1000)) for frames in (0, 100, 200, 0, 20, 40)]
    now = feed(meter, clock_, (0, FileStarted(file="a", number=1, files=1)), *again)
    assert now.headway == {"validate": Headway(what="frames", done=40, total=1000, pace=20.0)}
    assert (now.headway["validate"].share, now.headway["validate"].left, now.file) == (0.04, 48.0, None)


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


# -- the checklist

STAGES_OF_ALL = ("validate", "plan", "encode", "verify", "catalog")
ENCODING = Snapshot(
    seconds=3700, content_id="film", uploaded=12_345_678,
    stages=(
        StageState(name="validate", seconds=1.24, finished=True),
        StageState(name="plan", seconds=0.01, finished=True, note="continuing an earlier run"),
        StageState(name="encode", seconds=3661),
    ),
    headway={"encode": Headway(what="frames", done=1000, total=2400, pace=35.12)},
    encode=EncodeState(percent=41.7, frames=1000, frames_total=2400, fps=35.1, speed=1.46, chunks_done=3, chunks=8, chunks_reused=1),
)  # fmt: skip


def shown_at(width: int, now: Snapshot = ENCODING) -> list[str]:
    return [line.plain.rstrip() for line in checklist(now, STAGES_OF_ALL, width, ASCII)]


def test_a_wide_checklist_says_everything() -> None:
    assert shown_at(200) == [
        "film  1:01:40",
        "+ validate     1.2 s",
        "+ plan        <0.1 s  continuing an earlier run",
        f"- encode     1:01:01  {'#' * 16}{'-' * 24}   41%  35.1 fps  1.46x  40 s left  chunks 3/8 (1 reused)  12.3 MB uploaded",
        "  verify",
        "  catalog",
    ]


def test_a_narrow_checklist_says_what_matters() -> None:
    assert shown_at(57)[3] == f"- encode     1:01:01  {'#' * 4}{'-' * 7}   41%  1.46x  40 s left"


@pytest.mark.parametrize("width", [10, 30, 57, 60, 77, 97, 117, 197])
@pytest.mark.parametrize("seconds_left", [0, 3, 5000, 400_000])
def test_no_line_is_wider_than_the_terminal(width: int, seconds_left: int) -> None:
    headway = Headway(what="frames", done=0, total=10 * seconds_left, pace=10.0)
    byte = Headway(what="bytes", done=10**9, total=10**12, pace=1e7)
    stages = (*ENCODING.stages, StageState(name="fetch", seconds=100_000), StageState(name="verify", seconds=3, note="x" * 300))
    now = ENCODING.model_copy(
        update={"content_id": "x" * 300, "headway": {"encode": headway, "fetch": byte}, "stages": stages, "seconds": 1e6}
    )
    assert max(map(len, shown_at(width, now))) <= width


def test_stages_that_a_run_does_not_need_are_not_pending() -> None:
    copied = StageState(name="copy", seconds=3, finished=True)
    now = Snapshot(stages=(*ENCODING.stages[:2], copied, StageState(name="verify", seconds=3)), copied=7)
    assert shown_at(80, now) == [
        "+ validate     1.2 s",
        "+ plan        <0.1 s  continuing an earlier run",
        "+ copy           3 s  7 objects copied",
        "- verify         3 s",
        "  catalog",
    ]


def test_a_source_of_unknown_size_has_no_bar() -> None:
    now = Snapshot(stages=(StageState(name="fetch", seconds=2),), headway={"fetch": Headway(what="bytes", done=5_000_000, pace=2.5e6)})
    assert shown_at(80, now)[0] == "- fetch          2 s  5.0 MB  2.5 MB/s"


def test_auto_is_plain_without_a_terminal_and_so_is_a_checklist() -> None:
    assert isinstance(watcher("auto"), Plain)
    assert isinstance(watcher("bar"), Plain)
    assert isinstance(watcher("none"), Quiet)


def test_the_checklist_makes_way_for_results(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Checklist()
    shown.open()
    for _, event in DECODING:
        shown.emit(event)
    with shown.aside():
        print("result")
    assert not shown.close(None)
    written = capsys.readouterr()
    assert written.out == "result\n"
    assert "\x1b[31m" not in written.err
