"""Decode all of a source to nothing, through the filters that measure it: as one run, or in ranges in parallel.

In:   a Source, a QualityPolicy, an ffmpeg; how many decodes may run at once.
Out:  Measured: what the filters measured.
Wrong: SourceRefused if the decode crashes, hangs or balloons; UsageError if ffmpeg is too old; Interrupted on cancel.

Ranges (``ranges.py``) are only a faster way to the same measurements. Whatever is unusual about one of them (it did not begin where it
should, a decoder complained, pictures are missing) ends them all, and one run decides. Audio is not cut: its filters remember.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from vidpipe.errors import Interrupted, SourceRefused
from vidpipe.media.process import AnyOf, Cancel, Completed, run
from vidpipe.source.audio_changes import check_understood
from vidpipe.source.decode_commands import audible, audio_argv, decode_argv, measured_file, picture_argv
from vidpipe.source.facts import Source
from vidpipe.source.findings import missing_pictures
from vidpipe.source.limits import SourceLimits, raising
from vidpipe.source.locate import REMARKS, began_anew, has_errors, locate_changes
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality import PICTURE_FILE, Measurements, read_measurements
from vidpipe.source.ranges import BadRange, PictureRange, picture_ranges, read_range, whole
from vidpipe.source.text import one_line

FILTERS = ("idet", "blackdetect", "freezedetect", "metadata", "ebur128", "silencedetect", "astats", "ametadata")
PRINTED_A_PICTURE = 700  # bytes that the filters print for it, and for each tenth of a second of audio
OUT_OF_TIME = (-24, 152)  # SIGXCPU
KILLED = (-9, 137, -15, 143)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Measured:
    """What a decode showed.

    - source: with the audio changes that only decoding showed.
    - picture, audio: measurements; those of audio by the index of the stream.
    - damaged: the decoder complained, and did not say where.
    """

    source: Source
    picture: Measurements
    audio: dict[int, Measurements]
    damaged: bool


def decode(
    source: Source,
    policy: QualityPolicy,
    program: str,
    *,
    limits: SourceLimits,
    cancel: Cancel | None = None,
    workers: int = 1,
    on_frames: Callable[[int], object] | None = None,
) -> Measured:
    """Decode everything. workers: decodes at once.  on_frames: called from any thread with the pictures that are done."""
    ranges = picture_ranges(source.video, workers)
    with tempfile.TemporaryDirectory(prefix="vidpipe-validate-") as folder:
        this = _Decode(source, policy, program, Path(folder), limits, cancel, on_frames or (lambda frames: None))
        found = this.in_parallel(ranges, workers) if len(ranges) > 1 else None
        return found or this.as_one()


@dataclass
class _Decode:
    source: Source
    policy: QualityPolicy
    program: str
    folder: Path
    limits: SourceLimits
    cancel: Cancel | None
    on_frames: Callable[[int], object]
    _done: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def as_one(self) -> Measured:
        """Decode in one run."""
        frames = self.source.video.frames
        self._done.clear()  # what ranges had

        def decoded(source: Source, unified: frozenset[int]) -> Completed:
            argv = decode_argv(source, self.policy, self.program, unified)
            done = self._run(argv, frames, float(source.duration), self.cancel, partial(self._progress, 0, frames))
            _check(done, source)
            return done

        done, source = self._heard(decoded)
        damaged = done.returncode != 0 or has_errors(_remarks(done))
        return Measured(source, _read(self.folder / PICTURE_FILE), self._audio(), damaged)

    def in_parallel(self, ranges: Sequence[PictureRange], workers: int) -> Measured | None:
        """Decode ranges of the picture, and the audio beside them. Return None if one run has to decide."""
        stop = threading.Event()
        cancel = AnyOf((stop, self.cancel)) if self.cancel else stop
        threads = max(1, workers // len(ranges))
        video = [partial(self._range, number, range_, threads, cancel) for number, range_ in enumerate(ranges)]
        audio = [partial(self._only_audio, cancel)] if audible(self.source) else []
        with ThreadPoolExecutor(workers, thread_name_prefix="validate") as pool:
            # Audio first: it takes long, of one core.
            heard = [pool.submit(_unless_stopped, job, stop) for job in audio]
            seen = [pool.submit(_unless_stopped, job, stop) for job in video]
            try:
                everything: list[Future[Source | None] | Future[Measurements | None]] = [*heard, *seen]
                for future in as_completed(everything):
                    if future.result() is None:
                        stop.set()
            except BaseException:
                stop.set()
                raise
        sources, parts = [future.result() for future in heard], [future.result() for future in seen]
        if stop.is_set():
            if self.cancel is not None and self.cancel.is_set():
                raise Interrupted("stopped on request")
            return None
        picture = whole([part for part in parts if part])
        if missing_pictures(self.source, picture.pictures, self.policy):
            return None
        source = next((source for source in sources if source), self.source)
        return Measured(source, picture, self._audio(), damaged=False)

    def _range(self, number: int, range_: PictureRange, threads: int, cancel: Cancel) -> Measurements | None:
        file = f"picture-{number}.txt"
        argv = picture_argv(self.source, self.policy, self.program, range_, threads, file)
        progress = partial(self._progress, number, range_.frames)
        done = self._run(argv, range_.frames, float(range_.seconds(self.source.video)), cancel, progress)
        if done.returncode != 0 or has_errors(_remarks(done)):
            return None
        try:
            with (self.folder / file).open(encoding="utf-8", errors="replace") as lines:
                return read_range(lines, range_, self.source.video)
        except (BadRange, FileNotFoundError):
            return None

    def _only_audio(self, cancel: Cancel) -> Source | None:
        def decoded(source: Source, unified: frozenset[int]) -> Completed:
            return self._run(audio_argv(source, self.policy, self.program, unified), 0, float(source.duration), cancel)

        done, source = self._heard(decoded)
        return None if done.returncode != 0 or has_errors(_remarks(done)) else source

    def _heard(self, decoded: Callable[[Source, frozenset[int]], Completed]) -> tuple[Completed, Source]:
        """Decode with audio. Where it changes and its packets did not say so, what was printed is lost, and it is decoded once more."""
        source = self.source
        unified = frozenset(audio.index for audio in source.audio if audio.changes)
        done = decoded(source, unified)
        if began_anew(_remarks(done), len(unified)):
            source = source.model_copy(update={"audio": locate_changes(source, limits=self.limits, cancel=self.cancel)})
            done = decoded(source, frozenset(audio.index for audio in source.audio))
        return done, source

    def _run(
        self, argv: Sequence[str], frames: int, seconds: float, cancel: Cancel | None, on_line: Callable[[str], object] | None = None
    ) -> Completed:
        spent = self.limits.decoding(seconds, PRINTED_A_PICTURE * (frames + 10 * int(seconds)))
        done = run(argv, limits=spent, cwd=self.folder, cancel=cancel, on_line=on_line, note=REMARKS)
        check_understood(done.stderr_tail, argv[0])
        if done.timed_out or done.returncode in OUT_OF_TIME:
            raise SourceRefused(
                f"decoding it took more than {done.seconds:.0f} s and was stopped",
                where=self.source.name,
                fix=raising("decode_seconds_per_second"),
                id="limit-exceeded",
            )
        return done

    def _progress(self, number: int, most: int, line: str) -> None:
        """Take a line of ffmpeg's progress. most: pictures of this range; it decodes some of the next one too."""
        name, _, value = line.partition("=")
        if name == "frame" and value.strip().isdigit():
            with self._lock:
                self._done[number] = min(int(value), most)
                self.on_frames(sum(self._done.values()))

    def _audio(self) -> dict[int, Measurements]:
        return {audio.index: _read(self.folder / measured_file(audio.index)) for audio in audible(self.source)}


def _remarks(done: Completed) -> str:
    return "\n".join(done.noted)


def _unless_stopped(job: Callable[[], _T | None], stop: Cancel) -> _T | None:
    """Do a job, unless another one has found that none of them matters."""
    if stop.is_set():
        return None
    try:
        return job()
    except Interrupted:
        if stop.is_set():
            return None
        raise


def _check(done: Completed, source: Source) -> None:
    """Raise SourceRefused if ffmpeg did not end by itself, or refused the source."""
    if done.returncode in KILLED:
        raise SourceRefused(
            "ffmpeg was killed while decoding it: perhaps the machine ran out of memory",
            where=source.name,
            fix="run the same command again, with more free memory",
            id="reader-killed",
        )
    if done.returncode < 0 or done.returncode > 128:  # AVERROR codes are negative; of them a byte is left
        crashed = "it crashes the decoder"
        raise SourceRefused(
            crashed if done.returncode < 0 else "ffmpeg cannot decode it",
            where=source.name,
            fix="copy it again from the original and compare the sizes; if they are the same, export it again",
            details=[f"ffmpeg: {one_line(word)}" for word in done.stderr_tail.splitlines()[-1:]],
            debug=[f"ffmpeg: {one_line(word)}" for word in done.stderr_tail.splitlines()],
            id="undecodable-source",
        )


def _read(path: Path) -> Measurements:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return read_measurements(lines)
    except FileNotFoundError:  # not a single frame came through
        return Measurements()
