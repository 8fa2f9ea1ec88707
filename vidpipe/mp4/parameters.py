"""Read what only the sequence parameter set of H.264 and HEVC says: the colour and the depth of reordering.

In:   the decoder configuration record (avcC, hvcC) as bytes.
Out:  Parameters.
Wrong: IndexError when a parameter set is cut off; the caller translates it.
"""

from __future__ import annotations

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


def avc_parameters(config: bytes) -> Parameters:
    """Read the first SPS of an AVCDecoderConfigurationRecord; syntax of H.264 7.3.2.1.1 and E.1.1."""
    if not config[5] & 31:
        raise IndexError("there is no sequence parameter set")
    size = int.from_bytes(config[6:8], "big")
    bits = Bits(unescape(config[9 : 8 + size]))  # without the NAL unit header
    profile = bits.read(8)
    bits.read(16)
    bits.ue()
    depth = 8
    if profile in _HIGH_PROFILES:
        chroma = bits.ue()
        if chroma == 3:
            bits.flag()
        depth += bits.ue()
        bits.ue()
        bits.flag()
        if bits.flag():
            for number in range(12 if chroma == 3 else 8):
                if bits.flag():
                    _avc_scaling_list(bits, 16 if number < 6 else 64)
    bits.ue()  # log2_max_frame_num_minus4
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.flag()
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    references = bits.ue()  # the bound of reordering where the VUI gives none (E.2.1)
    bits.flag()
    bits.ue()  # width and height in macroblocks
    bits.ue()
    if not bits.flag():
        bits.flag()
    bits.flag()  # direct_8x8_inference
    if bits.flag():
        for _ in range(4):
            bits.ue()
    reorder = 0 if order == 2 or profile == _BASELINE else references
    if not bits.flag():
        return Parameters(UNSPECIFIED, reorder, depth)
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
    return Parameters(colour, reorder, depth)


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


def hevc_parameters(config: bytes) -> Parameters:
    """Read the first SPS of an HEVCDecoderConfigurationRecord; syntax of H.265 7.3.2.2 and E.2.1."""
    at = 23
    for _ in range(config[22]):
        kind, count = config[at] & 63, int.from_bytes(config[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(config[at : at + 2], "big")
            if kind == _HEVC_SPS:
                return _hevc_sps(Bits(unescape(config[at + 4 : at + 2 + size])))  # without the two bytes of the NAL unit header
            at += 2 + size
    raise IndexError("there is no sequence parameter set")


def _hevc_sps(bits: Bits) -> Parameters:
    bits.read(4)
    sublayers = bits.read(3)  # sps_max_sub_layers_minus1
    bits.flag()
    _profile_tier_level(bits, sublayers)
    bits.ue()
    chroma = bits.ue()
    if chroma == 3:
        bits.flag()
    bits.ue()
    bits.ue()
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
    for _ in range(6):
        bits.ue()
    if bits.flag() and bits.flag():
        _hevc_scaling_lists(bits)
    bits.read(2)  # amp, sao
    if bits.flag():  # pcm
        bits.read(8)
        bits.ue()
        bits.ue()
        bits.flag()
    _reference_sets(bits)
    if bits.flag():  # long-term reference pictures
        for _ in range(bits.ue()):
            bits.read(order_bits)
            bits.flag()
    bits.read(2)  # temporal mvp, strong intra smoothing
    return Parameters(_vui_colour(bits) if bits.flag() else UNSPECIFIED, reorder, depth)


def _profile_tier_level(bits: Bits, sublayers: int) -> None:
    bits.read(96)
    present = [(bits.flag(), bits.flag()) for _ in range(sublayers)]
    if sublayers:
        bits.read(2 * (8 - sublayers))
    for profile, level in present:
        bits.read(88 * profile + 8 * level)


def _hevc_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                bits.se()


def _reference_sets(bits: Bits) -> None:
    """Skip the short-term reference picture sets, H.265 7.3.7; a predicted set has as many pictures as its flags keep."""
    pictures = 0
    for number in range(bits.ue()):
        if number and bits.flag():
            bits.flag()
            bits.ue()
            kept = 0
            for _ in range(pictures + 1):
                used = bits.flag()
                kept += used or bits.flag()
            pictures = kept
            continue
        negative, positive = bits.ue(), bits.ue()
        pictures = negative + positive
        for _ in range(pictures):
            bits.ue()
            bits.flag()


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
