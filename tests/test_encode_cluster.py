"""Chunks run on a real Dask scheduler with two real workers; one of them is killed with -9 in the middle of a chunk."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path

import pytest

from tests.caption_support import Line21, captioned
from tests.cluster_support import PATIENCE, QUIET, Dask, alive, ffmpeg_below, stop
from tests.encode_support import FIXTURES, Seen, barcodes, chunks_of, clip, joined, rung, tiny_plan
from tests.ingest_support import settings
from tests.subtitle_support import Words, srt, subtitled
from tests.test_ingest_together import counting
from vidpipe import __version__
from vidpipe.batch.queue import run_batch
from vidpipe.batch.requests import from_sources
from vidpipe.encode.cluster.connect import check, connect
from vidpipe.encode.cluster.worker import WorkerFacts
from vidpipe.encode.result import Encoded, EncodedSubtitles
from vidpipe.encode.scheduler import encode, needs
from vidpipe.errors import EncodeFailed, Interrupted, UsageError
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan
from vidpipe.work.artifacts import Store

pytest.importorskip("distributed", reason="the extra vidpipe[cluster] is not installed")

pytestmark = QUIET


def everything(
    plan: Plan, store: Store, program: FFmpeg, dask: Dask, seen: Seen | None = None, cancel: threading.Event | None = None
) -> list[Encoded]:
    encoders, filters, _ = needs(plan)
    with connect(
        dask.address, ffmpeg=program, setting=None, encoders=encoders, filters=filters, source=plan.source, store=store
    ) as cluster:
        return list(encode(plan, store, ffmpeg=program, workers=cluster.slots, executor=cluster.executor, reporter=seen, cancel=cancel))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the worker's ffmpeg in /proc")
def test_a_killed_worker_costs_its_chunk_only(dask: Dask, tmp_path: Path, program: FFmpeg) -> None:
    dask.worker("one")
    dask.worker("two")
    dask.wait(2)
    source = clip(tmp_path / "source.mp4", "25", 100, beeps=2)
    # slow enough that a chunk can be caught in the middle, quick enough for a test
    plan = tiny_plan(source, rung("a", 96, codec="hevc", preset="medium"), chunk=24)
    store = Store(tmp_path / "work")
    victim = dask.workers["one"]

    def kill() -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if children := ffmpeg_below(victim):
                victim.kill()
                orphans.extend(children)
                return
            time.sleep(0.01)

    orphans: list[int] = []
    killer = threading.Thread(target=kill)
    killer.start()
    seen = Seen()
    results = everything(plan, store, program, dask, seen)
    killer.join()
    assert orphans, "the worker was killed while its ffmpeg ran"
    assert victim.wait() == -signal.SIGKILL
    end = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in orphans):  # the kernel ends them, init reaps them, both in their own time
        assert time.monotonic() < end, "its ffmpeg died with it"
        time.sleep(0.05)
    assert barcodes(joined(chunks_of(results), "a", tmp_path / "out.mp4")) == list(range(100))
    assert sum(event.event == "chunk_finished" for event in seen.events) == len(plan.chunks)
    assert all(done.video["a"].reused for done in chunks_of(list(encode(plan, store, ffmpeg=program, threads=1))))


def test_subtitles_and_captions_are_extracted_by_a_worker(dask: Dask, tmp_path: Path, program: FFmpeg) -> None:
    dask.worker("one")
    dask.wait(1)
    words = Words(srt(("00:00:00,500", "00:00:01,000", "Hello")), language="eng")
    plan = tiny_plan(subtitled(tmp_path / "a.mkv", words), chunk=1000)
    (track,) = (made for made in everything(plan, Store(tmp_path / "work"), program, dask) if isinstance(made, EncodedSubtitles))
    assert track.artifact is not None
    assert "Hello" in track.artifact.path.read_text()
    sent = Line21(Fraction(30))
    sent.pop_on(0.5, 1, "Captions")
    plan = tiny_plan(captioned(tmp_path / "b.mp4", sent, frames=45), chunk=1000)
    (track,) = (made for made in everything(plan, Store(tmp_path / "work"), program, dask) if isinstance(made, EncodedSubtitles))
    assert track.artifact is not None
    assert "Captions" in track.artifact.path.read_text()


def test_the_titles_of_a_batch_are_encoded_by_the_workers(dask: Dask, tmp_path: Path) -> None:
    dask.worker("one")
    dask.wait(1)
    ffmpeg, log = counting(tmp_path, begin="$PPID")
    configured = settings(tmp_path, 90, ffmpeg=ffmpeg, cluster=dask.address)
    titles = from_sources([str(FIXTURES / "one-second.mp4"), str(FIXTURES / "silent-video.mp4"), str(tmp_path / "none.mp4")])
    results = {done.content_id: done for done in run_batch(titles, lambda changes: configured, elsewhere=True)}
    assert {name: done.state for name, done in results.items()} == {"one-second": "live", "silent-video": "live", "none": "failed"}
    assert {word for word in log.read_text().split() if word != "end"} == {str(dask.workers["one"].pid)}


def test_cancel_reaches_the_workers(dask: Dask, tmp_path: Path, program: FFmpeg) -> None:
    dask.worker("one")
    dask.wait(1)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 200), rung("a", 96, codec="hevc", preset="veryslow"), chunk=200)
    cancel = threading.Event()
    timer = threading.Timer(0.5, cancel.set)
    timer.start()
    with pytest.raises(Interrupted):
        everything(plan, Store(tmp_path / "work"), program, dask, cancel=cancel)
    end = time.monotonic() + 5
    while ffmpeg_below(dask.workers["one"]) and time.monotonic() < end:
        time.sleep(0.02)
    assert ffmpeg_below(dask.workers["one"]) == []


def test_a_worker_with_another_ffmpeg_is_named(dask: Dask, tmp_path: Path, program: FFmpeg) -> None:
    other = tmp_path / "ffmpeg-old"
    other.write_text(f'#!/bin/sh\n"{program.path}" "$@" | sed \'s/^ffmpeg version [^ ]*/ffmpeg version 8.2/; s/libx264 /libnone /\'\n')
    other.chmod(0o755)
    dask.worker("good")
    dask.worker("old", env={"VIDPIPE_FFMPEG": str(other)})
    dask.wait(2)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 20))
    with pytest.raises(UsageError, match="1 problem with the workers") as caught:
        everything(plan, Store(tmp_path / "work"), program, dask)
    assert re.match(r"worker old: its ffmpeg is 8\.2, this machine's is ", caught.value.details[0])


def test_no_worker_and_no_scheduler(dask: Dask, tmp_path: Path, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpipe.encode.cluster.connect.PATIENCE", 1.5)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 20))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            everything(plan, Store(tmp_path / "work"), program, dask)
        except UsageError as error:
            if "no workers" in str(error):
                break
    else:
        pytest.fail("a scheduler without workers is not noticed")
    dask.close()
    with pytest.raises(UsageError, match="does not answer"):
        everything(plan, Store(tmp_path / "work"), program, dask)


def test_a_scheduler_that_dies_during_the_check_is_no_bug(dask: Dask, tmp_path: Path, program: FFmpeg) -> None:
    deadly = tmp_path / "ffmpeg"
    deadly.write_text(f"#!/bin/sh\nkill -9 {dask.processes[0].pid}\nsleep 1\n")
    deadly.chmod(0o755)
    dask.worker("one", env={"VIDPIPE_FFMPEG": str(deadly)})
    dask.wait(1)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 20))
    with pytest.raises(UsageError, match="the connection to the Dask scheduler or a worker was lost") as caught:
        everything(plan, Store(tmp_path / "work"), program, dask)
    assert caught.value.where == dask.address


@pytest.mark.parametrize(
    ("late", "says"),
    [
        pytest.param(
            "vidpipe.encode.cluster.worker.__version__ = '0.0.9'", f"its vidpipe is 0.0.9, not {__version__}", id="another vidpipe"
        ),
        pytest.param("", "its ffmpeg lacks libx264", marks=pytest.mark.nightly, id="an encoder lacks"),
        pytest.param(
            "vidpipe.encode.cluster.worker.run_there = lambda function, task, version, setting: None",
            "a worker cannot run the task",
            marks=pytest.mark.nightly,
            id="older",
        ),
        pytest.param(
            "class Odd(Exception): pass\n"
            "def odd(task): raise Odd('strange')\n"
            "vidpipe.encode.cluster.worker.run_task = odd",
            "a worker cannot run the task",
            marks=pytest.mark.nightly,
            id="an exception that nobody else knows",
        ),
    ],
)
def test_a_worker_that_joins_after_the_check_is_checked(late: str, says: str, dask: Dask, tmp_path: Path, program: FFmpeg) -> None:
    other = tmp_path / "late.py"
    other.write_text(f"import vidpipe.encode.cluster.connect\n{late}\n")
    poor = tmp_path / "ffmpeg-poor"
    poor.write_text(f'#!/bin/sh\n"{program.path}" "$@" | sed \'s/libx264 /libnone /\'\n')
    poor.chmod(0o755)
    dask.worker("one")
    dask.wait(1)
    plan = tiny_plan(clip(tmp_path / "source.mp4", "25", 100, beeps=2), chunk=24)
    store = Store(tmp_path / "work")
    encoders, filters, _ = needs(plan)
    with connect(
        dask.address, ffmpeg=program, setting=None, encoders=encoders, filters=filters, source=plan.source, store=store
    ) as cluster:
        stop(dask.workers["one"])
        dask.worker("late", "--preload", str(other), env={} if late else {"VIDPIPE_FFMPEG": str(poor)})
        with pytest.raises(EncodeFailed) as caught:
            list(encode(plan, store, ffmpeg=program, workers=1, executor=cluster.executor))
    assert says in str(caught.value)
    if "its" in says:
        assert caught.value.where == "worker late"
    assert "give all workers" in (caught.value.fix or "")


def facts(program: FFmpeg, **changes: object) -> WorkerFacts:
    values = {"ffmpeg": program, "problem": "", "source_size": 5, "sees_work": True, "version": __version__} | changes
    return WorkerFacts(**values)  # type: ignore[arg-type]


def test_every_problem_of_every_worker_is_listed(tmp_path: Path, program: FFmpeg) -> None:
    source = tmp_path / "source.mp4"
    source.write_bytes(b"12345")
    poor = FFmpeg(program.path, program.version, program.encoders - {"libx265"}, program.filters, program.muxers)
    found: dict[str, WorkerFacts | BaseException] = {
        "a": facts(program),
        "b": facts(poor),
        "c": facts(program, ffmpeg=None, problem="there is no such ffmpeg program"),
        "d": facts(program, source_size=None, sees_work=False),
        "old": facts(program, version="0.0.9"),
        "older": facts(program, version=""),
        "e": ModuleNotFoundError("No module named 'vidpipe'"),
    }
    with pytest.raises(UsageError) as caught:
        check(found, program, {"libx265"}, {"zscale"}, source, "tcp://x:1")
    assert list(caught.value.details) == [
        "worker b: its ffmpeg lacks libx265",
        "worker c: there is no such ffmpeg program",
        f"worker d: does not see {source}, or sees another file there",
        "worker d: does not see the work folder of this run",
        "worker e: vidpipe does not run there (No module named 'vidpipe'); install the same version",
        f"worker old: its vidpipe is 0.0.9, this machine's is {__version__}",
        f"worker older: its vidpipe is an older one, this machine's is {__version__}",
    ]
    check({"a": facts(program)}, program, {"libx265"}, {"zscale"}, source, "tcp://x:1")


def test_workers_that_share_s3_need_no_common_path(tmp_path: Path, program: FFmpeg) -> None:
    source = tmp_path / "source.mp4"
    source.write_bytes(b"12345")
    apart = {"source_size": None, "sees_work": False}
    found: dict[str, WorkerFacts | BaseException] = {
        "a": facts(program, probe="11", **apart),
        "b": facts(program, denied="cannot upload: access denied; give these credentials s3:PutObject", **apart),
        "c": facts(program, probe="33", **apart),
    }
    with pytest.raises(UsageError) as caught:
        check(found, program, (), (), source, "tcp://x:1", frozenset({"11"}))
    assert list(caught.value.details) == [
        "worker b: cannot use the work prefix in S3: cannot upload: access denied; give these credentials s3:PutObject",
        "worker c: its writes to S3 do not arrive; check its AWS_ENDPOINT_URL",
    ]
    check({"a": found["a"]}, program, (), (), source, "tcp://x:1", frozenset({"11"}))
