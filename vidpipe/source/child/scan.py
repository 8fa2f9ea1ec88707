"""Find the truth about a video's time line from its packets alone: start, frames, rate, duration, key frames. Pure.

In:   ``Packets`` of one stream, filled while the container is read, and the first few decoded frames.
Out:  ``Timeline``.
Wrong: nothing; a stream without a single usable frame gives frames == 0.

What makes this hard, and how it is met: containers round timestamps (Matroska to 1 ms), so a rate is an interval before it is
a number, and the declared rate wins only inside it; interlaced H.264 and MPEG-2 may carry one field in a packet; AVI has no
presentation times; edit lists mark packets that are decoded and not shown; an open GOP starts with pictures that lean on a GOP before it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from vidpipe.source.facts import Stretch

NONE = -(2**63)  # "no timestamp", as AV_NOPTS_VALUE

STANDARD_RATES = (
    *(Fraction(rate) for rate in (5, 6, 8, 10, 12, 15, 16, 18, 20, 24, 25, 30, 48, 50, 60, 72, 75, 90, 100, 120, 144, 200, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
    Fraction(25, 2),
)

FALLBACK_RATE = Fraction(25)  # a single frame without any declared rate
BUSY_RATE = Fraction(60)  # a variable rate above it is taken only if the mean is above it too
THINNEST_KEYS = Fraction(1, 2)  # seconds: a seek needs a key frame before its target, not every one of an intra-only file
CLOSE = Fraction(1)  # seconds between two times that count as one stretch
MOST_STRETCHES = 100  # of one kind that are reported; the number of packets always is
TIGHT = Fraction(1, 2000)  # half of what separates 29.97 from 30
LOOSE = Fraction(3, 1000)  # for variable rates, whose nominal rate is only meant


@dataclass
class Corrupt:
    """The packets of a stream that the container marks as damaged: how many, and their ticks."""

    count: int = 0
    ticks: array[int] = field(default_factory=lambda: array("q"))

    def add(self, time: int | None) -> None:
        """Take the next one."""
        self.count += 1
        if time is not None:
            self.ticks.append(time)


@dataclass
class Packets:
    """The packets of a stream in file order. Times are ticks; NONE where the container says nothing."""

    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    key: bytearray = field(default_factory=bytearray)
    hidden: bytearray = field(default_factory=bytearray)
    size: int = 0
    corrupt: Corrupt = field(default_factory=Corrupt)

    def add(self, pts: int | None, dts: int | None, duration: int | None, *, key: bool, hidden: bool) -> None:
        """Take the next packet. hidden: it is decoded, and its picture is not shown (edit list, invisible frame)."""
        self.pts.append(NONE if pts is None else pts)
        self.dts.append(NONE if dts is None else dts)
        self.durations.append(duration or 0)
        self.key.append(key)
        self.hidden.append(hidden)


@dataclass(frozen=True)
class Decoded:
    """What one of the first decoded frames says of itself, in ticks."""

    pts: int | None
    dts: int | None
    interlaced: bool


@dataclass(frozen=True)
class Timeline:
    """The video's time line. Ticks for pts, else seconds. key_pts: every key frame from the start on, not thinned.

    longest_gap_at: seconds from the first frame at which the picture is shown that stands longest.
    lead: ticks of the pictures before the first that can be decoded.
    late: ticks by which a decoder's delay makes guessed times (and so start_pts) later than they are meant; else 0.
    duplicate_at, broken_at: where the duplicates are, and what is missing or backward.
    """

    start_pts: int
    frames: int
    frame_rate: Fraction
    variable: bool
    duration: Fraction
    key_pts: tuple[int, ...]
    shortest_gop: Fraction
    mean_gop: Fraction
    longest_gop: Fraction
    longest_gap: Fraction
    missing: int
    duplicates: int
    backward: int
    guessed: bool
    late: int = 0
    lead: int = 0
    longest_gap_at: Fraction = Fraction(0)
    duplicate_at: tuple[Stretch, ...] = ()
    broken_at: tuple[Stretch, ...] = ()


def timeline(
    packets: Packets, decoded: list[Decoded], declared: list[Fraction], base: Fraction, most: Fraction, *, leading: bool = False
) -> Timeline:
    """Work out the time line. declared: rates that the file claims, best first.  base: seconds a tick.  most: fastest rate believed.

    leading: the decoder gives pictures that are shown before the first key frame only if they do not lean on what precedes it.
    """
    missing, guessed = _missing(packets), _pts_are_guesses(packets, decoded)
    shown = _shown(packets, decoded, guessed, leading)
    times = sorted(set(shown))
    doubled = [time for time, count in Counter(shown).items() if count > 1] if len(shown) > len(times) else []
    interlaced = any(frame.interlaced for frame in decoded)
    if not times:
        none = Fraction(0)
        return Timeline(0, 0, FALLBACK_RATE, False, none, (), none, none, none, none, missing, 0, 0, guessed)
    if interlaced and _fields_in_packets(times, decoded):
        times = times[::2]
    start, steps = times[0], _steps(times)
    rate, variable = _rate(steps, declared, base, most)
    if declared and 1 <= declared[0] <= most and declared[0] * base == 1:
        rate = declared[0]  # a tick is a frame: where pictures are left out (empty chunks of AVI), the one before stands that long
    believed = next((claim for claim in declared if rate * Fraction(11, 10) < claim <= min(most, BUSY_RATE)), None)
    if missing and believed and len(packets.pts) > 2:
        rate, variable = believed, False  # pictures without a time lie between those with one, so the steps say too little
    elif interlaced and missing <= len(times) and (not steps or max(steps) * base < Fraction(3, 2) / rate):
        missing = 0  # second fields: they belong to the frame whose first field has the time
    duration = _duration(packets, times, rate, variable, base, guessed)
    source = packets.dts if guessed else packets.pts
    shift = start - _first_time(packets) if guessed else 0
    present = set(times)
    backward = _backward(packets)
    broken = [*backward, *(_without_time(packets) if missing else ())]
    flagged = zip(source, packets.key, packets.hidden, strict=True)
    keys = sorted({time + shift for time, key, hidden in flagged if key and not hidden and time != NONE} & present)
    gops = [step * base for step in _steps(keys)]
    if keys:
        gops.append(duration - (keys[-1] - start) * base)
    return Timeline(
        start_pts=start,
        frames=max(len(times), round(duration * rate)) if missing else len(times),
        frame_rate=rate,
        variable=variable,
        duration=duration,
        key_pts=tuple(keys),
        shortest_gop=min(gops, default=Fraction(0)),
        mean_gop=sum(gops, Fraction(0)) / len(gops) if gops else Fraction(0),
        longest_gop=max(gops, default=Fraction(0)),
        longest_gap=max(steps, default=0) * base,
        longest_gap_at=(times[steps.index(max(steps))] - start) * base if steps else Fraction(0),
        missing=missing,
        duplicates=len(shown) - len(set(shown)),
        backward=len(backward),
        guessed=guessed,
        late=shift,
        lead=0 if guessed else start - min(_presented(packets, 0)),
        duplicate_at=stretches(doubled, base, start * base),
        broken_at=stretches(broken, base, (start - shift) * base),
    )


def stretches(ticks: Iterable[int], base: Fraction, zero: Fraction) -> tuple[Stretch, ...]:
    """Return the first stretches in which the ``ticks`` lie, seconds from ``zero`` on; those that are CLOSE together are one."""
    found: list[list[int]] = []
    for tick in sorted(ticks):
        if found and (tick - found[-1][1]) * base <= CLOSE:
            found[-1][1] = tick
        elif len(found) == MOST_STRETCHES:
            break
        else:
            found.append([tick, tick])
    return tuple(Stretch(start=first * base - zero, end=last * base - zero) for first, last in found)


def thinned(key_pts: tuple[int, ...], base: Fraction) -> tuple[int, ...]:
    """Return the key frames at least THINNEST_KEYS apart."""
    kept: list[int] = []
    for pts in key_pts:
        if not kept or (pts - kept[-1]) * base >= THINNEST_KEYS:
            kept.append(pts)
    return tuple(kept)


def _missing(packets: Packets) -> int:
    return sum(time == NONE for time in packets.pts)


def _pts_are_guesses(packets: Packets, decoded: list[Decoded]) -> bool:
    """Whether the presentation times are none or nonsense, so that decoding order has to do (AVI with B-frames, as ffmpeg does)."""
    if len(packets.pts) > 1 and _missing(packets) == len(packets.pts) and any(time != NONE for time in packets.dts):
        return True
    pts = [frame.pts for frame in decoded]
    dts = [frame.dts for frame in decoded]
    return not _rising(pts) and _rising(dts)


def _rising(times: list[int | None]) -> bool:
    return all(before is not None and after is not None and before < after for before, after in pairwise(times))


def _first_key(packets: Packets) -> int:
    return max(packets.key.find(1), 0)  # a stream without any flagged key frame (intra refresh) starts at its first packet


def _first_time(packets: Packets) -> int:
    return next((time for time in packets.dts[_first_key(packets) :] if time != NONE), 0)


def _shown(packets: Packets, decoded: list[Decoded], guessed: bool, leading: bool) -> list[int]:
    """Return the times of all packets that give a picture, from the first presentable one on."""
    first = _first_key(packets)
    if guessed:
        shift = (decoded[0].dts if decoded and decoded[0].dts is not None else _first_time(packets)) - _first_time(packets)
        return [time + shift for time in packets.dts[first:] if time != NONE]
    times = _presented(packets, first)
    if not times:
        return []
    start = min(times)
    if not packets.hidden[first] and packets.key[first] and packets.pts[first] != NONE:
        start = packets.pts[first]  # what lies before it are leading pictures of an open GOP
    later = [frame.pts for frame in decoded if frame.pts is not None and frame.pts >= (min(times) if leading else start)]
    if later:
        start = min(later)
    return [time for time in times if time >= start]


def _presented(packets: Packets, first: int) -> list[int]:
    """Return the presentation times from a packet on."""
    return [time for time, hidden in zip(packets.pts[first:], packets.hidden[first:], strict=True) if time != NONE and not hidden]


def _fields_in_packets(times: list[int], decoded: list[Decoded]) -> bool:
    """Whether every field has a packet with its own time: then frames come half as often as packets."""
    frames = sorted({frame.pts for frame in decoded if frame.pts is not None})
    if len(frames) < 3 or len(times) < 3:
        return False
    packet_step = _median(_steps(times))
    frame_step = _median(_steps(frames))
    return 9 * packet_step <= 5 * frame_step <= 11 * packet_step  # twice, give or take 10 %


def _steps(times: list[int]) -> list[int]:
    return [after - before for before, after in pairwise(times)]


def _median(values: list[int]) -> int:
    return sorted(values)[len(values) // 2]


def _rate(steps: list[int], declared: list[Fraction], base: Fraction, most: Fraction) -> tuple[Fraction, bool]:
    """Return the frame rate and whether it varies."""
    believed = [rate for rate in declared if 1 <= rate <= most]
    if not steps:
        return (believed[0] if believed else FALLBACK_RATE), False
    middle = _median(steps)
    near = [step for step in steps if abs(step - middle) <= 1 or 10 * abs(step - middle) <= middle]
    variable = 50 * (len(steps) - len(near)) > len(steps)  # 2 %: a lost frame or two in a capture do not make it variable
    span, count = sum(near) * base, len(near)
    slack = LOOSE if variable else TIGHT
    # Both ends of the span are rounded to a tick, so the true rate is an interval.
    low = count / (span + base) * (1 - slack)
    high = count / max(span - base, base / 2) * (1 + slack)
    middle_rate = count / span
    mean = len(steps) / (sum(steps) * base)
    if variable:
        low, high, middle_rate = max(low, mean * (1 - slack)), max(high, mean * (1 + slack)), max(middle_rate, mean)
    rate = _nearest(low, high, middle_rate, believed)
    if variable and rate > BUSY_RATE:  # bursts of a screen recording are not its rate
        rate = max(BUSY_RATE, _nearest(mean * (1 - slack), mean * (1 + slack), mean, believed))
    return max(Fraction(1), min(rate, most)), variable


def _nearest(low: Fraction, high: Fraction, middle: Fraction, declared: list[Fraction]) -> Fraction:
    possible = [rate for rate in STANDARD_RATES if low <= rate <= high]
    for rate in declared:
        if rate in possible:
            return rate
    if possible:
        return min(possible, key=lambda rate: abs(rate - middle))
    for rate in declared:
        if low <= rate <= high and rate.denominator <= 1001:
            return rate
    return middle.limit_denominator(1001) or Fraction(1)


def _duration(packets: Packets, times: list[int], rate: Fraction, variable: bool, base: Fraction, guessed: bool) -> Fraction:
    """Return seconds from the first frame to the end of the last."""
    frame = 1 / rate
    last = Fraction(0)
    if not guessed:
        last = max((length * base for time, length in zip(packets.pts, packets.durations, strict=True) if time == times[-1]), default=last)
    if not (variable and frame < last <= 10):  # a still at the end may be meant; else one frame long, whatever the container rounds to
        last = frame
    duration = (times[-1] - times[0]) * base + last
    exact = len(times) * frame
    return exact if not variable and abs(duration - exact) <= min(2 * base, frame / 2) + frame / 10 else duration


def _backward(packets: Packets) -> list[int]:
    """Return when the pictures are shown (else: decoded) whose decoding times do not rise."""
    before, found = NONE, []
    for dts, pts in zip(packets.dts, packets.pts, strict=True):
        if dts != NONE:
            if dts <= before:
                found.append(dts if pts == NONE else pts)
            before = dts
    return found


def _without_time(packets: Packets) -> list[int]:
    """Return about when the pictures are that have no presentation time: their decoding time, or the last time before them."""
    before, found = NONE, []
    for pts, dts in zip(packets.pts, packets.dts, strict=True):
        before = next((time for time in (pts, dts) if time != NONE), before)
        if pts == NONE and before != NONE:
            found.append(before)
    return found
