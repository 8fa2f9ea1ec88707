"""Read what only the sequence parameter set of H.264 and HEVC says: the colour, the depth of reordering, what slice headers depend on.

In:   the decoder configuration record (avcC, hvcC) as bytes.
Out:  Parameters; AvcSequence and HevcSequence.
Wrong: IndexError when a parameter set is cut off; the caller translates it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidpipe.mp4.bits import Bits, unescape

ColourCodes = tuple[int, int, int]
UNSPECIFIED: ColourCodes = (2, 2, 2)
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_BASELINE = 66
_HEVC_SPS = 33


@dataclass(frozen=True, slots=True)
class Parameters:
    """colour: primaries, transfer and matrix of ITU-T H.273 (BT.709 is 1, 1, 1), each 2 when the stream does not say.

    reorder: how many frames at most are decoded before, but shown after, another one.  bit_depth: of luma.
    """

    colour: ColourCodes
    reorder: int
    bit_depth: int = 8


@dataclass(frozen=True, slots=True)
class AvcSequence:
    """An SPS of H.264. chroma: ChromaArrayType, 0 without chroma or with separate planes.  planes: they are separate.

    frame_bits: of frame_num.  order: pic_order_cnt_type.  order_bits: of pic_order_cnt_lsb.  order_always_zero, frames_only: flags.
    """

    parameters: Parameters
    chroma: int
    planes: bool
    frame_bits: int
    order: int
    order_bits: int
    order_always_zero: bool
    frames_only: bool


@dataclass(frozen=True, slots=True)
class HevcSequence:
    """An SPS of HEVC. chroma, planes: as in AvcSequence.  order_bits: of slice_pic_order_cnt_lsb.  blocks: coding tree blocks of a picture.

    reference_sets: how many pictures each short-term reference picture set has.  long_term, temporal_mvp, sao: flags.
    """

    parameters: Parameters
    chroma: int
    planes: bool
    order_bits: int
    blocks: int
    sao: bool
    reference_sets: tuple[int, ...]
    long_term: bool
    temporal_mvp: bool


def avc_parameters(config: bytes) -> Parameters:
    """Return what the first SPS of an AVCDecoderConfigurationRecord says of the pictures."""
    return avc_sequence(config).parameters


def hevc_parameters(config: bytes) -> Parameters:
    """Return what the first SPS of an HEVCDecoderConfigurationRecord says of the pictures."""
    return hevc_sequence(config).parameters


def avc_sequence(config: bytes) -> AvcSequence:
    """Read the first SPS of an AVCDecoderConfigurationRecord; syntax of H.264 7.3.2.1.1 and E.1.1."""
    if not config[5] & 31:
        raise IndexError("there is no sequence parameter set")
    size = int.from_bytes(config[6:8], "big")
    bits = Bits(unescape(config[9 : 8 + size]))  # without the NAL unit header
    profile = bits.read(8)
    bits.read(16)
    bits.ue()
    depth, chroma, planes = 8, 1, False
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            planes = bits.flag()
        depth += bits.ue()
        bits.ue()
        bits.flag()
        if bits.flag():
            for number in range(12 if chroma == 3 else 8):
                if bits.flag():
                    _avc_scaling_list(bits, 16 if number < 6 else 64)
    frame_bits = bits.ue() + 4
    order = bits.ue()
    order_bits, always_zero = 0, False
    if order == 0:
        order_bits = bits.ue() + 4
    elif order == 1:
        always_zero = bits.flag()
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    references = bits.ue()  # the bound of reordering where the VUI gives none (E.2.1)
    bits.flag()
    bits.ue()  # width and height in macroblocks
    bits.ue()
    if not (frames_only := bits.flag()):
        bits.flag()
    bits.flag()  # direct_8x8_inference
    if bits.flag():
        for _ in range(4):
            bits.ue()
    reorder = 0 if order == 2 or profile == _BASELINE else references
    colour, reorder = _avc_vui(bits, reorder) if bits.flag() else (UNSPECIFIED, reorder)
    return AvcSequence(
        parameters=Parameters(colour, reorder, depth),
        chroma=0 if planes else chroma,
        planes=planes,
        frame_bits=frame_bits,
        order=order,
        order_bits=order_bits,
        order_always_zero=always_zero,
        frames_only=frames_only,
    )


def _avc_vui(bits: Bits, reorder: int) -> tuple[ColourCodes, int]:
    """Return the colour and the depth of reordering. reorder: where the VUI does not say."""
    colour = _vui_colour(bits)
    if bits.flag():  # chroma_loc_info_present
        bits.ue()
        bits.ue()
    if bits.flag():  # timing_info_present
        bits.read(65)
    buffers = 0
    for _ in range(2):  # nal_hrd, vcl_hrd
        if bits.flag():
            _avc_hrd(bits)
            buffers += 1
    if buffers:
        bits.flag()  # low_delay_hrd
    bits.flag()  # pic_struct_present
    if bits.flag():  # bitstream_restriction
        bits.flag()
        for _ in range(4):
            bits.ue()
        reorder = bits.ue()
    return colour, reorder


def _avc_hrd(bits: Bits) -> None:
    count = bits.ue() + 1
    bits.read(8)
    for _ in range(count):
        bits.ue()
        bits.ue()
        bits.flag()
    bits.read(20)


def _avc_scaling_list(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def hevc_sequence(config: bytes) -> HevcSequence:
    """Read the first SPS of an HEVCDecoderConfigurationRecord; syntax of H.265 7.3.2.2 and E.2.1."""
    found = hevc_nal(config, _HEVC_SPS)
    if found is None:
        raise IndexError("there is no sequence parameter set")
    return _hevc_sps(Bits(unescape(found[2:])))


def hevc_nal(config: bytes, wanted: int) -> bytes | None:
    """Return the first NAL unit of a type in an HEVCDecoderConfigurationRecord; its header has two bytes."""
    at = 23
    for _ in range(config[22]):
        kind, count = config[at] & 63, int.from_bytes(config[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(config[at : at + 2], "big")
            if kind == wanted:
                return config[at + 2 : at + 2 + size]
            at += 2 + size
    return None


def _hevc_sps(bits: Bits) -> HevcSequence:
    bits.read(4)
    sublayers = bits.read(3)  # sps_max_sub_layers_minus1
    bits.flag()
    _profile_tier_level(bits, sublayers)
    bits.ue()
    chroma = bits.ue()
    planes = chroma == 3 and bits.flag()
    width, height = bits.ue(), bits.ue()
    if bits.flag():  # conformance window
        for _ in range(4):
            bits.ue()
    depth = 8 + bits.ue()
    bits.ue()
    order_bits = bits.ue() + 4
    reorder = 0
    for _ in range(0 if bits.flag() else sublayers, sublayers + 1):
        bits.ue()
        reorder = bits.ue()  # the highest sublayer stands last
        bits.ue()
    block_bits = bits.ue() + 3
    block_bits += bits.ue()
    for _ in range(4):
        bits.ue()
    if bits.flag() and bits.flag():
        hevc_scaling_lists(bits)
    bits.flag()  # amp
    sao = bits.flag()
    if bits.flag():  # pcm
        bits.read(8)
        bits.ue()
        bits.ue()
        bits.flag()
    sets = _reference_sets(bits)
    long_term = bits.flag()
    if long_term:  # long-term reference pictures
        for _ in range(bits.ue()):
            bits.read(order_bits)
            bits.flag()
    temporal_mvp = bits.flag()
    bits.flag()  # strong intra smoothing
    return HevcSequence(
        parameters=Parameters(_vui_colour(bits) if bits.flag() else UNSPECIFIED, reorder, depth),
        chroma=0 if planes else chroma,
        planes=planes,
        order_bits=order_bits,
        blocks=-(-width >> block_bits) * -(-height >> block_bits),
        sao=sao,
        reference_sets=sets,
        long_term=long_term,
        temporal_mvp=temporal_mvp,
    )


def _profile_tier_level(bits: Bits, sublayers: int) -> None:
    bits.read(96)
    present = [(bits.flag(), bits.flag()) for _ in range(sublayers)]
    if sublayers:
        bits.read(2 * (8 - sublayers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)


def hevc_scaling_lists(bits: Bits) -> None:
    """Skip scaling_list_data, H.265 7.3.4."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                bits.se()


def _reference_sets(bits: Bits) -> tuple[int, ...]:
    """Return how many pictures the short-term reference picture sets of an SPS have."""
    sets: list[int] = []
    for _ in range(bits.ue()):
        sets.append(reference_set(bits, sets))
    return tuple(sets)


def reference_set(bits: Bits, sets: Sequence[int], *, in_slice: bool = False) -> int:
    """Skip a short-term reference picture set, H.265 7.3.7; return how many pictures it has. sets: those of the ones before it.

    A predicted set has as many pictures as its flags keep; in a slice it says which one it is predicted from.
    """
    if sets and bits.flag():
        pictures = sets[-1 - bits.ue()] if in_slice else sets[-1]
        bits.flag()
        bits.ue()
        kept = 0
        for _ in range(pictures + 1):
            used = bits.flag()
            kept += used or bits.flag()
        return kept
    negative, positive = bits.ue(), bits.ue()
    for _ in range(negative + positive):
        bits.ue()
        bits.flag()
    return negative + positive


def _vui_colour(bits: Bits) -> ColourCodes:
    """Read the start of the VUI, which H.264 and HEVC share, up to and with the colour description: what follows is read by the caller."""
    if bits.flag() and bits.read(8) == 255:  # aspect_ratio_idc Extended_SAR
        bits.read(32)
    if bits.flag():
        bits.flag()
    if bits.flag():  # video_signal_type_present
        bits.read(4)
        if bits.flag():
            return bits.read(8), bits.read(8), bits.read(8)
    return UNSPECIFIED
