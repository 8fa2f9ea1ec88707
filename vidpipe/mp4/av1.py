"""Find the tiles in AV1 samples: AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.11.

In:   the OBUs of av1C; the samples of a segment in order, from a key frame on (what a header says depends on the frames before it).
Out:  where the data of each tile lies in a sample.
Wrong: BoxError for what SVT-AV1 does not write and is not read here (reduced headers, implicit references, tile lists); IndexError where a
       header is cut off.

Everything of a frame header has to be read to know where it ends. Names are those of the specification where that helps to compare.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vidpipe.mp4.bits import Bits
from vidpipe.mp4.boxes import BoxError

_SEQUENCE, _FRAME_HEADER, _TILE_GROUP, _FRAME, _TILE_LIST = 1, 3, 4, 6, 8
_KEY, _INTER, _INTRA_ONLY, _SWITCH = range(4)
_REFERENCES, _SLOTS, _NONE = 7, 8, 7
_SELECT = 2
_SEGMENT_FEATURES = ((8, True), (6, True), (6, True), (6, True), (6, True), (3, False), (0, False), (0, False))
_FIRST_LOOK = 256
"""Bytes of an OBU that hold most frame headers."""
_IDENTITY = (0, 0, 1 << 16, 0, 0, 1 << 16)

Motion = tuple[tuple[int, ...], ...]
"""Parameters of global motion, of each reference."""


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What a sequence header says, by the names of section 5.5."""

    frame_size_bits: tuple[int, int]
    frame_size: tuple[int, int]
    id_bits: int
    delta_id_bits: int
    block_128: bool
    order_bits: int
    ref_frame_mvs: bool
    warped: bool
    force_screen_content: int
    force_integer_mv: int
    superres: bool
    cdef: bool
    restoration: bool
    film_grain: bool
    planes: int
    subsampling: tuple[bool, bool]
    separate_uv: bool
    time_bits: int  # of frame_presentation_time; 0 if none is written
    removal_bits: int  # of buffer_removal_time
    operating_points: tuple[tuple[int, bool], ...]  # idc, and whether the decoder model is there for it
    decoder_model: bool


@dataclass(frozen=True, slots=True)
class _Saved:
    """What a frame leaves in a slot for later headers. size: upscaled width, height.  segments: features of each."""

    order: int = 0
    frame_type: int = _KEY
    size: tuple[int, int] = (0, 0)
    motion: Motion = (_IDENTITY,) * _REFERENCES
    segments: tuple[int | None, ...] = (None,) * 8  # of the quantizer alone: it decides whether a frame is lossless


@dataclass(frozen=True, slots=True)
class _Tiles:
    """How the tiles of a frame are written. bits: of a number of a tile.  size_bytes: before the data of each but the last."""

    count: int
    bits: int
    size_bytes: int


@dataclass
class Av1Tiles:
    """Reads the samples of one segment in order."""

    config: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self._sequence: _Sequence | None = None
        self._saved = [_Saved()] * _SLOTS
        self._tiles: _Tiles | None = None  # of the frame whose tile groups follow
        self.ranges(self.config[4:])

    def ranges(self, sample: bytes) -> list[tuple[int, int]]:
        """Return begin and end of the data of each tile of a sample."""
        found: list[tuple[int, int]] = []
        at = 0
        while at < len(sample):
            first = sample[at]
            kind, extended, sized = first >> 3 & 15, first >> 2 & 1, first >> 1 & 1
            layers = sample[at + 1] if extended else 0
            at += 1 + extended
            size = len(sample) - at
            if sized:
                size, at = _leb128(sample, at)
            if at + size > len(sample):
                raise BoxError(f"an OBU of {size} bytes reaches past the end of its sample")
            found += self._obu(kind, sample, at, at + size, layers)
            at += size
        return found

    def _obu(self, kind: int, sample: bytes, at: int, end: int, layers: int) -> list[tuple[int, int]]:
        if kind == _SEQUENCE:
            self._sequence = _sequence(Bits(sample[at:end]))
        elif kind in (_FRAME, _FRAME_HEADER):
            size = self._frame(sample, at, end, layers)
            if kind == _FRAME:
                return self._group(sample, at + size, end)
        elif kind == _TILE_GROUP:
            return self._group(sample, at, end)
        elif kind == _TILE_LIST:
            raise BoxError("it has tile lists, which are not read")
        return []

    def _frame(self, sample: bytes, at: int, end: int, layers: int) -> int:
        """Read a frame header and remember what it leaves; return its bytes."""
        if self._sequence is None:
            raise BoxError("a frame comes before its sequence header")
        look = _FIRST_LOOK
        while True:
            header = _Header(self._sequence, Bits(sample[at : min(end, at + look)]), self._saved, layers)
            try:
                header.read()
                break
            except IndexError:
                if at + look >= end:
                    raise
                look *= 8
        self._tiles = header.tiles
        self._saved = [header.leaves if header.refresh >> slot & 1 else saved for slot, saved in enumerate(header.saved)]
        return (header.bits.at + 7) // 8

    def _group(self, sample: bytes, at: int, end: int) -> list[tuple[int, int]]:
        """Return the tiles of a tile group, section 5.11.1."""
        tiles = self._tiles
        if tiles is None:
            raise BoxError("a tile group comes without a frame")
        first, last = 0, tiles.count - 1
        if tiles.count > 1:
            bits = Bits(sample[at : at + 4])
            if bits.flag():
                first, last = bits.read(tiles.bits), bits.read(tiles.bits)
            at += (bits.at + 7) // 8
        found = []
        for number in range(first, last + 1):
            size = end - at
            if number < last:
                size = int.from_bytes(sample[at : at + tiles.size_bytes], "little") + 1
                at += tiles.size_bytes
            if not 0 < size <= end - at:
                raise BoxError(f"tile {number} of {size} bytes does not fit into its OBU")
            found.append((at, at + size))
            at += size
        return found


class _Header:
    """A frame header, section 5.9.2. tiles: None if it shows an earlier frame.  refresh: slots that take what it leaves, one bit each."""

    def __init__(self, sequence: _Sequence, bits: Bits, saved: list[_Saved], layers: int) -> None:
        self.sequence, self.bits, self.saved, self._layers = sequence, bits, saved, layers
        self.tiles: _Tiles | None = None
        self.refresh = 0
        self.leaves = _Saved()
        self._segments: tuple[int | None, ...] = (None,) * 8

    def read(self) -> None:
        seq, bits = self.sequence, self.bits
        if bits.flag():  # show_existing_frame
            shown = self.saved[bits.read(3)]
            bits.read(seq.time_bits)
            bits.read(seq.id_bits)
            if shown.frame_type == _KEY:
                self.refresh, self.leaves = 0xFF, shown
            return
        self.frame_type = bits.read(2)
        self.intra = self.frame_type in (_KEY, _INTRA_ONLY)
        self.shown = bits.flag()
        if self.shown:
            bits.read(seq.time_bits)
        self.showable = self.frame_type != _KEY if self.shown else bits.flag()
        starts = self.frame_type == _KEY and self.shown
        self.resilient = self.frame_type == _SWITCH or starts or bits.flag()
        no_update = bits.flag()
        screen_content = bits.flag() if seq.force_screen_content == _SELECT else seq.force_screen_content == 1
        integer_mv = False
        if screen_content:
            integer_mv = bits.flag() if seq.force_integer_mv == _SELECT else seq.force_integer_mv == 1
        bits.read(seq.id_bits)
        override = self.frame_type == _SWITCH or bits.flag()
        self.order = bits.read(seq.order_bits)
        primary = _NONE if self.intra or self.resilient else bits.read(3)
        self._removal_times()
        self.refresh = 0xFF if self.frame_type == _SWITCH or starts else bits.read(8)
        if self.resilient and seq.order_bits and not (self.intra and self.refresh == 0xFF):
            for slot in range(_SLOTS):
                order = bits.read(seq.order_bits)
                if order != self.saved[slot].order:
                    self.saved = [*self.saved[:slot], _Saved(order=order), *self.saved[slot + 1 :]]
        self.block_copy = self.precise = False
        self.references: list[int] = []
        if self.intra:
            self._own_size(override)
            self.block_copy = screen_content and self.upscaled == self.width and bits.flag()
        else:
            self._references()
            self._size(override)
            self.precise = not integer_mv and bits.flag()
            if not bits.flag():  # is_filter_switchable
                bits.read(2)
            bits.flag()
            if not self.resilient and seq.ref_frame_mvs:
                bits.flag()
        if not no_update:
            bits.flag()
        before = _Saved() if primary == _NONE else self.saved[self.references[primary]]
        self.tiles = self._tile_info()
        self._after_tiles(before, primary)
        self.leaves = replace(self.leaves, order=self.order, frame_type=self.frame_type, size=(self.upscaled, self.height))

    def _after_tiles(self, before: _Saved, primary: int) -> None:
        seq, bits = self.sequence, self.bits
        base, deltas = self._quantization()
        segmented = self._segmentation(before, primary)
        lossless = not any(deltas) and all(
            base + (self._segments[number] or 0) <= 0 if segmented else base == 0 for number in range(8 if segmented else 1)
        )
        if base and bits.flag():  # delta_q_present
            bits.read(2)
            if not self.block_copy and bits.flag():
                bits.read(3)
        if not lossless and not self.block_copy:
            self._filters()
        if not (lossless and self.width == self.upscaled) and not self.block_copy and seq.restoration:
            self._restoration()
        if not lossless:
            bits.flag()  # tx_mode_select
        compound = not self.intra and bits.flag()  # reference_select
        if compound and self._has_skip_mode():
            bits.flag()
        if not (self.intra or self.resilient) and seq.warped:
            bits.flag()
        bits.flag()  # reduced_tx_set
        motion = (_IDENTITY,) * _REFERENCES if self.intra else self._motion(before.motion)
        if seq.film_grain and (self.shown or self.showable):
            self._film_grain()
        self.leaves = _Saved(motion=motion, segments=self._segments)

    def _removal_times(self) -> None:
        seq, bits = self.sequence, self.bits
        if seq.decoder_model and bits.flag():
            temporal, spatial = self._layers >> 5, self._layers >> 3 & 3
            for idc, timed in seq.operating_points:
                if timed and (idc == 0 or (idc >> temporal & 1 and idc >> (spatial + 8) & 1)):
                    bits.read(seq.removal_bits)

    def _references(self) -> None:
        seq, bits = self.sequence, self.bits
        if seq.order_bits and bits.flag():
            raise BoxError("its frames name their references implicitly, which is not read")
        for _ in range(_REFERENCES):
            self.references.append(bits.read(3))
            bits.read(seq.delta_id_bits)

    def _size(self, override: bool) -> None:
        if override and not self.resilient:
            for slot in self.references:
                if self.bits.flag():
                    self.upscaled, self.height = self.saved[slot].size
                    self._superres()
                    return
        self._own_size(override)

    def _own_size(self, override: bool) -> None:
        seq, bits = self.sequence, self.bits
        self.upscaled, self.height = seq.frame_size
        if override:
            self.upscaled, self.height = (bits.read(count) + 1 for count in seq.frame_size_bits)
        self._superres()
        if bits.flag():  # render_and_frame_size_different
            bits.read(32)

    def _superres(self) -> None:
        self.width = self.upscaled
        if self.sequence.superres and self.bits.flag():
            denominator = self.bits.read(3) + 9
            self.width = (self.upscaled * 8 + denominator // 2) // denominator

    def _tile_info(self) -> _Tiles:
        """Section 5.9.15."""
        seq, bits = self.sequence, self.bits
        shift = 5 if seq.block_128 else 4
        columns, rows = (-(-(2 * (-(-pixels // 8))) >> shift) for pixels in (self.width, self.height))
        side = shift + 2
        widest, area = 4096 >> side, (4096 * 2304) >> (2 * side)
        least_columns = _log2(widest, columns)
        least = max(least_columns, _log2(area, rows * columns))
        if bits.flag():  # uniform_tile_spacing
            column_bits = self._increment(least_columns, _log2(1, min(columns, 64)))
            row_bits = self._increment(max(least - column_bits, 0), _log2(1, min(rows, 64)))
            count = 1
            for blocks, log2 in ((columns, column_bits), (rows, row_bits)):
                each = (blocks + (1 << log2) - 1) >> log2
                count *= -(-blocks // each)
        else:
            widths = self._lengths(columns, widest)
            most = (rows * columns) >> (least + 1) if least else rows * columns
            heights = self._lengths(rows, max(most // max(widths), 1))
            count = len(widths) * len(heights)
            column_bits, row_bits = _log2(1, len(widths)), _log2(1, len(heights))
        size_bytes = 0
        if column_bits or row_bits:
            bits.read(column_bits + row_bits)  # context_update_tile_id
            size_bytes = bits.read(2) + 1
        return _Tiles(count, column_bits + row_bits, size_bytes)

    def _increment(self, least: int, most: int) -> int:
        while least < most and self.bits.flag():
            least += 1
        return least

    def _lengths(self, blocks: int, most: int) -> list[int]:
        found: list[int] = []
        while (left := blocks - sum(found)) > 0:
            found.append(_ns(self.bits, min(left, most)) + 1)
        return found

    def _quantization(self) -> tuple[int, list[int]]:
        """Return base_q_idx, and what is added to it for other coefficients."""
        seq, bits = self.sequence, self.bits
        base = bits.read(8)
        deltas = [self._delta()]
        if seq.planes > 1:
            apart = seq.separate_uv and bits.flag()
            deltas += [self._delta() for _ in range(4 if apart else 2)]
        if bits.flag():  # using_qmatrix
            bits.read(12 if seq.separate_uv else 8)
        return base, deltas

    def _delta(self) -> int:
        return _su(self.bits, 7) if self.bits.flag() else 0

    def _segmentation(self, before: _Saved, primary: int) -> bool:
        bits = self.bits
        if not bits.flag():
            return False
        update = True
        if primary != _NONE:
            if bits.flag():
                bits.flag()
            update = bits.flag()
        if not update:
            self._segments = before.segments
            return True
        found: list[int | None] = []
        for _ in range(8):
            values = []
            for width, signed in _SEGMENT_FEATURES:
                value = None
                if bits.flag():
                    value = _su(bits, width + 1) if signed else bits.read(width)
                values.append(value)
            found.append(values[0])
        self._segments = tuple(found)
        return True

    def _filters(self) -> None:
        seq, bits = self.sequence, self.bits
        level = bits.read(6), bits.read(6)
        if seq.planes > 1 and any(level):
            bits.read(12)
        bits.read(3)
        if bits.flag() and bits.flag():  # loop_filter_delta_update
            for _ in range(10):
                self._delta()
        if seq.cdef:
            bits.read(2)
            bits.read((6 if seq.planes == 1 else 12) << bits.read(2))

    def _restoration(self) -> None:
        seq, bits = self.sequence, self.bits
        kinds = [bits.read(2) for _ in range(seq.planes)]
        if not any(kinds):
            return
        if bits.flag() and not seq.block_128:
            bits.flag()
        if all(seq.subsampling) and any(kinds[1:]):
            bits.flag()

    def _has_skip_mode(self) -> bool:
        """Section 5.9.22: whether there are two references, nearest to the frame, between which it can be predicted."""
        seq = self.sequence
        if not seq.order_bits:
            return False
        half = 1 << (seq.order_bits - 1)
        distances = [((self.saved[slot].order - self.order + half) & (2 * half - 1)) - half for slot in self.references]
        earlier = {distance for distance in distances if distance < 0}
        return bool(earlier) and (len(earlier) > 1 or any(distance > 0 for distance in distances))

    def _motion(self, before: Motion) -> Motion:
        bits = self.bits
        found = []
        for reference in range(_REFERENCES):
            values = list(_IDENTITY)
            if bits.flag():
                rotates = bits.flag()
                moves = not rotates and bits.flag()  # is_translation
                if not moves:
                    for index in (2, 3):
                        values[index] = self._parameter(before[reference], index, moves)
                    if rotates:
                        values[4], values[5] = -values[3], values[2]
                    else:
                        for index in (4, 5):
                            values[index] = self._parameter(before[reference], index, moves)
                for index in (0, 1):
                    values[index] = self._parameter(before[reference], index, moves)
            found.append(tuple(values))
        return tuple(found)

    def _parameter(self, before: tuple[int, ...], index: int, moves: bool) -> int:
        width, precision = 12, 15
        if index < 2:
            width, precision = (9 - (not self.precise), 3 - (not self.precise)) if moves else (12, 6)
        diagonal = index % 3 == 2
        most = 1 << width
        reference = (before[index] >> (16 - precision)) - ((1 << precision) if diagonal else 0)
        read = _near(self.bits, 2 * most + 1, reference + most) - most
        return (read << (16 - precision)) + ((1 << 16) if diagonal else 0)

    def _film_grain(self) -> None:
        """Section 5.9.30."""
        seq, bits = self.sequence, self.bits
        if not bits.flag():
            return
        bits.read(16)
        if self.frame_type == _INTER and not bits.flag():
            bits.read(3)
            return
        luma = bits.read(4)
        bits.read(16 * luma)
        from_luma = seq.planes > 1 and bits.flag()
        chroma = [0, 0]
        if seq.planes > 1 and not from_luma and not (all(seq.subsampling) and not luma):
            for number in range(2):
                chroma[number] = bits.read(4)
                bits.read(16 * chroma[number])
        bits.read(2)
        lag = bits.read(2)
        positions = 2 * lag * (lag + 1)
        if luma:
            bits.read(8 * positions)
        for points in chroma:
            if from_luma or points:
                bits.read(8 * (positions + (1 if luma else 0)))
        bits.read(4)
        for points in chroma:
            if points:
                bits.read(25)
        bits.read(2)


def _sequence(bits: Bits) -> _Sequence:
    """Read a sequence header, section 5.5."""
    profile = bits.read(3)
    bits.flag()
    if bits.flag():
        raise BoxError("it has reduced headers of still pictures, which are not read")
    delay_bits = removal_bits = time_bits = 0
    model = equal = False
    if timed := bits.flag():
        bits.read(64)
        equal = bits.flag()
        if equal:
            bits.ue()
        model = bits.flag()
        if model:
            delay_bits = bits.read(5) + 1
            bits.read(32)
            removal_bits, time_bits = bits.read(5) + 1, bits.read(5) + 1
    delayed = bits.flag()
    points = []
    for _ in range(bits.read(5) + 1):
        idc = bits.read(12)
        if bits.read(5) > 7:
            bits.flag()
        own = model and bits.flag()
        if own:
            bits.read(2 * delay_bits + 1)
        if delayed and bits.flag():
            bits.read(4)
        points.append((idc, own))
    widths = bits.read(4) + 1, bits.read(4) + 1
    size = bits.read(widths[0]) + 1, bits.read(widths[1]) + 1
    id_bits = delta_id_bits = 0
    if bits.flag():
        delta_id_bits = bits.read(4) + 2
        id_bits = bits.read(3) + delta_id_bits + 1
    block_128 = bits.flag()
    bits.read(4)  # filter_intra, intra_edge_filter, interintra, masked
    warped = bits.flag()
    bits.flag()  # dual_filter
    ordered = bits.flag()
    ref_frame_mvs = False
    if ordered:
        bits.flag()  # jnt_comp
        ref_frame_mvs = bits.flag()
    screen_content = _SELECT if bits.flag() else bits.read(1)
    integer_mv = _SELECT
    if screen_content and not bits.flag():
        integer_mv = bits.read(1)
    order_bits = bits.read(3) + 1 if ordered else 0
    superres, cdef, restoration = bits.flag(), bits.flag(), bits.flag()
    planes, subsampling, separate_uv = _colour(bits, profile)
    return _Sequence(
        frame_size_bits=widths,
        frame_size=size,
        id_bits=id_bits,
        delta_id_bits=delta_id_bits,
        block_128=block_128,
        order_bits=order_bits,
        ref_frame_mvs=ref_frame_mvs,
        warped=warped,
        force_screen_content=screen_content,
        force_integer_mv=integer_mv,
        superres=superres,
        cdef=cdef,
        restoration=restoration,
        film_grain=bits.flag(),
        planes=planes,
        subsampling=subsampling,
        separate_uv=separate_uv,
        time_bits=time_bits if timed and model and not equal else 0,
        removal_bits=removal_bits,
        operating_points=tuple(points),
        decoder_model=model,
    )


def _colour(bits: Bits, profile: int) -> tuple[int, tuple[bool, bool], bool]:
    """Read color_config; return the number of planes, how chroma is subsampled, and whether U and V are quantized apart."""
    high = bits.flag()
    twelve = profile == 2 and high and bits.flag()
    mono = profile != 1 and bits.flag()
    described = (bits.read(8), bits.read(8), bits.read(8)) if bits.flag() else (2, 2, 2)
    if mono:
        bits.flag()
        return 1, (True, True), False
    if described == (1, 13, 0):  # sRGB
        return 3, (False, False), bits.flag()
    bits.flag()
    subsampling = (profile != 1, profile == 0)
    if profile == 2 and twelve:
        across = bits.flag()
        subsampling = (across, across and bits.flag())
    if all(subsampling):
        bits.read(2)
    return 3, subsampling, bits.flag()


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = 0
    for number in range(8):
        byte = data[at + number]
        value |= (byte & 0x7F) << (7 * number)
        if not byte & 0x80:
            return value, at + number + 1
    raise BoxError("the size of an OBU cannot be read")


def _log2(block: int, target: int) -> int:
    """Return tile_log2: the smallest number by which block has to be shifted to reach the target."""
    shift = 0
    while block << shift < target:
        shift += 1
    return shift


def _su(bits: Bits, count: int) -> int:
    value = bits.read(count)
    return value - (1 << count) if value >> (count - 1) else value


def _ns(bits: Bits, values: int) -> int:
    """Read a number below ``values``, section 4.10.7."""
    width = values.bit_length()
    short = (1 << width) - values
    value = bits.read(width - 1)
    return value if value < short else (value << 1) - short + bits.read(1)


def _near(bits: Bits, values: int, reference: int) -> int:
    """Read decode_unsigned_subexp_with_ref, section 5.9.27."""
    value = _subexp(bits, values)
    if 2 * reference <= values:
        return _recentered(reference, value)
    return values - 1 - _recentered(values - 1 - reference, value)


def _subexp(bits: Bits, values: int) -> int:
    step, low = 0, 0
    while True:
        width = 3 + step - 1 if step else 3
        if values <= low + (3 << width):
            return _ns(bits, values - low) + low
        if not bits.flag():
            return bits.read(width) + low
        step, low = step + 1, low + (1 << width)


def _recentered(reference: int, value: int) -> int:
    if value > 2 * reference:
        return value
    return reference - ((value + 1) >> 1) if value & 1 else reference + (value >> 1)
