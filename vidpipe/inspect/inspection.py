"""Look into a package: what its playlists say, and what its segments weigh where they can be reached.

In:   a master or media playlist, or a directory with one: a local path, an s3:// URL or an http(s):// URL.
Out:  Inspection: variants, renditions and playlists as data (``vidpipe.data.report`` makes it JSON).
Wrong: UsageError if it cannot be opened or is no playlist, with the line. What is wrong further down (a playlist that is missing, a
       segment, an init section or a key that is not there) stands in ``problems``, so that the rest can still be seen; what was not looked
       at, and why, in ``notes``.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal
from urllib.parse import urljoin, urlsplit

from vidpipe.data import Data, Seconds
from vidpipe.errors import UsageError
from vidpipe.inspect.location import FIX, Elsewhere, Forbidden, Package, Unreachable, open_package
from vidpipe.inventory import Inventory, Objects, read_inventory
from vidpipe.inventory.measure import Bitrate, average, peak
from vidpipe.layout import INVENTORY, MASTER, RECORD
from vidpipe.manifest.parse import (
    ByteRange,
    Entry,
    Key,
    Map,
    MasterPlaylist,
    MediaPlaylist,
    PlaylistError,
    Rendition,
    Variant,
    parse,
)
from vidpipe.manifest.relocated import relocated
from vidpipe.protect.schemes import WHOLE_METHODS
from vidpipe.publish.result import ObjectEntry

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
    inventory: None if there is none beside the playlist. What is there is compared with it: sizes, and the hashes of playlists.
    problems, notes: of all playlists, each with its playlist.
    """

    format: Literal["vidpipe.inspection/1"] = "vidpipe.inspection/1"
    location: str
    kind: Literal["master", "media", "unreadable"]
    version: int | None = None
    independent_segments: bool = False
    duration: Seconds = Fraction(0)
    variants: tuple[VariantReport, ...] = ()
    renditions: tuple[Rendition, ...] = ()
    playlists: tuple[PlaylistReport, ...] = ()
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
        playlist = parse(data, query=_query(name))
    except Unreachable as error:
        raise UsageError(str(error), where=package.where(name), fix=FIX) from error
    except PlaylistError as error:
        raise UsageError(f"this is not an HLS playlist: {error.what}", where=package.where(name), line=error.line, fix=FIX) from error
    folder = _folder(playlist)
    inventory = _inventory(package, urljoin(name, folder))
    held = inventory.keys if isinstance(inventory, Inventory) else _held_keys(package, urljoin(name, folder))
    look = _Look(package, held, inventory.entries if inventory else {}, folder)
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
    differences = look.address(urljoin(name, folder), data) if folder else look.differences(name.rpartition("/")[2].partition("?")[0], data)
    wrong = tuple(f"{name}: {problem}" for problem in differences)
    return found.model_copy(update={"inventory": described, "problems": (*wrong, *found.problems)})


@dataclass(frozen=True)
class _Look:
    """Where to look. held: key ids that a key store answers for, so they lie in no folder.

    known: what an inventory says of each object, by path in the version.
    folder: of the version, "" if it is the one of the playlist that was opened; the address of a title lies above.
    """

    package: Package
    held: tuple[str, ...]
    known: Mapping[str, ObjectEntry]
    folder: str = ""

    def address(self, version: str, data: bytes) -> tuple[str, ...]:
        """Compare the address of a title with the master playlist of the version that it plays."""
        if not self.known:
            return ()
        try:
            master = self.package.read(urljoin(version, MASTER))
        except Unreachable as error:
            return (f"the master playlist of the version that it plays: {error}",)
        if relocated(master.decode("utf-8", "replace"), self.folder.rstrip("/")).encode() == data:
            return ()
        return ("it does not say what the master playlist of the version that it plays says",)

    def differences(self, uri: str, data: bytes) -> tuple[str, ...]:
        """Compare a playlist with the inventory; one that is stored compressed was unpacked, and says nothing."""
        entry = self.known.get(uri.removeprefix(self.folder))
        if entry is None or entry.content_encoding or hashlib.sha256(data).hexdigest() == entry.sha256:
            return ()
        return ("it is not the playlist that was published: the inventory has another hash",)


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


def _master(look: _Look, name: str, master: MasterPlaylist) -> Inspection:
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


def _read(look: _Look, uri: str, kind: Kind, variables: dict[str, str]) -> PlaylistReport:
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
    return found.model_copy(update={"problems": (*look.differences(uri, data), *found.problems)})


def _media(look: _Look, uri: str, kind: Kind, playlist: MediaPlaylist) -> PlaylistReport:
    entries = playlist.segments
    durations = [entry.duration for entry in entries]
    inits = {entry.init.uri: entry.init for entry in entries if entry.init is not None}
    lookups = _Lookups(look, uri)
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


class _Lookups:
    """Looks for the objects of one playlist. What is alike is said once, with the number of objects that it is true of."""

    def __init__(self, look: _Look, playlist: str) -> None:
        self._look, self._playlist = look, playlist
        self._sizes: dict[str, int | None] = {}
        self._missing: list[str] = []
        self._other: list[str] = []
        self._elsewhere: Counter[str] = Counter()
        self._unasked = 0
        self._remarks: list[str] = []

    @property
    def problems(self) -> tuple[str, ...]:
        """What is missing, and what is not as it was published: the first one of each."""
        return tuple(
            kind[0] + (f" ({len(kind) - 1} more like this)" if kind[1:] else "") for kind in (self._missing, self._other) if kind
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not looked at."""
        notes = [f"{count} of its objects were not checked: {where}" for where, count in self._elsewhere.items()]
        if self._unasked:
            notes.append(f"{self._unasked} of its segments were not requested")
        return (*notes, *self._remarks)

    def init(self, init: Map) -> None:
        """Look for an init section."""
        self._within(init.uri, init.line, "init section ", init.byte_range)

    def key(self, key: Key) -> None:
        """Look for a key, unless a key store or a system of digital rights answers for it."""
        if key.uri is None or key.keyformat != "identity" or _scheme(key.uri) not in ("", "http", "https"):
            return
        if any(key_id in key.uri for key_id in self._look.held):
            return
        try:
            self._size(key.uri)
        except Elsewhere as error:
            self._elsewhere[str(error)] += 1
        except Forbidden as error:
            self._remarks.append(f"line {key.line}: key {key.uri}: {error}")
        except Unreachable as error:
            self._missing.append(f"line {key.line}: key {key.uri}: {error}")

    def segments(self, entries: Sequence[Entry]) -> list[int]:
        """Return the sizes of the segments that are there and can be known, in bytes."""
        sizes: list[int] = []
        asked = [entry for entry in entries if not entry.gap]
        most = self._look.package.most_asked
        if most is not None and len(asked) > most:
            chosen = {round(number * (len(asked) - 1) / (most - 1)) for number in range(most)}
            self._unasked = len(asked) - len(chosen)
            asked = [entry for number, entry in enumerate(asked) if number in chosen]
        for entry in asked:
            size = self._within(entry.uri, entry.line, "", entry.byte_range)
            sizes += [size] if size is not None else []
        return sizes

    def _within(self, uri: str, line: int, what: str, part: ByteRange | None) -> int | None:
        """Return the bytes of a resource, or of the part of it, None if they are not known."""
        try:
            size = self._size(uri)
        except Elsewhere as error:
            self._elsewhere[str(error)] += 1
            return None
        except Unreachable as error:
            self._missing.append(f"line {line}: {what}{uri}: {error}")
            return None
        known = self._look.known.get(uri)
        if known and size not in (None, known.size):
            self._other.append(f"line {line}: {what}{uri}: it has {size} bytes; the inventory says {known.size}")
        if part is None:
            return size
        if size is not None and part.offset + part.length > size:
            self._missing.append(f"line {line}: {what}{uri}: it ends at byte {size}, its range at {part.offset + part.length}")
            return None
        return part.length

    def _size(self, uri: str) -> int | None:
        if uri not in self._sizes:
            self._sizes[uri] = self._look.package.size(uri, self._playlist)
        return self._sizes[uri]


def _scheme(uri: str) -> str:
    try:
        return urlsplit(uri).scheme
    except ValueError:
        return ""


def _keys(entries: Sequence[Entry]) -> tuple[DeclaredKey, ...]:
    covered = Counter((key.method, key.uri, key.keyformat) for entry in entries for key in entry.keys)
    ivs: dict[tuple[str, str | None, str], set[str]] = {}
    for key in (key for entry in entries for key in entry.keys if key.iv):
        ivs.setdefault((key.method, key.uri, key.keyformat), set()).add(str(key.iv))
    return tuple(
        DeclaredKey(method=method, uri=uri, keyformat=keyformat, segments=count, ivs=len(ivs.get((method, uri, keyformat), ())))
        for (method, uri, keyformat), count in covered.items()
    )
