"""The missing channels of closed captions: one pass over the packets, in the child that may open the source. Decodes no picture.

What can go wrong stands in the package; the source is to blame if the child that reads it does not come back.
"""

from __future__ import annotations

from pathlib import Path

from vidpipe.encode.check import check_text
from vidpipe.encode.job import Checked, Job
from vidpipe.encode.subtitles import LARGEST, subtitle_file
from vidpipe.media.process import Completed, Limits
from vidpipe.source.captions import CaptionRequest
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import answered, child
from vidpipe.work.artifacts import writing


class CaptionJob(CaptionRequest, Job):
    """Extract the channels. reading: how much of the machine may be used by the child."""

    reading: SourceLimits

    @property
    def where(self) -> str:
        """See Job."""
        return self.title

    def argv(self, ffmpeg: str) -> list[str]:
        """See Job."""
        del ffmpeg  # it would have to decode every picture, and knows the first channel only
        return child("captions")

    def stdin(self) -> bytes:
        """See Job."""
        asked = {name: getattr(self, name) for name in CaptionRequest.model_fields}
        return CaptionRequest(**asked).model_dump_json().encode()

    def limits(self) -> Limits:
        """See Job."""
        return self.reading.child(self.size)

    def check(self, folder: Path, completed: Completed) -> Checked:
        """See Job. Raises SourceRefused if the child gives no answer; another one would not either."""
        answer = answered(completed, self.where, self.limits())
        problems: dict[str, str] = {}
        for (stream, channel), text in zip(self.channels, answer["texts"], strict=True):
            name = subtitle_file(stream, channel)
            if len(text) > LARGEST:
                problems[name] = f"it has more than {LARGEST // 1024**2} MB of text"
                continue
            with writing(folder):
                (folder / name).write_text(text, encoding="utf-8")
            check_text(folder / name)
        return Checked({}, problems)
