"""All missing audio tracks, each whole. What can go wrong stands in the package.

Audio that changes without its packets saying so shows in what comes out; then it is encoded again, converted to one format first.
"""

from __future__ import annotations

from pathlib import Path

from vidpipe.encode.audio import AudioCommand, audio_arguments, audio_decode_arguments, audio_file, measured_file
from vidpipe.encode.check import AudioChanged, check_audio, check_text
from vidpipe.encode.job import Checked, Decoding, Failed, Job
from vidpipe.encode.process_limits import audio_limits
from vidpipe.encode.tasks.outcome import attempted, ended
from vidpipe.encode.tasks.remarks import CHANGING, note, note_damage
from vidpipe.media.process import Completed, Limits
from vidpipe.source.audio_changes import wide


class AudioJob(AudioCommand, Job):
    """Encode the tracks. found: streams whose changes an attempt has shown."""

    found: frozenset[int] = frozenset()

    @property
    def where(self) -> str:
        """See Job."""
        return f"audio (stream {', '.join(str(rendition.stream.stream) for rendition in self.renditions)}) of {self.title}"

    def argv(self, ffmpeg: str) -> list[str]:
        """See Job."""
        return [ffmpeg, *audio_arguments(self)]

    def limits(self) -> Limits:
        """See Job."""
        return audio_limits(self)

    def decoding(self) -> Decoding:
        """See Job."""
        return Decoding(audio_decode_arguments(self))

    def check(self, folder: Path, completed: Completed) -> Checked:
        """See Job."""
        ended(completed, folder)
        samples: dict[str, int] = {}
        changing: dict[int, Failed] = {}
        for number, rendition in enumerate(self.renditions):
            try:
                samples[audio_file(number)] = attempted(completed, check_audio, folder / audio_file(number), rendition, self)
            except Failed as failure:
                if not isinstance(failure.__cause__, AudioChanged):
                    raise
                changing[rendition.stream.stream] = failure
                continue
            if self.quality:
                measured = folder / measured_file(number, self.quality)
                attempted(completed, check_text, measured)
                note_damage(completed, measured)
                if rendition.stream.stream in self.found:
                    note(CHANGING, measured)
        if changing:
            first = next(iter(changing.values()))
            raise Failed(str(first), completed, source=True, changing=frozenset(changing)) from first
        return Checked(samples)

    def again(self, failure: Failed) -> tuple[Job, ...]:
        """The same; streams that turned out to change are converted to one format first."""
        formats = {stream: wide(each) if stream in failure.changing else each for stream, each in self.formats.items()}
        unified = tuple({*self.unified, *failure.changing})
        return (self.model_copy(update={"unified": unified, "formats": formats, "found": failure.changing}),)
