"""libx264: H.264, which everything plays."""

from __future__ import annotations

from vidpipe.encoders.encoder import EIGHT_BITS, Encoder, Wanted, common, parameters

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")


def _options(wanted: Wanted, gop: int, threads: int) -> dict[str, object]:
    # Frame threads are rows apart, which limits how far motion is followed up and down: ((height + 24) / threads - 24) / 2 lines
    # (x264 encoder/encoder.c, i_mv_range_thread). At least 48 are kept, so small rungs get fewer threads.
    return common(wanted, gop, max(1, min(threads, (wanted.height + 24) // 120))) | {
        "maxrate": wanted.make.max_bitrate,
        "bufsize": wanted.make.buffer,
        "sc_threshold": 0,  # no key frame at a scene cut: it would move the grid
        "flags": "+cgop",  # every GOP decodes by itself
        # headers depend on the settings only, never on the pictures: one init section for all chunks
        "x264-params": parameters({"stitchable": 1}),
    }


ENCODER = Encoder(
    codec="h264",
    title="H.264",
    name="libx264",
    aliases=("h.264", "avc", "x264", "libx264"),
    presets=PRESETS,
    profiles={"baseline": EIGHT_BITS, "main": EIGHT_BITS, "high": EIGHT_BITS},
    highest_crf=51,
    options=_options,
    reordering=2,  # the depth of its pyramid of B-frames
    plays_everywhere=True,
)
