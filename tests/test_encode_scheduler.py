"""Resume, reuse, parallel, cancel: no work is done twice, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.encode_support import Seen, barcodes, chunks_of, clip, joined, rung, tiny_plan
from vidpipe.encode import scheduler
from vidpipe.encode.result import Encoded, EncodedAudio
from vidpipe.encode.scheduler import encode
from vidpipe.encode.tasks.chunk import ChunkJob
from vidpipe.encode.tasks.run import run_task
from vidpipe.errors import EncodeFailed, Interrupted, UsageError
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan
from vidpipe.source.asset import Asset
from vidpipe.work.artifacts import Store


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("scheduler") / "source.mp4", "25", 200, beeps=2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work")


def fresh(results: list[Encoded]) -> int:
    """Return how many artifacts were not reused."""
    made = 0
    for result in results:
        if isinstance(result, EncodedAudio):
            made += not result.artifact.reused
        else:
            found = [*result.video.values(), *result.posters.values(), *([result.pictures] if result.pictures else [])]
            made += sum(not artifact.reused for artifact in found)
    return made


def test_a_machine_with_little_memory_encodes_one_chunk_at_a_time(
    source: Path, store: Store, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "cores_here", lambda: 4)
    monkeypatch.setattr(scheduler, "memory_here", lambda: 150_000_000)
    running: list[int] = []
    most = []

    def spy(*given: Any) -> Any:
        if not isinstance(given[0].job, ChunkJob):
            return run_task(*given)
        running.append(1)
        most.append(len(running))
        try:
            return run_task(*given)
        finally:
            running.pop()

    monkeypatch.setattr(scheduler, "run_task", spy)
    assert len(chunks_of(list(encode(tiny_plan(source), store, ffmpeg=program)))) == len(most) > 1
    assert max(most) == 1
    most.clear()
    list(encode(tiny_plan(source), store, ffmpeg=program, threads=2, workers=3))
    assert max(most) > 1, "the user knows better"


def test_the_second_time_nothing_is_encoded(source: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(source)
    assert fresh(list(encode(plan, store, ffmpeg=program))) > 0
    seen = Seen()
    started = time.monotonic()
    again = list(encode(plan, store, ffmpeg=program, reporter=seen))
    assert time.monotonic() - started < 1
    assert fresh(again) == 0
    assert len(chunks_of(again)) == len(plan.chunks)
    assert [getattr(event, "reused", None) for event in seen.events if event.event == "chunk_finished"] == [True] * len(plan.chunks)


def test_audio_does_not_wait_for_the_chunks(source: Path, store: Store, program: FFmpeg, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk_runs = threading.Event()

    def spy(*arguments: Any) -> Any:
        if isinstance(arguments[0].job, ChunkJob):
            chunk_runs.set()
        else:
            assert chunk_runs.wait(30), "audio, which comes first, keeps the only worker from the chunks"
        return run_task(*arguments)

    monkeypatch.setattr(scheduler, "run_task", spy)
    results = list(encode(tiny_plan(source), store, ffmpeg=program, workers=1))
    assert any(isinstance(result, EncodedAudio) for result in results)


def test_a_new_rung_encodes_only_itself(source: Path, store: Store, program: FFmpeg) -> None:
    first = tiny_plan(source, rung("96p", 96))
    list(encode(first, store, ffmpeg=program))
    both = tiny_plan(source, rung("72p", 72), rung("96p", 96))
    results = list(encode(both, store, ffmpeg=program))
    assert fresh(results) == len(both.chunks), "one artifact a chunk: no picture, poster or audio again"
    assert all(done.video["96p"].reused and not done.video["72p"].reused for done in chunks_of(results))


def test_a_renamed_rung_is_the_same(source: Path, store: Store, program: FFmpeg) -> None:
    list(encode(tiny_plan(source, rung("low")), store, ffmpeg=program))
    assert fresh(list(encode(tiny_plan(source, rung("high")), store, ffmpeg=program))) == 0


@pytest.mark.parametrize(
    "changes",
    [
        *({"bitrate": 210_000}, {"profile": "main"}, {"crf": 30}),
        *(pytest.param(changes, marks=pytest.mark.nightly) for changes in ({"preset": "superfast"}, {"buffer": 500_000})),
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_changed_setting_is_made_anew(changes: dict[str, object], source: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(source, chunk=200)
    list(encode(plan, store, ffmpeg=program))
    changed = tiny_plan(source, rung(**changes), chunk=200)
    assert fresh(list(encode(changed, store, ffmpeg=program))) == len(plan.chunks)


def test_threads_and_ffmpeg_version_are_part_of_the_key(source: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(source, chunk=200)
    list(encode(plan, store, ffmpeg=program, threads=1))
    assert fresh(list(encode(plan, store, ffmpeg=program, threads=2))) > 0
    other = FFmpeg(program.path, "another", program.encoders, program.filters, program.muxers)
    assert fresh(list(encode(plan, store, ffmpeg=other, threads=1))) > len(plan.chunks)


def test_an_altered_artifact_is_made_again(source: Path, store: Store, program: FFmpeg) -> None:
    plan = tiny_plan(source)  # with one thread, since x264 under a buffer limit does not write the same bytes twice with several
    first = chunks_of(list(encode(plan, store, ffmpeg=program, threads=1)))
    victim = first[1].video["90p"].path
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    results = list(encode(plan, store, ffmpeg=program, threads=1))
    assert fresh(results) == 1
    again = chunks_of(results)
    assert again[1].video["90p"].sha256 == first[1].video["90p"].sha256


KILLED = """
import sys; from pathlib import Path
from tests.encode_support import tiny_plan
from vidpipe.work.artifacts import Store; from vidpipe.encode.scheduler import encode; from vidpipe.media.ffmpeg import find
class Say:
    def emit(self, event):
        if event.event == "chunk_finished": print(event.chunk, flush=True)
list(encode(tiny_plan(Path(sys.argv[1]), chunk=24), Store(Path(sys.argv[2])), ffmpeg=find(), workers=1, reporter=Say()))
"""


def test_kill_9_loses_only_what_was_in_flight(source: Path, store: Store, program: FFmpeg, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", KILLED, str(source), str(store.root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent, start_new_session=True) as child:
        assert child.stdout is not None
        finished = [int(child.stdout.readline()) for _ in range(3)]
        child.kill()
    wait_for_ffmpeg_to_end(store.root)
    plan = tiny_plan(source, chunk=24)
    results = list(encode(plan, store, ffmpeg=program, workers=1))
    reused = [done.chunk.index for done in chunks_of(results) if done.video["90p"].reused]
    assert set(finished) <= set(reused)
    assert len(reused) < len(plan.chunks)
    assert barcodes(joined(chunks_of(results), "90p", tmp_path / "out.mp4")) == list(range(200))
    deadline = time.monotonic() + 10
    while any((folder / ".lock").exists() for folder in store.tmp.iterdir()):  # a dying child may hold a lock a moment longer
        assert time.monotonic() < deadline, "the folders of the killed run are swept"
        time.sleep(0.1)
        store.sweep()


def running(folder: Path) -> list[int]:
    """Return the processes that work below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder) and process.name != str(os.getpid()):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def wait_for_ffmpeg_to_end(folder: Path) -> None:
    end = time.monotonic() + 5
    while running(folder) and time.monotonic() < end:
        time.sleep(0.02)
    assert running(folder) == []


def long_plan(folder: Path) -> Plan:
    """Return a plan that takes longer than any test waits."""
    source = clip(folder / "long.mp4", "25", 200)
    return tiny_plan(source, rung("slow", 96, codec="hevc", preset="veryslow"), chunk=100)


def once_it_runs(folder: Path, act: Callable[[], None]) -> None:
    """Act from another thread as soon as an ffmpeg works below a folder. (A signal that hits Python while it collects garbage is lost.)"""

    def look() -> None:
        while not running(folder):
            time.sleep(0.02)
        time.sleep(0.2)
        act()

    threading.Thread(target=look, daemon=True).start()


def test_cancel_ends_everything(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    plan = long_plan(tmp_path)
    cancel = threading.Event()
    once_it_runs(store.root, cancel.set)
    with pytest.raises(Interrupted):
        list(encode(plan, store, ffmpeg=program, cancel=cancel))
    assert running(store.root) == []
    assert list(store.tmp.iterdir()) == []


def test_closing_the_iterator_ends_everything(source: Path, store: Store, program: FFmpeg) -> None:
    results = encode(tiny_plan(source, chunk=24), store, ffmpeg=program)
    next(results)
    results.close()
    assert running(store.root) == []
    assert list(store.tmp.iterdir()) == []


@pytest.fixture
def listens() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt. A shell's ``pytest &`` ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("listens")
def test_ctrl_c_ends_everything(tmp_path: Path, store: Store, program: FFmpeg) -> None:
    plan = long_plan(tmp_path)
    once_it_runs(store.root, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        list(encode(plan, store, ffmpeg=program))
    assert running(store.root) == []
    assert list(store.tmp.iterdir()) == []


def test_a_failing_chunk_stops_the_others_and_names_itself(source: Path, store: Store, program: FFmpeg, tmp_path: Path) -> None:
    plan = tiny_plan(source, chunk=48)
    gone = plan.source.model_copy(update={"location": str(tmp_path / "not there.mp4")})
    wrong = plan.model_copy(update={"asset": Asset(inputs=(gone,))})
    with pytest.raises(EncodeFailed, match="ffmpeg ended with exit code") as caught:
        list(encode(wrong, store, ffmpeg=program))
    assert "source.mp4" in str(caught.value)
    assert any("No such file or directory" in line for line in caught.value.details)
    assert list(store.tmp.iterdir()) == []


def test_processes_do_it_as_well_as_threads(source: Path, store: Store, program: FFmpeg, tmp_path: Path) -> None:
    plan = tiny_plan(source)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        chunks = chunks_of(list(encode(plan, store, ffmpeg=program, workers=2, executor=pool)))
    assert barcodes(joined(chunks, "90p", tmp_path / "out.mp4")) == list(range(200))


def test_two_runs_at_once_do_not_hurt_each_other(source: Path, store: Store, program: FFmpeg, tmp_path: Path) -> None:
    plan = tiny_plan(source, chunk=24)
    done: list[list[Encoded]] = []
    threads = [threading.Thread(target=lambda: done.append(list(encode(plan, store, ffmpeg=program)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    for number, results in enumerate(done):
        assert barcodes(joined(chunks_of(results), "90p", tmp_path / f"{number}.mp4")) == list(range(200))


def test_a_lacking_encoder_is_refused_before_any_work(source: Path, store: Store, program: FFmpeg) -> None:
    poor = FFmpeg(program.path, "poor", program.encoders - {"libx264"}, program.filters, program.muxers)
    with pytest.raises(UsageError, match="lacks encoder libx264"):
        list(encode(tiny_plan(source), store, ffmpeg=poor))
    assert not store.root.exists()
