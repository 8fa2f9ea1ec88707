"""Extract all missing subtitle tracks. A stream that cannot be read is left out with its problem: it stops no ingest.

What can go wrong stands in the package.
"""

from __future__ import annotations

import math
import re
import shlex
import signal

from vidpipe.encode.check import check_text
from vidpipe.encode.stalls import DECODER_MEMORY, SLOWEST_READ, STALLED_SECONDS
from vidpipe.encode.subtitles import LARGEST, subtitle_arguments, subtitle_file
from vidpipe.encode.tasks.attempt import Failed, attempted, check_unchanged, ended, said, stored, words_of
from vidpipe.encode.tasks.remarks import mark
from vidpipe.encode.tasks.task import Made, SubtitleTask, Watch, cancel_of
from vidpipe.errors import EncodeFailed
from vidpipe.media.process import Limits, run
from vidpipe.source.text import one_line
from vidpipe.work.artifacts import Artifact, Store, writing

_LOST_CUES = re.compile(r"\[sist#0:(\d+)\b.*\[(?:error|fatal|panic)\]")  # a decoder of subtitles; the index of its stream
TOO_LARGE = -getattr(signal, "SIGXFSZ", 0)  # how ffmpeg ends when a file grows beyond its limit


def run_subtitles(task: SubtitleTask, watch: Watch | None = None) -> Made:
    """Extract the subtitle tracks and return their artifacts. A stream that cannot be read is left out: it stops no ingest.

    Raises EncodeFailed if it is not the stream's fault, so that no title lacks its subtitles because a machine was short of memory.
    """
    try:
        return _extract(task, task.job.streams, watch)
    except Failed:  # once more, each alone: a broken one does not take the others with it
        files: dict[str, Artifact] = {}
        problems: dict[str, str] = {}
        for stream in task.job.streams:
            try:
                files |= _extract(task, (stream,), watch).files
            except Failed as failure:
                check_unchanged(task.job, task)
                problems[subtitle_file(stream)] = ": ".join([str(failure), *map(one_line, words_of(failure.completed)[-1:])])
        return Made(files=files, problems=problems)


def _extract(task: SubtitleTask, streams: tuple[int, ...], watch: Watch | None) -> Made:
    teletext, webvtt = (tuple(index for index in kind if index in streams) for kind in (task.job.teletext, task.job.webvtt))
    job = task.job.model_copy(update={"streams": streams, "teletext": teletext, "webvtt": webvtt})
    names = [subtitle_file(stream) for stream in streams]
    seconds = STALLED_SECONDS + job.size / SLOWEST_READ  # cues are rare: long silence is nothing special, so only the whole is limited
    limits = Limits(memory_bytes=DECODER_MEMORY, output_bytes=LARGEST, wall_seconds=seconds, cpu_seconds=math.ceil(seconds))
    with Store(task.store).temporary() as folder:
        with writing(folder):
            argv = [task.ffmpeg, *subtitle_arguments(job)]
            completed = run(argv, cwd=folder, cancel=cancel_of(task, watch), limits=limits)
        if completed.timed_out or (completed.returncode < 0 and completed.returncode != TOO_LARGE):
            killed = f"ffmpeg was killed by signal {-completed.returncode}"
            raise EncodeFailed(
                f"ffmpeg was not ready in {seconds:.0f} s" if completed.timed_out else killed,
                where=f"subtitles (stream {', '.join(map(str, streams))}) of {task.title}",
                fix="run the same command again: what is finished is kept; if it fails again, look for a lack of memory or a slow disk",
                details=said(words_of(completed)),
                debug=[f"command: {shlex.join(argv)}", *(f"ffmpeg: {word}" for word in words_of(completed))],
            )
        if completed.returncode == TOO_LARGE:
            raise Failed(f"it has more than {LARGEST // 1024**2} MB of text")
        ended(completed, folder)
        for stream, name in zip(streams, names, strict=True):
            attempted(completed, check_text, folder / name)
            if str(stream) in _LOST_CUES.findall(completed.stderr_head + completed.stderr_tail):
                mark(folder / name)
        check_unchanged(job, task)
        return stored(task.model_copy(update={"keys": {name: task.keys[name] for name in names}}), folder, {})
