"""What a title is made of: a main input, whose picture it shows, and side files: dubs, subtitles, renditions that are encoded already.

In:   Sources, each measured by itself.
Out:  Asset; StreamRef, which names a stream of one of its inputs.
Wrong: nothing here can fail; a StreamRef of another asset is a programming error (IndexError, LookupError).

All inputs begin together: the zero of each (``Source.zero``) is the zero of the title.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vidpipe.data import Data
from vidpipe.source.facts import AudioStream, Source


class StreamRef(Data):
    """A stream of an asset, as ffmpeg names them: the input, then the stream in it."""

    input: int = Field(default=0, ge=0, description="Index among the inputs; 0 is the main one.")
    stream: int = Field(ge=0, description="Index in the input.")

    def __str__(self) -> str:
        return f"{self.input}:{self.stream}" if self.input else str(self.stream)


class Asset(Data):
    """The inputs of a title. The first is the main one: its picture makes the grid."""

    inputs: Annotated[tuple[Source, ...], Field(min_length=1)]

    @property
    def main(self) -> Source:
        """The input whose picture is shown."""
        return self.inputs[0]

    def source(self, ref: StreamRef) -> Source:
        """Return the input that holds a stream."""
        return self.inputs[ref.input]

    def audio(self, ref: StreamRef) -> AudioStream:
        """Return an audio stream."""
        for stream in self.source(ref).audio:
            if stream.index == ref.stream:
                return stream
        raise LookupError(f"{ref} is not an audio stream")

    def with_main(self, source: Source) -> Asset:
        """Return it with another main input."""
        return self.model_copy(update={"inputs": (source, *self.inputs[1:])})
