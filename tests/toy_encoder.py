"""An encoder that vidpipe does not know: a module as those in vidpipe/encoders/, and nothing else. It has neither presets nor profiles of
its own, and no option called preset."""

from __future__ import annotations

from vidpipe.encoders.encoder import EIGHT_BITS, Encoder, Wanted


def _options(wanted: Wanted, gop: int, threads: int) -> dict[str, object]:
    make = wanted.make
    return {"g": gop, "b:v": make.bitrate, "threads": threads, "profile:v": make.profile or "main", "coder": make.preset}


ENCODER = Encoder(
    codec="toy",
    title="Toy",
    name="libopenh264",
    aliases=("openh264",),
    presets=("cavlc", "cabac"),
    profiles={"main": EIGHT_BITS, "high": EIGHT_BITS},
    highest_crf=0,
    options=_options,
    reordering=0,
    pixel_bytes=70,
    own_threads=5,
    plays_everywhere=True,
    optional=True,
    log_prefixes=("toy: ",),
)
