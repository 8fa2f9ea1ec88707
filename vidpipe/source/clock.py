"""Make the time line of a source continuous whose clock jumps: a recording that was joined of two, a clock that was set anew. Pure.

In:   the times and file positions of all packets, in file order, one ``Clock`` a stream.
Out:  ``Shift``s of each stream: from which byte of the file on how many seconds are added to its times; the packets moved so, and
      the bitstream filter that makes ffmpeg move them alike.
Wrong: nothing; a source without a jump gives no shifts.

ffmpeg closes jumps by itself (fftools/ffmpeg_demux.c, ts_discontinuity_detect), but not with -copyts, on which the grid stands, and by
what it sees of the streams that are mapped, so that picture and audio of two processes would drift apart. So the jumps are found once,
by ffmpeg's own thresholds, and every process is given the same. The picture leads: each stretch of it follows the one before without a
gap, and audio and subtitles keep their place beside the picture of their stretch. A stream whose clock jumps alone goes on by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from vidpipe.source.facts import Shift

AHEAD = Fraction(10)
"""Seconds by which decoding times may leap ahead in a container that lets clocks jump (ffmpeg's -dts_delta_threshold)."""
BACK = Fraction(1, 10)
"""Seconds by which they may go back there (ts_discontinuity_detect)."""
BACK_ELSEWHERE = Fraction(1)
"""And in all other containers, where gaps are meant, and only going back cannot be."""
SUSPECT = Fraction(1)
"""A smaller leap ahead that belongs to a jump of another stream, or undoes one. Also what two jumps may differ by to be one."""
LATEST = Fraction(10)
"""Seconds by which a picture is shown after it is decoded, at most, to be believed; and audio is stored apart from its picture."""
MOST_JUMPS = 200
DEMUXING: dict[str, dict[str, str]] = {"mpegts": {"merge_pmt_versions": "1"}}
"""Options of a demuxer that every reader of a source has to give: streams that get other numbers mid-stream (PIDs) go on."""


PicturePosition = tuple[int, Fraction]
"""Where the pictures are in a file: the number of the run, the decoding time of the one that was read last."""


@dataclass
class Run:
    """Packets of a stream whose clock does not jump. Seconds.

    position: of its first byte.  jump: by which its first packet is off.  key: that one is a key frame.
    first, end: what is shown or heard first, and last.  decoded, next: decoding times of its first packet, and after its last.
    beside, before: where the pictures are at its first packet, and at the packet before that.
    """

    position: int
    jump: Fraction
    key: bool
    decoded: Fraction
    first: Fraction = Fraction(0)
    end: Fraction = Fraction(0)
    next: Fraction = Fraction(0)
    beside: PicturePosition | None = None
    before: PicturePosition | None = None


@dataclass
class Clock:
    """Follows the times of a stream. base: seconds a tick.  jumps: the container lets clocks jump."""

    base: Fraction
    jumps: bool
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._suspect = int(SUSPECT / self.base)
        self._back = int((BACK if self.jumps else BACK_ELSEWHERE) / self.base)
        self._latest = int(LATEST / self.base)
        self._last: int | None = None
        self._next = self._step = self._first = self._end = self._position = 0
        self._beside: tuple[int, int] | None = None

    def add(self, packet: Any, picture: Clock | None = None) -> None:
        """Take the next packet. picture: the clock of the pictures, if this is another one."""
        pts: int | None = packet.pts
        time: int | None = pts if packet.dts is None else packet.dts
        if time is None:
            return
        shown = pts if pts is not None and 0 <= pts - time <= self._latest else time
        length: int = packet.duration or self._step
        self._position = packet.pos or self._position
        if self.runs and self._position < self.runs[-1].position:
            return  # a straggler of the run before
        if self._last is None:
            self._begin(Run(0, Fraction(0), packet.is_keyframe, time * self.base), shown, picture)
        elif time - self._next > self._suspect or time + self._back < self._last:
            self._close()
            self._begin(Run(self._position, (time - self._next) * self.base, packet.is_keyframe, time * self.base), shown, picture)
        elif time > self._last:
            self._step = time - self._last
        self._last, self._next = time, time + length
        self._first, self._end = min(self._first, shown), max(self._end, shown + length)
        if picture is not None and picture._last is not None:
            self._beside = (len(picture.runs) - 1, picture._last)

    def closed(self) -> list[Run]:
        """Return the runs, at the end."""
        self._close()
        return self.runs

    def position(self) -> PicturePosition | None:
        """Return where this clock is."""
        return None if self._last is None else (len(self.runs) - 1, self._last * self.base)

    def _begin(self, run: Run, shown: int, picture: Clock | None) -> None:
        if picture is not None:
            run.beside = picture.position()
            run.before = (self._beside[0], self._beside[1] * picture.base) if self._beside else None
        self.runs.append(run)
        self._first = self._end = shown

    def _close(self) -> None:
        if self.runs:
            run = self.runs[-1]
            run.first, run.end, run.next = self._first * self.base, self._end * self.base, self._next * self.base


@dataclass
class Clocks:
    """The clocks of a file. video: index of its stream.  jumps: the container lets clocks jump."""

    video: int
    jumps: bool
    audio: dict[int, Clock] = field(default_factory=dict)
    texts: dict[int, list[tuple[int, Fraction, PicturePosition]]] = field(default_factory=dict)
    pictures: Clock | None = None

    def add(self, index: int, kind: str, base: Fraction, packet: Any) -> None:
        """Take the next packet of the file."""
        if index == self.video:
            self.pictures = self.pictures or Clock(base, self.jumps)
            self.pictures.add(packet)
        elif kind == "audio":
            clock = self.audio.get(index) or self.audio.setdefault(index, Clock(base, self.jumps))
            clock.add(packet, self.pictures)
        elif kind == "subtitle" and packet.pts is not None and packet.pos is not None:
            now = self.pictures.position() if self.pictures else None
            if now is not None:
                self.texts.setdefault(index, []).append((packet.pos, packet.pts * base, now))

    def shifts(self) -> dict[int, tuple[Shift, ...]]:
        """Return what has to be added to the times of each stream; nothing if no clock jumps."""
        if self.pictures is None:
            return {}
        seen = self.pictures.closed()
        moved = _pictures(seen, jumps=self.jumps)
        found = {self.video: _table(zip([run.position for run in seen], moved, strict=True))}
        for index, clock in self.audio.items():
            runs = clock.closed()
            found[index] = _table(zip([run.position for run in runs], _beside(runs, seen, moved, jumps=self.jumps), strict=True))
        for index, places in self.texts.items():
            found[index] = _table((position, moved[_nearest(time, now, seen)]) for position, time, now in places)
        return {index: table for index, table in found.items() if table}


def _pictures(runs: list[Run], *, jumps: bool) -> list[Fraction]:
    """Return the seconds by which each run of pictures is moved, so that it follows the one before."""
    moved = [Fraction(0)]
    for number, run in enumerate(runs[1:], 1):
        before, after = runs[number - 1].jump, runs[number + 1].jump if number + 1 < len(runs) else Fraction(0)
        undoes = before < 0 < run.jump and abs(before + run.jump) < SUSPECT + runs[number - 1].end - runs[number - 1].first
        undone = run.jump > 0 > after and abs(run.jump + after) < SUSPECT + run.end - run.first
        if run.jump < 0 or (jumps and run.jump > AHEAD) or undoes or undone:
            last = runs[number - 1]
            # A new recording follows the last picture; in the middle of one, pictures may lie between those that were shown already
            shift = moved[-1] + (last.end - run.first if run.key else last.next - run.decoded)
            # A clock that comes back to what it was, after a packet or more with wrong times, is the same clock
            same = next((old for old in moved[-2::-1] if abs(old - shift) < SUSPECT), shift)
            moved.append(same)
        else:
            moved.append(moved[-1])
    return moved


def _beside(runs: list[Run], seen: list[Run], moved: list[Fraction], *, jumps: bool) -> list[Fraction]:
    """Return the seconds by which each run of audio is moved: as the picture of its time, or so that it follows the one before."""
    shifts = [moved[0]] if runs else []
    for number, run in enumerate(runs[1:], 1):
        if run.beside is None or run.before is None:
            shifts.append(shifts[-1])
            continue
        ended = runs[number - 1].end + shifts[-1]
        now, then = (time + moved[index] for index, time in (run.beside, run.before))
        apart = ended - then if abs(ended - then) <= LATEST else Fraction(0)  # how much later than its neighbours in the file it is heard
        near = [moved[index] for index in range(run.beside[0] - 1, run.beside[0] + 2) if 0 <= index < len(seen)]
        best = min(near, key=lambda shift: abs(run.first + shift - now - apart))
        alone = run.jump < 0 or (jumps and run.jump > AHEAD)
        if alone and abs(run.first + best - now - apart) > SUSPECT + abs(ended - now - apart):
            best = ended - run.first
        shifts.append(best)
    return shifts


def _nearest(time: Fraction, now: PicturePosition, seen: list[Run]) -> int:
    """Return the run of pictures by whose clock a subtitle goes that lies in the file where the pictures are ``now``."""
    number, last = now
    far = {number: abs(time - last)}
    if number > 0:
        far[number - 1] = abs(time - seen[number - 1].end)
    if number + 1 < len(seen):
        far[number + 1] = abs(time - seen[number + 1].first)
    return min(far, key=lambda index: far[index])


def _table(places: Iterable[tuple[int, Fraction]]) -> tuple[Shift, ...]:
    """Return the changes only."""
    table: list[Shift] = []
    for position, seconds in places:
        if seconds != (table[-1].seconds if table else 0):
            table.append(Shift(position=position, seconds=seconds))
    return tuple(table)


def moved(packets: Iterable[Any], shifts: Mapping[int, Sequence[Shift]]) -> Iterator[Any]:
    """Yield the packets with their times moved."""
    farthest: dict[int, int] = {}
    for packet in packets:
        if table := shifts.get(packet.stream_index):
            # a packet without a position is a part of the one before
            position = farthest[packet.stream_index] = max(farthest.get(packet.stream_index, 0), packet.pos or 0)
            seconds = next((shift.seconds for shift in reversed(table) if shift.position <= position), Fraction(0))
            if seconds and packet.time_base:
                ticks = round(seconds / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
        yield packet


def bitstream_filter(shifts: Sequence[Shift]) -> str:
    """Return the bitstream filter that moves the packets of an input stream of ffmpeg."""
    seconds, terms = Fraction(0), []
    for shift in shifts:
        step, seconds = shift.seconds - seconds, shift.seconds
        terms.append(f"gte(ld(0),{shift.position})*({step.numerator}/{step.denominator})")

    def moved_by(time: str) -> str:
        # ld(0): the farthest position so far; a packet that is a part of the one before has none (-1)
        return f"0*st(0,max(ld(0),POS))+if(eq({time},NOPTS),NOPTS,{time}+round(({'+'.join(terms)})/TB))"

    return f"setts=pts='{moved_by('PTS')}':dts='{moved_by('DTS')}'"
