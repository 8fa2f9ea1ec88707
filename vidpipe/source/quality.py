"""Measure the quality of picture and audio with ffmpeg's filters, during any decode: the filters, and reading what they wrote.

In:   a QualityPolicy for the filters; the text that ``metadata=mode=print`` wrote, and where on the time line it began.
Out:  filter chains to put into a graph, and Measurements, which can be merged over chunks.
Wrong: nothing; a line that is not understood is passed over.

    [0:v] field_filters
    [0:v] … deinterlace, fps, scale to the smallest rung … picture_filters
    [0:a] … audio_filters

The filters detect much shorter stretches than the policy cares about, so that a stretch over the border of two chunks is still whole after
``merge``; ``findings`` judges.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from vidpipe.data import Data, Seconds
from vidpipe.source.facts import Stretch
from vidpipe.source.picture_facts import IDET
from vidpipe.source.policy import QualityPolicy

PICTURE_FILE = "picture.txt"
FIELDS_FILE = "fields.txt"
FIELDS_KEY = "lavfi.idet.single.current_frame"
NEIGHBOURS = Fraction(1, 2)  # seconds: less than what is left out of each second, and more than between frames of whatever moves
AUDIO_FILE = "audio.txt"
SHORTEST_FREEZE = Fraction(1, 5)  # seconds, see the module's introduction
SHORTEST_SILENCE = Fraction(1, 5)
SEAM = Fraction(1, 4)  # seconds at a chunk's border within which a stretch counts as going on: the shortest ones and one slow frame
LEAST_PICTURES = 50  # idet takes fine horizontal lines for fields; over two seconds something else is seen too
ROUNDING = Fraction(1, 1000)  # seconds: ffmpeg prints times with six digits


class Interlacing(Data):
    """How many pictures idet took for what."""

    top_first: int = 0
    bottom_first: int = 0
    progressive: int = 0

    @property
    def share(self) -> float:
        """Share of interlaced pictures among those with a verdict; 0 if those are few or the fields do not agree on an order."""
        judged = self.top_first + self.bottom_first + self.progressive
        more, less = max(self.top_first, self.bottom_first), min(self.top_first, self.bottom_first)
        return (more + less) / judged if judged >= LEAST_PICTURES and more > 4 * less else 0.0


class Measurements(Data):
    """What was measured of a stretch of the source.

    start, end: the stretch, None if nothing was printed.  loudness: LUFS, integrated.  true_peak: dBTP, first reached at true_peak_at.
    channel_peaks: dBFS a channel.
    damaged: stretches that could not be decoded cleanly.
    """

    start: Seconds | None = None
    end: Seconds | None = None
    black: tuple[Stretch, ...] = ()
    frozen: tuple[Stretch, ...] = ()
    silence: tuple[Stretch, ...] = ()
    damaged: tuple[Stretch, ...] = ()
    interlacing: Interlacing = Interlacing()
    pictures: int = 0
    loudness: float | None = None
    true_peak: float | None = None
    true_peak_at: Seconds | None = None
    channel_peaks: tuple[float, ...] = ()

    def moved(self, by: Fraction) -> Measurements:
        """Return them with all times moved by some seconds."""
        times = {name: None if (time := getattr(self, name)) is None else time + by for name in ("start", "end", "true_peak_at")}
        stretches = {name: tuple(each.moved(by) for each in getattr(self, name)) for name in ("black", "frozen", "silence", "damaged")}
        return self.model_copy(update={**times, **stretches})


def field_filters(name: str = FIELDS_FILE) -> str:
    """Return the filters for decoded frames, with times from 0; they end in a print of idet's verdicts to the file ``name``.

    They look at the first four seconds and at a quarter of each later one: idet takes 2 % of the CPU seconds of a title in 1080p, a file is
    rarely interlaced in parts, and the probe has looked at some pictures before. ``judged_fields`` reads what they print.
    """
    # The first frame in any case: an output that gets none ends ffmpeg.
    seen = "isnan(prev_selected_t)+lt(t,4)+lt(mod(t,1),1/4)"
    return f"select='{seen}',idet={IDET},{_print('metadata', name, FIELDS_KEY)}"


def judged_fields(lines: Iterable[str]) -> list[str]:
    """Return the verdicts that ``field_filters`` printed, as lines that ``read_measurements`` counts.

    A verdict compares a frame with the one before it and the one after it, so it says nothing where one of them was not looked at.
    """
    found: list[tuple[Fraction, str]] = []
    time: Fraction | None = None
    for line in lines:
        if line.startswith("frame:"):
            time = _seconds(line.rpartition("pts_time:")[2])
        elif line.startswith(FIELDS_KEY) and time is not None:
            found.append((time, line.rstrip()))
    near = [later - time < NEIGHBOURS for (time, _), (later, _) in pairwise(found)]
    return [verdict for (_, verdict), before, after in zip(found[1:], near, near[1:], strict=False) if before and after]


def picture_filters(policy: QualityPolicy, name: str = PICTURE_FILE) -> str:
    """Return the filters for the smallest picture there is; they end in a print to the file ``name`` in ffmpeg's working folder."""
    black, frozen = policy.black_video, policy.frozen_video
    return ",".join(
        [
            # d is only about the log; the metadata names every black frame
            f"blackdetect=d=0.1:pix_th={black.pixel_luma:g}:pic_th={black.picture_share:g}",
            f"freezedetect=n={frozen.noise:g}:d={float(SHORTEST_FREEZE):g}",
            # Printed are only frames that carry something.
            "metadata=mode=add:key=lavfi.picture:value=1",
            _print("metadata", name),
        ]
    )


def audio_filters(policy: QualityPolicy, name: str = AUDIO_FILE) -> str:
    """Return the filters for one audio stream at its own channels; they end in a print to the file ``name``."""
    return ",".join(
        [
            # framelog: ebur128 writes ten lines a second to stderr otherwise
            "ebur128=peak=true:metadata=1:framelog=quiet",
            f"silencedetect=noise={policy.silence.noise:g}dB:d={float(SHORTEST_SILENCE):g}",
            # reset=0: over the whole stream, so that the last print holds the result
            "astats=metadata=1:reset=0:measure_perchannel=Peak_level:measure_overall=none",
            _print("ametadata", name),
        ]
    )


def _print(kind: str, name: str, key: str | None = None) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"{name!r} would need quoting in a filter graph; use a bare file name")
    return f"{kind}=mode=print:file={name}" + (f":key={key}" if key else "")


def read_measurements(
    text: str | Iterable[str],
    offset: Fraction = Fraction(0),
    end: Fraction | None = None,
    *,
    counted: tuple[int | None, int | None] = (None, None),
) -> Measurements:
    """Read what the filters printed (text, or an open file). offset: time line seconds of the filters' zero.

    end: time line seconds at which the stretch ends, if known; else one frame after the last print.
    counted: ticks after which, and up to which, pictures and their fields are counted.
    """
    return _Reader(offset, counted).read(text.splitlines() if isinstance(text, str) else text, end)


class _Reader:
    """Gathers the prints of one run. Times are on the time line as soon as they are stored."""

    def __init__(self, offset: Fraction, counted: tuple[int | None, int | None]) -> None:
        self.offset = offset
        self.after, self.until = counted
        self.counting = True
        self.first: Fraction | None = None
        self.last: Fraction | None = None
        self.step = Fraction(0)
        self.open: dict[str, Fraction] = {}
        self.done: dict[str, list[Stretch]] = {"black": [], "frozen": [], "silence": []}
        self.fields = {"tff": 0, "bff": 0, "progressive": 0}
        self.pictures = 0
        self.loudness: float | None = None
        self.peak: float | None = None
        self.peak_at: Fraction | None = None
        self.channels: dict[int, float] = {}

    def read(self, lines: Iterable[str], end: Fraction | None) -> Measurements:
        for line in lines:
            if line.startswith("frame:"):
                self._frame(line)
            elif line.startswith("lavfi."):
                key, _, value = line[6:].rstrip().partition("=")
                self._value(key, value)
        if self.last is not None and end is None:
            end = self.last + self.step
        for kind, start in self.open.items():
            if end is not None and end > start:
                self.done[kind].append(Stretch(start=start, end=end))
        return Measurements(
            start=self.first if self.first is not None else self.offset if end is not None else None,
            end=end,
            black=tuple(self.done["black"]),
            frozen=tuple(self.done["frozen"]),
            silence=tuple(self.done["silence"]),
            interlacing=Interlacing(top_first=self.fields["tff"], bottom_first=self.fields["bff"], progressive=self.fields["progressive"]),
            pictures=self.pictures,
            loudness=self.loudness,
            true_peak=self.peak,
            true_peak_at=self.peak_at,
            channel_peaks=tuple(self.channels[channel] for channel in sorted(self.channels)),
        )

    def _frame(self, line: str) -> None:
        time = _seconds(line.rpartition("pts_time:")[2])
        if time is None:
            return
        now = time + self.offset
        self.first = now if self.first is None else self.first
        if self.last is not None and now > self.last:
            self.step = now - self.last
        self.last = now
        if self.after is not None or self.until is not None:
            found = re.search(r" pts:(-?\d+)\b", line)
            ticks = int(found[1]) if found else None
            self.counting = ticks is not None and not (
                (self.after is not None and ticks <= self.after) or (self.until is not None and ticks > self.until)
            )

    def _value(self, key: str, value: str) -> None:
        if key == "picture":
            self.pictures += self.counting
        elif key == FIELDS_KEY.removeprefix("lavfi."):
            if self.counting and value in self.fields:
                self.fields[value] += 1
        elif key == "black_start" or key.endswith(("freeze_start", "silence_start")):
            self._begin(_kind(key), value)
        elif key == "black_end" or key.endswith(("freeze_end", "silence_end")):
            self._finish(_kind(key), value)
        elif key == "r128.I":
            loud = _number(value)
            self.loudness = loud if loud is not None and loud > -70 else self.loudness  # -70: nothing above the absolute gate yet
        elif key.startswith("r128.true_peaks_ch"):
            ratio = _number(value)
            peak = round(20 * math.log10(ratio), 2) if ratio is not None and ratio > 0 else None
            if peak is not None and (self.peak is None or peak > self.peak):  # each print holds the highest so far
                self.peak, self.peak_at = max(-200.0, peak), self.last
        elif key.startswith("astats.") and key.endswith(".Peak_level"):
            channel, level = key.split(".")[1], _number(value)
            if channel.isdigit():
                self.channels[int(channel)] = max(-200.0, level) if level is not None else -200.0

    def _begin(self, kind: str, value: str) -> None:
        time = _seconds(value)
        if time is not None:
            self.open[kind] = max(time, Fraction(0)) + self.offset

    def _finish(self, kind: str, value: str) -> None:
        time, start = _seconds(value), self.open.pop(kind, None)
        if time is not None and start is not None and time + self.offset > start:
            self.done[kind].append(Stretch(start=start, end=time + self.offset))


def _kind(key: str) -> str:
    return "black" if "black" in key else "frozen" if "freeze" in key else "silence"


def _seconds(text: str) -> Fraction | None:
    try:
        return Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        return None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def merge(parts: Sequence[Measurements], borders: Sequence[Fraction] | None = None) -> Measurements:
    """Join what was measured of chunks, in any order, or of picture and audio; stretches that touch at a border become one.

    borders: all of them, in order, if some parts are chunks that were joined before; else those of the parts.
    """
    parts = sorted(parts, key=lambda part: (part.start is None, part.start or 0))
    if borders is None:
        borders = sorted({time for part in parts for time in (part.start, part.end) if time is not None})
    starts = [part.start for part in parts if part.start is not None]
    ends = [part.end for part in parts if part.end is not None]
    fields = [part.interlacing for part in parts]
    loud = [part.loudness for part in parts if part.loudness is not None]
    peaks = [(part.true_peak, part.true_peak_at) for part in parts if part.true_peak is not None]
    peak, peak_at = max(peaks, key=lambda each: each[0], default=(None, None))
    # Audio is measured in one run, so there is one loudness; of several streams the first counts here.
    channels = next((part.channel_peaks for part in parts if part.channel_peaks), ())
    return Measurements(
        start=min(starts, default=None),
        end=max(ends, default=None),
        black=joined([each for part in parts for each in part.black], borders),
        frozen=joined([each for part in parts for each in part.frozen], borders),
        silence=joined([each for part in parts for each in part.silence], borders),
        damaged=joined([each for part in parts for each in part.damaged], borders),
        interlacing=Interlacing(
            top_first=sum(each.top_first for each in fields),
            bottom_first=sum(each.bottom_first for each in fields),
            progressive=sum(each.progressive for each in fields),
        ),
        pictures=sum(part.pictures for part in parts),
        loudness=loud[0] if loud else None,
        true_peak=peak,
        true_peak_at=peak_at,
        channel_peaks=channels,
    )


class JoinedChunks:
    """What was measured of the chunks that have come so far, in any order: always what ``merge`` would say of them.

    Only the neighbourhood of a chunk is looked at when it comes: a long title has thousands of them.
    """

    def __init__(self) -> None:
        self.measurements = Measurements()
        self._borders: list[Fraction] = []

    def add(self, chunk: Measurements) -> None:
        """Join what was measured of another chunk to the others."""
        for time in (chunk.start, chunk.end):
            if time is not None:
                insort(self._borders, time)
        before = self.measurements
        counted = merge([before.model_copy(update=_NO_STRETCHES), chunk.model_copy(update=_NO_STRETCHES)], [])
        near = {kind: _inserted(getattr(before, kind), getattr(chunk, kind), self._borders) for kind in _NO_STRETCHES}
        self.measurements = counted.model_copy(update=near)

    def together(self, other: Measurements) -> Measurements:
        """Return it with what was measured of the whole."""
        return merge([self.measurements, other], self._borders)


_NO_STRETCHES: dict[str, tuple[Stretch, ...]] = {"black": (), "frozen": (), "silence": (), "damaged": ()}


def _inserted(old: tuple[Stretch, ...], new: tuple[Stretch, ...], borders: Sequence[Fraction]) -> tuple[Stretch, ...]:
    """Return what ``joined`` would of both; ``old`` is joined already, and ``new`` is all of one chunk."""
    if not new:
        return old
    first = max(0, bisect_left(old, min(each.start for each in new), key=lambda each: each.start) - 1)
    last = bisect_left(old, max(each.end for each in new), key=lambda each: each.start) + 1
    return (*old[:first], *joined([*old[first:last], *new], borders), *old[last:])


def joined(stretches: Iterable[Stretch], borders: Sequence[Fraction]) -> tuple[Stretch, ...]:
    """Join stretches that overlap, or that go on over one of ``borders`` with less than SEAM missing on either side.

    Those that merely touch stay apart: one still picture after another is two.
    """
    whole: list[Stretch] = []
    for next_ in sorted(stretches, key=lambda each: each.start):
        if whole and (next_.start < whole[-1].end or _over_a_border(whole[-1].end, next_.start, borders)):
            whole[-1] = Stretch(start=whole[-1].start, end=max(whole[-1].end, next_.end))
        else:
            whole.append(next_)
    return tuple(whole)


def _over_a_border(end: Fraction, start: Fraction, borders: Sequence[Fraction]) -> bool:
    place = bisect_left(borders, max(end - ROUNDING, start - SEAM))  # the first border that neither lies too far behind
    return place < len(borders) and borders[place] <= min(end + SEAM, start + ROUNDING)


def longer(stretches: Iterable[Stretch], seconds: float) -> Iterator[Stretch]:
    """Yield the stretches that last longer than that."""
    least = Fraction(str(seconds))
    yield from (each for each in stretches if each.end - each.start > least)
