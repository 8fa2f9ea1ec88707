"""Gather the closed captions of one stream while its packets pass by. Runs in the limited child only.

In:   a stream of an open container, its packets in file order.
Out:  a Carrier with all triples and their times; None for a stream that can carry none.
Wrong: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from vidpipe.source.captions.channels import Triples
from vidpipe.source.captions.userdata import Triple, reader

FRAME = Fraction(1001, 30_000)  # seconds of a frame of the 525-line television that line 21 belongs to


class Carrier:
    """Gathers the triples of one stream. base: seconds of a tick."""

    def __init__(self, find: Callable[[bytes], Iterator[Triple]], base: Fraction) -> None:
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
        for triple, later in self._find(bytes(packet)):
            self.triples.add(self._time + later * self._frame, triple)


def carrier(stream: Any) -> Carrier | None:
    """Return what gathers the captions of a stream."""
    context = stream.codec_context
    if context is None or context.codec is None:
        return None
    name = context.codec.canonical_name
    find = _track if name == "eia_608" else reader(name, context.extradata or b"")
    return Carrier(find, Fraction(stream.time_base or Fraction(1, 90_000))) if find else None


def _track(packet: bytes) -> Iterator[Triple]:
    """A track of its own (c608 in QuickTime): libav gives triples."""
    for at in range(0, len(packet) - 2, 3):
        yield packet[at : at + 3], 0
