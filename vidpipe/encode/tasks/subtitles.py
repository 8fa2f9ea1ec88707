"""All missing subtitle tracks. A stream that cannot be read is left out with its problem: it stops no ingest.

What can go wrong stands in the package.
"""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path

from vidpipe.encode.check import check_text
from vidpipe.encode.job import Checked, Failed, Job
from vidpipe.encode.process_limits import subtitle_limits
from vidpipe.encode.subtitles import LARGEST, SubtitleCommand, subtitle_arguments, subtitle_file
from vidpipe.encode.tasks.outcome import attempted, ended, said, words_of
from vidpipe.encode.tasks.remarks import mark
from vidpipe.errors import EncodeFailed
from vidpipe.media.process import Completed, Limits
from vidpipe.source.text import one_line

_LOST_CUES = re.compile(r"\[sist#0:(\d+)\b.*\[(?:error|fatal|panic)\]")  # a decoder of subtitles; the index of its stream
TOO_LARGE = -getattr(signal, "SIGXFSZ", 0)  # how ffmpeg ends when a file grows beyond its limit


class SubtitleJob(SubtitleCommand, Job):
    """Extract the subtitle tracks."""

    @property
    def where(self) -> str:
        """See Job."""
        return f"subtitles (stream {', '.join(map(str, self.streams))}) of {self.title}"

    def argv(self, ffmpeg: str) -> list[str]:
        """See Job."""
        return [ffmpeg, *subtitle_arguments(self)]

    def limits(self) -> Limits:
        """See Job."""
        return subtitle_limits(self)

    def check(self, folder: Path, completed: Completed) -> Checked:
        """See Job. Raises EncodeFailed if it is not the stream's fault, so that no title lacks its subtitles for want of memory."""
        if completed.timed_out or (completed.returncode < 0 and completed.returncode != TOO_LARGE):
            killed = f"ffmpeg was killed by signal {-completed.returncode}"
            words = words_of(completed)
            raise EncodeFailed(
                f"ffmpeg did not finish within {self.limits().wall_seconds:.0f} s" if completed.timed_out else killed,
                where=self.where,
                fix="run the same command again: finished work is kept; if it fails again, check the memory and the disk",
                details=said(words),
                debug=[f"command: {shlex.join(completed.argv)}", *(f"ffmpeg: {word}" for word in words)],
            )
        if completed.returncode == TOO_LARGE:
            raise Failed(f"it has more than {LARGEST // 1024**2} MB of text")
        ended(completed, folder)
        for stream in self.streams:
            attempted(completed, check_text, folder / subtitle_file(stream))
            if str(stream) in _LOST_CUES.findall(completed.stderr_head + completed.stderr_tail):
                mark(folder / subtitle_file(stream))
        return Checked({})

    def again(self, failure: Failed) -> tuple[Job, ...]:
        """Each stream alone: a broken one does not take the others with it."""
        del failure
        return tuple(self._alone(stream) for stream in self.streams)

    def given_up(self, failure: Failed) -> Mapping[str, str]:
        """See Job."""
        problem = ": ".join([str(failure), *map(one_line, words_of(failure.completed)[-1:])])
        return dict.fromkeys(self.outputs, problem)

    def _alone(self, stream: int) -> SubtitleJob:
        teletext, webvtt = (tuple(index for index in kind if index == stream) for kind in (self.teletext, self.webvtt))
        outputs = {subtitle_file(stream): self.outputs[subtitle_file(stream)]}
        return self.model_copy(update={"streams": (stream,), "teletext": teletext, "webvtt": webvtt, "outputs": outputs})
