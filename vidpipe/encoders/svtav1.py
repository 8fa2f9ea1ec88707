"""libsvtav1: AV1. Builds of ffmpeg without it are common, so it is asked for only by ladders that need it."""

from __future__ import annotations

from vidpipe.encoders.encoder import EIGHT_BITS, Encoder, Wanted, common, parameters


def _options(wanted: Wanted, gop: int, threads: int) -> dict[str, object]:
    own = {
        "keyint": gop,
        "irefresh-type": 2,  # closed GOPs
        "scd": 0,
        "lp": min(threads, 6),  # level of parallelism
    }
    options = common(wanted, gop, threads) | {"svtav1-params": parameters(own)}
    # SVT-AV1 caps constant quality only
    return options if wanted.make.crf is None else options | {"maxrate": wanted.make.max_bitrate}


ENCODER = Encoder(
    codec="av1",
    title="AV1",
    name="libsvtav1",
    aliases=("av01", "svtav1", "svt-av1", "libsvtav1"),
    presets=tuple(str(number) for number in range(14)),  # 0 is the slowest, 13 the fastest
    profiles={"main": EIGHT_BITS},
    highest_crf=63,
    options=_options,
    reordering=0,  # a temporal unit is shown when it is decoded
    own_threads=24,
    optional=True,
    log_prefixes=("Svt[",),  # it writes to stderr by itself
)
