"""Take closed captions apart: which of its channels (CEA-608) and services (CEA-708) carry text, and the byte pairs of each channel.

In:   triples of cc_data with the times at which their pictures are shown, in any order.
Out:  for each channel (CC1 to CC4) its pairs in order, as if it were the only one; the channels, text services (T1 to T4) and CEA-708
      services that show something, with the time of the first and the last character.
Wrong: nothing; a byte whose parity is wrong is treated as ffmpeg's decoder does, unless so many are that nobody set it.

A field of line 21 is shared by two channels, two text services and, in the second field, by data about the programme (XDS): a control code
says whose the characters after it are (CTA-608-E, 8.4). What a screen looks like is the decoder's business, not this module's.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_TRIPLES = 4_000_000
"""Triples that are kept, 11 bytes each: a day of talk without a pause, in two languages and both standards, has some three million."""

PARITY = bytes(byte.bit_count() & 1 for byte in range(256))  # CEA-608: seven bits of data, odd parity
MOST_WRONG = 8
"""One byte in so many with wrong parity: then it was never set (players do not look at it). Rarer, it is noise of an old tape."""

CAPTIONS, TEXT = ("CC1", "CC2", "CC3", "CC4"), ("T1", "T2", "T3", "T4")
_BEGINS_TEXT = frozenset({0x2A, 0x2B})  # text restart, resume text display
_ENDS_TEXT = frozenset({0x20, 0x25, 0x26, 0x27, 0x29, 0x2F})  # pop-on, roll-up, paint-on, end of caption
_ALWAYS = frozenset({0x2C, 0x2E})  # erase the screen, or what is not shown yet: of the captions whatever is sent

_NOTHING = (0x17, 0x24)
"""A code that ffmpeg's decoder knows and ignores. It drops what equals the code before; with this between, two notes stay two."""

Pair = tuple[int, bytes]
"""Tick, two bytes with parity."""


@dataclass
class Shown:
    """When the first and the last character of a channel or service is sent, in ticks, and how many there are."""

    first: int
    last: int
    characters: int = 0


@dataclass
class Triples:
    """The triples of a stream as they come; those without data are left out."""

    times: array[int] = field(default_factory=lambda: array("q"))
    data: bytearray = field(default_factory=bytearray)

    def add(self, time: int, triple: bytes) -> None:
        """Take the next one."""
        valid, empty = triple[0] & 4, not (triple[1] | triple[2]) & 0x7F
        if valid and not (empty and not triple[0] & 2) and len(self.times) < MOST_TRIPLES:
            self.times.append(time)
            self.data += triple

    def parity(self) -> bool:
        """Return whether the bytes of CEA-608 have the parity that they should."""
        rows = zip(self.data[::3], self.data[1::3], self.data[2::3], strict=True)
        wrong = [(not PARITY[high]) + (not PARITY[low]) for flags, high, low in rows if not flags & 2]
        return sum(wrong) * MOST_WRONG <= 2 * len(wrong)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Yield them in the order of their times; those of one picture stay as they came."""
        times, data = self.times, bytes(self.data)
        for number in sorted(range(len(times)), key=times.__getitem__):
            yield times[number], data[3 * number : 3 * number + 3]


class Line21:
    """One field of line 21. second: of the two.  trusted: parity is.  channels: pairs of its two channels.  shown: with text services."""

    def __init__(self, second: bool, trusted: bool) -> None:
        self.channels: tuple[list[Pair], list[Pair]] = ([], [])
        self.shown: dict[str, Shown] = {}
        self._second = second
        self._trusted = trusted
        self._channel: int | None = None  # whose the characters are; None: nobody's yet, or the programme's
        self._text = [False, False]
        self._before: tuple[int, int] | None = None  # the code that may come once more: all are sent twice

    def hear(self, time: int, pair: bytes) -> None:
        """Take the next pair."""
        if self._trusted and not PARITY[pair[1]]:
            return
        high, low = pair[0] & 0x7F if PARITY[pair[0]] or not self._trusted else 0x7F, pair[1] & 0x7F
        repeated = (high, low) == self._before
        self._before = (high, low) if 0x10 <= high < 0x20 and not repeated else None
        if 0 < high < 0x10 and self._second:
            self._channel = None  # XDS, until the next control code
        elif 0x10 <= high < 0x20:
            if not repeated:
                self._control(time, high, low)
        elif high >= 0x20 and self._channel is not None:
            self._sent(time, self._channel, high, low)

    def _control(self, time: int, high: int, low: int) -> None:
        channel = self._channel = high >> 3 & 1
        high &= ~0x08  # as if it were the first channel: ffmpeg's decoder knows no other
        mode = high in (0x14, 0x15) and 0x20 <= low < 0x30
        if mode and low in _BEGINS_TEXT:
            self._text[channel] = True
        elif mode and low in _ENDS_TEXT:
            self._text[channel] = False
        if high in (0x11, 0x12, 0x13) and 0x20 <= low < 0x40 and not (high == 0x11 and low < 0x30):
            self._sent(time, channel, high, low)  # special characters
        elif not self._text[channel] or (mode and low in _ALWAYS):
            self._pass_on(time, channel, high, low)

    def _sent(self, time: int, channel: int, high: int, low: int) -> None:
        if not self._text[channel]:
            self._pass_on(time, channel, high, low)
        if high not in (0x20, 0x7F) or low > 0x20:  # not only spaces
            name = (TEXT if self._text[channel] else CAPTIONS)[2 * self._second + channel]
            note(self.shown, name, time)

    def _pass_on(self, time: int, channel: int, high: int, low: int) -> None:
        pairs, pair = self.channels[channel], with_parity(high, low)
        if high < 0x20 and pairs and pairs[-1][1] == pair:
            pairs.append((time, with_parity(*_NOTHING)))
        pairs.append((time, pair))


class Services:
    """The CEA-708 services: their packets are put together and walked along, and only what is a character counts."""

    def __init__(self) -> None:
        self.shown: dict[str, Shown] = {}
        self._packet = bytearray()
        self._time = 0

    def hear(self, time: int, triple: bytes) -> None:
        """Take the next triple (CTA-708, 5: type 3 begins a packet, type 2 continues it)."""
        if triple[0] & 3 == 3:
            self.end()
            self._time = time
            self._packet += triple[1:]
        elif self._packet:
            self._packet += triple[1:]
        if self._packet and len(self._packet) >= _packet_size(self._packet[0]):
            self.end()

    def end(self) -> None:
        """Look at the packet as far as it has come."""
        packet, at = bytes(self._packet[: _packet_size(self._packet[0])]) if self._packet else b"", 1
        self._packet.clear()
        while at < len(packet):
            service, size = packet[at] >> 5, packet[at] & 0x1F
            at += 1
            if service == 7 and at < len(packet):
                service, at = packet[at] & 0x3F, at + 1
            if service and any(_printed(packet[at : at + size])):
                note(self.shown, f"SERVICE{service}", self._time)
            at += size


def _packet_size(head: int) -> int:
    return 2 * (head & 0x3F) or 128


_C1_SIZES = {**dict.fromkeys(range(0x88, 0x8E), 2), 0x90: 3, 0x91: 4, 0x92: 3, 0x97: 5, **dict.fromkeys(range(0x98, 0xA0), 7)}
"""Bytes of a command that has parameters, with its code (CTA-708, 8.10.5)."""


def _printed(block: bytes) -> Iterator[int]:
    """Yield the characters of a service block: all that is neither a command, nor its parameters, nor a space."""
    at = 0
    while at < len(block):
        code = block[at]
        if code == 0x10:  # the extended set, by its second byte: one with parameters, or a character
            second = block[at + 1] if at + 1 < len(block) else 0
            if second >= 0xA0 or 0x20 < second < 0x80:
                yield second
            at += 2 + (second >> 3 if second < 0x20 else 4 + (second >> 3 & 1) if 0x80 <= second < 0x90 else 0)
        elif code < 0x20:
            at += 1 if code < 0x10 else 2 if code < 0x18 else 3
        elif 0x80 <= code < 0xA0:
            at += _C1_SIZES.get(code, 1)
        else:
            if code != 0x20:
                yield code
            at += 1


def with_parity(high: int, low: int) -> bytes:
    """Return two bytes of seven bits as they are sent."""
    return bytes(byte if PARITY[byte] else byte | 0x80 for byte in (high, low))


def note(shown: dict[str, Shown], name: str, time: int) -> None:
    """Note that something of a channel or service is shown."""
    seen = shown.setdefault(name, Shown(time, time))
    seen.last = time
    seen.characters += 1


def taken_apart(triples: Triples) -> tuple[dict[str, list[Pair]], dict[str, Shown]]:
    """Return the pairs of each channel, and when each channel, text service and CEA-708 service shows something."""
    trusted = triples.parity()
    fields, services = (Line21(second=False, trusted=trusted), Line21(second=True, trusted=trusted)), Services()
    for time, triple in triples:
        kind = triple[0] & 3
        if kind < 2:
            fields[kind].hear(time, triple[1:])
        else:
            services.hear(time, triple)
    services.end()
    pairs = dict(zip(CAPTIONS, [channel for field_ in fields for channel in field_.channels], strict=True))
    return pairs, {**fields[0].shown, **fields[1].shown, **services.shown}
