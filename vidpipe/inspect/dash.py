"""Look into a DASH manifest: what it offers, whether its segments are there, what they weigh, and whether its times hold together.

In:   a Presentation as it was read; where to look; the inventory of the version, where there is one.
Out:  DashReport.
Wrong: nothing: what is wrong with the manifest stands in ``problems``, each a sentence.

The rules are those by which players stumble (ISO/IEC 23009-1, DASH-IF IOP 4.3). Times of segments are compared with those that were
measured of the media, which the inventory has; without one, with each other: the segments of one adaptation set begin together, follow on
one another, and span the Period.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

from vidpipe.data import Data, Rational, Seconds
from vidpipe.inspect.lookups import Look, Lookups
from vidpipe.inventory import Inventory
from vidpipe.inventory.measure import Bitrate, average, peak
from vidpipe.inventory.model import AudioTrack
from vidpipe.inventory.times import whole_seconds
from vidpipe.manifest.dash.read_mpd import AdaptationSet, DeclaredProtection, Presentation, Representation

TOLERANCE = Fraction(1, 20)
"""Seconds by which a time line may miss the end of its Period: audio ends with a frame of its own."""
_OVER = Fraction(11, 10)
"""How far a declared rate may be above or below the measured one."""


class RepresentationReport(Data):
    """A Representation. Durations in seconds.  bytes, measured: None where a segment's size is not known."""

    id: str
    bandwidth: int
    codecs: str | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: Rational | None = None
    segments: int = 0
    duration: Seconds = Fraction(0)
    longest: Seconds = Fraction(0)
    init: str | None = None
    bytes: int | None = None
    measured: Bitrate | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class SetReport(Data):
    """An adaptation set."""

    content_type: str | None
    language: str | None
    labels: tuple[str, ...]
    roles: tuple[str, ...]
    protection: tuple[DeclaredProtection, ...]
    representations: tuple[RepresentationReport, ...]


class DashReport(Data):
    """A DASH manifest. problems: of the whole of it; those of its Representations stand there."""

    type: Literal["static", "dynamic"]
    profiles: tuple[str, ...]
    periods: int
    min_buffer_time: Seconds | None
    sets: tuple[SetReport, ...]
    problems: tuple[str, ...] = ()

    def of_representations(self, kind: Literal["problems", "notes"]) -> tuple[str, ...]:
        """Return what is said of all Representations, each with its id."""
        return tuple(f"{one.id}: {text}" for group in self.sets for one in group.representations for text in getattr(one, kind))


def dash_report(look: Look, found: Presentation, inventory: Inventory | None) -> DashReport:
    """Return what was found."""
    known = _known_times(inventory) if inventory else {}
    longest = [_longest(one) for group in found.sets for one in group.representations if group.content_type in ("video", "audio")]
    target = max(1, *map(whole_seconds, longest)) if longest else 1  # as HLS would have it, on which the window of a peak depends
    sets = tuple(
        SetReport(
            content_type=group.content_type,
            language=group.language,
            labels=group.labels,
            roles=group.roles,
            protection=group.protection,
            representations=tuple(_report(look, one, found, known, target) for one in group.representations),
        )
        for group in found.sets
    )
    return DashReport(
        type=found.type,
        profiles=found.profiles,
        periods=found.periods,
        min_buffer_time=found.min_buffer_time,
        sets=sets,
        problems=tuple(_whole(found)),
    )


def _whole(found: Presentation) -> Iterator[str]:
    """Yield what is wrong with the manifest as a whole."""
    if not any(found.profiles):
        yield "it names no profile (MPD@profiles)"
    if found.min_buffer_time is None:
        yield "it has no minBufferTime"
    if found.type == "static" and found.duration is None:
        yield "it is static and has no mediaPresentationDuration"
    ids = Counter((group.period, one.id) for group in found.sets for one in group.representations)
    yield from (f"{number} Representations are called {id_}" for (_, id_), number in ids.items() if number > 1)
    for group in found.sets:
        where = f"line {group.line}: an AdaptationSet"
        if not group.representations:
            yield f"{where} has no Representation"
        if group.content_type in ("video", "audio") and any(one.codecs is None for one in group.representations):
            yield f"{where} has a Representation without codecs"
        if group.content_type == "video" and not _begin_together(group):
            yield f"{where} has Representations whose segments do not begin together: players cannot change between them"


def _begin_together(group: AdaptationSet) -> bool:
    begins = {tuple(Fraction(segment.start - one.offset, one.timescale) for segment in one.segments) for one in group.representations}
    return len(begins) <= 1


def _longest(one: Representation) -> Fraction:
    return max((Fraction(segment.duration, one.timescale) for segment in one.segments), default=Fraction(0))


def _report(
    look: Look, one: Representation, found: Presentation, known: dict[str, tuple[Fraction, Fraction]], target: int
) -> RepresentationReport:
    lookups = Lookups(look, "")
    if one.init:
        lookups.named(one.init, one.line, "init section ")
    asked = [(segment.uri, segment.line) for segment in one.segments] or ([(one.file, one.line)] if one.file else [])
    sizes = lookups.objects([(uri, line, None) for uri, line in asked])
    durations = [Fraction(segment.duration, one.timescale) for segment in one.segments]
    measured = None
    pictures = (one.mime_type or "").startswith("image/")
    if one.segments and len(sizes) == len(one.segments) and not pictures:
        measured = Bitrate(peak=peak(sizes, durations, target), average=average(sizes, durations))
    notes = lookups.notes if one.addressing != "other" else (*lookups.notes, "its segments are addressed in a way that is not looked at")
    return RepresentationReport(
        id=one.id,
        bandwidth=one.bandwidth,
        codecs=one.codecs,
        width=one.width,
        height=one.height,
        frame_rate=one.frame_rate,
        segments=len(one.segments),
        duration=sum(durations, Fraction(0)),
        longest=_longest(one),
        init=one.init,
        bytes=sum(sizes) if asked and len(sizes) == len(asked) else None,
        measured=measured,
        problems=(*lookups.problems, *_times(look, one, found, known), *_rates(one, measured)),
        notes=notes,
    )


def _times(look: Look, one: Representation, found: Presentation, known: dict[str, tuple[Fraction, Fraction]]) -> Iterator[str]:
    """Yield what is wrong with the time line of a Representation."""
    for before, after in itertools.pairwise(one.segments):
        if before.start + before.duration != after.start:
            border = _seconds(Fraction(before.start + before.duration, one.timescale))
            yield f"line {after.line}: a segment ends at {border}, the next begins at {_seconds(Fraction(after.start, one.timescale))}"
            break
    if one.segments and found.periods == 1 and found.duration is not None:
        last = one.segments[-1]
        end = Fraction(last.start + last.duration - one.offset, one.timescale)
        if end < found.duration - _allowed(one):
            yield f"its segments end at {_seconds(end)}, the presentation at {_seconds(found.duration)}"
    for segment in one.segments:
        shown = Fraction(segment.start, one.timescale), Fraction(segment.start + segment.duration, one.timescale)
        measured = known.get(segment.uri.removeprefix(look.folder))
        if measured is not None and measured != shown:
            at, where = (f"{_seconds(begin)} to {_seconds(end)}" for begin, end in (shown, measured))
            yield f"line {segment.line}: {segment.uri} is said to be shown from {at}; its media is, from {where}"
            break


def _allowed(one: Representation) -> Fraction:
    """Return by how much a time line may end early: audio may be shorter than the picture by up to a segment."""
    return _longest(one) if (one.mime_type or "").startswith("audio/") else TOLERANCE


def _rates(one: Representation, measured: Bitrate | None) -> Sequence[str]:
    if measured is None or one.bandwidth * _OVER >= measured.peak:
        return ()
    return (f"its bandwidth is {one.bandwidth}; its segments reach {measured.peak} bits a second",)


def _known_times(inventory: Inventory) -> dict[str, tuple[Fraction, Fraction]]:
    """Return when each segment is shown, by its path, as measured of the media; not that of a track whose edit list nobody knows."""
    known: dict[str, tuple[Fraction, Fraction]] = {}
    for track in inventory.tracks:
        skipped = Fraction(0)
        if isinstance(track, AudioTrack):
            if track.delay is None:
                continue
            skipped = Fraction(track.delay, track.facts.timescale)
        for segment in track.segments:
            known[segment.uri] = (max(Fraction(0), segment.start - skipped), segment.start + segment.duration - skipped)
    return known


def _seconds(time: Fraction) -> str:
    return f"{float(time):.6g} s"
