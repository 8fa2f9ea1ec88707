"""How much of the machine an untrusted file may use. Every number about that stands here.

In:   settings, if somebody changes them.  Out: SourceLimits, read by ``probe`` and ``validate``; how to raise one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vidpipe.data import Data, Field

if TYPE_CHECKING:
    from vidpipe.media.process import Limits


def raising(name: str) -> str:
    """Return the advice for a source that exceeds a limit."""
    return f"if this is the right file, raise the limit: set VIDPIPE_LIMITS_{name.upper()}, or {name} under [limits] in HOME/vidpipe.toml"


class SourceLimits(Data):
    """Limits of a source and of the child processes that read it."""

    max_pixels: int = Field(default=8192 * 4608, description="Pixels per frame.")
    max_streams: int = Field(default=64, description="Streams of any kind.")
    max_duration: int = Field(default=24 * 3600, description="Seconds.")
    max_packets: int = Field(default=50_000_000, description="Packets of all streams.")
    max_bytes: int = Field(default=2 * 1000**4, description="Size of the file.")
    max_frame_rate: int = Field(default=240, description="Frames per second; a higher declared rate is ignored.")
    # 8K 10-bit pictures with 16 references need 2 GB
    memory_bytes: int = Field(default=4 * 1024**3, description="Memory (address space) of the process that reads the file.")
    wall_seconds: int = Field(default=60, description="Seconds that it may take, plus `seconds_per_gigabyte`.")
    cpu_seconds: int = Field(default=60, description="CPU seconds that it may use, plus `seconds_per_gigabyte`.")
    seconds_per_gigabyte: int = Field(default=60, description="Added to both for each GB of the file.")
    open_files: int = Field(default=64, description="Files that it may open.")
    output_bytes: int = Field(default=256 * 1024**2, description="Bytes that it may write.")
    decode_seconds_per_second: int = Field(default=20, description="Seconds per second of source that a full decode may take.")
    # ffmpeg's threads each reserve a stack that they never fill
    decode_memory_bytes: int = Field(default=8 * 1024**3, description="Memory (address space) of the process of a full decode.")
    private_redirects: bool = Field(
        default=False, description="Whether a web server may redirect to another one with a private address (loopback, internal)."
    )

    def child(self, size: int) -> Limits:
        """Return the limits of a child that reads a file of ``size`` bytes once."""
        from vidpipe.media.process import Limits  # the child, which starts no program, does without it

        more = self.seconds_per_gigabyte * size // 1000**3
        return Limits(
            memory_bytes=self.memory_bytes,
            cpu_seconds=self.cpu_seconds + more,
            wall_seconds=self.wall_seconds + more,
            output_bytes=self.output_bytes,
            open_files=self.open_files,
        )

    def decoding(self, seconds: float, printed_bytes: int) -> Limits:
        """Return the limits of a child that decodes ``seconds`` of picture and audio and writes about ``printed_bytes``."""
        from vidpipe.media.process import Limits  # the child, which starts no program, does without it

        more = int(self.decode_seconds_per_second * seconds) + 1
        return Limits(
            memory_bytes=self.decode_memory_bytes,
            cpu_seconds=self.cpu_seconds + more,
            wall_seconds=self.wall_seconds + more,
            output_bytes=self.output_bytes + printed_bytes,
            open_files=self.open_files,
        )
