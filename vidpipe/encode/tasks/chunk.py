"""A chunk of the picture in all rungs that miss it, with its pictures and measurements. What can go wrong stands in the package."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from vidpipe.encode.check import check_pictures, check_text, check_video
from vidpipe.encode.command import PICTURES, ChunkCommand, chunk_arguments, decode_arguments, poster_file
from vidpipe.encode.job import Checked, Decoding, Failed, Job
from vidpipe.encode.output import video_file
from vidpipe.encode.process_limits import chunk_limits
from vidpipe.encode.tasks.outcome import attempted, ended
from vidpipe.encode.tasks.remarks import note_damage, note_verdicts
from vidpipe.media.process import Completed, Limits
from vidpipe.source.findings.wording import timecode


class ChunkJob(ChunkCommand, Job):
    """Encode a chunk."""

    @property
    def where(self) -> str:
        """See Job."""
        times = [timecode(self.video.lead_in + self.grid.time(frame)) for frame in (self.chunk.start, self.chunk.start + self.chunk.frames)]
        return f"chunk {self.chunk.index + 1}, {times[0]} to {times[1]} of the source {self.title}"

    def argv(self, ffmpeg: str) -> list[str]:
        """See Job."""
        arguments = chunk_arguments(self)
        # -progress says nothing before every output has begun, and a poster may begin in the last second of a chunk that takes an hour. So
        # the first output reports each of its frames itself, in the same words. Not a part of the command, and of the key: no byte changes.
        after = arguments.index("-map") + 2
        return [ffmpeg, *arguments[:after], "-stats_enc_post", "pipe:1", "-stats_enc_post_fmt", "frame={n}", *arguments[after:]]

    def limits(self) -> Limits:
        """See Job."""
        return chunk_limits(self)

    def decoding(self) -> Decoding:
        """See Job."""
        return Decoding(decode_arguments(self), self.threads)

    def progress(self, frames: int) -> int:
        """See Job."""
        step = self.renditions[0].frame_step if self.renditions else 1
        return min(frames * step, self.chunk.frames)

    def check(self, folder: Path, completed: Completed) -> Checked:
        """See Job."""
        ended(completed, folder)
        self._check_seek(completed)
        samples = {video_file(r): attempted(completed, check_video, folder / video_file(r), r, self) for r in self.renditions}
        if self.pictures:
            attempted(completed, check_pictures, folder / PICTURES, self.pictures)
        for frame in self.posters:
            attempted(completed, check_pictures, folder / poster_file(frame), 1)
        if self.quality:
            attempted(completed, check_text, folder / self.quality.picture_file)
            note_verdicts(folder / self.quality.fields_file, folder / self.quality.picture_file)
            note_damage(completed, folder / self.quality.picture_file)
        return Checked(samples)

    def again(self, failure: Failed) -> tuple[Job, ...]:
        """The same; without a seek that went wrong, which is slow, but right."""
        return (self.model_copy(update={"seek": None}) if failure.seek_failed else self,)

    def _check_seek(self, completed: Completed) -> None:
        """Make sure that the seek landed before the chunk: a demuxer that lands after it would repeat a frame, with nothing to see."""
        if self.seek is None:
            return
        printed = re.search(r"^\[Eval @ [^\]]*\] (?:\[\w+\] )?(-?\d+(?:\.\d+)?)\s*$", completed.stderr_head, re.MULTILINE)
        if printed is None:
            raise Failed("ffmpeg did not report where the seek landed", completed, seek_failed=True)
        landed = Fraction(printed[1]) * self.video.time_base
        if landed > self.grid.time(self.chunk.start) + 1 / (2 * self.grid.frame_rate):
            where = timecode(self.video.lead_in + landed)
            raise Failed(f"the seek landed at {where}, after the start of the chunk", completed, seek_failed=True)
