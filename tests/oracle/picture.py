"""Compare the pictures of a title with those of its source: order and times, begin and end, geometry, colours. Pure.

In:   Pictures of both, the source's time that is the title's zero.
Out:  Seen: faults in words, remarks, and how many pictures lie at a wrong time.
Wrong: nothing here can fail.

A picture of the title is right if the source shows it at that time, give or take half a frame. Where neighbours look alike nobody can
tell, and nobody could see it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from tests.oracle.decode import GRID, Pictures

WINDOW = 1.0
"""Seconds around its time in which a picture is looked for first."""
BETTER, BETTER_BY = 0.35, 0.3
"""Another time fits better only if it does by this share and by this many levels."""
STRANGE = 18.0
"""Mean difference in levels from which a picture is none of the source's."""
BIAS, COLOUR = 0.6, 1.6
"""Levels by which the mean may differ, and by which colours may differ in a systematic way."""
FINEST = 4 * GRID[0]
"""Pixels across from which a cell of the grid holds some samples of colour. Of a smaller picture, edges of colour fill whole cells, and
what 4:2:0 makes of them outside of RGB is clipped by everyone in another way: at 64x36 zscale is no nearer than scale. It may differ more.
"""
HDR_BIAS, HDR_TINT = 45.0, 14.0
"""Tone mapping is a matter of taste: brightness may differ much, hue little."""
ASPECT = 0.02


@dataclass
class Seen:
    """What was found. wrong: pictures of the title at a wrong time.  timed: the share of pictures whose time shows."""

    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    wrong: int = 0
    timed: float = 0.0


def compare(source: Pictures, title: Pictures, zero: float, *, hdr: bool = False, whole: bool = True) -> Seen:
    """Compare. zero: the source's time that is 0 in the title.  whole: both were decoded to their end."""
    seen = Seen()
    _geometry(source, title, seen)
    ours, theirs = _fine(title), _fine(source)
    pairs, leeway = _pairs(ours, theirs, source, title, zero), max(1.0, FINEST / source.width)
    ours, theirs = _colours(ours, theirs, pairs, seen, hdr=hdr, leeway=leeway)
    _times(ours, theirs, source, title, zero, seen)
    if whole:
        _length(source, title, zero, seen)
    return seen


def _fine(pictures: Pictures) -> np.ndarray:
    """Means over 2 x 2 pixels, one row a picture."""
    count, height, width, _ = pictures.rgb.shape
    halves = pictures.rgb.reshape(count, height // 2, 2, width // 2, 2, 3)
    return halves.mean(axis=(2, 4), dtype=np.float32).reshape(count, -1)


def _pairs(ours: np.ndarray, theirs: np.ndarray, source: Pictures, title: Pictures, zero: float) -> list[tuple[int, int]]:
    """Pair some of the title's pictures with those of the source whose structure is most like theirs, whatever times and colours say."""
    pairs = []
    wanted = _structure(theirs)
    for number in np.unique(np.linspace(0, len(ours) - 1, 120).astype(int)):
        time = title.times[number] + zero
        first, last = np.searchsorted(source.times, [time - WINDOW, time + WINDOW])
        first, last = max(0, first - 1), max(last, 1)
        likeness = wanted[first:last] @ _structure(ours[number : number + 1])[0]
        if len(likeness) and likeness.max() > 0.6:
            pairs.append((int(number), int(first + likeness.argmax())))
    return pairs


def _structure(pictures: np.ndarray) -> np.ndarray:
    """Brightness without its mean and contrast."""
    luma = pictures.reshape(len(pictures), -1, 3) @ np.array((0.2126, 0.7152, 0.0722), np.float32)
    luma -= luma.mean(axis=1, keepdims=True)
    return luma / np.maximum(np.linalg.norm(luma, axis=1, keepdims=True), 1e-3)


def _geometry(source: Pictures, title: Pictures, seen: Seen) -> None:
    wanted, got = source.width / source.height, title.width / title.height
    # Sizes are even numbers, which bends small pictures.
    if abs(got / wanted - 1) > max(ASPECT, 2.5 / min(title.width, title.height)):
        seen.faults.append(f"aspect {got:.3f} ({title.width:g}x{title.height:g}), not {wanted:.3f}")
    ours, theirs = title.rgb.astype(np.float32), source.rgb.astype(np.float32)
    pick = np.linspace(0, len(ours) - 1, 9).astype(int)
    turned = {"mirrored": theirs[:, :, ::-1], "upside down": theirs[:, ::-1], "turned by 180 degrees": theirs[:, ::-1, ::-1]}
    where = np.linspace(0, len(theirs) - 1, 60).astype(int)
    upright = _nearest(ours[pick], theirs[where])
    for name, other in turned.items():
        if _nearest(ours[pick], other[where]) < 0.6 * upright - 1:
            seen.faults.append(f"the picture is {name}")


def _nearest(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.mean([np.abs(theirs - picture).mean(axis=(1, 2, 3)).min() for picture in ours]))


def _colours(
    ours: np.ndarray, theirs: np.ndarray, pairs: list[tuple[int, int]], seen: Seen, *, hdr: bool, leeway: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compare levels and colours where both show the same; return both without the difference that is found."""
    if not pairs:
        seen.remarks.append("levels cannot be compared")
        return ours, theirs
    mine, other = np.array(pairs).T
    distance = np.abs(ours[mine] - theirs[other]).mean(axis=1)
    alike = distance <= max(float(np.median(distance)) * 1.2, 1.0)
    a, b = ours[mine[alike]].reshape(-1, 3), theirs[other[alike]].reshape(-1, 3)
    inside = ((b > 6) & (b < 249)).all(axis=1)  # what was clipped says nothing
    if inside.sum() < 200:
        seen.remarks.append("levels cannot be compared")
        return ours, theirs
    a, b = a[inside].astype(np.float64), b[inside].astype(np.float64)
    if hdr:
        return _tone(a, b, ours, theirs, seen)
    bias = (a - b).mean(axis=0)
    luma = float(bias @ (0.2126, 0.7152, 0.0722))
    red, blue = float(bias[0] - luma), float(bias[2] - luma)
    if abs(luma) > BIAS * leeway:
        seen.faults.append(f"{abs(luma):.1f} levels too {'bright' if luma > 0 else 'dark'}")
    if max(abs(red), abs(blue)) > 2 * BIAS * leeway:
        seen.faults.append(f"tinted: red {red:+.1f}, blue {blue:+.1f} levels")
    fit, *_ = np.linalg.lstsq(np.column_stack([b, np.ones(len(b))]), a, rcond=None)
    bent = np.column_stack([b, np.ones(len(b))]) @ fit - b - bias
    systematic = float(np.sqrt((bent**2).mean()))
    if systematic > COLOUR * leeway:
        seen.faults.append(f"colours differ by {systematic:.1f} levels in a systematic way (matrix or range)")
    # Fades look like other times if levels are off: what is systematic has been said, and is taken out.
    return ours, (theirs.reshape(-1, 3) @ fit[:3] + fit[3]).astype(np.float32).reshape(theirs.shape)


def _tone(a: np.ndarray, b: np.ndarray, ours: np.ndarray, theirs: np.ndarray, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
    bias = (a - b).mean(axis=0)
    luma = float(bias @ (0.2126, 0.7152, 0.0722))
    tint = max(abs(float(bias[0] - luma)), abs(float(bias[1] - luma)), abs(float(bias[2] - luma)))
    if abs(luma) > HDR_BIAS or tint > HDR_TINT:
        seen.faults.append(f"tone mapping is off: {luma:+.0f} levels, hue {tint:.0f} levels")
    columns = ours.shape[1] // 3
    fits = [np.polyfit(b[:, channel], a[:, channel], 1) for channel in range(3)]
    gain, offset = np.tile([f[0] for f in fits], columns), np.tile([f[1] for f in fits], columns)
    return ours, (theirs * gain + offset).astype(np.float32)


def _times(ours: np.ndarray, theirs: np.ndarray, source: Pictures, title: Pictures, zero: float, seen: Seen) -> None:
    """Look for each picture of the title in the source, around its time, then everywhere."""
    frame = float(np.median(np.diff(title.times))) if len(title.times) > 1 else 0.04
    slack = frame / 2 + 0.002
    ends = np.append(source.times[1:], np.inf)
    begins = np.append(-np.inf, source.times[1:])  # before its first picture a source shows nothing: the title may show that picture
    states: list[str] = []
    offsets = np.zeros(len(ours))
    best_of = np.zeros(len(ours), int)
    timed = 0
    for number, picture in enumerate(ours):
        time = float(title.times[number]) + zero
        first, last = np.searchsorted(source.times, [time - WINDOW, time + WINDOW])
        first, last = max(0, first - 1), max(last, 1)
        if time > source.end + slack:
            first = min(first, len(theirs) - 1)
        distance = np.abs(theirs[first:last] - picture).mean(axis=1)
        best = int(distance.argmin())
        # The picture that is shown, or the one that comes within half a frame. A file's clock may be as coarse as a millisecond.
        right = (begins[first:last] <= time + slack) & (ends[first:last] > time + 0.0015)
        fits = float(distance[right].min()) if right.any() else np.inf
        wrong = fits - distance[best] > max(BETTER_BY, BETTER * float(distance[best]))
        timed += bool(not right.all() and float(np.median(distance[~right])) - fits > BETTER_BY) or wrong
        best_of[number] = first + best
        if wrong or fits > STRANGE:
            if distance[best] > STRANGE / 2:
                everywhere = np.abs(theirs - picture).mean(axis=1)
                best_of[number] = int(everywhere.argmin())
                states.append("strange" if everywhere.min() > STRANGE else "wrong" if wrong or everywhere.min() < fits / 2 else "right")
            else:
                states.append("wrong" if wrong else "right")
            offsets[number] = source.times[best_of[number]] - time
        else:
            states.append("right")
    seen.wrong = sum(state != "right" for state in states)
    seen.timed = timed / len(ours)
    if seen.timed < 0.05:
        seen.remarks.append("the pictures' times do not show: they do not move")
    motion = float(np.median(np.abs(np.diff(theirs, axis=0)).mean(axis=1))) if len(theirs) > 1 else 0.0
    seen.faults += _runs(states, offsets, best_of, ours, title, frame, motion)


def _runs(
    states: list[str], offsets: np.ndarray, best_of: np.ndarray, ours: np.ndarray, title: Pictures, frame: float, motion: float
) -> list[str]:
    """Say what is wrong with each run of pictures at wrong times; short rights in between do not part a run."""
    wrong = [number for number, state in enumerate(states) if state != "right"]
    if not wrong:
        return []
    runs: list[list[int]] = [[wrong[0]]]
    for number in wrong[1:]:
        if number - runs[-1][-1] <= 4:
            runs[-1].append(number)
        else:
            runs.append([number])
    found = []
    for run in runs:
        at = f"{len(run)} picture{'s' * (len(run) > 1)} from {float(title.times[run[0]]):.2f} s"
        moved = offsets[run]
        still = np.abs(np.diff(ours[run[0] : run[-1] + 1], axis=0)).mean(axis=1) if len(run) > 1 else np.zeros(0)
        middle = float(np.median(moved))
        if all(states[number] == "strange" for number in run):
            found.append(f"{at}: not in the source")
        elif len(run) * frame >= 0.3 and float((still < 0.3 * motion).mean()) > 0.9:
            found.append(f"{at}: frozen")
        elif len(run) > 1 and (np.diff(best_of[run]) < 0).mean() > 0.2:
            found.append(f"{at}: out of order")
        elif np.abs(moved - middle).max() <= 1.5 * frame or float(np.percentile(np.abs(moved - middle), 80)) < frame:
            found.append(f"{at}: {abs(middle) * 1000:.0f} ms {'early' if middle > 0 else 'late'}")
        else:
            found.append(f"{at}: {moved.min() * 1000:+.0f} to {moved.max() * 1000:+.0f} ms off")
    return found if len(found) <= 4 else [*found[:3], f"and {len(found) - 3} more such stretches"]


def _length(source: Pictures, title: Pictures, zero: float, seen: Seen) -> None:
    frame = float(np.median(np.diff(title.times))) if len(title.times) > 1 else 0.04
    wanted, got = source.end - zero, title.end
    slack = max(frame * 1.05, 0.045)  # one frame: where a rate is converted, the last may fall on either side
    if got < wanted - slack:
        lost = [j for j in range(len(source.times)) if source.times[j] - zero > got - frame / 4]
        seen.faults.append(f"{wanted - got:.2f} s missing at the end ({len(lost)} pictures)")
    elif got > wanted + slack:
        seen.faults.append(f"{got - wanted:.2f} s too long")


def runs_of(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return begin and end of each run of true values."""
    found, at = [], 0
    for value, group in groupby(flags.tolist()):
        count = len(list(group))
        if value:
            found.append((at, at + count))
        at += count
    return found
