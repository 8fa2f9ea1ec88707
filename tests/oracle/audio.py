"""Compare a track of a title with a track of its source: what plays when, what is missing, what was added. Pure.

In:   Audio of both, the source's time that is the title's zero, the title's length.
Out:  Heard: faults in words, remarks, how alike the two are.
Wrong: nothing here can fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tests.oracle.decode import AUDIO_RATE, Audio
from tests.oracle.picture import runs_of

EXACT = 0.012
"""Seconds by which audio may be early or late where the source's own clock is sound."""
REACH = 0.6
"""Seconds within which a window of the source is looked for in the title."""
SECONDS, HOP = 1.0, 0.5
SILENT = 10 ** (-50 / 20)
ALIKE = 0.6
SIMILAR = 0.97
"""Tones fit at every period: of the offsets that fit nearly as well as the best, the smallest counts."""
ENVELOPE = AUDIO_RATE // 200
"""Samples of 5 ms."""
LEAD, TAIL = 0.1, 0.5
"""Seconds of audio before and after the picture that may be cut without a word."""
LOUDER = 2.0
"""Decibels by which the level may differ."""


@dataclass
class Heard:
    """What was found. likeness: median correlation of windows, 0 to 1; None if the source is silent."""

    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    likeness: float | None = None
    offset: float | None = None


def compare(source: Audio, title: Audio, zero: float, length: float, *, mixed: bool = False, whole: bool = True) -> Heard:
    """Compare. mixed: channels were mixed down, so levels differ."""
    heard = Heard()
    ours, theirs = on_clock(title, 0.0, length), on_clock(source, zero, length)
    exact = EXACT + min(0.045, source.jitter)
    windows = _windows(ours, theirs)
    known = [(at, lag, fit) for at, lag, fit in windows if fit >= ALIKE]
    if windows:
        heard.likeness = float(np.median([fit for _, _, fit in windows]))
    if known:
        lags = np.array([lag for _, lag, _ in known])
        heard.offset = float(np.median(lags))
        _offsets(known, exact, heard)
    elif windows:
        _far(ours, theirs, heard)
    elif theirs.size and np.abs(theirs).max() > SILENT:
        heard.remarks.append("audio too short or too quiet to compare")
    _presence(ours, theirs, known, source, heard)
    if known and not mixed:
        both = [(ours[a : a + AUDIO_RATE], theirs[a : a + AUDIO_RATE]) for a, _, fit in known if fit > 0.85]
        if both:
            gain = 20 * np.log10(np.median([np.sqrt((a**2).mean() + 1e-12) / np.sqrt((b**2).mean() + 1e-12) for a, b in both]))
            if abs(gain) > LOUDER:
                heard.faults.append(f"audio {abs(gain):.1f} dB too {'loud' if gain > 0 else 'quiet'}")
    if whole and abs(title.end - length) > 0.06:
        heard.faults.append(f"audio ends at {title.end:.2f} s, the picture at {length:.2f} s")
    return heard


def cut(source: Audio, zero: float, length: float) -> list[tuple[str, float]]:
    """Return where and for how many seconds the source is heard outside the title's time line."""
    found = []
    before = max(0, min(len(source.samples), round((zero - source.start) * AUDIO_RATE)))
    after = max(0, min(len(source.samples), round((zero + length - source.start) * AUDIO_RATE)))
    for name, part in (("before the first picture", source.samples[:before]), ("after the last picture", source.samples[after:])):
        # A little too much audio at the end is everywhere.
        if (_levels(part) > SILENT).sum() * 0.005 > (LEAD if "before" in name else TAIL):
            found.append((name, len(part) / AUDIO_RATE))
    return found


def plays(source: Audio, zero: float, length: float) -> float:
    """Return for how many seconds the source is heard inside the title's time line; 0 if that is too little to be missed."""
    seconds = float((_levels(on_clock(source, zero, length)) > SILENT).sum()) * 0.005
    return seconds if seconds > LEAD else 0.0


def on_clock(audio: Audio, zero: float, length: float) -> np.ndarray:
    """Return the samples from ``zero`` on for ``length`` seconds, silence where there are none."""
    wanted = round(length * AUDIO_RATE)
    line = np.zeros(wanted, np.float32)
    shift = round((audio.start - zero) * AUDIO_RATE)
    begin, end = max(0, shift), min(wanted, shift + len(audio.samples))
    if end > begin:
        line[begin:end] = audio.samples[begin - shift : end - shift]
    return line


def _windows(ours: np.ndarray, theirs: np.ndarray) -> list[tuple[int, float, float]]:
    """Correlate each second of the source with the title around it: (where, seconds by which the title is late, likeness)."""
    size, reach = round(SECONDS * AUDIO_RATE), round(REACH * AUDIO_RATE)
    size = min(size, len(theirs))
    padded = np.concatenate([np.zeros(reach, np.float32), ours, np.zeros(reach, np.float32)])
    found = []
    for at in range(0, max(1, len(theirs) - size + 1), round(HOP * AUDIO_RATE)):
        part = theirs[at : at + size]
        if size < AUDIO_RATE // 10 or float(np.sqrt((part**2).mean())) < SILENT:
            continue
        around = padded[at : at + size + 2 * reach]
        lag, fit = correlate(part, around)
        found.append((at, (lag - reach) / AUDIO_RATE, fit))
    return found


def correlate(part: np.ndarray, around: np.ndarray) -> tuple[int, float]:
    """Return where in ``around`` the ``part`` fits, the most central of equal places, and how well (normalised, 0 to 1)."""
    count = len(around) - len(part) + 1
    bits = 1 << (len(around) + len(part)).bit_length()
    product = np.fft.irfft(np.fft.rfft(around, bits) * np.conj(np.fft.rfft(part, bits)), bits)[:count]
    energy = np.concatenate([[0.0], np.cumsum(around.astype(np.float64) ** 2)])
    norm = np.sqrt(np.maximum(energy[len(part) :] - energy[: -len(part)], 1e-9) * float((part.astype(np.float64) ** 2).sum() + 1e-9))
    fits = np.where(norm > 1e-3, product / norm, 0.0)
    best = float(fits.max())
    near = np.flatnonzero(fits >= best * SIMILAR)
    peaks = near[[(i == 0 or fits[i] >= fits[i - 1]) and (i == count - 1 or fits[i] >= fits[i + 1]) for i in near]]
    peaks = peaks if len(peaks) else near
    return int(peaks[np.abs(peaks - count // 2).argmin()]), best


def _offsets(known: list[tuple[int, float, float]], exact: float, heard: Heard) -> None:
    off = [(at / AUDIO_RATE, lag) for at, lag, _ in known if abs(lag) > exact]
    if not off:
        return
    lags = np.array([lag for _, lag in off])
    middle = float(np.median(lags))
    share = len(off) / len(known)
    late = "late" if middle > 0 else "early"
    if np.abs(lags - middle).max() < 0.008:
        where = "" if share > 0.8 else f" from {off[0][0]:.1f} to {off[-1][0] + SECONDS:.1f} s"
        heard.faults.append(f"audio {abs(middle) * 1000:.0f} ms {late}{where}")
    else:
        range_ = f"{lags.min() * 1000:+.0f} to {lags.max() * 1000:+.0f} ms"
        heard.faults.append(f"audio {range_} off in {share:.0%} of the time, first at {off[0][0]:.1f} s")


def _far(ours: np.ndarray, theirs: np.ndarray, heard: Heard) -> None:
    """No window was found near its place: look for the whole anywhere."""
    reach = len(theirs)
    silence = np.zeros(reach, np.float32)
    lag, fit = correlate(theirs, np.concatenate([silence, ours, silence]))
    if fit > 0.3:
        seconds = (lag - reach) / AUDIO_RATE
        heard.faults.append(f"audio {abs(seconds):.2f} s {'late' if seconds > 0 else 'early'}")
    else:
        heard.faults.append(f"audio is another one (likeness {heard.likeness or 0:.2f})")


def _levels(samples: np.ndarray) -> np.ndarray:
    """Root mean square of each 5 ms."""
    count = len(samples) // ENVELOPE
    return np.sqrt((samples[: count * ENVELOPE].reshape(count, ENVELOPE).astype(np.float64) ** 2).mean(axis=1))


def _smooth(levels: np.ndarray, half: int, what: str) -> np.ndarray:
    """Return the mean, the least or the most around each value."""
    if not len(levels):
        return levels
    padded = np.pad(levels, half, mode="edge")
    table = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return {"mean": table.mean, "min": table.min, "max": table.max}[what](axis=1)


def _presence(ours: np.ndarray, theirs: np.ndarray, known: list[tuple[int, float, float]], source: Audio, heard: Heard) -> None:
    """Find stretches that only one of both has, and short silences that cut into what plays on in the source."""
    title, wanted = _levels(ours), _levels(theirs)
    reach = 6  # 30 ms of tolerance on either side
    scale = np.sqrt((ours**2).mean() / ((theirs**2).mean() + 1e-12)) if known else 1.0
    quiet = SILENT / 2
    missing = runs_of((_smooth(wanted, reach, "min") * scale > 2 * SILENT) & (_smooth(title, reach, "max") < quiet))
    added = runs_of((_smooth(title, reach, "min") > 2 * SILENT) & (_smooth(wanted, reach, "max") * scale < quiet))
    for name, runs in (("missing", missing), ("added", added)):
        long = [(a, b) for a, b in runs if b - a >= 12]
        if long:
            total = sum(b - a + 2 * reach for a, b in long) * 0.005
            heard.faults.append(f"audio {name} for {total:.2f} s from {max(0, long[0][0] - reach) * 0.005:.2f} s")
    # A dip: far below its surroundings in the title, where the source has none within reach.
    local, steady = _smooth(title, 16, "mean"), _smooth(wanted, 16, "mean")
    dips = [(a, b) for a, b in runs_of((title < 0.12 * local) & (local > 2 * SILENT)) if 2 <= b - a <= 12]
    cuts = []
    for a, b in dips:
        around = slice(max(0, a - 12), b + 12)
        floor = wanted[around] < 0.3 * steady[around]
        if max((y - x for x, y in runs_of(floor)), default=0) < (b - a) / 2:
            cuts.append((a, b))
    total = sum(b - a for a, b in cuts) * 0.005
    allowed = max(0.0, source.late) + min(source.jitter, 0.045)
    if cuts and total > allowed + 0.005:
        each = f"{len(cuts)} silence{'s' * (len(cuts) > 1)} of {total / len(cuts) * 1000:.0f} ms"
        heard.faults.append(f"{each} inserted, first at {cuts[0][0] * 0.005:.2f} s")
