"""Read a DASH manifest, anybody's: what it offers, and where and when each segment is.

In:   the bytes of a manifest.
Out:  Presentation: adaptation sets, representations, segments with times in ticks and URIs relative to the manifest.
Wrong: ManifestError for what is no static or dynamic MPD, or contradicts its schema, with the line.

Strict where a player would stumble (numbers, templates, time lines), deaf to what it does not know. Representations that are addressed in
other ways than by SegmentTemplate or as one file have no segments here; ``addressing`` says which way it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple
from urllib.parse import urljoin

from vidpipe.data import Data, Rational, Seconds
from vidpipe.manifest.dash.markup import ManifestError, Node, read_document

MOST_SEGMENTS = 500_000
"""Of one Representation: weeks of short ones. A few bytes can claim to be more than memory holds."""
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_IDENTIFIER = re.compile(r"\$(?:(RepresentationID|Number|Bandwidth|Time)(?:%0(\d{1,3})d)?)?\$")
_INTEGER = re.compile(r"\d{1,19}")

Addressing = Literal["template", "file", "other"]


class ListedSegment(NamedTuple):
    """A segment. start, duration: ticks; less the offset, they count from the beginning of the Period.  line: of its S."""

    uri: str
    start: int
    duration: int
    line: int


class Descriptor(NamedTuple):
    """A property, by a scheme and its value."""

    scheme: str
    value: str | None


class DeclaredProtection(NamedTuple):
    """ContentProtection. key_id: default_KID.  pssh: base64."""

    scheme: str
    value: str | None
    key_id: str | None
    pssh: tuple[str, ...] = ()


class Representation(Data):
    """One version of a track. mime_type, codecs …: its own, or those of its set.  offset: presentationTimeOffset, ticks.

    init: URI of the init section.  segments: by template; of one file, none.  file: URI of that file.
    """

    id: str
    bandwidth: int
    mime_type: str | None = None
    codecs: str | None = None
    width: int | None = None
    height: int | None = None
    frame_rate: Rational | None = None
    sar: str | None = None
    audio_sampling_rate: int | None = None
    channels: tuple[Descriptor, ...] = ()
    properties: tuple[Descriptor, ...] = ()
    addressing: Addressing = "other"
    timescale: int = 1
    offset: int = 0
    init: str | None = None
    file: str | None = None
    segments: tuple[ListedSegment, ...] = ()
    line: int = 0


class AdaptationSet(Data):
    """What a player chooses one Representation of. period: number of its Period, from 0."""

    period: int = 0
    content_type: str | None = None
    language: str | None = None
    labels: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    accessibility: tuple[Descriptor, ...] = ()
    protection: tuple[DeclaredProtection, ...] = ()
    representations: tuple[Representation, ...] = ()
    line: int = 0


class Presentation(Data):
    """A manifest. duration: None if it has no end.  periods: how many."""

    type: Literal["static", "dynamic"] = "static"
    profiles: tuple[str, ...] = ()
    duration: Seconds | None = None
    min_buffer_time: Seconds | None = None
    base: str | None = None
    periods: int = 0
    sets: tuple[AdaptationSet, ...] = ()


def read_mpd(data: bytes) -> Presentation:
    """Return what a manifest says. Raises ManifestError."""
    root = read_document(data)
    if root.tag != "MPD":
        raise ManifestError(f"its root is {root.tag}, not MPD", root.line)
    kind = root.get("type") or "static"
    if kind not in ("static", "dynamic"):
        raise ManifestError(f"type is {kind!r}, not static or dynamic", root.line)
    duration, base = _duration(root, "mediaPresentationDuration"), _base(root)
    periods = list(root.all("Period"))
    if not periods:
        raise ManifestError("it has no Period", root.line)
    sets: list[AdaptationSet] = []
    for number, (period, length) in enumerate(zip(periods, _lengths(periods, duration), strict=True)):
        folder = urljoin(base or "", _base(period) or "")
        sets += [_set(one, number, folder, length, [period]) for one in period.all("AdaptationSet")]
    return Presentation(
        type="dynamic" if kind == "dynamic" else "static",
        profiles=tuple((root.get("profiles") or "").split(",")),
        duration=duration,
        min_buffer_time=_duration(root, "minBufferTime"),
        base=base,
        periods=len(periods),
        sets=tuple(sets),
    )


def _lengths(periods: Sequence[Node], duration: Fraction | None) -> Iterator[Fraction | None]:
    """Yield how long each Period lasts, None where nobody knows: its duration, else up to the next start, else up to the end."""
    begin: Fraction | None = Fraction(0)
    for number, period in enumerate(periods):
        start = _duration(period, "start")
        begin = start if start is not None else begin
        length = _duration(period, "duration")
        if length is None and begin is not None:
            end = _duration(periods[number + 1], "start") if number + 1 < len(periods) else duration
            length = end - begin if end is not None else None
        yield length
        begin = begin + length if begin is not None and length is not None else None


def _set(node: Node, period: int, folder: str, length: Fraction | None, above: list[Node]) -> AdaptationSet:
    folder = urljoin(folder, _base(node) or "")
    protection = [node, *node.all("Representation")]
    return AdaptationSet(
        period=period,
        content_type=node.get("contentType") or (node.get("mimeType") or "").partition("/")[0] or None,
        language=node.get("lang"),
        labels=tuple(label.text.strip() for label in node.all("Label")),
        roles=tuple(role.get("value") or "" for role in node.all("Role")),
        accessibility=_descriptors([node], "Accessibility"),
        protection=tuple(
            DeclaredProtection(one.get("schemeIdUri") or "", one.get("value"), one.get("default_KID"), _pssh(one))
            for place in protection
            for one in place.all("ContentProtection")
        ),
        representations=tuple(_representation(one, node, folder, length, [*above, node]) for one in node.all("Representation")),
        line=node.line,
    )


def _pssh(node: Node) -> tuple[str, ...]:
    return tuple("".join(box.text.split()) for box in node.all("pssh"))


def _representation(node: Node, group: Node, folder: str, length: Fraction | None, above: list[Node]) -> Representation:
    id_, bandwidth = node.get("id"), _integer(node, "bandwidth")
    if id_ is None or bandwidth is None:
        raise ManifestError("a Representation has no id or no bandwidth", node.line)

    def said(name: str) -> str | None:
        return node.get(name) or group.get(name)

    of_both = [group, node]
    own = _base(node)
    described = {
        "id": id_,
        "bandwidth": bandwidth,
        "mime_type": said("mimeType"),
        "codecs": said("codecs"),
        "width": _integer(node, "width") or _integer(group, "width"),
        "height": _integer(node, "height") or _integer(group, "height"),
        "frame_rate": _rate(node, said("frameRate")),
        "sar": said("sar"),
        "audio_sampling_rate": _integer(node, "audioSamplingRate") or _integer(group, "audioSamplingRate"),
        "channels": _descriptors(of_both, "AudioChannelConfiguration"),
        "properties": _descriptors(of_both, "EssentialProperty", "SupplementalProperty"),
        "line": node.line,
    }
    places = [*above, node]
    if templates := [found for place in places if (found := place.first("SegmentTemplate"))]:
        described |= {"addressing": "template"} | _templated(templates, urljoin(folder, own or ""), id_, bandwidth, length)
    elif own is not None and not any(place.first("SegmentList") for place in places):
        described |= {"addressing": "file", "file": urljoin(folder, own)}
    return Representation.model_validate(described)


def _templated(templates: Sequence[Node], folder: str, id_: str, bandwidth: int, length: Fraction | None) -> dict[str, object]:
    """Return what a SegmentTemplate says, which has what those above it have and it has not. templates: the nearest last."""
    nearest = templates[-1]

    def said(name: str) -> tuple[Node, str] | None:
        return next(((one, value) for one in reversed(templates) if (value := one.get(name)) is not None), None)

    def number(name: str, otherwise: int) -> int:
        found = said(name)
        return otherwise if found is None else _integer(found[0], name) or 0

    def filled(pattern: tuple[Node, str], **values: int) -> str:
        return urljoin(folder, _filled(*pattern, {"RepresentationID": id_, "Bandwidth": bandwidth, **values}))

    timescale, media, init = number("timescale", 1), said("media"), said("initialization")
    if timescale < 1:
        raise ManifestError("timescale is 0", nearest.line)
    if media is None:
        raise ManifestError("a SegmentTemplate has no media", nearest.line)
    offset, first = number("presentationTimeOffset", 0), number("startNumber", 1)
    timelines = [found for one in templates if (found := one.first("SegmentTimeline"))]
    end = None if length is None else offset + length * timescale
    times = _timed(timelines[-1], end) if timelines else _even(nearest, number("duration", 0), offset, end)
    segments = tuple(
        ListedSegment(filled(media, Number=first + position, Time=start), start, duration, line)
        for position, (start, duration, line) in enumerate(times)
    )
    return {"timescale": timescale, "offset": offset, "init": filled(init) if init else None, "segments": segments}


def _timed(timeline: Node, end: Fraction | None) -> Iterator[tuple[int, int, int]]:
    """Yield start, duration and line of the segments of a SegmentTimeline."""
    entries = list(timeline.all("S"))
    time = number = 0
    for position, entry in enumerate(entries):
        duration, start = _integer(entry, "d"), _integer(entry, "t")
        if not duration:
            raise ManifestError("an S has no duration d", entry.line)
        time = time if start is None else start
        repeated = entry.get("r") or "0"
        if repeated == "-1":
            following = _integer(entries[position + 1], "t") if position + 1 < len(entries) else None
            until = Fraction(following) if following is not None else end
            if until is None:
                return
            times = max(1, math.ceil((until - time) / duration))
        else:
            times = 1 + (_integer(entry, "r") or 0)
        number += times
        _not_too_many(number, entry)
        for _ in range(times):
            yield time, duration, entry.line
            time += duration


def _even(template: Node, duration: int, offset: int, end: Fraction | None) -> Iterator[tuple[int, int, int]]:
    """Yield those of a template whose segments all last as long; the last may be shorter."""
    if duration < 1:
        raise ManifestError("a SegmentTemplate has neither a SegmentTimeline nor a duration", template.line)
    if end is None:
        return
    number = math.ceil((end - offset) / duration)
    _not_too_many(number, template)
    yield from ((offset + position * duration, duration, template.line) for position in range(number))


def _not_too_many(number: int, node: Node) -> None:
    if number > MOST_SEGMENTS:
        raise ManifestError(f"a Representation has more than {MOST_SEGMENTS} segments", node.line)


def _filled(node: Node, pattern: str, values: dict[str, str | int]) -> str:
    def value(found: re.Match[str]) -> str:
        name, width = found[1], found[2]
        if name is None:
            return "$"
        if name not in values:
            raise ManifestError(f"${name}$ cannot stand here", node.line)
        return f"{values[name]:0{int(width)}d}" if width and isinstance(values[name], int) else str(values[name])

    if "$" in _IDENTIFIER.sub("", pattern):
        raise ManifestError(f"{pattern!r} is no template", node.line)
    return _IDENTIFIER.sub(value, pattern)


def _descriptors(places: Sequence[Node], *tags: str) -> tuple[Descriptor, ...]:
    return tuple(
        Descriptor(one.get("schemeIdUri") or "", one.get("value")) for place in places for tag in tags for one in place.all(tag)
    )


def _base(node: Node) -> str | None:
    found = node.first("BaseURL")
    return found.text.strip() if found else None


def _integer(node: Node, name: str) -> int | None:
    text = node.get(name)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text):
        raise ManifestError(f"{name} is {text!r}, not a whole number", node.line)
    return int(text)


def _rate(node: Node, text: str | None) -> Fraction | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})(?:/([1-9]\d{0,8}))?", text)
    if not found:
        raise ManifestError(f"frameRate is {text!r}", node.line)
    return Fraction(int(found[1]), int(found[2] or 1))


def _duration(node: Node, name: str) -> Fraction | None:
    text = node.get(name)
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    if not found or text in ("P", "PT") or len(text) > 40:
        raise ManifestError(f"{name} is {text!r}, not a duration such as PT1M30S", node.line)
    days, hours, minutes, seconds = (Fraction(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
