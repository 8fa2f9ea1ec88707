"""Make everything that a plan asks for: look up what exists, run the rest in parallel, hand on each piece when it is done.

In:   a Plan, the Store, an ffmpeg; how many chunks in parallel; an Executor (threads of this machine unless given).
Out:  EncodedChunk, EncodedAudio and EncodedSubtitles as they finish, in any order; events to the Reporter.
Wrong: EncodeFailed (the first failing piece stops all others), Interrupted, UsageError if ffmpeg lacks an encoder; NotKept if nothing may
       be made and a piece is not there.

The scheduler starts nothing itself and keeps no state: a task is one function and picklable data of one shape (``job.py``), so that it runs
on a thread, in a process or on another machine. Tasks are handed out a few ahead of the workers, and what is finished is not kept.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from vidpipe.encode import artifact_keys as keys
from vidpipe.encode import audio, command, subtitles
from vidpipe.encode.job import Job
from vidpipe.encode.machine import cores_here, memory_here
from vidpipe.encode.output import video_file
from vidpipe.encode.parallelism import MOST_THREADS, Parallelism, chunks_in, parallelism
from vidpipe.encode.result import Encoded, EncodedAudio, EncodedChunk, EncodedSubtitles
from vidpipe.encode.tasks.audio import AudioJob
from vidpipe.encode.tasks.captions import CaptionJob
from vidpipe.encode.tasks.chunk import ChunkJob
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.subtitles import SubtitleJob
from vidpipe.encode.tasks.task import Made, Task, Watch
from vidpipe.encode.worker_pool import Places, Sharer, WorkerPool
from vidpipe.encoders import encoder_of
from vidpipe.errors import EncodeFailed, Interrupted, VidpipeError
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import Cancel
from vidpipe.plan import AudioEncode, AudioRendition, Chunk, Plan, SubtitleRendition
from vidpipe.progress import ChunkFinished, ChunkProgress, EncodePlanned, Reporter, Silent
from vidpipe.source.limits import SourceLimits
from vidpipe.work.artifacts import Artifact, Store

TICK = 0.2  # seconds between looks at the cancel signal
SIDES = 3  # tasks of a title that run beside its chunks: audio, text, captions
AHEAD = 2  # tasks handed out beyond those that run, so that no worker waits for the consumer of the results
AHEAD_ELSEWHERE = 2  # for each worker of a cluster: many end while one result is consumed, and workers join


class NotKept(Exception):
    """A piece is not in the store, and none is to be made. The text names it."""


def needs(plan: Plan) -> tuple[set[str], set[str], set[str]]:
    """Return the encoders, filters and muxers that ffmpeg must have for a plan."""
    encoders = {encoder_of(rendition.make.codec).name for rendition in plan.video} | {"mjpeg"}
    encoders |= {rendition.make.codec for rendition in plan.audio if isinstance(rendition.make, AudioEncode)}
    filters = {*command.FILTERS, *(audio.FILTERS if plan.audio else ())}
    text = {"webvtt"} if any(not rendition.channel for rendition in plan.subtitles) else set()  # ffmpeg makes no closed captions
    return encoders | text, filters, {"mp4", "mjpeg", "null"} | text


def encode(
    plan: Plan,
    store: Store,
    *,
    ffmpeg: FFmpeg,
    workers: int | None = None,
    threads: int | Sequence[int] | None = None,
    executor: Executor | None = None,
    pool: WorkerPool | None = None,
    quality: command.QualityChains | None = None,
    limits: SourceLimits | None = None,
    reporter: Reporter | None = None,
    cancel: Cancel | None = None,
    reuse_only: bool = False,
) -> Generator[Encoded, None, None]:
    """Encode what is missing of a plan and yield everything, reused or new, as soon as it is there.

    workers, threads: None chooses from the cores (for an executor of others' making: one thread, and as many tasks as it takes).
    threads: of all chunks; or of each, where they are to come out as they once did.
    pool: shared with other titles, which keep all of it busy, so that one thread is enough for a chunk here too.
    limits: of the children that read the source.
    reuse_only: make nothing; take a chunk whatever number of threads it was encoded with. Raises NotKept for the first that is not there.
    Close the generator, set ``cancel`` or raise to stop: every ffmpeg ends, and no working folder is left.
    """
    encoders, filters, muxers = needs(plan)
    ffmpeg.require(encoders=encoders, filters=filters, muxers=muxers)
    fitting = chunks_in(memory_here(), plan)
    if executor is None:
        cores, threads = (pool.size, threads or 1) if pool else (cores_here(), threads)
        chosen = parallelism(len(plan.chunks), cores=cores, fitting=fitting, workers=workers, threads=threads)
    else:  # of other machines with other memory: whoever gave it knows how many tasks it takes
        chosen = parallelism(len(plan.chunks), cores=cores_here(), fitting=len(plan.chunks), workers=workers, threads=threads or 1)
    reporter = reporter or Silent()
    frames = sum(chunk.frames for chunk in plan.chunks)
    reporter.emit(EncodePlanned(chunks=len(plan.chunks), frames=frames, frame_rate=float(plan.grid.frame_rate)))
    store.sweep()
    stop = threading.Event()
    with contextlib.ExitStack() as cleanup:
        alive = cleanup.enter_context(store.temporary())  # its absence signals tasks on other machines to stop
        share = Fraction(1, max(1, fitting))
        chunks = executor or _pool(chosen.workers, cleanup, stop, pool.chunks if pool else None, share)
        # Audio and text take one core for a while. On this machine they run beside the chunks, so that none waits for a place.
        beside = executor or _pool(1, cleanup, stop, pool.beside if pool else None)
        cleanup.callback(stop.set)  # before the pools are waited for
        counts = {*chosen.threads, *(range(1, MOST_THREADS + 1) if reuse_only else ())} or {1}
        by_threads = {count: keys.Keys(plan, threads=count, version=ffmpeg.version, quality=quality) for count in counts}
        limits = limits or SourceLimits()
        run = _Run(plan, by_threads, store, ffmpeg, chosen, quality, limits, reporter, stop, alive, chunks, beside, reuse_only)
        cleanup.callback(run.drop_pending)
        yield from run.results(cancel, chosen.workers * (1 + AHEAD_ELSEWHERE) if executor else chosen.workers + AHEAD + SIDES)


@dataclass
class _Run:
    """One call of ``encode``. keys: by the threads of a chunk.  chunks: runs them.  beside: runs audio and text.

    pending: future -> what to do with what it made.  ended: those of them that have ended. They come here by themselves: asking thousands
    which of them have ended takes milliseconds each time.
    """

    plan: Plan
    keys: dict[int, keys.Keys]
    store: Store
    ffmpeg: FFmpeg
    parallelism: Parallelism
    quality: command.QualityChains | None
    limits: SourceLimits
    reporter: Reporter
    stop: threading.Event
    alive: Path
    chunks: Executor
    beside: Executor
    reuse_only: bool
    pending: dict[Future[Made], Callable[[Made], list[Encoded]]] = field(default_factory=dict)
    ended: SimpleQueue[Future[Made]] = field(default_factory=lambda: SimpleQueue())

    def results(self, cancel: Cancel | None, most: int) -> Iterator[Encoded]:
        """Yield results; hand out tasks while a worker is free."""
        work = self._work()
        more = True
        while more or self.pending:
            if cancel is not None and cancel.is_set():
                raise Interrupted("stopped on request; finished chunks are kept")
            while more and len(self.pending) < most:
                try:
                    yield from next(work)
                except StopIteration:
                    more = False
                if cancel is not None and cancel.is_set():
                    break
            # One at a time: whoever takes a result may be busy with it for a while, and then tasks are handed out again.
            with contextlib.suppress(Empty):
                if self.pending:
                    future = self.ended.get(timeout=TICK)
                    yield from self.pending.pop(future)(_made(future))

    def _work(self) -> Iterator[list[Encoded]]:
        """Look at one piece after another: hand out a task for it, or give it as a result if it is all there."""
        for input_ in range(len(self.plan.asset.inputs)):
            if tracks := tuple(rendition for rendition in self.plan.audio if rendition.stream.input == input_):
                yield self._audio(tracks)
            text = [rendition for rendition in self.plan.subtitles if rendition.stream.input == input_]
            captions = tuple(rendition for rendition in text if rendition.channel)
            subtitles = tuple(rendition for rendition in text if not rendition.channel)
            yield from (self._text(kind) for kind in (subtitles, captions) if kind)
        for chunk in self.plan.chunks:
            yield self._chunk(chunk)

    def _chunk(self, chunk: Chunk) -> list[Encoded]:
        threads = self.parallelism.threads[chunk.index]
        wanted = self.keys[threads].chunk(chunk)
        have = self._have(wanted)
        if self.reuse_only:
            for others in self.keys.values():
                have = self._have({name: key for name, key in others.chunk(chunk).items() if name not in have}) | have
        missing = {name: key for name, key in wanted.items() if name not in have}
        finish = partial(self._chunk_done, chunk, threads, have)
        if not missing:
            return finish(Made(files={}))
        wish = command.chunk_command(
            self.plan,
            chunk,
            threads=threads,
            renditions=tuple(rendition for rendition in self.plan.video if video_file(rendition) in missing),
            pictures=command.PICTURES in missing,
            posters=tuple(frame for frame in keys.posters_in(self.plan, chunk) if command.poster_file(frame) in missing),
            quality=self.quality if self.quality and self.quality.picture_file in missing else None,
        )
        job = ChunkJob.of(wish, self.plan, missing)
        self._submit(self.chunks, job, finish, lambda frames: self.reporter.emit(ChunkProgress(chunk=chunk.index, frames=frames)))
        return []

    def _audio(self, renditions: tuple[AudioRendition, ...]) -> list[Encoded]:
        """Hand out one task for what is missing of an input's audio."""
        any_keys = next(iter(self.keys.values()))  # threads are the picture's
        wanted = {rendition.id: any_keys.audio(number, rendition) for number, rendition in enumerate(renditions)}
        have = {id_: self._have(names) for id_, names in wanted.items()}
        missing = tuple(rendition for rendition in renditions if len(have[rendition.id]) < len(wanted[rendition.id]))
        results: list[Encoded] = [
            self._track(number, rendition, have[rendition.id])
            for number, rendition in enumerate(renditions)
            if rendition not in missing
        ]
        if missing:
            names = {name: key for number, rendition in enumerate(missing) for name, key in any_keys.audio(number, rendition).items()}
            wish = audio.audio_command(self.plan, missing, self.quality)
            job = AudioJob.of(wish, self.plan, names, input_=missing[0].stream.input)
            self._submit(self.beside, job, partial(self._audio_done, missing))
        return results

    def _text(self, renditions: tuple[SubtitleRendition, ...]) -> list[Encoded]:
        """Hand out one task for what is missing of an input's subtitles, or of its closed captions."""
        input_ = renditions[0].stream.input
        any_keys = next(iter(self.keys.values()))
        wanted = {name: key for rendition in renditions for name, key in any_keys.subtitles(rendition).items()}
        have = self._have(wanted)
        missing = tuple(r for r in renditions if subtitles.subtitle_file(r.stream.stream, r.channel) not in have)
        there = tuple(rendition for rendition in renditions if rendition not in missing)
        names = {name: key for name, key in wanted.items() if name not in have}
        finish = partial(_text_done, missing)
        if channels := tuple((rendition.stream.stream, rendition.channel) for rendition in missing if rendition.channel):
            wish = subtitles.caption_request(self.plan, channels, input_)
            self._submit(self.beside, CaptionJob.of(wish, self.plan, names, input_=input_, reading=self.limits), finish)
        elif missing:
            streams = tuple(rendition.stream.stream for rendition in missing)
            text = subtitles.subtitle_command(self.plan, streams, input_)
            self._submit(self.beside, SubtitleJob.of(text, self.plan, names, input_=input_), finish)
        return _text_done(there, Made(files=have))

    def _submit(
        self,
        executor: Executor,
        job: Job,
        finish: Callable[[Made], list[Encoded]],
        progress: Callable[[int], None] = lambda frames: None,
    ) -> None:
        if self.reuse_only:
            raise NotKept(job.where)
        task = Task(job=job, ffmpeg=self.ffmpeg.path, store=self.store.root, alive=self.alive)
        if isinstance(executor, ThreadPoolExecutor):
            future = executor.submit(run_task, task, Watch(cancel=self.stop, progress=progress))
        else:  # neither an event nor a reporter travels; the task watches the folder ``alive``
            future = executor.submit(run_task, task)
        self.pending[future] = finish
        future.add_done_callback(self.ended.put)

    def _have(self, wanted: dict[str, str]) -> dict[str, Artifact]:
        found = {name: self.store.lookup(key) for name, key in wanted.items()}
        return {name: artifact for name, artifact in found.items() if artifact}

    def _chunk_done(self, chunk: Chunk, threads: int, have: dict[str, Artifact], made: Made) -> list[Encoded]:
        files = {**have, **made.files}
        self.reporter.emit(ChunkFinished(chunk=chunk.index, frames=chunk.frames, reused=all(a.reused for a in made.files.values())))
        return [
            EncodedChunk(
                chunk=chunk,
                threads=threads,
                video={rendition.id: files[video_file(rendition)] for rendition in self.plan.video},
                pictures=files.get(command.PICTURES),
                posters={frame: files[command.poster_file(frame)] for frame in keys.posters_in(self.plan, chunk)},
                quality=files[self.quality.picture_file] if self.quality else None,
            )
        ]

    def _audio_done(self, renditions: tuple[AudioRendition, ...], made: Made) -> list[Encoded]:
        return [self._track(number, rendition, made.files) for number, rendition in enumerate(renditions)]

    def _track(self, number: int, rendition: AudioRendition, files: dict[str, Artifact]) -> EncodedAudio:
        return EncodedAudio(
            rendition=rendition,
            artifact=files[audio.audio_file(number)],
            quality=files[audio.measured_file(number, self.quality)] if self.quality else None,
        )

    def drop_pending(self) -> None:
        """Take back what has not begun."""
        for future in self.pending:
            future.cancel()


def _pool(
    workers: int, cleanup: contextlib.ExitStack, stop: threading.Event, places: Places | None, share: Fraction = Fraction(0)
) -> ThreadPoolExecutor:
    """Start the threads of this title. places: shared with others.  share: of the memory, that one task needs."""
    pool = Sharer(places, workers, stop, share=share) if places else ThreadPoolExecutor(workers, thread_name_prefix="encode")
    cleanup.callback(pool.shutdown, wait=True, cancel_futures=True)
    return pool


def _text_done(renditions: tuple[SubtitleRendition, ...], made: Made) -> list[Encoded]:
    names = {rendition: subtitles.subtitle_file(rendition.stream.stream, rendition.channel) for rendition in renditions}
    return [
        EncodedSubtitles(rendition=rendition, artifact=made.files.get(name), problem=made.problems.get(name))
        for rendition, name in names.items()
    ]


def _made(future: Future[Made]) -> Made:
    try:
        return future.result()
    except VidpipeError:
        raise
    except (BrokenExecutor, CancelledError) as error:
        raise EncodeFailed(
            f"the worker of a chunk is gone: {error or 'it ended without a word'}",
            fix="run the same command again: finished chunks are kept",
        ) from error
