"""Read what a decoded picture says of itself: orientation, chroma, colour, HDR metadata.

In:   PyAV frames and contexts, taken as they come (no import of av).
Out:  the parts of VideoStream about the picture.
Wrong: nothing; what is missing or makes no sense is "unknown" or absent.
"""

from __future__ import annotations

import struct
import sys
from fractions import Fraction
from typing import Any

from vidpipe.source.declared import Dolby
from vidpipe.source.facts import Colour, DynamicRange

# ITU-T H.273 code points under the names that FFmpeg's filters take.
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
DYNAMIC_RANGES: dict[str, DynamicRange] = {"smpte2084": "HDR10", "arib-std-b67": "HLG"}
"""By transfer; all others are SDR."""
TRANSFERS = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
RANGES = {1: "tv", 2: "pc"}
FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
IDET = "intl_thres=1.2"
"""Option of idet: how much better the lines of a field fit each other than those of a frame. FFmpeg's 1.04 mistakes sharp graphics."""
DOLBY_TAGS = frozenset({"dvh1", "dvhe", "dva1", "dvav", "dav1"})


def orientation(frame: Any) -> tuple[Any, bool]:
    """Return degrees clockwise and whether the picture is mirrored left to right after that, from the display matrix.

    The matrix (ISO/IEC 14496-12, 6.2.2) is a b u / c d v / x y w in 16.16 numbers: x' = a x + c y, y' = b x + d y.
    """
    data = side_data(frame).get("DISPLAYMATRIX", b"")
    if len(data) < 36:
        return 0, False
    a, b, _, c, d, *_ = struct.unpack("=9i", data[:36])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the mirror, which is applied last: it turns x' round
        a, c = -a, -c
    if abs(a) >= abs(b):
        return (0 if a >= 0 else 180), mirrored
    return (90 if b > 0 else 270), mirrored


def side_data(frame: Any) -> dict[str, bytes]:
    """Return what lies beside a frame, by PyAV's names."""
    return {item.type.name: bytes(item) for item in frame.side_data}


def dolby_in(frame: Any) -> Dolby | None:
    """Recognise Dolby Vision of profile 5 by what the picture itself carries (AVDOVIMetadata), whatever the container says.

    As ff_dovi_guess_profile_hevc does: vdr_rpu_profile 0 and a base layer in full range.
    """
    data = side_data(frame).get("DOVI_METADATA", b"")
    place = int.from_bytes(data[:8], sys.byteorder)
    if not 8 <= place <= len(data) - 16:
        return None
    # AVDOVIRpuDataHeader: rpu_type, one byte of padding, rpu_format (2), vdr_rpu_profile, five more, bl_video_full_range_flag
    return Dolby(profile=5, compatibility=0) if data[place + 4] == 0 and data[place + 10] else None


def chroma(form: Any) -> str:
    """Return the subsampling of an av.VideoFormat in the usual notation."""
    if form.is_rgb or len(form.components) < 3:
        return "4:4:4" if form.is_rgb else "4:0:0"
    across, down = 64 // max(1, form.chroma_width(64)), 64 // max(1, form.chroma_height(64))
    return {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (4, 4): "4:1:0", (1, 2): "4:4:0"}.get(
        (across, down), "unknown"
    )


def colour(frame: Any, context: Any, dolby: Dolby | None = None) -> Colour:
    """Return the colour description; the decoded frame knows better than the container, and Dolby Vision than an untagged frame."""

    def name(names: dict[int, str], *codes: int) -> str:
        return next((names[code] for code in codes if code in names), "unknown")

    transfer = name(TRANSFERS, frame.color_trc, context.color_trc)
    if transfer == "unknown" and dolby is not None and dolby.has_base:
        transfer = {1: "smpte2084", 6: "smpte2084", 4: "arib-std-b67"}.get(dolby.compatibility, transfer)
    side = side_data(frame)
    return Colour(
        primaries=name(PRIMARIES, frame.color_primaries, context.color_primaries),
        transfer=transfer,
        matrix=name(MATRICES, frame.colorspace, context.colorspace),
        range=name(RANGES, frame.color_range, context.color_range),
        dynamic_range=DYNAMIC_RANGES.get(transfer, "SDR"),
        dolby_vision=dolby is not None
        or bool({"DOVI_METADATA", "DOVI_RPU_BUFFER"} & side.keys())
        or _tag(context) in DOLBY_TAGS,
        **_light(side),
    )


def _tag(context: Any) -> str:
    try:
        return str(context.codec_tag).lower()
    except UnicodeDecodeError:  # of a transport stream it is the type of the stream, any number
        return ""


def _light(side: dict[str, bytes]) -> dict[str, Any]:
    """Read AVMasteringDisplayMetadata (ten AVRational, two flags) and AVContentLightMetadata (two unsigned)."""
    facts: dict[str, Any] = {}
    mastering = side.get("MASTERING_DISPLAY_METADATA", b"")
    if len(mastering) >= 88:
        numbers = struct.unpack("=20i2i", mastering[:88])
        values = [
            Fraction(top, bottom) if bottom > 0 else Fraction(0) for top, bottom in zip(numbers[0:20:2], numbers[1:20:2], strict=True)
        ]
        if numbers[20] and numbers[21]:
            rx, ry, gx, gy, bx, by, wx, wy = (round(value * 50000) for value in values[:8])
            darkest, brightest = (round(value * 10000) for value in values[8:])
            facts["mastering_display"] = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({brightest},{darkest})"
    light = side.get("CONTENT_LIGHT_LEVEL", b"")
    if len(light) >= 8:
        facts["max_cll"], facts["max_fall"] = struct.unpack("=2I", light[:8])
    return facts
