"""Look into a package: what its playlists say, and what its segments weigh where they can be reached.

In:   a master or media playlist, or a directory with one: a local path, an s3:// URL or an http(s):// URL.
Out:  Inspection: variants, renditions and playlists as data (``vidpipe.data.report`` makes it JSON).
Wrong: UsageError if it cannot be opened or is no playlist, with the line. What is wrong further down (a playlist that is missing, a segment
       that is not there) stands in ``problems``, so that the rest can still be seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from vidpipe.data import Data, Seconds
from vidpipe.errors import UsageError
from vidpipe.inspect.place import FIX, Place, Unreachable, open_place
from vidpipe.manifest.measure import Bitrate, average, peak
from vidpipe.manifest.parse import Entry, MasterPlaylist, MediaPlaylist, PlaylistError, Rendition, Variant, parse

Kind = Literal["variant", "i-frames", "audio", "subtitles", "video", "media"]


class KeyUse(Data):
    """A key as a playlist uses it. segments: that it covers.  ivs: different ones; 0 when the sequence number is the IV."""

    method: str
    uri: str | None
    keyformat: str
    segments: int
    ivs: int


class PlaylistReport(Data):
    """A media playlist. Durations in seconds, as EXTINF states them.  bytes, measured: None where a segment's size is not known.

    clear_segments: without a key.  encrypted_init: an EXT-X-MAP stands under a key.  problems: sentences.
    """

    uri: str
    kind: Kind
    version: int | None = None
    playlist_type: str | None = None
    end_list: bool = False
    target_duration: int = 0
    media_sequence: int = 0
    segments: int = 0
    duration: Seconds = Fraction(0)
    shortest: Seconds = Fraction(0)
    longest: Seconds = Fraction(0)
    discontinuities: int = 0
    init: tuple[str, ...] = ()
    encrypted_init: bool = False
    keys: tuple[KeyUse, ...] = ()
    clear_segments: int = 0
    bytes: int | None = None
    measured: Bitrate | None = None
    problems: tuple[str, ...] = ()


class VariantReport(Variant):
    """A variant as declared; measured: its own playlist and the heaviest of each of its groups, None where sizes are not known."""

    measured: Bitrate | None = None


class Inspection(Data):
    """What was found. location: of the playlist that was read.  duration: of the longest media playlist.

    variants, renditions: of a master playlist.  problems: of all playlists, each with its playlist.
    """

    format: Literal["vidpipe.inspection/1"] = "vidpipe.inspection/1"
    location: str
    kind: Literal["master", "media"]
    version: int | None
    independent_segments: bool
    duration: Seconds
    variants: tuple[VariantReport, ...] = ()
    renditions: tuple[Rendition, ...] = ()
    playlists: tuple[PlaylistReport, ...]
    problems: tuple[str, ...] = ()


def inspect(location: str) -> Inspection:
    """Inspect a playlist or a directory. Nothing is written; segments are never read, only their sizes are asked."""
    place, name = open_place(location)
    try:
        playlist = parse(place.read(name))
    except Unreachable as error:
        raise UsageError(str(error), where=place.where(name), fix=FIX) from error
    except PlaylistError as error:
        raise UsageError(f"this is no HLS playlist: {error.what}", where=f"{place.where(name)}:{error.line}", fix=FIX) from error
    if isinstance(playlist, MediaPlaylist):
        only = _media(place, name, "i-frames" if playlist.i_frames_only else "media", playlist)
        return Inspection(
            location=place.where(name),
            kind="media",
            version=playlist.version,
            independent_segments=playlist.independent_segments,
            duration=only.duration,
            playlists=(only,),
            problems=only.problems,
        )
    return _master(place, name, playlist)


def _master(place: Place, name: str, master: MasterPlaylist) -> Inspection:
    wanted: dict[str, Kind] = {}
    for variant in master.variants:
        wanted.setdefault(variant.uri, "i-frames" if variant.i_frames else "variant")
    for member in master.renditions:
        if member.uri is not None:
            wanted.setdefault(member.uri, _kind(member))
    reports = {uri: _read(place, uri, kind) for uri, kind in wanted.items()}
    problems = [f"{report.uri}: {problem}" for report in reports.values() for problem in report.problems]
    return Inspection(
        location=place.where(name),
        kind="master",
        version=master.version,
        independent_segments=master.independent_segments,
        duration=max((report.duration for report in reports.values()), default=Fraction(0)),
        variants=tuple(_variant(variant, master.renditions, reports) for variant in master.variants),
        renditions=master.renditions,
        playlists=tuple(reports.values()),
        problems=tuple(problems),
    )


def _kind(member: Rendition) -> Kind:
    kinds: dict[str, Kind] = {"AUDIO": "audio", "SUBTITLES": "subtitles", "VIDEO": "video"}
    return kinds.get(member.type, "media")


def _variant(variant: Variant, renditions: Sequence[Rendition], reports: dict[str, PlaylistReport]) -> VariantReport:
    own = reports[variant.uri].measured
    groups = [
        [reports[member.uri].measured for member in renditions if member.uri and (member.type, member.group) == wanted]
        for wanted in (("AUDIO", variant.audio), ("SUBTITLES", variant.subtitles))
    ]
    known = [[rates for rates in group if rates is not None] for group in groups]
    measured = None
    if own is not None and [len(group) for group in known] == [len(group) for group in groups]:
        measured = Bitrate(
            peak=own.peak + sum(max((rates.peak for rates in group), default=0) for group in known),
            average=own.average + sum(max((rates.average for rates in group), default=0) for group in known),
        )
    return VariantReport(**dict(variant), measured=measured)


def _read(place: Place, uri: str, kind: Kind) -> PlaylistReport:
    try:
        playlist = parse(place.read(uri))
    except Unreachable as error:
        return PlaylistReport(uri=uri, kind=kind, problems=(str(error),))
    except PlaylistError as error:
        return PlaylistReport(uri=uri, kind=kind, problems=(str(error),))
    if isinstance(playlist, MasterPlaylist):
        return PlaylistReport(uri=uri, kind=kind, problems=("it is a master playlist; a media playlist was expected",))
    return _media(place, uri, kind, playlist)


def _media(place: Place, uri: str, kind: Kind, playlist: MediaPlaylist) -> PlaylistReport:
    entries = playlist.segments
    durations = [entry.duration for entry in entries]
    inits = {entry.init.uri: entry.init for entry in entries if entry.init is not None}
    sizes, problems = _sizes(place, uri, entries)
    measured = None
    if entries and len(sizes) == len(entries) and min(durations) > 0:
        measured = Bitrate(peak=peak(sizes, durations, playlist.target_duration), average=average(sizes, durations))
    return PlaylistReport(
        uri=uri,
        kind=kind,
        version=playlist.version,
        playlist_type=playlist.playlist_type,
        end_list=playlist.end_list,
        target_duration=playlist.target_duration,
        media_sequence=playlist.media_sequence,
        segments=len(entries),
        duration=sum(durations, Fraction(0)),
        shortest=min(durations, default=Fraction(0)),
        longest=max(durations, default=Fraction(0)),
        discontinuities=sum(entry.discontinuity for entry in entries),
        init=tuple(inits),
        encrypted_init=any(init.key is not None for init in inits.values()),
        keys=_keys(entries),
        clear_segments=sum(entry.key is None for entry in entries),
        bytes=sum(sizes) if len(sizes) == len(entries) else None,
        measured=measured,
        problems=tuple(problems),
    )


def _sizes(place: Place, playlist: str, entries: Sequence[Entry]) -> tuple[list[int], list[str]]:
    """Return the sizes in bytes of the segments that are there, and a sentence for what is missing."""
    sizes: list[int] = []
    missing: list[str] = []
    for entry in entries:
        if entry.byte_range is not None and (length := entry.byte_range.partition("@")[0]).isdecimal():
            sizes.append(int(length))
        elif not entry.gap:
            try:
                size = place.size(entry.uri, playlist)
            except Unreachable as error:
                missing.append(f"line {entry.line}: {entry.uri}: {error}")
            else:
                sizes += [size] if size is not None else []
    more = f" ({len(missing) - 1} more like this)" if missing[1:] else ""
    return sizes, [missing[0] + more] if missing else []


def _keys(entries: Sequence[Entry]) -> tuple[KeyUse, ...]:
    covered = Counter((entry.key.method, entry.key.uri, entry.key.keyformat) for entry in entries if entry.key is not None)
    return tuple(
        KeyUse(
            method=method,
            uri=uri,
            keyformat=keyformat,
            segments=count,
            ivs=len({entry.key.iv for entry in entries if entry.key is not None and entry.key.uri == uri and entry.key.iv}),
        )
        for (method, uri, keyformat), count in covered.items()
    )
