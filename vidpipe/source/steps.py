"""Find where an even audio clock steps: a splice whose ends overlap by a part of a frame, a packet that was lost. Pure.

In:   the times and lengths of the packets of an audio stream, in file order, made continuous (``clock.py``).
Out:  the times at which it steps: of the first packet after each.
Wrong: nothing; a stream whose time stamps jitter, or whose packets last unequally long, has no steps.

While it is decoded, a step looks like jitter: a time stamp is off by 20 ms, and only what follows shows whether it was right.
Here what follows is known. A step counts if packets are stamped at even distances for HELD on either side of it, if it is not just the
length of a packet, and if no later step takes it back within LASTING: Vorbis with long and short blocks, and recorders that stamp what
arrives when it arrives, always come back. Lengths alone are not enough: where the sample rate changes, libav goes on with the first one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

EVEN = Fraction(3, 2000)
"""Seconds: containers round times to a millisecond."""
LEAST_STEP = Fraction(5, 1000)
"""Seconds. Less is not worth a cut; many of them are drift (encode/audio_gaps.py)."""
HELD = 16
"""Packets: a third of a second of AAC. Vorbis has short blocks in smaller groups, and of long packets few say nothing."""
LASTING = Fraction(5)
"""Seconds."""
MOST_STEPS = 100  # of a stream; what comes later is left to the drift


@dataclass
class _Step:
    """A step that may count. Ticks. level: of all steps, halfway up or down this one.  even: the packets that are even after it."""

    time: int
    level: Fraction
    up: bool
    even: int = 0


@dataclass
class Steps:
    """Follows the packets of one stream. base: seconds a tick."""

    base: Fraction
    _found: list[int] = field(default_factory=list)
    _pending: list[_Step] = field(default_factory=list)
    _last: int | None = None
    _length: int = 0
    _distance: int | None = None
    _even: int = 0
    _level: int = 0

    def __post_init__(self) -> None:
        self._tolerance, self._least = EVEN / self.base, LEAST_STEP / self.base
        self._lasting = LASTING / self.base

    def add(self, time: int, length: int) -> None:
        """Take the next packet: its time and length in ticks, 0 if that is unknown."""
        if self._last is not None:
            distance = time - self._last
            if self._distance is None:
                self._distance = distance
            if abs(distance - self._distance) <= self._tolerance:
                self._even += 1
                if self._pending:
                    self._wait(time)
            else:
                off = distance - self._distance
                explained = self._length and abs(distance - self._length) < self._least
                self._uneven(time, 0 if explained else off)
        self._last, self._length = time, length

    def times(self) -> list[Fraction]:
        """Return the steps, at the end."""
        ended = [step.time for step in self._pending if step.even >= HELD]
        return [time * self.base for time in sorted([*self._found, *ended])[:MOST_STEPS]]

    def _wait(self, time: int) -> None:
        for step in self._pending:
            step.even += 1
        while self._pending and time - self._pending[0].time > self._lasting and len(self._found) < MOST_STEPS:
            self._found.append(self._pending.pop(0).time)

    def _uneven(self, time: int, off: int) -> None:
        before, self._level = self._level, self._level + off
        self._pending = [step for step in self._pending if step.even >= HELD]
        lasting = [step for step in self._pending if (self._level > step.level) == step.up]
        if len(lasting) == len(self._pending) < MOST_STEPS and abs(off) >= self._least and self._even >= HELD:
            lasting.append(_Step(time, before + Fraction(off, 2), off > 0))
        self._pending, self._even, self._distance = lasting, 0, None
