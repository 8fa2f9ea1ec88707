"""How much of the machine a stranger's file may use. Every number about that stands here.

In:   settings, if somebody changes them.  Out: SourceLimits, read by ``probe`` and ``validate``.
"""

from __future__ import annotations

from vidpipe.data import Data
from vidpipe.media.process import Limits


class SourceLimits(Data):
    """Limits of a source and of the child processes that read it.

    max_pixels: of one picture (the default is 8K, 8192 x 4608).  max_streams: of any kind.  max_duration: seconds.
    max_packets: over all streams.  max_bytes: size of the file.  max_frame_rate: frames a second; a faster claim is not believed.
    memory_bytes: address space of a child (8K 10-bit pictures with 16 references need 2 GB).  open_files, output_bytes: of a child.
    decode_seconds_per_second: CPU and wall seconds for each second of the source when all of it is decoded.
    decode_memory_bytes: address space of that child (ffmpeg's threads each reserve a stack that they never fill).
    private_redirects: whether the web server of a source may redirect to another one with a private address (loopback, internal).
    wall_seconds, cpu_seconds: of a child, plus seconds_per_gigabyte for each GB of the file (hashing and scanning run at disk speed).
    """

    max_pixels: int = 8192 * 4608
    max_streams: int = 64
    max_duration: int = 24 * 3600
    max_packets: int = 50_000_000
    max_bytes: int = 2 * 1000**4
    max_frame_rate: int = 240
    memory_bytes: int = 4 * 1024**3
    wall_seconds: int = 60
    cpu_seconds: int = 60
    seconds_per_gigabyte: int = 60
    open_files: int = 64
    output_bytes: int = 256 * 1024**2
    decode_seconds_per_second: int = 20
    decode_memory_bytes: int = 8 * 1024**3
    private_redirects: bool = False

    def child(self, size: int) -> Limits:
        """Return the limits of a child that reads a file of ``size`` bytes once."""
        more = self.seconds_per_gigabyte * size // 1000**3
        return Limits(
            memory_bytes=self.memory_bytes,
            cpu_seconds=self.cpu_seconds + more,
            wall_seconds=self.wall_seconds + more,
            output_bytes=self.output_bytes,
            open_files=self.open_files,
        )

    def decoding(self, seconds: float, printed_bytes: int) -> Limits:
        """Return the limits of a child that decodes ``seconds`` of picture and sound and writes about ``printed_bytes``."""
        more = int(self.decode_seconds_per_second * seconds) + 1
        return Limits(
            memory_bytes=self.decode_memory_bytes,
            cpu_seconds=self.cpu_seconds + more,
            wall_seconds=self.wall_seconds + more,
            output_bytes=self.output_bytes + printed_bytes,
            open_files=self.open_files,
        )
