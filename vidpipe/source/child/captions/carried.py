"""Gather the closed captions of one stream while its packets pass by. Runs in the limited child only.

In:   a stream of an open container, its packets in file order.
Out:  a Carrier with all triples and their times; None for a stream that can carry none.
Wrong: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av.error
from av.bitstream import BitStreamFilterContext, bitstream_filters_available

from vidpipe.source.child.captions.channels import Triples
from vidpipe.source.child.captions.userdata import Triple, reader

FRAME = Fraction(1001, 30_000)  # seconds of a frame of the 525-line television that line 21 belongs to
EXTRACTION = "smpte436m_to_eia608"  # libav's filter; older ones lack it
ANCILLARY = "smpte_436m_anc"
"""What libav calls a stream with the ancillary data (VANC) of MXF."""


class Carrier:
    """Gathers the triples of one stream. base: seconds of a tick."""

    def __init__(self, find: Callable[[Any], Iterator[Triple]], base: Fraction) -> None:
        self.triples = Triples()
        self.base = base
        self._find = find
        self._frame = round(FRAME / base)
        self._time = 0

    def look(self, packet: Any) -> None:
        """Take the next packet. Its picture's time; without one, decoding order has to do, as it does for the picture itself."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            self._time = time
        for triple, later in self._find(packet):
            self.triples.add(self._time + later * self._frame, triple)


def carrier(stream: Any) -> Carrier | None:
    """Return what gathers the captions of a stream."""
    find = _finder(stream)
    return Carrier(find, Fraction(stream.time_base or Fraction(1, 90_000))) if find else None


def _finder(stream: Any) -> Callable[[Any], Iterator[Triple]] | None:
    context = stream.codec_context
    if stream.type == "data":
        known = stream.name == ANCILLARY and EXTRACTION in bitstream_filters_available
        return _ancillary(stream) if known else None
    if context is None or context.codec is None:
        return None
    name = context.codec.canonical_name
    if name == "eia_608":  # a track of its own (c608 in QuickTime): libav gives triples
        return lambda packet: _triples(bytes(packet))
    find = reader(name, context.extradata or b"")
    return (lambda packet: find(bytes(packet))) if find else None


def _ancillary(stream: Any) -> Callable[[Any], Iterator[Triple]]:
    """Take the captions (SMPTE ST 334) out of ancillary data."""
    extract = BitStreamFilterContext(EXTRACTION, stream)

    def find(packet: Any) -> Iterator[Triple]:
        try:
            found = extract.filter(packet) if packet.size else []  # an empty one would end it
        except (av.error.FFmpegError, MemoryError):  # broken, or something else than captions
            return
        for each in found:
            yield from _triples(bytes(each))

    return find


def _triples(data: bytes) -> Iterator[Triple]:
    for at in range(0, len(data) - 2, 3):
        yield data[at : at + 3], 0
