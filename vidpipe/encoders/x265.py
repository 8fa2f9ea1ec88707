"""libx265: HEVC, in 8 bits or, as profile main10, in 10."""

from __future__ import annotations

from vidpipe.encoders.encoder import EIGHT_BITS, TEN_BITS, Encoder, Wanted, common, parameters
from vidpipe.encoders.x264 import PRESETS  # x265 took over their names


def _options(wanted: Wanted, gop: int, threads: int) -> dict[str, object]:
    own = {
        "keyint": gop,
        "min-keyint": gop,
        "scenecut": 0,
        "open-gop": 0,
        "info": 0,  # no settings as text in the init section: they name the threads
        "log-level": "error",
        # x265 takes every core unless limited; one chunk may only use its share. A pool also for one thread: without any, x265 turns
        # wavefronts off, which stands in the init section, and that has to be the same for all chunks whatever their threads.
        "pools": threads,
        "frame-threads": 1 if threads == 1 else min(threads, 4),
    }
    return common(wanted, gop, threads) | {
        "maxrate": wanted.make.max_bitrate,
        "bufsize": wanted.make.buffer,
        "tag:v": "hvc1",  # parameter sets in the init section only, which Apple demands
        "x265-params": parameters(own),
    }


ENCODER = Encoder(
    codec="hevc",
    title="HEVC",
    name="libx265",
    aliases=("h265", "h.265", "x265", "libx265"),
    presets=PRESETS,
    profiles={"main": EIGHT_BITS, "main10": TEN_BITS},
    highest_crf=51,
    options=_options,
    reordering=2,  # the depth of its pyramid of B-frames
    log_prefixes=("x265 [",),  # it also writes to stderr by itself
)
