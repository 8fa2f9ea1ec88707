"""What there is to know of an encoder: everything that a ladder, a plan, a command, an estimate or a key needs of it.

In:   nothing; each module beside this one describes one encoder of ffmpeg.
Out:  Encoder, frozen.
Wrong: nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

EIGHT_BITS, TEN_BITS = "yuv420p", "yuv420p10le"
"""Pixel formats. Every encoder takes the first, in which pictures are also measured."""

BIT_DEPTHS = {EIGHT_BITS: 8, TEN_BITS: 10}


class EncodeSettings(Protocol):
    """How a rung is encoded. Rates are bits a second."""

    @property
    def bitrate(self) -> int:
        """Aimed at, unless there is a crf."""

    @property
    def max_bitrate(self) -> int:
        """Never exceeded over the buffer."""

    @property
    def buffer(self) -> int:
        """Bits."""

    @property
    def crf(self) -> float | None:
        """Constant quality, capped by max_bitrate."""

    @property
    def preset(self) -> str:
        """One of the encoder's."""

    @property
    def profile(self) -> str | None:
        """One of the encoder's; None leaves it to the encoder."""


class Wanted(Protocol):
    """What a rung asks of its encoder."""

    @property
    def width(self) -> int:
        """Pixels, even."""

    @property
    def height(self) -> int:
        """Pixels, even."""

    @property
    def make(self) -> EncodeSettings:
        """How."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """One encoder of ffmpeg.

    - codec: what it makes, as ladders and plans name it.
    - title: the same for people.
    - name: how ffmpeg names the encoder.
    - aliases: what people write for the codec by mistake, in lower case.
    - presets: from the slowest to the fastest or the other way round.
    - profiles: each with the pixel format that it needs; a rung without a profile is made in 8 bits.
    - highest_crf: the worst constant quality; 0 is the best.
    - options: (what is wanted, frames of a GOP, threads) -> ffmpeg's output options. The GOP is closed and every one as long, and the
      same options give the same init section whatever the pictures and the threads, so that chunks join.
    - reordering: frames by which it delays decoding at most.
    - pixel_bytes: memory for each pixel of its picture in 8 bits, roughly.
    - own_threads: threads that it starts however few it is given.
    - plays_everywhere: every browser and device has a decoder for it.
    - optional: an ffmpeg without it is good enough for the shipped ladders.
    - log_prefixes: how its own lines begin in ffmpeg's log, beside "[name @".
    """

    codec: str
    title: str
    name: str
    aliases: tuple[str, ...] = ()
    presets: tuple[str, ...]
    profiles: Mapping[str, str]
    highest_crf: int
    options: Callable[[Wanted, int, int], dict[str, object]]
    reordering: int
    pixel_bytes: int = 200
    own_threads: int = 0
    plays_everywhere: bool = False
    optional: bool = False
    log_prefixes: tuple[str, ...] = ()

    def pixel_format(self, profile: str | None) -> str:
        """Return the pixel format of a rung of this profile."""
        return EIGHT_BITS if profile is None else self.profiles[profile]

    def memory(self, wanted: Wanted) -> int:
        """Return the bytes that a rung takes, roughly, beside ffmpeg itself and its source."""
        eight_bits = self.pixel_bytes * wanted.width * wanted.height
        # Two bytes a sample: 663 MB instead of 408 for x265 at 1080p, all of ffmpeg counted.
        return eight_bits if self.pixel_format(wanted.make.profile) == EIGHT_BITS else eight_bits * 8 // 5


def common(wanted: Wanted, gop: int, threads: int) -> dict[str, object]:
    """Return the options that most encoders of ffmpeg understand alike."""
    options: dict[str, object] = {"preset": wanted.make.preset, "threads": threads, "g": gop, "keyint_min": gop}
    if wanted.make.profile:
        options["profile:v"] = wanted.make.profile
    if wanted.make.crf is None:
        return options | {"b:v": wanted.make.bitrate}
    return options | {"crf": f"{wanted.make.crf:g}"}


def parameters(named: Mapping[str, object]) -> str:
    """Return an encoder's own parameters, as x264-params and its relatives take them."""
    return ":".join(f"{name}={value}" for name, value in named.items())
