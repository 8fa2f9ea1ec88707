"""Say what a track is, from its sample entry: the RFC 6381 codecs string, the size, the colour, the audio layout.

In:   the first entry of stsd, as bytes (``media.boxes.Track.entry``).
Out:  the string that CODECS declares, and the measured facts beside it.
Wrong: EncodeFailed if the entry is none that vidpipe encodes, or is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vidpipe.errors import EncodeFailed
from vidpipe.mp4.bits import Bits
from vidpipe.mp4.boxes import Box, BoxError, children, find
from vidpipe.mp4.parameters import UNSPECIFIED, ColourCodes, Parameters, avc_parameters, hevc_parameters

VideoRange = Literal["SDR", "PQ", "HLG"]

VISUAL_FIELDS = 78  # bytes of a VisualSampleEntry before its boxes, ISO/IEC 14496-12 12.1.3
AUDIO_FIELDS = 28  # bytes of an AudioSampleEntry version 0 before its boxes, 12.2.3
_SAMPLE_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)  # ISO/IEC 14496-3 table 1.18
_RANGES: dict[int, VideoRange] = {16: "PQ", 18: "HLG"}  # transfer characteristics, ITU-T H.273 table 3
_FIX = "report this as a bug, with the ffmpeg version"
_BT709 = (1, 1, 1, 0)
_LAYOUTS = {1: 1, 2: 2, 6: 6, 8: 12}
"""The usual layout of so many channels: mono, stereo, 5.1, 7.1 with two at the back (ISO/IEC 23091-3 table 3)."""
DECODER_CONFIG, DECODER_SPECIFIC = 4, 5
"""Tags of the descriptors in esds that hold the bit rates, and the AudioSpecificConfig."""


@dataclass(frozen=True, slots=True)
class Video:
    """A video sample entry. width, height: pixels.  nal_length: bytes before each NAL unit, 0 for AV1.

    reorder: frames by which the first one must be delayed so that none is shown before it is decoded; 0 for AV1.
    colour: primaries, transfer and matrix of ITU-T H.273.  config: the decoder configuration record.  bit_depth: of luma.
    """

    codecs: str
    width: int
    height: int
    video_range: VideoRange
    nal_length: int
    reorder: int
    colour: ColourCodes
    config: bytes = field(repr=False)
    bit_depth: int = 8


@dataclass(frozen=True, slots=True)
class Audio:
    """An AAC sample entry. sample_rate: samples a second after decoding.

    layout: ChannelConfiguration of ISO/IEC 23091-3, None if nobody knows it.
    """

    codecs: str
    channels: int
    sample_rate: int
    layout: int | None = None


def video(entry: bytes) -> Video:
    """Read a video sample entry. HLS-CODEC-002, -003, -004, -008."""
    try:
        box = next(children(entry))
        body = entry[box.body : box.end]
        boxes = {child.type: entry[child.body : child.end] for child in children(entry, box.body + VISUAL_FIELDS, box.end)}
        width, height = int.from_bytes(body[24:26], "big"), int.from_bytes(body[26:28], "big")
        if (pasp := boxes.get("pasp")) is not None and pasp[:4] != pasp[4:8]:
            raise BoxError("its pixels are not square (pasp)")
        colour = _colour(boxes.get("colr"))
        if box.type == "avc1" and (config := boxes.get("avcC")):
            codecs, nal_length = f"avc1.{config[1:4].hex().upper()}", (config[4] & 3) + 1
            parameters = avc_parameters(config)
        elif box.type == "hvc1" and (config := boxes.get("hvcC")):
            codecs, nal_length = hevc_codecs(config), (config[21] & 3) + 1
            parameters = hevc_parameters(config)
        elif box.type == "av01" and (config := boxes.get("av1C")):
            codecs, nal_length = av1_codecs(config, colour), 0
            parameters = Parameters(UNSPECIFIED, 0, av1_bit_depth(config))
        else:
            raise BoxError(f"the sample entry {box.type!r} is not one that HLS players support")
    except (BoxError, IndexError, StopIteration) as error:
        raise EncodeFailed(f"the video sample entry cannot be read: {error}", fix=_FIX) from error
    seen = colour[:3] if colour else parameters.colour
    seen_range = _RANGES.get(seen[1], "SDR")
    return Video(codecs, width, height, seen_range, nal_length, parameters.reorder, seen, config, parameters.bit_depth)


def hevc_codecs(config: bytes) -> str:
    """Return the string of ISO/IEC 14496-15 Annex E for an HEVCDecoderConfigurationRecord."""
    space, tier, profile = config[1] >> 6, config[1] >> 5 & 1, config[1] & 31
    flags = int(f"{int.from_bytes(config[2:6], 'big'):032b}"[::-1], 2)  # the string wants them in reverse bit order
    constraints = config[6:12].rstrip(b"\0")
    parts = [
        "hvc1",
        f"{('', 'A', 'B', 'C')[space]}{profile}",
        f"{flags:X}",
        f"{'LH'[tier]}{config[12]}",
        *(f"{byte:X}" for byte in constraints),
    ]
    return ".".join(parts)


def av1_codecs(config: bytes, colour: tuple[int, int, int, int] | None = None) -> str:
    """Return the string of the AV1 ISOBMFF binding, section 5. The colour fields are written when they differ from BT.709, all or none."""
    profile, level = config[1] >> 5, config[1] & 31
    tier, mono = config[2] >> 7 & 1, config[2] >> 4 & 1
    short = f"av01.{profile}.{level:02d}{'MH'[tier]}.{av1_bit_depth(config):02d}"
    if colour is None or colour == _BT709 or 2 in colour[:3]:
        return short
    subsampling = f"{config[2] >> 3 & 1}{config[2] >> 2 & 1}{config[2] & 3 if config[2] >> 2 & 3 == 3 else 0}"
    primaries, transfer, matrix, full = colour
    return f"{short}.{mono}.{subsampling}.{primaries:02d}.{transfer:02d}.{matrix:02d}.{full}"


def av1_bit_depth(config: bytes) -> int:
    """Return the bit depth that an AV1CodecConfigurationRecord gives."""
    high, twelve = config[2] >> 6 & 1, config[2] >> 5 & 1
    return 12 if high and twelve else 10 if high else 8


def _colour(colr: bytes | None) -> tuple[int, int, int, int] | None:
    """Return primaries, transfer, matrix and full range of a colr box of type nclx."""
    if colr is None or colr[:4] != b"nclx" or len(colr) < 11:
        return None
    return int.from_bytes(colr[4:6], "big"), int.from_bytes(colr[6:8], "big"), int.from_bytes(colr[8:10], "big"), colr[10] >> 7


def audio(entry: bytes) -> Audio:
    """Read an AAC sample entry: what its AudioSpecificConfig says, not what the entry's legacy fields claim. HLS-CODEC-004, -007."""
    try:
        box = next(children(entry))
        if box.type != "mp4a":
            raise BoxError(f"the sample entry {box.type!r} is not AAC")
        esds = find(entry, "esds", inside=Box(box.type, box.offset, box.size, box.header + AUDIO_FIELDS))
        if esds is None:
            raise BoxError("it has no esds")
        descriptors = entry[esds.body + 4 : esds.end]
        at, length = descriptor(descriptors, DECODER_SPECIFIC)
        bits = Bits(descriptors[at : at + length])
        kind, rate, configuration = _object_type(bits), _sample_rate(bits), bits.read(4)
        if kind in (5, 29):  # explicit SBR: the rate after decoding follows
            rate = _sample_rate(bits)
        elif (extension := _sbr(bits)) is not None:
            kind, rate = 5, extension
    except (BoxError, IndexError, StopIteration) as error:
        raise EncodeFailed(f"the audio sample entry cannot be read: {error}", fix=_FIX) from error
    legacy = int.from_bytes(entry[box.body + 16 : box.body + 18], "big")
    channels = {0: legacy, 7: 8, 11: 7, 12: 8, 14: 8}.get(configuration, configuration)
    # The channel configurations of AAC are those of ISO/IEC 23091-3; 0 leaves it to a program config element, which is not read.
    return Audio(f"mp4a.40.{kind}", channels, rate, configuration or _LAYOUTS.get(channels))


def descriptor(descriptors: bytes, wanted: int) -> tuple[int, int]:
    """Return where the body of a descriptor of an ES descriptor lies, and its length (ISO/IEC 14496-1 7.2.6)."""
    at = 0
    for tag, fields in ((3, 3), (DECODER_CONFIG, 13), (DECODER_SPECIFIC, 0)):
        while descriptors[at] != tag:
            at = sum(_length(descriptors, at + 1))
        at, length = _length(descriptors, at + 1)
        if tag == DECODER_CONFIG and descriptors[at] != 0x40:
            raise BoxError(f"its object type 0x{descriptors[at]:02x} is not MPEG-4 audio")
        if tag == wanted:
            return at, length
        at += fields
    raise BoxError("esds has no such descriptor")


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the offset behind an expandable length, and the length."""
    length = 0
    while True:
        byte = data[at]
        at += 1
        length = length << 7 | byte & 0x7F
        if not byte & 0x80:
            return at, length


def _object_type(bits: Bits) -> int:
    kind = bits.read(5)
    return 32 + bits.read(6) if kind == 31 else kind


def _sample_rate(bits: Bits) -> int:
    index = bits.read(4)
    return bits.read(24) if index == 15 else _SAMPLE_RATES[index]


def _sbr(bits: Bits) -> int | None:
    """Return the sample rate of backward-compatible SBR signalling behind the GASpecificConfig of an AAC-LC track, if it is switched on."""
    bits.read(3)  # frameLengthFlag, dependsOnCoreCoder, extensionFlag: all 0 for AAC-LC of ours
    if bits.left < 17 or bits.read(11) != 0x2B7 or _object_type(bits) != 5 or not bits.read(1):
        return None
    return _sample_rate(bits)
