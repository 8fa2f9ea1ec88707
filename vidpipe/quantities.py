"""How sizes, rates and lengths of time are written for people: one way for each, in every message.

In:   numbers: bytes, bits a second, seconds.  Out: short text that holds no line break and never rounds something to nothing.
Wrong: nothing.
"""

from __future__ import annotations

from fractions import Fraction


def size(number: int) -> str:
    """Return a number of bytes, in powers of 1,000: ``999 B``, ``1.6 MB``."""
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if round(value, 1) < 1000:
            break
        value, unit = value / 1000, larger
    return f"{number} B" if unit == "B" else f"{value:.1f} {unit}"


def rate(bits: int) -> str:
    """Return a bit rate: ``2500 kb/s``; below 10 kb/s with one decimal."""
    return f"{bits / 1000:.1f} kb/s" if 0 < bits < 10_000 else f"{bits / 1000:.0f} kb/s"


def duration(seconds: float) -> str:
    """Return how long something lasts or took: ``<0.1 s``, ``0.4 s``, ``42 s``, ``1:05``, ``1:02:03``."""
    if 0 < seconds < 0.05:
        return "<0.1 s"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    return f"{seconds:.0f} s" if round(seconds) < 60 else clock(seconds)


def exact(seconds: Fraction) -> str:
    """Return a length of time to the millisecond: ``2 s``, ``2.002 s``."""
    return f"{_thousandths(seconds)} s"


def clock(seconds: float) -> str:
    """Return a point in a title as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def frames_a_second(value: Fraction | float) -> str:
    """Return a frame rate: ``25``, ``29.97``, ``23.976``."""
    return _thousandths(value)


def percent(share: float) -> str:
    """Return a share, 0 to 1, in whole per cent: 100% only when all is done."""
    return f"{int(round(100 * share, 6))}%"  # 0.29 * 100 is less than 29


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 chunk``, ``2 chunks``. plural: where it is not the noun and an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def _thousandths(value: Fraction | float) -> str:
    shown = f"{float(value):.3f}".rstrip("0").rstrip(".")
    return "0" if shown == "-0" else shown
