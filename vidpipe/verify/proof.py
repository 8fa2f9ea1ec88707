"""Prove a version before anybody sees it: read everything back from the target, decrypt it, measure it, decode its ends.

In:   the Inventory of the version and the Storage where it lies; a way to get content keys; which objects are copies.
Out:  Verification: what was read and measured.
Wrong: VerificationFailed naming the object, what was expected and what was found; PublishFailed from the storage; Interrupted on cancel.

Only stored bytes count. The playlists are read by the strict reader, not by the package that wrote them; every rate, duration and codec
that they declare is measured again from the stored segments. Objects are read on a few
threads; no more than one segment a thread is in memory.

Copies of what a live version was proven to hold are not read whole again: the size and the hash that the target states of each are
compared with the inventory, and the first and the last segment of each track are read, decrypted and measured like all others. (They have
the hash of what was decoded then.) Playlists and init sections are always read back.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from vidpipe import layout
from vidpipe.data import Data
from vidpipe.errors import EncodeFailed
from vidpipe.inventory.measure import Bitrate, average, listed_bytes, peak
from vidpipe.inventory.model import Inventory, Listing, MediaTrack, PublishedTrack, SubtitleTrack
from vidpipe.inventory.times import extinf, whole_seconds
from vidpipe.manifest.cues import CueError, read_pictures
from vidpipe.manifest.drm import IDENTITY, keys_in_effect
from vidpipe.manifest.key_uri import key_uri
from vidpipe.manifest.parse import Entry, Map, MediaPlaylist, PlaylistError, parse
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.package.cut import Cue
from vidpipe.package.init import measure_track
from vidpipe.package.result import IFrame, TrackFacts
from vidpipe.progress import Note, Reporter, VerifyProgress
from vidpipe.protect.schemes import WHOLE_METHODS, scheme_of
from vidpipe.publish.result import ObjectEntry, PublishedSegment
from vidpipe.quantities import count, size
from vidpipe.storage.base import Readable
from vidpipe.verify.keys_and_ivs import check_ivs
from vidpipe.verify.readback import Readback
from vidpipe.verify.subtitles import SubtitleReader, check_cues
from vidpipe.verify.track_reader import MeasuredSegment, TrackReader
from vidpipe.verify.variants import check_master

if TYPE_CHECKING:
    from vidpipe.protect.key_store import ContentKey

WORKERS = 4
"""Objects read in parallel."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Verification(Data):
    """What was proven. bytes: read back.  compared: objects that were not, because they are copies of what was proven before.

    rates: rendition id -> measured bit rates.  decoded: frames that ffmpeg decoded.
    """

    objects: int
    segments: int
    bytes: int
    compared: int = 0
    rates: dict[str, Bitrate]
    decoded: int


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a media playlist comes to that states what was published. target_duration: seconds.  rate: of its sizes and durations."""

    target_duration: int
    rate: Bitrate


def verify(
    inventory: Inventory,
    storage: Readable,
    *,
    key_url: str | None = None,
    key_for: Callable[[str], ContentKey],
    ffmpeg: FFmpeg | None,
    reporter: Reporter,
    cancel: threading.Event,
    cues: Mapping[str, Sequence[Cue]] | None = None,
    copied: Collection[str] = (),
    headers: bool = True,
    workers: int = WORKERS,
) -> Verification:
    """Read a version back and prove it.

    key_url: of the URIs that playlists must name keys by.  key_for: key id -> content key.
    ffmpeg: decodes the first and the last GOP of every rendition; None decodes nothing.
    cues: id of a subtitle track -> what was planned, where that is known.  copied: paths of objects that were copied inside the target.
    headers: whether copies must have the headers of today; a version that was made before may have others.
    """
    read = _read_back(inventory, copied)
    on_bytes = _Progress(reporter, sum(read.values()))
    prefix = layout.version_prefix(inventory.content_id, inventory.version)
    target = Readback(storage, prefix, cancel, on_bytes, headers=headers)
    with ThreadPoolExecutor(workers, thread_name_prefix="vidpipe-verify") as pool:
        thumbnails = inventory.pictures.track if inventory.pictures else None
        playlists = inventory.playlists
        kept = {layout.MASTER, *playlists, *_inits(inventory)}
        kept |= {thumbnails} if thumbnails else set()
        kept |= {layout.MPD} if "dash" in inventory.formats else set()
        missing = sorted(kept - inventory.objects.keys())
        if missing:
            raise target.wrong(missing[0], "the object was not published", "an object", "none")

        def look(item: tuple[str, ObjectEntry]) -> tuple[str, bytes]:
            path, entry = item
            if path in copied:
                target.compare(path, entry)
                if path not in kept:
                    return path, b""
            return target.keep(path, entry, keep=path in kept)

        longest = max(max(map(whole_seconds, map(Fraction, extinf(track.segments)))) for track in inventory.tracks)
        objects: dict[str, bytes] = {}
        listed: dict[str, _Listed] = {}
        with closing(_ahead(pool, look, inventory.objects.items(), workers)) as looked:
            for path, data in looked:
                if path in playlists:  # compared at once: parsed, the playlists of a long title take more memory than all else
                    listed[path] = _check_playlist(target, path, playlists[path], data, max(1, longest), inventory, key_url)
                else:
                    objects[path] = data
        facts: dict[str, TrackFacts] = {}
        decoded = 0
        readers: list[TrackReader] = []
        for track in inventory.media:
            readers.append(TrackReader(target, track, objects, key_for, inventory.drm, ffmpeg, copied))
        # One queue for all tracks, because the ends of each are decoded; the heaviest first, so that none is left alone at the end.
        heaviest = sorted(readers, key=lambda reader: max(segment.size for segment in reader.expected.segments), reverse=True)
        segments_of_all = ((reader, segment) for reader in heaviest for segment in reader.expected.segments)
        results = _ahead(pool, lambda item: item[0].measure(item[1]), segments_of_all, workers)
        with closing(results):
            for reader in heaviest:
                measured = list(itertools.islice(results, len(reader.expected.segments)))
                target_duration = listed[reader.expected.playlist].target_duration
                facts[reader.expected.id] = _check_track(target, reader, target_duration, measured, inventory.duration)
                decoded += sum(segment.decoded for segment in measured if segment)
        _check_delays(target, readers)
        check_ivs(target, inventory)
        for text in inventory.subtitles:
            words = list(_ahead(pool, SubtitleReader(target, text, key_for, copied).read, text.segments, workers))
            if not any(segment.uri in copied for segment in text.segments):
                check_cues(target, text, (cues or {}).get(text.id), words)
            _check_time_line(target, text, inventory)
    rates = {track.id: listed[track.playlist].rate for track in inventory.tracks}
    rates_of_all = rates | {path: one.rate for path, one in listed.items()}
    check_master(target, inventory, objects[layout.MASTER], facts, rates_of_all, key_url)
    if "dash" in inventory.formats:
        from vidpipe.verify.manifest import check_manifest

        delays = {reader.expected.id: reader.delay for reader in readers}
        check_manifest(target, inventory, objects[layout.MPD], facts, rates, delays)
    if thumbnails is not None:
        _check_thumbnails(target, thumbnails, objects[thumbnails], inventory)
    objects_of_all = {*inventory.objects, *(segment.uri for segment in inventory.segments)}
    compared = len(objects_of_all) - len(read)
    same = f"; {count(compared, 'other has', 'others have')} the size and hash of what was proven before" if compared else ""
    reporter.emit(Note(text=f"read back {count(len(read), 'object')}, {size(sum(read.values()))}: all as published{same}"))
    return Verification(
        objects=len(inventory.objects),
        segments=sum(len(track.segments) for track in inventory.tracks),
        bytes=sum(read.values()),
        compared=compared,
        rates=rates,
        decoded=decoded,
    )


def _read_back(inventory: Inventory, copied: Collection[str]) -> dict[str, int]:
    """Return path -> size of all objects that are read whole: all but copies that are neither text nor at the end of a track."""
    sizes = {path: entry.size for path, entry in inventory.objects.items()} | {segment.uri: segment.size for segment in inventory.segments}
    ends = {segment.uri for track in inventory.tracks for segment in (track.segments[0], track.segments[-1])}
    texts = {layout.MASTER, layout.MPD, layout.THUMBNAILS, *inventory.playlists, *_inits(inventory)}
    return {path: size for path, size in sizes.items() if path not in copied or path in ends or path in texts}


def _inits(inventory: Inventory) -> Iterator[str]:
    """Yield the paths of all init sections."""
    return (path for track in inventory.media for path in track.inits.values())


class _Progress:
    """Reports how much of a version was read back, from any thread."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._total = reporter, total
        self._bytes = 0
        self._lock = threading.Lock()

    def __call__(self, number: int) -> None:
        """Count an object."""
        with self._lock:
            self._bytes += number
            self._reporter.emit(VerifyProgress(bytes=self._bytes, bytes_total=self._total))


def _media(target: Readback, path: str, data: bytes) -> MediaPlaylist:
    try:
        playlist = parse(data)
    except PlaylistError as error:
        raise target.wrong(path, "the playlist cannot be read", "a media playlist", error) from error
    if not isinstance(playlist, MediaPlaylist):
        raise target.wrong(path, "the playlist is of the wrong kind", "a media playlist", "a master playlist")
    return playlist


def _check_playlist(
    target: Readback, path: str, listing: Listing, data: bytes, longest: int, title: Inventory, key_url: str | None
) -> _Listed:
    """Compare a media playlist with the segments that were published. longest: whole seconds of the longest segment of all playlists."""
    track, i_frames = listing.track, listing.i_frames
    inits = track.inits if isinstance(track, MediaTrack) else {}
    init = inits.get(0)
    playlist = _media(target, path, data)
    # Fragmented MP4 needs 6; I-frames and text need it only if a segment is a little longer than the rounded target.
    over = any(entry.duration > playlist.target_duration for entry in playlist.segments)
    needed = 5 if i_frames else 6 if init else 3
    target.same(path, "EXT-X-VERSION", 6 if over else needed, playlist.version)
    target.same(path, "EXT-X-PLAYLIST-TYPE with EXT-X-ENDLIST", ("VOD", True), (playlist.playlist_type, playlist.end_list))
    target.same(path, "EXT-X-I-FRAMES-ONLY", i_frames, playlist.i_frames_only)
    target.same(path, "EXT-X-TARGETDURATION", longest, playlist.target_duration)
    target.same(path, "the list of segments", [segment.uri for segment in track.segments], [entry.uri for entry in playlist.segments])
    ivs: set[str | None] = set()
    for segment, entry, duration in zip(track.segments, playlist.segments, extinf(track.segments), strict=True):
        where = f"{path}:{entry.line}"
        target.same(where, "EXTINF", Fraction(duration), entry.duration)
        part = IFrame(entry.byte_range.offset, entry.byte_range.length) if entry.byte_range else None
        if i_frames and segment.i_frame is None:  # an inventory that others have made
            raise target.wrong(where, "the segment has no picture that can be shown by itself", "a part of it", "none")
        target.same(where, "EXT-X-BYTERANGE", segment.i_frame if i_frames else None, part)
        init = inits.get(segment.index, init)
        if init and (entry.init is None or _is_encrypted(entry.init) or entry.init.byte_range is not None):
            raise target.wrong(where, "EXT-X-MAP is missing or does not name a clear init section", init, entry.init)
        target.same(where, "EXT-X-MAP", init, entry.init.uri if entry.init else None)
        target.same(where, "EXT-X-KEY", _keys(segment, track, title, key_url), _found_keys(entry))
        found = sorted((key.method, key.uri, key.keyformat) for key in entry.keys if key.keyformat != IDENTITY)
        target.same(where, "EXT-X-KEY of DRM systems", keys_in_effect(title.drm, segment.key_id), found)
        if segment.iv in ivs and scheme_of(track.scheme).ivs == "segment":
            raise target.wrong(where, "two segments share an IV", "an IV of its own", segment.iv)
        ivs.add(segment.iv)
    sizes = [listed_bytes(segment, i_frames=i_frames) for segment in track.segments]
    durations = [entry.duration for entry in playlist.segments]
    rate = Bitrate(peak=peak(sizes, durations, playlist.target_duration), average=average(sizes, durations))
    return _Listed(playlist.target_duration, rate)


def _is_encrypted(init: Map) -> bool:
    """Whether an init section is encrypted. Under a key for samples it may stand."""
    return any(key.method in WHOLE_METHODS for key in init.keys)


def _check_time_line(target: Readback, text: SubtitleTrack, title: Inventory) -> None:
    """Compare the borders of subtitle segments with those of the picture."""
    borders, found = ([(segment.start, segment.start + segment.duration) for segment in track.segments] for track in (title.video[0], text))
    target.same(text.playlist, "the time line", borders, found)


def _keys(
    segment: PublishedSegment, track: PublishedTrack, title: Inventory, key_url: str | None
) -> list[tuple[str, str | None, str | None]]:
    scheme = scheme_of(track.scheme)
    if not segment.key_id or not scheme.hls_method:
        return []
    return [(scheme.hls_method, key_uri(key_url, title.content_id, segment.key_id), segment.iv if scheme.ivs != "sample" else None)]


def _found_keys(entry: Entry) -> list[tuple[str, str | None, str | None]]:
    return [(key.method, key.uri, key.iv) for key in entry.keys if key.keyformat == IDENTITY]


def _check_track(
    target: Readback, reader: TrackReader, target_duration: int, measured: Sequence[MeasuredSegment | None], duration: Fraction
) -> TrackFacts:
    """Compare the measured segments with each other and with the plan; return the measured facts. duration: of the title.

    That EXTINF states these durations was checked with the playlist. measured: None for a copy that was not read.
    """
    expected, track = reader.expected, reader.track
    time = Fraction(0)
    for segment, found in zip(expected.segments, measured, strict=True):
        target.same(segment.uri, "the start (s)", time, segment.start)
        if found:
            target.same(segment.uri, "the decode time (ticks)", time * track.timescale, found.decode_time)
            target.same(segment.uri, "the duration (s)", segment.duration, Fraction(found.duration, track.timescale))
        time += segment.duration
    target.same(expected.playlist, "the number of frames", expected.frames, sum(segment.samples for segment in expected.segments))
    video = expected.facts.type == "video"
    last = measured[-1]  # of a copy, too, the ends are read
    read = [found for found in measured if found]
    frames = {found.last_frame_ticks for found in read if found is not last}.union(*(found.frame_ticks for found in read))
    # One frame alone says nothing of its rate: it ends with the title.
    frames = frames or {round(track.timescale / (expected.facts.frame_rate or track.timescale))}
    frame = max(frames)
    if video:
        target.same(expected.playlist, "the duration of every frame but the last (ticks)", frame, min(frames))
        delay, ticks = sum(edit.media_time for edit in track.edits), read[-1].duration
        if len(measured) > 1 and ticks <= delay:  # hls.js would wait for its end for ever
            raise target.wrong(expected.segments[-1].uri, "the last segment is not longer than the edit list", f"over {delay} ticks", ticks)
    if abs(time - duration) > (0 if video else target_duration):
        raise target.wrong(expected.playlist, "the rendition is shorter or longer than the title", float(duration), float(time))
    try:
        facts = measure_track(track, expected.facts.id, frame)
    except EncodeFailed as error:
        raise target.wrong(expected.init, "the init section is wrong", expected.facts.codecs, error.what) from error
    target.same(expected.init, "what the init section says", expected.facts, _as_known(facts, expected.facts))
    if expected.delay is not None:
        target.same(expected.init, "the edit list (ticks)", expected.delay, reader.delay)
    return facts


def _as_known(found: TrackFacts, expected: TrackFacts) -> TrackFacts:
    """Return the facts as far as an inventory knows them: those of 0.2.0.dev do not say all."""
    unknown = {name for name in ("colour", "layout") if getattr(expected, name) is None}
    return found.model_copy(update=dict.fromkeys(unknown))


def _check_delays(target: Readback, readers: Sequence[TrackReader]) -> None:
    """Compare timescales and edit lists of all rungs: a player that switches must not jump. AV1 has no edit list (see package/init.py)."""
    rungs = [reader for reader in readers if reader.expected.facts.type == "video"]
    for reader in rungs:
        target.same(reader.expected.init, "the timescale", rungs[0].track.timescale, reader.track.timescale)
    delayed = [reader for reader in rungs if not reader.expected.facts.codecs.startswith("av01")]
    for reader in delayed:
        target.same(reader.expected.init, "the edit list of all rungs (ticks)", delayed[0].delay, reader.delay)


def _check_thumbnails(target: Readback, path: str, data: bytes, expected: Inventory) -> None:
    """Follow the thumbnails track: every picture lies on a sprite that was published."""
    published = expected.objects
    folder = path.rpartition("/")[0]
    try:
        cues = list(read_pictures(data))
    except CueError as error:
        raise target.wrong(path, "the thumbnails track cannot be read", "WebVTT", error) from error
    if not cues:
        raise target.wrong(path, "the thumbnails track is empty", "a picture", "none")
    for cue in cues:
        sheet = f"{folder}/{cue.sheet}"
        if sheet not in published:
            raise target.wrong(f"{path}:{cue.line}", "the thumbnails track names a sprite that was not published", "an object", sheet)
    if abs(cues[-1].end - expected.duration) > Fraction(1, 100):
        raise target.wrong(path, "the thumbnails track does not span the title", float(expected.duration), float(cues[-1].end))


def _ahead(
    pool: ThreadPoolExecutor, function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int
) -> Generator[_Result, None, None]:
    """Yield the results in order, never more than two a worker ahead; on an error or a stop, what has not begun is dropped."""
    pending: deque[Future[_Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) >= 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
