"""Name the CMAF media profiles that a track keeps to, as brands of its ftyp: ISO/IEC 23000-19 annexes A, B and 10, AV1-ISOBMFF 4.

In:   what the sample entry says of the track, its frame rate.
Out:  every brand that is true of it, narrow ones first: the rungs of a title then share at least one. None where a track keeps to none.
Wrong: nothing. What a stream does not say of its colour is not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vidpipe.mp4.codecs import Audio, Video
from vidpipe.mp4.parameters import ColourCodes

_BT601_625, _BT601_525, _BT709 = 5, 6, 1  # ITU-T H.273; primaries and matrix, and the transfer that all three share
_SDR: frozenset[ColourCodes] = frozenset({(1, 1, 1)})
_SD: frozenset[ColourCodes] = frozenset(
    (primaries, transfer, matrix)
    for primaries in (_BT709, _BT601_625, _BT601_525)
    for transfer in (_BT709, _BT601_525)
    for matrix in (_BT709, _BT601_625, _BT601_525)
)
_HLG: frozenset[ColourCodes] = frozenset({(9, 18, 9)})
_PQ: frozenset[ColourCodes] = frozenset({(9, 16, 9)})
_SD_SIZE, _HD, _UHD = (864, 576), (1920, 1080), (3840, 2160)
_MOST_FRAMES = 60
_AVC_HIGH, _HEVC_MAIN, _HEVC_MAIN10 = 100, 1, 2


@dataclass(frozen=True, slots=True)
class _Profile:
    """A media profile. profile, level: as the decoder configuration record writes them.  size: width and height at most."""

    brand: str
    profile: int
    level: int
    size: tuple[int, int]
    colours: frozenset[ColourCodes]


_AVC = (
    _Profile("cfsd", _AVC_HIGH, 31, _SD_SIZE, _SD),
    _Profile("cfhd", _AVC_HIGH, 40, _HD, _SDR),
    _Profile("chdf", _AVC_HIGH, 42, _HD, _SDR),
)
_HEVC = (
    _Profile("chhd", _HEVC_MAIN, 123, _HD, _SDR),
    _Profile("chh1", _HEVC_MAIN10, 123, _HD, _SDR),
    _Profile("cud8", _HEVC_MAIN, 150, _UHD, _SDR),
    _Profile("cud1", _HEVC_MAIN10, 153, _UHD, _SDR),
    _Profile("clg1", _HEVC_MAIN10, 153, _UHD, _HLG),
    _Profile("chd1", _HEVC_MAIN10, 153, _UHD, _PQ),
)
_AAC_CORE = frozenset({"mp4a.40.2", "mp4a.40.5", "mp4a.40.29"})


def video_brands(picture: Video, frame_rate: Fraction) -> tuple[str, ...]:
    """Return the brands of a video track."""
    config = picture.config
    if picture.codecs.startswith("av01"):
        return ("av01",)  # demanded of every AV1 file, and the media profile at once
    if picture.codecs.startswith("avc1"):
        kept, level = {config[1]}, config[3]
    else:
        if config[1] >> 5:  # high tier, or a profile space of the future
            return ()
        compatible = int.from_bytes(config[2:6], "big")
        flags = {number for number in (_HEVC_MAIN, _HEVC_MAIN10) if compatible >> (31 - number) & 1}
        kept, level = {config[1] & 31} | flags, config[12]
    return tuple(
        profile.brand
        for profile in (_AVC if picture.codecs.startswith("avc1") else _HEVC)
        if profile.profile in kept
        and level <= profile.level
        and picture.width <= profile.size[0]
        and picture.height <= profile.size[1]
        and frame_rate <= _MOST_FRAMES
        and picture.colour in profile.colours
    )


def audio_brands(coded: Audio) -> tuple[str, ...]:
    """Return the brands of an AAC track: AAC core up to stereo, AAC multichannel beyond."""
    if coded.codecs not in _AAC_CORE or coded.sample_rate > 48_000:
        return ()
    return ("caac",) if coded.channels <= 2 else ("camc",)
