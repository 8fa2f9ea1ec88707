"""Look into a package: what its playlists or its DASH manifest say, and what its segments weigh where they can be reached.

In:   a master or media playlist, a manifest, or a directory with a playlist: a local path, an s3:// URL or an http(s):// URL.
Out:  Inspection: variants, renditions and playlists as data (``vidpipe.data.report`` makes it JSON).
Wrong: UsageError if it cannot be opened or is no playlist, with the line. What is wrong further down (a playlist that is missing, a
       segment, an init section or a key that is not there) stands in ``problems``, so that the rest can still be seen; what was not looked
       at, and why, in ``notes``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from typing import Literal
from urllib.parse import urljoin, urlsplit

from vidpipe.data import Data, Seconds
from vidpipe.errors import UsageError
from vidpipe.inspect.dash import DashReport, dash_report
from vidpipe.inspect.location import FIX, Elsewhere, Package, Unreachable, open_package
from vidpipe.inspect.lookups import Look, Lookups
from vidpipe.inventory import Inventory, Objects, read_inventory
from vidpipe.inventory.measure import Bitrate, average, peak
from vidpipe.layout import INVENTORY, MPD, RECORD
from vidpipe.manifest.dash.markup import ManifestError
from vidpipe.manifest.dash.mpd import from_above
from vidpipe.manifest.dash.read_mpd import read_mpd
from vidpipe.manifest.parse import (
    Entry,
    MasterPlaylist,
    MediaPlaylist,
    PlaylistError,
    Rendition,
    Variant,
    parse,
)
from vidpipe.protect.schemes import WHOLE_METHODS

Kind = Literal["variant", "i-frames", "audio", "subtitles", "video", "media"]


class DeclaredKey(Data):
    """A key as a playlist uses it. segments: that it covers.

    ivs: different ones; 0 when the sequence number is the IV, or the media has them.
    """

    method: str
    uri: str | None
    keyformat: str
    segments: int
    ivs: int


class PlaylistReport(Data):
    """A media playlist. Durations in seconds, as EXTINF states them.  bytes, measured: None where a segment's size is not known.

    clear_segments: without a key.  encrypted_init: an EXT-X-MAP stands under a key for whole resources.  problems, notes: sentences.
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
    keys: tuple[DeclaredKey, ...] = ()
    clear_segments: int = 0
    bytes: int | None = None
    measured: Bitrate | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class VariantReport(Variant):
    """A variant as declared; measured: its own playlist and the heaviest of each of its groups, None where sizes are not known."""

    measured: Bitrate | None = None


class InventoryReport(Data):
    """What an inventory beside the playlist says. objects: that the version has.  bytes: of all of them."""

    content_id: str | None = None
    version: str | None = None
    objects: int
    bytes: int


class Inspection(Data):
    """What was found. location: of the playlist that was read.  duration: of the longest media playlist.

    kind: "unreadable" if it cannot be read at all.  variants, renditions: of a master playlist.
    dash: of a DASH manifest.
    inventory: None if there is none beside the playlist. What is there is compared with it: sizes, and the hashes of playlists.
    problems, notes: of all playlists, each with its playlist.
    """

    format: Literal["vidpipe.inspection/1"] = "vidpipe.inspection/1"
    location: str
    kind: Literal["master", "media", "dash", "unreadable"]
    version: int | None = None
    independent_segments: bool = False
    duration: Seconds = Fraction(0)
    variants: tuple[VariantReport, ...] = ()
    renditions: tuple[Rendition, ...] = ()
    playlists: tuple[PlaylistReport, ...] = ()
    dash: DashReport | None = None
    inventory: InventoryReport | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def unreadable(location: str, error: UsageError) -> Inspection:
    """Return the report of a location that cannot be inspected, for programs that expect one."""
    return Inspection(location=error.place or location, kind="unreadable", problems=(error.what,))


def inspect(location: str) -> Inspection:
    """Inspect a playlist or a directory. Nothing is written; segments are never read, only their sizes are asked."""
    package, name = open_package(location)
    with closing(package):
        return _inspect(package, name)


def _inspect(package: Package, name: str) -> Inspection:
    try:
        data = package.read(name)
    except Unreachable as error:
        raise UsageError(str(error), where=package.where(name), fix=FIX) from error
    if _file_name(name).endswith(".mpd") or b"<MPD" in data[:4096]:
        return _dash(package, name, data)
    try:
        playlist = parse(data, query=_query(name))
    except PlaylistError as error:
        raise UsageError(f"this is not an HLS playlist: {error.what}", where=package.where(name), line=error.line, fix=FIX) from error
    folder = _folder(playlist)
    inventory = _inventory(package, urljoin(name, folder))
    held = inventory.keys if isinstance(inventory, Inventory) else _held_keys(package, urljoin(name, folder))
    look = Look(package, held, inventory.entries if inventory else {}, folder)
    described = _described(inventory) if inventory else None
    if isinstance(playlist, MediaPlaylist):
        only = _media(look, name, "i-frames" if playlist.i_frames_only else "media", playlist)
        return Inspection(
            location=package.where(name),
            kind="media",
            version=playlist.version,
            independent_segments=playlist.independent_segments,
            duration=only.duration,
            playlists=(only,),
            inventory=described,
            problems=only.problems,
            notes=only.notes,
        )
    found = _master(look, name, playlist)
    differences = look.address(urljoin(name, folder), data) if folder else look.differences(_file_name(name), data)
    wrong = tuple(f"{name}: {problem}" for problem in differences)
    return found.model_copy(update={"inventory": described, "problems": (*wrong, *found.problems)})


def _dash(package: Package, name: str, data: bytes) -> Inspection:
    try:
        found = read_mpd(data)
    except ManifestError as error:
        raise UsageError(f"this is not a DASH manifest: {error.what}", where=package.where(name), line=error.line, fix=FIX) from error
    folder = found.base if found.base and "://" not in found.base and not found.base.startswith("/") else ""
    inventory = _inventory(package, urljoin(name, folder))
    look = Look(package, (), inventory.entries if inventory else {}, folder)
    report = dash_report(look, found, inventory if isinstance(inventory, Inventory) else None)
    listed = look.address(urljoin(name, folder), data, MPD, from_above) if folder else look.differences(_file_name(name), data)
    return Inspection(
        location=package.where(name),
        kind="dash",
        duration=found.duration or Fraction(0),
        dash=report,
        inventory=_described(inventory) if inventory else None,
        problems=(*(f"{name}: {problem}" for problem in (*listed, *report.problems)), *report.of_representations("problems")),
        notes=report.of_representations("notes"),
    )


def _file_name(name: str) -> str:
    return name.rpartition("/")[2].partition("?")[0]


def _query(uri: str) -> str:
    """Return the query of an address, for EXT-X-DEFINE:QUERYPARAM."""
    try:
        return urlsplit(uri).query
    except ValueError:
        return ""


def _folder(playlist: MasterPlaylist | MediaPlaylist) -> str:
    """Return the one folder that all playlists of a master playlist lie in, such as "v1/", as at the address of a title; else ""."""
    if isinstance(playlist, MediaPlaylist):
        return ""
    uris = [*(variant.uri for variant in playlist.variants), *(member.uri for member in playlist.renditions if member.uri)]
    folders = {folder + slash for folder, slash, _ in (uri.rpartition("/") for uri in uris)}
    return folders.pop() if len(folders) == 1 else ""


def _inventory(package: Package, name: str) -> Objects | None:
    """Return the inventory of a title of our own. Of a playlist in another folder than the master playlist there is none."""
    try:
        return read_inventory(package.read(urljoin(name, INVENTORY)))
    except (Unreachable, ValueError, RecursionError):
        return None


def _described(inventory: Objects) -> InventoryReport:
    sizes = [entry.size for entry in inventory.entries.values()]
    content_id, version = (inventory.content_id, inventory.version) if isinstance(inventory, Inventory) else (None, None)
    return InventoryReport(content_id=content_id, version=version, objects=len(sizes), bytes=sum(sizes))


def _held_keys(package: Package, name: str) -> tuple[str, ...]:
    """Return the key ids of a title of our own, which its record says."""
    try:
        record = json.loads(package.read(urljoin(name, RECORD)))
        return tuple(str(key_id) for key_id in record["encryption"]["key_ids"])
    except (Unreachable, ValueError, RecursionError, LookupError, TypeError):
        return ()


def _master(look: Look, name: str, master: MasterPlaylist) -> Inspection:
    wanted: dict[str, Kind] = {}
    for variant in master.variants:
        wanted.setdefault(variant.uri, "i-frames" if variant.i_frames else "variant")
    for member in master.renditions:
        if member.uri is not None:
            wanted.setdefault(member.uri, _kind(member))
    reports = {uri: _read(look, uri, kind, master.variables) for uri, kind in wanted.items()}
    return Inspection(
        location=look.package.where(name),
        kind="master",
        version=master.version,
        independent_segments=master.independent_segments,
        duration=max((report.duration for report in reports.values()), default=Fraction(0)),
        variants=tuple(_variant(variant, master.renditions, reports) for variant in master.variants),
        renditions=master.renditions,
        playlists=tuple(reports.values()),
        problems=tuple(f"{report.uri}: {problem}" for report in reports.values() for problem in report.problems),
        notes=tuple(f"{report.uri}: {note}" for report in reports.values() for note in report.notes),
    )


def _kind(member: Rendition) -> Kind:
    kinds: dict[str, Kind] = {"AUDIO": "audio", "SUBTITLES": "subtitles", "VIDEO": "video"}
    return kinds.get(member.type, "media")


def _variant(variant: Variant, renditions: Sequence[Rendition], reports: dict[str, PlaylistReport]) -> VariantReport:
    """Add the heaviest member of each group to the variant's own playlist, unless that is one of them and so is played only once."""
    groups = [[variant.uri]] + [
        [member.uri for member in renditions if member.uri and (member.type, member.group) == wanted]
        for wanted in (("AUDIO", variant.audio), ("SUBTITLES", variant.subtitles))
    ]
    if any(variant.uri in group for group in groups[1:]):  # audio alone
        groups = groups[1:]
    known = [[rates for uri in group if (rates := reports[uri].measured) is not None] for group in groups]
    measured = None
    if [len(group) for group in known] == [len(group) for group in groups]:
        measured = Bitrate(
            peak=sum(max((rates.peak for rates in group), default=0) for group in known),
            average=sum(max((rates.average for rates in group), default=0) for group in known),
        )
    return VariantReport(**dict(variant), measured=measured)


def _read(look: Look, uri: str, kind: Kind, variables: dict[str, str]) -> PlaylistReport:
    try:
        data = look.package.read(uri)
        playlist = parse(data, imports=variables, query=_query(uri))
    except Elsewhere as error:
        return PlaylistReport(uri=uri, kind=kind, notes=(f"{error}, and was not checked",))
    except (Unreachable, PlaylistError) as error:
        return PlaylistReport(uri=uri, kind=kind, problems=(str(error),))
    if isinstance(playlist, MasterPlaylist):
        return PlaylistReport(uri=uri, kind=kind, problems=("it is a master playlist; a media playlist was expected",))
    found = _media(look, uri, kind, playlist)
    other: tuple[str, ...] = ()  # HLS-MVP-023
    if playlist.i_frames_only != (kind == "i-frames"):
        other = (f"it {'has' if playlist.i_frames_only else 'has no'} EXT-X-I-FRAMES-ONLY, and is listed as {kind}",)
    return found.model_copy(update={"problems": (*look.differences(uri, data), *other, *found.problems)})


def _media(look: Look, uri: str, kind: Kind, playlist: MediaPlaylist) -> PlaylistReport:
    entries = playlist.segments
    durations = [entry.duration for entry in entries]
    inits = {entry.init.uri: entry.init for entry in entries if entry.init is not None}
    lookups = Lookups(look, uri)
    for init in inits.values():
        lookups.init(init)
    for key in {key.uri: key for entry in entries for key in entry.keys}.values():
        lookups.key(key)
    sizes = lookups.segments(entries)
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
        encrypted_init=any(key.method in WHOLE_METHODS for init in inits.values() for key in init.keys),
        keys=_keys(entries),
        clear_segments=sum(not entry.keys for entry in entries),
        bytes=sum(sizes) if len(sizes) == len(entries) else None,
        measured=measured,
        problems=lookups.problems,
        notes=lookups.notes,
    )


def _keys(entries: Sequence[Entry]) -> tuple[DeclaredKey, ...]:
    covered = Counter((key.method, key.uri, key.keyformat) for entry in entries for key in entry.keys)
    ivs: dict[tuple[str, str | None, str], set[str]] = {}
    for key in (key for entry in entries for key in entry.keys if key.iv):
        ivs.setdefault((key.method, key.uri, key.keyformat), set()).add(str(key.iv))
    return tuple(
        DeclaredKey(method=method, uri=uri, keyformat=keyformat, segments=count, ivs=len(ivs.get((method, uri, keyformat), ())))
        for (method, uri, keyformat), count in covered.items()
    )
