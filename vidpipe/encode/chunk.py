"""Run one task (a chunk of the picture, the sound, the subtitles) to the end: run ffmpeg, compare with the plan, store; again if it fails.

In:   a ChunkTask, AudioTask or SubtitleTask: job, program, store, and the key of every file that is expected. All can be pickled.
Out:  Made: file name -> Artifact.
Wrong: EncodeFailed that names the chunk, its time range in the source, the command to paste and ffmpeg's last lines; SourceRefused
       with the same if the source gives fewer frames than its packets promise, cannot be decoded, or its decoder hangs; UsageError if
       ffmpeg is too old for sound that changes on the way; Interrupted.

ffmpeg's exit code is not trusted: of a source cut in half it makes half a chunk and says 0. Whatever it wrote is counted.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidpipe.data import Data
from vidpipe.encode.artifacts import Store, disk_full, writing
from vidpipe.encode.audio import AudioJob, audio_arguments, audio_file, sound_file
from vidpipe.encode.check import ChangingSound, SourceFault, check_audio, check_pictures, check_text, check_video
from vidpipe.encode.command import PICTURES, ChunkJob, chunk_arguments, poster_file, video_file
from vidpipe.encode.result import Artifact
from vidpipe.encode.silence import LIMITS, SLOWEST_READ, STALLED_SECONDS, Blame, Guard, Hangs, Stalled, decode_alone
from vidpipe.encode.subtitles import LARGEST, SubtitleJob, subtitle_arguments, subtitle_file
from vidpipe.errors import EncodeFailed, SourceRefused
from vidpipe.media.boxes import BoxError
from vidpipe.media.process import Cancel, Completed, run
from vidpipe.source.steady import check_understood, wide
from vidpipe.source.text import clean

ATTEMPTS = 2
DAMAGED = "vidpipe.decoder_complained"
"""The line that a chunk's measurements end in when the decoder reported errors; where they are is found by ``locate_damage``.

It stands in the first line of a subtitle track of which some cues could not be decoded.
"""

CHANGING = "vidpipe.sound_changes"
"""The same for sound that changes although its packets do not say so; where is found by ``locate_changes``."""

_COMPLAINT = re.compile(r"\[(?:error|fatal|panic)\]")
_OURS = re.compile(r"\[(?:libx26[45]|libsvtav1|mjpeg|mp4|null|out#|[va]ost#|enc:|Eval|Parsed_|swscaler|AVIO)")  # encoders, muxers, filters
_LOST_CUES = re.compile(r"\[sist#0:(\d+)\b.*\[(?:error|fatal|panic)\]")  # a decoder of subtitles; the index of its stream
UNDECODABLE = 69
"""ffmpeg's exit code when more than two thirds of a stream cannot be decoded (fftools/ffmpeg.c, max_error_rate)."""
TOO_LARGE = -getattr(signal, "SIGXFSZ", 0)  # how ffmpeg ends when a file grows beyond its limit
LINES_SHOWN = 12  # of ffmpeg's last words in an error
AFTERMATH = (  # what every other thread says once one has failed; it would bury the cause
    "Task finished with error code",
    "Terminating thread with return code",
    "Error sending frames to consumers",
    "Could not open encoder before EOF",
    "Nothing was written into output file",
)


class Task(Data):
    """What all kinds share. ffmpeg: the program.  keys: file name -> key of what is made.

    source, title: SHA-256 and name of the source, noted in the store.
    alive: a folder that goes away when the run is over; its absence stops a task on another machine.
    """

    ffmpeg: str
    store: Path
    keys: dict[str, str]
    source: str
    title: str
    alive: Path | None = None


class ChunkTask(Task):
    """A chunk of the picture."""

    job: ChunkJob


class AudioTask(Task):
    """All missing tracks."""

    job: AudioJob


class SubtitleTask(Task):
    """All missing subtitle tracks."""

    job: SubtitleJob


AnyTask = ChunkTask | AudioTask | SubtitleTask


class Made(Data):
    """What a task made: file name -> artifact. problems: file name -> why it was not made, for what a title can do without."""

    files: dict[str, Artifact]
    problems: dict[str, str] = {}


@dataclass(frozen=True)
class Watch:
    """What a task in this process is watched by. progress: called with the timeline frames that are done."""

    cancel: Cancel
    progress: Callable[[int], None]


@dataclass(frozen=True)
class RunIsOver:
    """The cancel signal of a task on another machine: the folder of the run is gone."""

    alive: Path

    def is_set(self) -> bool:
        """Return True once the folder is gone."""
        return not self.alive.is_dir()


class _Failed(Exception):
    """An attempt gave nothing that can be used."""

    def __init__(
        self, reason: str, completed: Completed | None = None, *, sought: bool = False, source: bool = False, blame: Blame | None = None
    ) -> None:
        super().__init__(reason)
        self.completed = completed
        self.sought = sought  # the seek is to blame
        self.source = source  # the source is to blame
        self.blame = blame  # what a decoder alone did; then another attempt would only hang once more


@dataclass
class _Watched:
    """What the attempts of a task share. decodes: it has been seen that the source decodes."""

    job: ChunkJob | AudioJob
    cancel: Cancel | None
    progress: Callable[[int], None]
    decodes: bool = False


def run_chunk(task: ChunkTask, watch: Watch | None = None) -> Made:
    """Encode a chunk and return its artifacts."""
    job = task.job
    name = f"chunk {job.chunk.index + 1}"
    times = [_clock(job.video.start + job.grid.time(frame)) for frame in (job.chunk.start, job.chunk.start + job.chunk.frames)]
    step = job.renditions[0].frame_step if job.renditions else 1

    def progress(frames: int) -> None:
        if watch:
            watch.progress(min(frames * step, job.chunk.frames))

    watched = _Watched(job, _cancel(task, watch), progress)
    for attempt in range(1, ATTEMPTS + 1):
        arguments = chunk_arguments(job)
        try:
            with Store(task.store).temporary() as folder:
                completed = _ffmpeg(task, arguments, folder, watched)
                _check_seek(job, completed)
                samples = {video_file(r): _attempted(completed, check_video, folder / video_file(r), r, job) for r in job.renditions}
                if job.pictures:
                    _attempted(completed, check_pictures, folder / PICTURES, job.pictures)
                for frame in job.posters:
                    _attempted(completed, check_pictures, folder / poster_file(frame), 1)
                if job.quality:
                    _attempted(completed, check_text, folder / job.quality.picture_file)
                    _note_damage(completed, folder / job.quality.picture_file)
                _check_unchanged(job, task)
                return _store(task, folder, samples)
        except _Failed as failure:
            if failure.sought:
                watched.job = job = job.model_copy(update={"seek": None})  # slow, but right
            if attempt == ATTEMPTS or failure.blame:
                where = f"{name}, {times[0]} to {times[1]} of the source {task.title}"
                raise _error(task, where, arguments, failure, watched) from failure
    raise AssertionError("unreachable")


def run_audio(task: AudioTask, watch: Watch | None = None) -> Made:
    """Encode the tracks and return their artifacts."""
    job = task.job
    watched = _Watched(job, _cancel(task, watch), lambda frames: None)
    for attempt in range(1, ATTEMPTS + 1):
        arguments = audio_arguments(job)
        changing: dict[int, _Failed] = {}
        try:
            with Store(task.store).temporary() as folder:
                completed = _ffmpeg(task, arguments, folder, watched)
                samples: dict[str, int] = {}
                for number, rendition in enumerate(job.renditions):
                    try:
                        samples[audio_file(number)] = _attempted(completed, check_audio, folder / audio_file(number), rendition, job)
                    except _Failed as failure:
                        if not isinstance(failure.__cause__, ChangingSound):
                            raise
                        changing[rendition.stream] = failure
                        continue
                    if job.quality:
                        _attempted(completed, check_text, folder / sound_file(number, job.quality))
                        _note_damage(completed, folder / sound_file(number, job.quality))
                        if rendition.stream in job.steady and rendition.stream not in task.job.steady:
                            _note(CHANGING, folder / sound_file(number, job.quality))
                if changing:
                    raise next(iter(changing.values()))
                _check_unchanged(job, task)
                return _store(task, folder, samples)
        except _Failed as failure:
            if attempt == ATTEMPTS or failure.blame:
                tracks = ", ".join(str(rendition.stream) for rendition in job.renditions)
                raise _error(task, f"sound (stream {tracks}) of {task.title}", arguments, failure, watched) from failure
            sounds = {stream: wide(sound) if stream in changing else sound for stream, sound in job.sounds.items()}
            job = job.model_copy(update={"steady": tuple({*job.steady, *changing}), "sounds": sounds})
    raise AssertionError("unreachable")


def _cancel(task: Task, watch: Watch | None) -> Cancel | None:
    return watch.cancel if watch else RunIsOver(task.alive) if task.alive else None


def run_subtitles(task: SubtitleTask, watch: Watch | None = None) -> Made:
    """Extract the subtitle tracks and return their artifacts. A stream that cannot be read is left out: it stops no ingest.

    Raises EncodeFailed if it is not the stream's fault, so that no title lacks its subtitles because a machine was short of memory.
    """
    try:
        return _extract(task, task.job.streams, watch)
    except _Failed:  # once more, each alone: a broken one does not take the others with it
        files: dict[str, Artifact] = {}
        problems: dict[str, str] = {}
        for stream in task.job.streams:
            try:
                files |= _extract(task, (stream,), watch).files
            except _Failed as failure:
                _check_unchanged(task.job, task)
                problems[subtitle_file(stream)] = ": ".join([str(failure), *map(clean, _words(failure.completed)[-1:])])
        return Made(files=files, problems=problems)


def _extract(task: SubtitleTask, streams: tuple[int, ...], watch: Watch | None) -> Made:
    teletext = tuple(stream for stream in task.job.teletext if stream in streams)
    job = task.job.model_copy(update={"streams": streams, "teletext": teletext})
    names = [subtitle_file(stream) for stream in streams]
    seconds = STALLED_SECONDS + job.size / SLOWEST_READ  # cues are rare: long silence is nothing special, so only the whole is limited
    limits = LIMITS.model_copy(update={"output_bytes": LARGEST, "wall_seconds": seconds})
    with Store(task.store).temporary() as folder:
        with writing(folder):
            argv = [task.ffmpeg, *subtitle_arguments(job)]
            completed = run(argv, cwd=folder, cancel=_cancel(task, watch), limits=limits)
        if completed.timed_out or (completed.returncode < 0 and completed.returncode != TOO_LARGE):
            killed = f"ffmpeg was killed by signal {-completed.returncode}"
            raise EncodeFailed(
                f"ffmpeg was not ready in {seconds:.0f} s" if completed.timed_out else killed,
                where=f"subtitles (stream {', '.join(map(str, streams))}) of {task.title}",
                fix="run the same command again: what is finished is kept; if it fails again, look for a lack of memory or a slow disk",
                details=[f"command: {shlex.join(argv)}", *(f"ffmpeg: {word}" for word in _words(completed))],
            )
        if completed.returncode == TOO_LARGE:
            raise _Failed(f"it has more than {LARGEST // 1024**2} MB of text")
        _ended(completed, folder)
        for stream, name in zip(streams, names, strict=True):
            _attempted(completed, check_text, folder / name)
            if str(stream) in _LOST_CUES.findall(completed.stderr_head + completed.stderr_tail):
                _mark(folder / name)
        _check_unchanged(job, task)
        return _store(task.model_copy(update={"keys": {name: task.keys[name] for name in names}}), folder, {})


def _note_damage(completed: Completed, measurements: Path) -> None:
    """Write into the measurements that the decoder complained, so that the complaint is not lost when the chunk is reused."""
    lines = (completed.stderr_head + completed.stderr_tail).splitlines()
    if any(_COMPLAINT.search(line) and not _OURS.match(line) for line in lines):
        _note(DAMAGED, measurements)


def _mark(track: Path) -> None:
    """Write into the header of a subtitle track that it lacks some cues, so that this is known when it is reused."""
    with writing(track.parent):
        track.write_bytes(track.read_bytes().replace(b"WEBVTT", f"WEBVTT {DAMAGED}".encode(), 1))


def lacks_cues(track: Artifact) -> bool:
    """Tell whether some cues of a subtitle track could not be decoded."""
    with track.path.open("rb") as file:
        return DAMAGED.encode() in file.readline(100)


def _note(what: str, measurements: Path) -> None:
    with writing(measurements.parent), measurements.open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


def _check_unchanged(job: ChunkJob | AudioJob | SubtitleJob, task: Task) -> None:
    """Never keep what was made of a file that is no longer the one that was hashed."""
    try:
        now = Path(job.location).stat()
    except OSError as error:
        raise SourceRefused(
            f"it cannot be read any more: {error.strerror or error}",
            where=task.title,
            fix="put the file back and run the same command again",
        ) from error
    if (now.st_size, now.st_mtime_ns) != (job.size, job.mtime_ns):
        raise SourceRefused(
            "it changed while it was being encoded",
            where=task.title,
            fix="wait until the file is complete, then run the same command again",
        )


def _attempted(completed: Completed, check: Callable[..., int], path: Path, *arguments: object) -> int:
    try:
        return check(path, *arguments)
    except FileNotFoundError as error:
        raise _Failed(f"{path.name} was not made", completed) from error
    except SourceFault as error:
        raise _Failed(str(error), completed, source=True) from error
    except (BoxError, ValueError, OSError) as error:
        raise _Failed(f"{path.name} is not what was planned: {error}", completed) from error


def _check_seek(job: ChunkJob, completed: Completed) -> None:
    """Make sure that the seek landed before the chunk: a demuxer that lands after it would repeat a frame, with nothing to see."""
    if job.seek is None:
        return
    printed = re.search(r"^\[Eval @ [^\]]*\] (?:\[\w+\] )?(-?\d+(?:\.\d+)?)\s*$", completed.stderr_head, re.MULTILINE)
    if printed is None:
        raise _Failed("ffmpeg did not tell where the seek landed", completed, sought=True)
    landed = Fraction(printed[1]) * job.video.time_base
    if landed > job.grid.time(job.chunk.start) + 1 / (2 * job.grid.frame_rate):
        raise _Failed(f"the seek landed at {_clock(landed)}, after the start of the chunk", completed, sought=True)


def _ffmpeg(task: Task, arguments: list[str], folder: Path, watched: _Watched) -> Completed:
    """Run an encode to its end, or to the moment when it is clear that it has none."""

    def line(text: str) -> None:
        if guard.line(text):
            watched.progress(guard.silence.frames)

    with Guard(task.ffmpeg, watched.job, folder, watched.cancel, decodes=watched.decodes) as guard, writing(folder):
        try:
            completed = run([task.ffmpeg, *arguments], cwd=folder, on_line=line, on_tick=guard.tick, cancel=watched.cancel, limits=LIMITS)
        except Hangs as hangs:
            raise _Failed(str(hangs), blame=hangs.blame, source=True) from hangs
        except Stalled as stalled:
            guard.decodes = True  # the decoder moved on for all that time
            raise _Failed(str(stalled)) from stalled
        finally:
            watched.decodes = guard.decodes
    return _ended(completed, folder)


def _ended(completed: Completed, folder: Path) -> Completed:
    """Give back an ffmpeg that ended well. Raises _Failed, EncodeFailed if the disk is full."""
    if "No space left on device" in completed.stderr_tail or "Disk quota exceeded" in completed.stderr_tail:
        raise disk_full(folder)
    check_understood(completed.stderr_tail, completed.argv[0])
    if completed.returncode != 0:
        code = completed.returncode
        if code == UNDECODABLE:
            raise _Failed("most of it cannot be decoded", completed, source=True)
        raise _Failed(f"ffmpeg was killed by signal {-code}" if code < 0 else f"ffmpeg ended with exit code {code}", completed)
    return completed


def _store(task: Task, folder: Path, samples: dict[str, int]) -> Made:
    store = Store(task.store)
    files = {
        name: store.add(key, folder / name, samples=samples.get(name, 0), source=task.source, title=task.title)
        for name, key in task.keys.items()
    }
    return Made(files=files)


def _error(task: Task, where: str, arguments: list[str], failure: _Failed, watched: _Watched) -> EncodeFailed | SourceRefused:
    words = _words(failure.completed)
    details = [f"command: {shlex.join([task.ffmpeg, *arguments])}", *(f"ffmpeg: {word}" for word in words)]
    blame = failure.blame or (None if failure.source or watched.decodes else _look(task, watched))
    if blame:
        details += [f"decoding alone: {blame.command}", *(f"ffmpeg: {word}" for word in blame.words[-LINES_SHOWN:] if word not in words)]
    if failure.source or blame:
        what = blame.reason if blame else str(failure)
        return SourceRefused(what, where=where, fix="play the file in another program, or ask for a new copy of it", details=details)
    return EncodeFailed(
        f"{failure}, {ATTEMPTS} times",
        where=where,
        fix="run the command by itself to see it fail; finished chunks are kept, and the same vidpipe command continues after them",
        details=details,
    )


def _words(completed: Completed | None) -> list[str]:
    """What ffmpeg said last."""
    said = completed.stderr_tail.splitlines() if completed else []
    return [line for line in said if not any(phrase in line for phrase in AFTERMATH)][-LINES_SHOWN:]


def _look(task: Task, watched: _Watched) -> Blame | None:
    """Whether what could not be encoded cannot be decoded either: then the source is to blame. Asked after failures only."""
    with Store(task.store).temporary() as folder:
        return decode_alone(task.ffmpeg, watched.job, folder, watched.cancel)


def _clock(seconds: Fraction) -> str:
    minutes, rest = divmod(float(seconds), 60)
    return f"{int(minutes // 60)}:{int(minutes % 60):02}:{rest:06.3f}"
