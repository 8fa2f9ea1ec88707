"""Measure the slice headers of H.264 and HEVC: where in a NAL unit the coded picture begins. ITU-T H.264 7.3.3, H.265 7.3.6.

In:   the decoder configuration record (avcC, hvcC); NAL units of coded pictures.
Out:  bytes of NAL unit header and slice header together, up to the first byte that holds nothing of them.
Wrong: BoxError for what the encoders of vidpipe do not write and is not read here: slice groups, data partitions, long-term references of
       HEVC, extensions of parameter sets; IndexError where a header is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from vidpipe.mp4.bits import Bits, escaped_size, unescape
from vidpipe.mp4.boxes import BoxError
from vidpipe.mp4.parameters import avc_sequence, hevc_nal, hevc_scaling_lists, hevc_sequence, reference_set

_AVC_SLICES, _AVC_OTHER_SLICES, _AVC_IDR = frozenset({1, 5}), frozenset({2, 3, 4, 19, 20, 21}), 5  # H.264 table 7-1
_HEVC_SLICES = frozenset({*range(10), *range(16, 22)})  # H.265 table 7-1
_HEVC_RESERVED_SLICES = frozenset(range(32)) - _HEVC_SLICES
_HEVC_PPS = 34
_HEVC_PROFILES = frozenset({1, 2, 3})
_FIRST_LOOK = 64
"""Bytes that hold most headers. Weights of prediction and entry points make some longer."""

_Picture = TypeVar("_Picture")

Measure = Callable[[bytes, int], int]
"""(NAL unit, its type) -> bytes of its headers."""


@dataclass(frozen=True, slots=True)
class NalUnits:
    """How NAL units are told apart. kind: of a first byte.  slices: types of coded pictures.  refused: types that are not read here."""

    kind: Callable[[int], int]
    slices: frozenset[int]
    refused: frozenset[int]
    header: Measure


def avc_units(config: bytes) -> NalUnits:
    """Return how to read the NAL units of a track. config: AVCDecoderConfigurationRecord."""
    return NalUnits(lambda first: first & 31, _AVC_SLICES, _AVC_OTHER_SLICES, _grown(_avc_header(config)))


def hevc_units(config: bytes) -> NalUnits:
    """Return how to read the NAL units of a track. config: HEVCDecoderConfigurationRecord."""
    return NalUnits(lambda first: first >> 1 & 63, _HEVC_SLICES, _HEVC_RESERVED_SLICES, _grown(_hevc_header(config)))


def _grown(measure: Measure) -> Measure:
    """Look at the beginning of a NAL unit, and at more of it if its header does not end there."""

    def header(nal: bytes, kind: int) -> int:
        look = _FIRST_LOOK
        while True:
            part = nal[:look]
            try:
                return escaped_size(part, measure(unescape(part), kind))
            except IndexError:
                if look >= len(nal):
                    raise
                look *= 8

    return header


def _avc_header(config: bytes) -> Measure:
    sequence = avc_sequence(config)
    pictures = dict(_avc_pictures(config))

    def measure(nal: bytes, kind: int) -> int:
        bits = Bits(nal)
        reference = bits.read(8) >> 5 & 3
        bits.ue()  # first_mb_in_slice
        slice_type = bits.ue() % 5
        p, b, i, sp, si = (slice_type == number for number in range(5))
        picture = _chosen(pictures, bits.ue())
        if sequence.planes:
            bits.read(2)
        bits.read(sequence.frame_bits)
        field = not sequence.frames_only and bits.flag()
        if field:
            bits.flag()
        if kind == _AVC_IDR:
            bits.ue()
        if sequence.order == 0:
            bits.read(sequence.order_bits)
            if picture.bottom_order and not field:
                bits.se()
        elif sequence.order == 1 and not sequence.order_always_zero:
            bits.se()
            if picture.bottom_order and not field:
                bits.se()
        if picture.redundant:
            bits.ue()
        if b:
            bits.flag()
        active = list(picture.references[: 0 if i or si else 2 if b else 1])
        if active and bits.flag():
            active = [bits.ue() + 1 for _ in active]
        for _ in active:  # ref_pic_list_modification
            if bits.flag():
                while bits.ue() != 3:
                    bits.ue()
        if (picture.weighted and (p or sp)) or (picture.weighted_both == 1 and b):
            _avc_weights(bits, active, colour=sequence.chroma != 0)
        if reference:
            _avc_marking(bits, idr=kind == _AVC_IDR)
        if picture.cabac and not (i or si):
            bits.ue()
        bits.se()  # slice_qp_delta
        if sp or si:
            if sp:
                bits.flag()
            bits.se()
        if picture.deblocking and bits.ue() != 1:
            bits.se()
            bits.se()
        return (bits.at + 7) // 8

    return measure


@dataclass(frozen=True, slots=True)
class _AvcPicture:
    """A PPS of H.264: cabac, bottom_order, weighted, deblocking, redundant: flags.  references: in both lists.  weighted_both: of B."""

    cabac: bool
    bottom_order: bool
    references: tuple[int, int]
    weighted: bool
    weighted_both: int
    deblocking: bool
    redundant: bool


def _avc_pictures(config: bytes) -> list[tuple[int, _AvcPicture]]:
    at = 6
    for _ in range(config[5] & 31):
        at += 2 + int.from_bytes(config[at : at + 2], "big")
    count, at = config[at], at + 1
    found = []
    for _ in range(count):
        size = int.from_bytes(config[at : at + 2], "big")
        bits = Bits(unescape(config[at + 3 : at + 2 + size]))  # without the NAL unit header
        at += 2 + size
        number = bits.ue()
        bits.ue()
        cabac, bottom_order = bits.flag(), bits.flag()
        if bits.ue():
            raise BoxError("it has slice groups, whose headers are not read")
        references = (bits.ue() + 1, bits.ue() + 1)
        weighted, weighted_both = bits.flag(), bits.read(2)
        for _ in range(3):
            bits.se()
        deblocking, _, redundant = bits.flag(), bits.flag(), bits.flag()
        found.append((number, _AvcPicture(cabac, bottom_order, references, weighted, weighted_both, deblocking, redundant)))
    return found


def _avc_weights(bits: Bits, active: list[int], *, colour: bool) -> None:
    bits.ue()
    if colour:
        bits.ue()
    for count in active:
        for _ in range(count):
            if bits.flag():
                bits.se()
                bits.se()
            if colour and bits.flag():
                for _ in range(4):
                    bits.se()


def _avc_marking(bits: Bits, *, idr: bool) -> None:
    """Skip dec_ref_pic_marking, H.264 7.3.3.3."""
    if idr:
        bits.read(2)
    elif bits.flag():
        while operation := bits.ue():
            for _ in range({1: 1, 2: 1, 3: 2, 4: 1, 6: 1}.get(operation, 0)):
                bits.ue()


def _hevc_header(config: bytes) -> Measure:
    if config[1] & 31 not in _HEVC_PROFILES:
        raise BoxError(f"it has HEVC profile {config[1] & 31}, whose slice headers are not read")
    sequence = hevc_sequence(config)
    if sequence.long_term:
        raise BoxError("it has long-term reference pictures, whose slice headers are not read")
    number, picture = _hevc_picture(config)
    pictures = {number: picture}
    address_bits = (sequence.blocks - 1).bit_length()
    set_bits = (len(sequence.reference_sets) - 1).bit_length() if sequence.reference_sets else 0

    def measure(nal: bytes, kind: int) -> int:
        bits = Bits(nal)
        bits.read(16)
        first = bits.flag()
        if 16 <= kind <= 23:
            bits.flag()
        picture = _chosen(pictures, bits.ue())
        dependent = False
        if not first:
            dependent = picture.dependent_slices and bits.flag()
            bits.read(address_bits)
        if not dependent:
            whole(bits, kind, picture)
        if picture.entry_points and (points := bits.ue()):
            width = bits.ue() + 1
            bits.read(width * points)
        if picture.extension:
            bits.read(8 * bits.ue())
        bits.flag()  # byte_alignment: a one, and zeros up to the next byte
        return (bits.at + 7) // 8

    def whole(bits: Bits, kind: int, picture: _HevcPicture) -> None:
        bits.read(picture.extra_bits)
        b, p, _ = (number == slice_type for slice_type in [bits.ue()] for number in range(3))
        if picture.output_flag:
            bits.flag()
        if sequence.planes:
            bits.read(2)
        motion = False
        if kind not in (19, 20):
            bits.read(sequence.order_bits)
            if not bits.flag():
                reference_set(bits, sequence.reference_sets, in_slice=True)
            else:
                bits.read(set_bits)
            motion = sequence.temporal_mvp and bits.flag()
        smoothed = False
        if sequence.sao:
            luma = bits.flag()
            smoothed = (sequence.chroma != 0 and bits.flag()) or luma
        if p or b:
            active = list(picture.references[: 2 if b else 1])
            if bits.flag():
                active = [bits.ue() + 1 for _ in active]
            if b:
                bits.flag()  # mvd_l1_zero
            if picture.cabac_init:
                bits.flag()
            if motion:
                collocated = active[0] if not b or bits.flag() else active[1]
                if collocated > 1:
                    bits.ue()
            if picture.weighted_both if b else picture.weighted:
                _hevc_weights(bits, active, colour=sequence.chroma != 0)
            bits.ue()  # five_minus_max_num_merge_cand
        bits.se()  # slice_qp_delta
        if picture.chroma_offsets:
            bits.se()
            bits.se()
        unfiltered = picture.unfiltered
        if picture.filter_override and bits.flag():
            unfiltered = bits.flag()
            if not unfiltered:
                bits.se()
                bits.se()
        if picture.filter_across and (smoothed or not unfiltered):
            bits.flag()

    return measure


@dataclass(frozen=True, slots=True)
class _HevcPicture:
    """A PPS of HEVC. extra_bits: of each slice header.  references: in both lists.  The others are flags.

    unfiltered: pps_deblocking_filter_disabled_flag.  filter_across: pps_loop_filter_across_slices_enabled_flag.
    entry_points: tiles or wavefronts.
    """

    dependent_slices: bool
    output_flag: bool
    extra_bits: int
    cabac_init: bool
    references: tuple[int, int]
    chroma_offsets: bool
    weighted: bool
    weighted_both: bool
    entry_points: bool
    filter_across: bool
    filter_override: bool
    unfiltered: bool
    extension: bool


def _hevc_picture(config: bytes) -> tuple[int, _HevcPicture]:
    """Read the first PPS, H.265 7.3.2.3. x265 writes one."""
    nal = hevc_nal(config, _HEVC_PPS)
    if nal is None:
        raise BoxError("there is no picture parameter set")
    bits = Bits(unescape(nal[2:]))
    number = bits.ue()
    bits.ue()
    dependent, output_flag, extra = bits.flag(), bits.flag(), bits.read(3)
    bits.flag()
    cabac_init = bits.flag()
    references = (bits.ue() + 1, bits.ue() + 1)
    bits.se()
    bits.read(2)
    if bits.flag():  # cu_qp_delta_enabled
        bits.ue()
    bits.se()
    bits.se()
    chroma_offsets, weighted, weighted_both = bits.flag(), bits.flag(), bits.flag()
    bits.flag()
    tiles, wavefronts = bits.flag(), bits.flag()
    if tiles:
        columns, rows = bits.ue(), bits.ue()
        if not bits.flag():
            for _ in range(columns + rows):
                bits.ue()
        bits.flag()
    filter_across = bits.flag()
    override = unfiltered = False
    if bits.flag():  # deblocking_filter_control_present
        override, unfiltered = bits.flag(), bits.flag()
        if not unfiltered:
            bits.se()
            bits.se()
    if bits.flag():
        hevc_scaling_lists(bits)
    if bits.flag():
        raise BoxError("its slices change the order of references, which is not read")
    bits.ue()
    extension = bits.flag()
    if bits.flag():
        raise BoxError("its picture parameter set has an extension, which is not read")
    return number, _HevcPicture(
        dependent_slices=dependent,
        output_flag=output_flag,
        extra_bits=extra,
        cabac_init=cabac_init,
        references=references,
        chroma_offsets=chroma_offsets,
        weighted=weighted,
        weighted_both=weighted_both,
        entry_points=tiles or wavefronts,
        filter_across=filter_across,
        filter_override=override,
        unfiltered=unfiltered,
        extension=extension,
    )


def _hevc_weights(bits: Bits, active: list[int], *, colour: bool) -> None:
    bits.ue()
    if colour:
        bits.se()
    for count in active:
        luma = [bits.flag() for _ in range(count)]
        chroma = [colour and bits.flag() for _ in range(count)]
        for number in range(count):
            for _ in range(2 * luma[number] + 4 * chroma[number]):
                bits.se()


def _chosen(pictures: Mapping[int, _Picture], number: int) -> _Picture:
    if number not in pictures:
        raise BoxError(f"a slice names picture parameter set {number}, which the init section does not have")
    return pictures[number]
