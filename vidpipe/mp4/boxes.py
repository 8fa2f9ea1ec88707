"""Read the boxes of a fragmented MP4 (ISO/IEC 14496-12): the init section, its track facts, and the samples of every fragment.

In:   the path of a file that ffmpeg wrote for vidpipe. Only box headers, moov and moof are read; media data stays on the disk.
Out:  Movie (init bytes, tracks) and, one at a time, Fragment (tfdt, samples with offset, size, duration, flags, composition offset).
Wrong: BoxError, with the offset, if a box is cut off, overlaps its parent, or lacks what the standard demands. Callers translate it.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

NON_SYNC = 0x0001_0000  # sample_is_non_sync_sample, 14496-12 8.8.3.1
MOST_HEADER_BYTES = 64 << 20  # a moov or moof larger than this is no file of ours


class BoxError(ValueError):
    """The bytes are not the boxes that they should be."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box at ``offset``, ``size`` bytes with its header of ``header`` bytes."""

    type: str
    offset: int
    size: int
    header: int

    @property
    def body(self) -> int:
        """Offset of its first byte after the header."""
        return self.offset + self.header

    @property
    def end(self) -> int:
        """Offset of the byte after its last."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True)
class Edit:
    """An entry of an edit list. duration: in the movie's timescale.  media_time: in the track's, -1 for an empty edit."""

    duration: int
    media_time: int


@dataclass(frozen=True, slots=True)
class Track:
    """What moov says of a track. handler: "vide", "soun" ….  entry: the first sample entry of stsd, whole.

    width, height: of tkhd, pixels.  default_*: from trex.
    """

    id: int
    handler: str
    timescale: int
    width: int
    height: int
    entry: bytes = field(repr=False)
    edits: tuple[Edit, ...] = ()
    default_duration: int = 0
    default_size: int = 0
    default_flags: int = 0


@dataclass(frozen=True, slots=True)
class Movie:
    """An init section. init: the bytes of ftyp and moov.  timescale: of the movie (edit durations)."""

    init: bytes = field(repr=False)
    timescale: int
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A frame. offset: in the file.  size: bytes.  duration, cts: ticks of the track (cts: composition offset, may be negative)."""

    offset: int
    size: int
    duration: int
    flags: int
    cts: int

    @property
    def sync(self) -> bool:
        """Decoding can start here."""
        return not self.flags & NON_SYNC


@dataclass(frozen=True, slots=True)
class Fragment:
    """A moof with its mdat. offset, size: of both together in the file.  decode_time: tfdt, ticks.  moof: its bytes."""

    offset: int
    size: int
    sequence: int
    track: int
    decode_time: int
    samples: tuple[Sample, ...] = field(repr=False)
    moof: bytes = field(repr=False)

    @property
    def duration(self) -> int:
        """Ticks of all samples together."""
        return sum(sample.duration for sample in self.samples)


def top_level(file: BinaryIO) -> Iterator[Box]:
    """Yield the boxes of a file in order, reading their headers only. Raises BoxError if one reaches past the end."""
    end = file.seek(0, 2)
    offset = 0
    while offset < end:
        file.seek(offset)
        box = _box(file.read(16), 0, offset, end)
        yield box
        offset = box.end


def children(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes in data[start:end]; their offsets count from the start of ``data``."""
    end = len(data) if end is None else end
    while start < end:
        box = _box(data[start : start + 16], 0, start, end)
        yield box
        start = box.end


def find(data: bytes, *path: str, inside: Box | None = None) -> Box | None:
    """Return the first box at ``path`` ("trak", "mdia", …) in ``data``, below ``inside`` if given."""
    start, end = (inside.body, inside.end) if inside else (0, len(data))
    found = None
    for kind in path:
        found = next((box for box in children(data, start, end) if box.type == kind), None)
        if found is None:
            return None
        start, end = found.body, found.end
    return found


def read_movie(path: Path) -> Movie:
    """Read the init section of a file: everything from its start to the end of moov."""
    with path.open("rb") as file:
        for box in top_level(file):
            if box.type == "moov":
                return parse_movie(_read(file, 0, box.end))
            if box.type in ("moof", "mdat"):
                break
    raise BoxError("there is no moov before the media data")


def parse_movie(init: bytes) -> Movie:
    """Read the facts of an init section given as bytes."""
    moov = _need(init, "moov")
    mvhd = _need(init, "mvhd", inside=moov)
    timescale = _number(init, mvhd, 20 if _version(init, mvhd) else 12)
    defaults = {}
    mvex = find(init, "mvex", inside=moov)
    for trex in children(init, mvex.body, mvex.end) if mvex else ():
        if trex.type == "trex":
            track, _, duration, size, flags = struct.unpack_from(">5I", init, _inside(trex, 4, 20))
            defaults[track] = (duration, size, flags)
    tracks = [_track(init, box, defaults) for box in children(init, moov.body, moov.end) if box.type == "trak"]
    return Movie(init=init, timescale=timescale, tracks=tuple(tracks))


def fragments(path: Path, movie: Movie) -> Iterator[Fragment]:
    """Yield the fragments of a file in order. Each must be one moof with one track, followed by its mdat."""
    with path.open("rb") as file:
        yield from read_fragments(file, movie)


def read_fragments(file: BinaryIO, movie: Movie) -> Iterator[Fragment]:
    """Yield the fragments of an open file (or of a segment in memory, which need not hold the init section)."""
    tracks = {track.id: track for track in movie.tracks}
    moof: Box | None = None
    for box in top_level(file):
        if box.type == "moof":
            if moof is not None:
                raise BoxError(f"the fragment at byte {moof.offset} has no media data")
            moof = box
        elif box.type == "mdat" and moof is not None:
            yield _fragment(_read(file, moof.offset, moof.size), moof, box, tracks)
            moof = None
    if moof is not None:
        raise BoxError(f"the fragment at byte {moof.offset} has no media data")


def _fragment(data: bytes, moof: Box, mdat: Box, tracks: dict[int, Track]) -> Fragment:
    root = Box("moof", 0, moof.size, moof.header)
    sequence = _number(data, _need(data, "mfhd", inside=root), 4)
    trafs = [box for box in children(data, root.body, root.end) if box.type == "traf"]
    if len(trafs) != 1:
        raise BoxError(f"the fragment at byte {moof.offset} has {len(trafs)} tracks, not 1")
    traf = trafs[0]
    tfhd = _need(data, "tfhd", inside=traf)
    flags = _number(data, tfhd, 0) & 0xFFFFFF
    track_id = _number(data, tfhd, 4)
    if track_id not in tracks:
        raise BoxError(f"the fragment at byte {moof.offset} names track {track_id}, which moov does not have")
    track = tracks[track_id]
    duration, size, sample_flags, base = track.default_duration, track.default_size, track.default_flags, moof.offset
    at = 8
    for bit, width in ((0x1, 8), (0x2, 4), (0x8, 4), (0x10, 4), (0x20, 4)):
        if flags & bit:
            value = _number(data, tfhd, at, width)
            at += width
            if bit == 0x1:
                base = value
            elif bit == 0x8:
                duration = value
            elif bit == 0x10:
                size = value
            elif bit == 0x20:
                sample_flags = value
    tfdt = _need(data, "tfdt", inside=traf)
    width = 8 if _version(data, tfdt) else 4
    decode_time = _number(data, tfdt, 4, width)
    samples: list[Sample] = []
    for trun in (box for box in children(data, traf.body, traf.end) if box.type == "trun"):
        samples += _trun(data, trun, base, (duration, size, sample_flags), samples[-1] if samples else None)
    if any(sample.offset < mdat.body or sample.offset + sample.size > mdat.end for sample in samples):
        raise BoxError(f"the fragment at byte {moof.offset} points outside its media data")
    return Fragment(
        offset=moof.offset,
        size=mdat.end - moof.offset,
        sequence=sequence,
        track=track_id,
        decode_time=decode_time,
        samples=tuple(samples),
        moof=data,
    )


def _trun(data: bytes, trun: Box, base: int, defaults: tuple[int, int, int], previous: Sample | None) -> list[Sample]:
    """Read a track run, 14496-12 8.8.8. Without a data offset it continues after the previous run."""
    head = _number(data, trun, 0)
    version, flags = head >> 24, head & 0xFFFFFF
    count = _number(data, trun, 4)
    at = 8
    offset = previous.offset + previous.size if previous else base
    if flags & 0x1:
        offset = base + int(struct.unpack_from(">i", data, _inside(trun, at, 4))[0])
        at += 4
    first_flags = None
    if flags & 0x4:
        first_flags = _number(data, trun, at)
        at += 4
    fields = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]
    width = 4 * len(fields)
    if width * count > trun.size - trun.header - at:
        raise BoxError(f"a track run claims {count} samples, more than it holds")
    # All at once: each fragment of a title is read three times, with some hundred samples.
    row = struct.Struct(">" + "".join("i" if bit == 0x800 and version else "I" for bit in fields))
    start = _inside(trun, at, width * count)
    columns = dict(zip(fields, zip(*row.iter_unpack(data[start : start + width * count]), strict=True), strict=False)) if width else {}
    duration, size, sample_flags = defaults
    samples = []
    for each in zip(
        columns.get(0x200) or itertools.repeat(size, count),
        columns.get(0x100) or itertools.repeat(duration, count),
        columns.get(0x400) or itertools.repeat(sample_flags, count),
        columns.get(0x800) or itertools.repeat(0, count),
        strict=True,
    ):
        samples.append(Sample(offset, *each))
        offset += each[0]
    if samples and first_flags is not None and not flags & 0x400:
        samples[0] = replace(samples[0], flags=first_flags)
    return samples


def _track(init: bytes, trak: Box, defaults: dict[int, tuple[int, int, int]]) -> Track:
    tkhd = _need(init, "tkhd", inside=trak)
    wide = 12 if _version(init, tkhd) else 0
    track_id = _number(init, tkhd, 20 if wide else 12)
    width, height = (_number(init, tkhd, 76 + wide) >> 16, _number(init, tkhd, 80 + wide) >> 16)
    mdhd = _need(init, "mdia", "mdhd", inside=trak)
    hdlr = _need(init, "mdia", "hdlr", inside=trak)
    stsd = _need(init, "mdia", "minf", "stbl", "stsd", inside=trak)
    entry = next(children(init, _inside(stsd, 8, 8), stsd.end), None)
    if entry is None:
        raise BoxError("stsd has no sample entry")
    edits = []
    if (elst := find(init, "edts", "elst", inside=trak)) is not None:
        form, width_of = (">Qq", 20) if _version(init, elst) else (">Ii", 12)
        for number in range(_number(init, elst, 4)):
            edits.append(Edit(*struct.unpack_from(form, init, _inside(elst, 8 + number * width_of, width_of))))
    duration, size, flags = defaults.get(track_id, (0, 0, 0))
    return Track(
        id=track_id,
        handler=_number(init, hdlr, 8).to_bytes(4, "big").decode("latin-1"),
        timescale=_number(init, mdhd, 20 if _version(init, mdhd) else 12),
        width=width,
        height=height,
        entry=init[entry.offset : entry.end],
        edits=tuple(edits),
        default_duration=duration,
        default_size=size,
        default_flags=flags,
    )


def _box(head: bytes, at: int, offset: int, end: int) -> Box:
    """Read a box header from ``head``; the box lies at ``offset`` and may not pass ``end``."""
    if len(head) < at + 8:
        raise BoxError(f"a box header is cut off at byte {offset}")
    size, header = int.from_bytes(head[at : at + 4], "big"), 8
    kind = head[at + 4 : at + 8].decode("latin-1")
    if size == 1:
        size, header = int.from_bytes(head[at + 8 : at + 16], "big"), 16
    elif size == 0:
        size = end - offset  # it reaches to the end of what holds it
    if size < header or offset + size > end:
        raise BoxError(f"the box {kind!r} at byte {offset} is cut off or has a wrong size ({size} bytes)")
    return Box(kind, offset, size, header)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    if size > MOST_HEADER_BYTES:
        raise BoxError(f"the headers at byte {offset} are too large ({size} bytes)")
    file.seek(offset)
    return file.read(size)


def _need(data: bytes, *path: str, inside: Box | None = None) -> Box:
    found = find(data, *path, inside=inside)
    if found is None:
        raise BoxError(f"there is no box {'/'.join(path)}")
    return found


def _inside(box: Box, at: int, width: int) -> int:
    """Return the offset of the field of ``width`` bytes at ``at`` in the body, which must lie in the box."""
    if box.body + at + width > box.end:
        raise BoxError(f"the box {box.type!r} at byte {box.offset} is too short")
    return box.body + at


def _number(data: bytes, box: Box, at: int, width: int = 4) -> int:
    """Read the big-endian number of ``width`` bytes at ``at`` in the body."""
    start = _inside(box, at, width)
    return int.from_bytes(data[start : start + width], "big")


def _version(data: bytes, box: Box) -> int:
    return data[_inside(box, 0, 1)]
