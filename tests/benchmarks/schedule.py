"""How busy a title of two hours keeps a cluster: ``python -m tests.benchmarks.schedule``. Nothing is encoded, and no worker is needed.

What decides is real: ``vidpipe.encode.scheduler.encode`` with its plan, order of tasks, keys, look-ups and window, and ``SecondCopies``.
What it waits for is virtual: a discrete-event simulation of Dask's queue (first come, first served; a lost task goes first), of workers,
some of which are slow, die or join late, and of the coordinator, which does one thing at a time. How long things take is drawn from times
that were measured (``MEASURED``); a seed decides all of it.

Efficiency: the seconds of work that the title needs, each counted once, over the seconds that all workers together were there, each at its
speed. What is lost with a worker, done twice, decoded to get to a chunk's start, or spent on starting programs and on waiting is waste.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from queue import Empty
from typing import Any
from unittest.mock import patch

from vidpipe.encode import scheduler
from vidpipe.encode.cluster.second_copies import SecondCopies
from vidpipe.encode.quality_gate import chains
from vidpipe.encode.result import EncodedChunk
from vidpipe.encode.tasks.audio import AudioJob
from vidpipe.encode.tasks.chunk import ChunkJob
from vidpipe.encode.tasks.task import Made, Task
from vidpipe.ladder import load
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan, plan
from vidpipe.source.facts import AudioStream, Source, VideoStream
from vidpipe.source.policy import load_policy
from vidpipe.work.artifacts import Artifact, Store

HOURS = 2


@dataclass(frozen=True)
class Costs:
    """Measured CPU seconds (docs/cluster.md says of what). A second of a worker is one of its core.

    - rung: codec -> of a megapixel of a rung, at content of the middle.
    - decoding: of a megapixel of the source, with the first conversion.
    - before: seconds of the source that are decoded before a chunk's first frame.
    - fixed: of a task, whatever it makes: a program starts, opens its encoders and ends.
    - riders: of a second of the title: pictures and measurements.
    - spread: of the logarithm of what content costs.  like: how much of it one second shares with the next.
    - audio: of a second of the title.
    - dispatch: of the coordinator, for each task: keys, look-ups, command, pickle.
    - segment, megabyte: of the coordinator: a segment is cut, written, encrypted, hashed and handed over.
    - serial: of the coordinator, before and after the encode: probe, look at the workers, playlists, catalog.
    - proof: reading back, as a share of what segments cost (it runs on a few threads).
    """

    rung: dict[str, float]
    decoding: float
    before: float
    fixed: float
    riders: float
    spread: float
    like: float
    audio: float
    dispatch: float
    segment: float
    megabyte: float
    serial: float
    proof: float


MEASURED = Costs(
    rung={"h264": 0.05, "hevc": 0.07},
    decoding=0.0015,
    before=1,
    fixed=0.4,
    riders=0.06,
    spread=0.4,
    like=0.97,
    audio=0.06,
    dispatch=0.002,
    segment=0.003,
    megabyte=0.009,
    serial=5,
    proof=0.5,
)


@dataclass(frozen=True)
class Trouble:
    """What a cluster suffers. slow: share of the workers that are slower, by slowness.  deaths: share that dies while the title is made.

    late: share that joins after the first task, in the first third of the encode.  notice: seconds until a death is seen.
    """

    slow: float = 0.05
    slowness: tuple[float, float] = (2.0, 3.0)
    deaths: float = 0.02
    late: float = 0.1
    notice: float = 1.0


CALM = Trouble(slow=0, deaths=0, late=0)


@dataclass(frozen=True)
class Outcome:
    """What a schedule came to.

    - chunk_seconds: until the last chunk.  seconds: until the last task, which may be the audio.
    - total: until all that the coordinator does is done, too.
    - chunks, encode, ingest: efficiency until then.
    - tasks: done.  lost: begun, and lost with a worker.
    """

    chunk_seconds: float
    seconds: float
    total: float
    chunks: float
    encode: float
    ingest: float
    tasks: int
    lost: int


@dataclass
class _Worker:
    number: int
    speed: float
    joins: float
    dies: float = math.inf
    running: _Running | None = None


@dataclass(eq=False)
class _Running:
    task: Task
    future: Future[Made]
    work: float


@dataclass
class Cluster(Executor):
    """An executor whose workers are virtual, and the clock that they share with the coordinator."""

    workers: list[_Worker]
    work_of: Callable[[Task], float]
    dispatch: float
    notice: float
    now: float = 0.0
    lost: int = 0
    done: int = 0
    last: dict[str, float] = field(default_factory=lambda: {"chunks": 0.0, "audio": 0.0})  # when the last of each ended
    ended: deque[Future[Made]] = field(default_factory=deque)
    _queue: deque[_Running] = field(default_factory=deque)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _idle: deque[_Worker] = field(default_factory=deque)

    def __post_init__(self) -> None:
        for worker in self.workers:
            self._at(worker.joins, lambda worker=worker: self._joined(worker))
            if worker.dies < math.inf:
                self._at(worker.dies, lambda worker=worker: self._died(worker))

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """See Executor.submit: costs the coordinator a moment, and puts the task at the end of Dask's queue."""
        (task,) = arguments
        self.spend(self.dispatch)
        future: Future[Made] = Future()
        self._queue.append(_Running(task, future, self.work_of(task)))
        self._assign()
        return future

    def spend(self, seconds: float) -> None:
        """Let the coordinator work for so long; the workers go on meanwhile."""
        self._until(self.now + seconds)

    def get(self, timeout: float) -> Future[Made]:
        """The scheduler waits: go on until a task has ended."""
        del timeout
        while not self.ended:
            if not self._events:
                raise Empty
            self._until(self._events[0][0])
        return self.ended.popleft()

    def put(self, future: Future[Made]) -> None:
        """Take a future that has ended."""
        self.ended.append(future)

    def _until(self, time: float) -> None:
        while self._events and self._events[0][0] <= time:
            self.now, _, happens = heapq.heappop(self._events)
            happens()
        self.now = time

    def _at(self, time: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._count), happens))

    def _assign(self) -> None:
        while self._queue and self._idle:
            running = self._queue.popleft()
            if running.future.cancelled():
                continue
            worker = self._idle.popleft()
            worker.running = running
            self._at(self.now + running.work / worker.speed, lambda worker=worker, running=running: self._finished(worker, running))

    def _finished(self, worker: _Worker, running: _Running) -> None:
        if worker.running is not running:
            return  # it died before
        worker.running = None
        self._idle.append(worker)
        if not running.future.cancelled():  # a worker goes on with what nobody waits for any more
            self.done += 1
            self.last["audio" if isinstance(running.task.job, AudioJob) else "chunks"] = self.now
            files = {name: _artifact(key) for name, key in running.task.job.outputs.items()}
            running.future.set_result(Made(files=files))
        self._assign()

    def _joined(self, worker: _Worker) -> None:
        self._idle.append(worker)
        self._assign()

    def _died(self, worker: _Worker) -> None:
        running, worker.running = worker.running, None
        if worker in self._idle:
            self._idle.remove(worker)
        if running and not running.future.cancelled():
            self.lost += 1
            self._at(self.now + self.notice, lambda: self._again(running))

    def _again(self, running: _Running) -> None:
        """Dask gives it to another worker, before what was never begun."""
        self._queue.appendleft(running)
        self._assign()


def _artifact(key: str) -> Artifact:
    return Artifact.model_construct(key=key, path=Path(key), size=1, sha256=key, samples=0, reused=False)


def title(hours: float, height: int, chunk_seconds: float, segment_seconds: float) -> Plan:
    """Return the plan of a title of 24 fps that nobody has to have."""
    length = Fraction(int(hours * 3600))
    video = VideoStream(
        index=0, codec="h264", pixel_format="yuv420p", bit_depth=8, width=height * 16 // 9, height=height, frame_rate=Fraction(24),
        time_base=Fraction(1, 90000), start_pts=0, start=Fraction(0), duration=length, frames=int(length * 24),
    )  # fmt: skip
    audio = AudioStream(
        index=1, codec="aac", sample_rate=48000, channels=2, layout="stereo", start=Fraction(0), duration=length, packets=1
    )
    source = Source(
        location="/title.mp4", name="title.mp4", size=1, mtime_ns=1, sha256="0" * 64, container="mov", demuxer="mov", duration=length,
        video=video, audio=(audio,),
    )  # fmt: skip
    return plan(
        source,
        load("streaming"),
        gop_seconds=Fraction(min(2, segment_seconds)),
        segment_seconds=Fraction(segment_seconds),
        chunk_seconds=Fraction(chunk_seconds),
    )


class _Content:
    """What each second of a title costs, relative to the middle: scenes differ, and seconds of one scene less so."""

    def __init__(self, seconds: int, costs: Costs, chance: random.Random) -> None:
        level, self._until = chance.gauss(0, costs.spread), [0.0]
        own = math.sqrt(1 - costs.like**2) * costs.spread
        for _ in range(seconds + 60):
            self._until.append(self._until[-1] + math.exp(level))
            level = costs.like * level + chance.gauss(0, own)

    def between(self, start: float, end: float) -> float:
        """Return what the seconds from start to end cost."""
        return self._at(end) - self._at(start)

    def _at(self, time: float) -> float:
        whole = int(time)
        return self._until[whole] + (time - whole) * (self._until[whole + 1] - self._until[whole])


def simulate(
    workers: int,
    *,
    chunk_seconds: float,
    segment_seconds: float = 6,
    height: int = 1080,
    hours: float = HOURS,
    trouble: Trouble = Trouble(),
    costs: Costs = MEASURED,
    copies: bool = True,
    seed: int = 1,
) -> Outcome:
    """Make a title on so many workers and return how that went. height: of its picture.  copies: of what runs while others are idle."""
    chance = random.Random(seed)
    made = title(hours, height, chunk_seconds, segment_seconds)
    work = _Work(made, costs, _Content(int(hours * 3600), costs, chance))
    whole = sum(work.useful.values()) / workers
    there = [_worker(number, trouble, whole, chance) for number in range(workers)]
    cluster = Cluster(there, work.of, costs.dispatch, trouble.notice)
    able = FFmpeg("/ffmpeg", "1", *(frozenset(names) for names in scheduler.needs(made)))
    slots = sum(worker.joins == 0 for worker in there)  # those that are there when the coordinator looks
    executor = SecondCopies(cluster, slots) if copies else cluster
    megabytes = float(made.grid.segment_duration) * sum(rung.make.bitrate for rung in made.video) / 8e6  # of one segment of all rungs
    cutting = costs.segment * len(made.video) + costs.megabyte * megabytes
    with tempfile.TemporaryDirectory() as folder, patch.object(scheduler, "SimpleQueue", lambda: cluster):
        results = scheduler.encode(
            made, Store(Path(folder)), ffmpeg=able, workers=slots, executor=executor, quality=chains(load_policy())
        )
        with closing(results):
            for result in results:
                if isinstance(result, EncodedChunk):
                    cluster.spend(cutting * len(made.grid.segments_of(result.chunk)))
                else:
                    cluster.spend(costs.segment * made.grid.segments)
    after = costs.serial + costs.proof * (cutting + costs.segment) * made.grid.segments
    chunks, audio = work.useful["chunks"], work.useful["audio"]
    return Outcome(
        chunk_seconds=cluster.last["chunks"],
        seconds=max(cluster.last.values()),
        total=cluster.now + after,
        chunks=chunks / _capacity(there, cluster.last["chunks"]),
        encode=(chunks + audio) / _capacity(there, max(cluster.last.values())),
        ingest=(chunks + audio) / _capacity(there, cluster.now + after),
        tasks=cluster.done,
        lost=cluster.lost,
    )


class _Work:
    """How long each task takes a worker of speed 1. useful: seconds of all that is needed, each once."""

    def __init__(self, made: Plan, costs: Costs, content: _Content) -> None:
        self._grid, self._costs, self._content = made.grid, costs, content
        self._rungs = {
            rung.id: costs.rung[rung.make.codec] * rung.width * rung.height * float(made.grid.frame_rate / rung.frame_step) / 1e6
            for rung in made.video
        }
        self._source = made.source.video.width * made.source.video.height * float(made.grid.frame_rate) / 1e6
        length = float(made.grid.duration)
        riders = (costs.decoding * self._source + costs.riders) * length  # one decode is needed, and no more
        self.useful = {
            "chunks": sum(self._rungs.values()) * content.between(0, length) + riders,
            "audio": costs.audio * length,
        }

    def of(self, task: Task) -> float:
        """Return the seconds that a task takes."""
        job, costs = task.job, self._costs
        if isinstance(job, AudioJob):
            return costs.fixed + costs.audio * float(job.duration)
        assert isinstance(job, ChunkJob)
        start, end = (float(self._grid.time(frame)) for frame in (job.chunk.start, job.chunk.start + job.chunk.frames))
        rungs = sum(self._rungs[rung.id] for rung in job.renditions) * self._content.between(start, end)
        before = costs.before if start else 0  # of the source's GOP: decoded, and thrown away
        riders = costs.riders * (end - start) if job.quality else 0
        return costs.fixed + rungs + riders + costs.decoding * self._source * (end - start + before)


def _worker(number: int, trouble: Trouble, whole: float, chance: random.Random) -> _Worker:
    """Draw a worker. whole: seconds that the encode takes, about."""
    slow, dies, late = (chance.random() for _ in range(3))
    slowness, when, joins = chance.uniform(*trouble.slowness), chance.uniform(0, whole), chance.uniform(0, whole / 3)
    return _Worker(
        number=number,
        speed=1 / slowness if slow < trouble.slow else 1.0,
        joins=joins if number and late < trouble.late else 0.0,  # the first is there, and stays
        dies=max(when, joins) if number and dies < trouble.deaths else math.inf,
    )


def _capacity(workers: list[_Worker], end: float) -> float:
    return sum(worker.speed * max(0.0, min(end, worker.dies) - worker.joins) for worker in workers)


def main() -> None:
    """Simulate and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument("--heights", type=int, nargs="+", default=[1080, 2160])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 10, 100, 1000])
    parser.add_argument("--chunks", type=float, nargs="+", default=[30, 12, 6, 2], help="seconds; segments of at most 6")
    parser.add_argument("--calm", action="store_true", help="no worker is slow, dies or is late")
    parser.add_argument("--no-copies", action="store_true", help="wait for slow workers at the end")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for height in options.heights:
        print(f"\n{height}p: efficiency of the chunks / with the audio / with all that the coordinator does; minutes in all\n")
        print("| chunks of |", *(f"{count} |" for count in options.workers))
        print("|---|", *("---|" for _ in options.workers), sep="")
        for length in options.chunks:
            cells = []
            for count in options.workers:
                done = simulate(
                    count,
                    chunk_seconds=length,
                    segment_seconds=min(6, length),
                    height=height,
                    hours=options.hours,
                    trouble=CALM if options.calm else Trouble(),
                    copies=not options.no_copies,
                    seed=options.seed,
                )
                cells.append(f"{done.chunks:.2f} / {done.encode:.2f} / {done.ingest:.2f}; {done.total / 60:.0f} |")
            print(f"| {length:g} s |", *cells, flush=True)


if __name__ == "__main__":
    main()
