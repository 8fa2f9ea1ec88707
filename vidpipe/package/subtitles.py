"""Cut a subtitle track where the segments of the title begin and end: its cues on the title's time line, their text cleaned.

In:   the artifact of a track (WebVTT as ffmpeg writes it, in the source's own time), where the picture begins in that time, the grid.
Out:  Cues; Cuts, lazily and in order, with the same borders as those of the picture.
Wrong: Unusable, with the reason, for a track that cannot be shown: no cue while the picture runs, or more text than can be meant. It is
       no error of the ingest: such a track is left out, and a note says so.

Nothing of the text is trusted. ffmpeg writes it unescaped, so that a cue could hold a second header, a time line or a tag: of tags only
<i>, <b> and <u> are left, in pairs; every other <, > and & is escaped; control characters and blank lines go.

A cue that is shown across a border stands in both segments with its full times (RFC 8216 section 3.5).
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from fractions import Fraction

from vidpipe.encode.result import EncodedSubtitles
from vidpipe.encode.subtitles import TIME_OFFSET
from vidpipe.package.containers.webvtt import written
from vidpipe.package.cut import Cue, Cut
from vidpipe.plan import Grid, Plan
from vidpipe.work.artifacts import Artifact

MOST_CUES = 50_000
"""Cues of a track; a film has about 1,500."""
LONGEST = 2_000
"""Characters of a cue; what is longer is cut. A screen holds about 80."""
LARGEST_SEGMENT = 64 * 1024
"""Bytes of text shown in one segment: karaoke that is set anew for every frame has a tenth of it."""

# Six digits of hours: a page of teletext that nothing replaces is shown for 50 days.
_TIME = r"(?:(\d{2,6}):)?([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMES = re.compile(rf"{_TIME} --> {_TIME}(?:[ \t].*)?\r?")
_MARKUP = re.compile(r"<(/?)([ibu])>|&(?:amp|lt|gt|nbsp|lrm|rlm);|[<>&]")
_ESCAPED = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_STYLED = frozenset({"ass", "ssa"})
"""Codecs whose text may hold drawings."""
_HARD_SPACES = frozenset({"ass", "ssa", "eia_608", "webvtt"})
"""Codecs in whose text ffmpeg writes, or leaves, ``\\h`` for a space. In that of others it is a backslash and an h."""
_ESCAPED_BRACES = frozenset({"webvtt", "text", "dvb_teletext"})
"""Codecs in whose text ffmpeg's decoders escape what would be a code of ASS."""
_ESCAPE = re.compile(r"\\(?:(\{)(?:\{\})?|(\})|\u2060)")
"""An opening brace may be followed by an empty block; a backslash is followed by a word joiner, lest it begin a code."""
_DRAWING = re.compile(r"m(?: +(?:[mnlbspc]|-?\d+(?:\.\d+)?))+\s*")
"""A vector drawing of ASS; ffmpeg drops the code before it that would say so."""
_UNWANTED = frozenset({"Cc", "Cs", "Co", "Cn"})  # not Cf: joiners and directions are part of many scripts


class Unusable(ValueError):
    """The track is left out. The message is half a sentence: "it has …"."""


def cues_of(made: Plan, result: EncodedSubtitles) -> tuple[Cue, ...]:
    """Return the cues of a subtitle track. Raises Unusable with the reason if it is left out of the title."""
    if result.artifact is None:
        raise Unusable(result.problem or "it was not made")
    return title_cues(result.artifact, made.asset.source(result.rendition.stream).zero, made.grid, codec=result.rendition.codec)


def title_cues(artifact: Artifact, start: Fraction, grid: Grid, *, codec: str) -> tuple[Cue, ...]:
    """Return the cues of a track that are shown while the picture runs, in order.

    start: seconds in the source's own time of the first frame.  codec: of the source's track.
    """
    last = math.floor(grid.duration * 1000)
    found: dict[Cue, None] = {}  # the same text at the same time once: layers of ASS
    for number, (begin, end, lines) in enumerate(_raw(artifact.path.read_bytes().decode("utf-8", "replace"))):
        if number >= MOST_CUES:
            raise Unusable(f"it has more than {MOST_CUES} cues")
        times = [_rounded((Fraction(time, 1000) - TIME_OFFSET - start) * 1000) for time in (begin, end)]
        shown, hidden = max(0, times[0]), min(last, times[1])
        if shown < hidden and (text := clean_text(lines, codec=codec)):
            found[Cue(Fraction(shown, 1000), Fraction(hidden, 1000), text)] = None
    if not found:
        raise Unusable("it has no text that is shown during the video")
    cues = sorted(found, key=lambda cue: cue.start)
    _check_size(cues, grid)
    return tuple(cues)


def subtitle_cuts(cues: Iterable[Cue], rendition: str, grid: Grid) -> Iterator[Cut]:
    """Yield the cuts of a track, one for each segment of the picture. cues: in order."""
    waiting = iter(cues)
    following = next(waiting, None)
    shown: list[Cue] = []
    for index in range(grid.segments):
        start, end = grid.time(grid.start(index)), grid.time(grid.start(index + 1))
        shown = [cue for cue in shown if cue.end > start]
        while following is not None and following.start < end:
            shown += [following] if following.end > start else []
            following = next(waiting, None)
        yield Cut(track=rendition, index=index, start=start, duration=end - start, cues=tuple(shown))


def clean_text(lines: Iterable[str], *, codec: str) -> str:
    """Return lines of untrusted text as WebVTT cue text; empty if nothing of it can be seen.

    codec: of the source's track; ffmpeg's decoders make ASS of all text, and its encoder passes on what each of them escapes.
    """
    text = "\n".join(lines)[:LONGEST]
    if codec in _STYLED and _DRAWING.fullmatch(text.strip()):
        return ""
    if codec in _HARD_SPACES:
        text = text.replace("\\h", " ")
    if codec in _ESCAPED_BRACES:
        text = _ESCAPE.sub(lambda found: found[1] or found[2] or "\\", text)
    text = re.sub("[\r\v\f\x1c-\x1e\x85\u2028\u2029]", "\n", text).replace("\t", " ").replace("\ufeff", "")
    text = "".join(char for char in text if char == "\n" or unicodedata.category(char) not in _UNWANTED)
    # Old players look for it everywhere. Seen without tags, because some of them may go.
    kept = (line.strip() for line in text.split("\n") if "X-TIMESTAMP-MAP" not in _untagged(line).upper())
    text = "\n".join(line for line in kept if line)
    if not _is_seen(text):
        return ""
    return "\n".join(line for line in _paired(text).split("\n") if line)


def _is_seen(text: str) -> bool:
    return any(not char.isspace() and unicodedata.category(char) != "Cf" for char in _untagged(text))


def _untagged(text: str) -> str:
    return re.sub("</?[ibu]>", "", text)


def _paired(text: str) -> str:
    """Escape everything but <i>, <b> and <u>, and put those into pairs that lie in each other."""
    parts: list[str] = []
    open_: list[str] = []
    at = 0
    for found in _MARKUP.finditer(text):
        parts.append(text[at : found.start()])
        at = found.end()
        closing, tag = found[1], found[2]
        if tag is None:
            parts.append(_ESCAPED.get(found[0], found[0]))
        elif not closing:
            if tag not in open_:
                open_.append(tag)
                parts.append(found[0])
        elif tag in open_:
            while True:
                last = open_.pop()
                parts.append(f"</{last}>")
                if last == tag:
                    break
    parts.append(text[at:])
    return "".join(parts) + "".join(f"</{tag}>" for tag in reversed(open_))


def _raw(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """Yield start and end in milliseconds, and the lines, of every cue as ffmpeg wrote it: a time line after a blank one begins it."""
    begin, end = 0, 0
    lines: list[str] | None = None
    blank = False
    for line in text.split("\n"):
        found = _TIMES.fullmatch(line) if blank else None
        if found:
            if lines is not None:
                yield begin, end, lines
            begin, end, lines = _milliseconds(found.groups()[:4]), _milliseconds(found.groups()[4:]), []
        elif lines is not None:
            lines.append(line)
        blank = not line.strip()
    if lines is not None:
        yield begin, end, lines


def _milliseconds(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, rest = (int(part or 0) for part in parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + rest


def _rounded(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _check_size(cues: Iterable[Cue], grid: Grid) -> None:
    """Refuse a track that would fill segments with text: every long cue stands in each segment that it is shown in."""
    changes = [0] * (grid.segments + 1)
    for cue in cues:
        size = len(written(cue).encode())
        changes[grid.segment_of(math.floor(cue.start * grid.frame_rate))] += size
        changes[grid.segment_of(math.ceil(cue.end * grid.frame_rate) - 1) + 1] -= size
    if max(itertools.accumulate(changes)) > LARGEST_SEGMENT:
        raise Unusable("it shows more text at once than anybody can read")
