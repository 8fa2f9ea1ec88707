"""Prove a version before anybody sees it: read everything back from the target, decrypt it, measure it, decode its ends.

In:   a Storage and the prefix of the version; Expected: what was published and what the plan promises; a way to get content keys.
Out:  Verification: what was read and measured.
Wrong: VerificationFailed naming the object, what was expected and what was found; Interrupted on cancel.

Only stored bytes count. The playlists are read by the strict reader, not by the package that wrote them; every rate, duration and codec
that they declare is measured again from the stored segments. Objects are read on a few
threads; no more than one segment a thread is in memory.
"""

from __future__ import annotations

import io
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar

from vidpipe.data import Data, Seconds
from vidpipe.errors import EncodeFailed
from vidpipe.manifest.cues import CueError, read_pictures
from vidpipe.manifest.measure import Bitrate, average, peak
from vidpipe.manifest.parse import Entry, MasterPlaylist, MediaPlaylist, PlaylistError, parse
from vidpipe.manifest.times import extinf, whole_seconds
from vidpipe.media import process
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.mp4.boxes import BoxError, Sample, Track, parse_movie, read_fragments
from vidpipe.package.init import measure_track
from vidpipe.package.result import PublishedSegment, TrackFacts
from vidpipe.plan import AudioRendition
from vidpipe.progress import Note, Reporter
from vidpipe.protect.schemes import CLEAR, Scheme, SchemeName, scheme_of
from vidpipe.publish.upload import PublishedObject
from vidpipe.storage.base import Storage
from vidpipe.verify.audio import PublishedAudio, check_audio
from vidpipe.verify.subtitles import ExpectedSubtitles, SubtitleReader, check_cues, check_members, group_of
from vidpipe.verify.target import Target, keys_of

if TYPE_CHECKING:
    from vidpipe.protect.key_store import ContentKey

WORKERS = 4
"""Objects read in parallel."""

_CLEAR = ("a media segment", lambda data: data[4:8] in (b"styp", b"moof"))
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ExpectedTrack(Data):
    """A rendition as it was published. playlist, init: paths below the prefix.  frames: what the plan promises.  segments: in order.

    plan: what was planned of an audio track; None for video, of which the master playlist says nothing but what is measured.
    """

    facts: TrackFacts
    plan: AudioRendition | None = None
    playlist: str
    init: str
    frames: int
    segments: tuple[PublishedSegment, ...]


class Expected(Data):
    """A version as it was published. master, thumbnails: paths below the prefix.  duration: of the timeline.

    scheme: what protects the segments.  objects: everything but the segments.
    key_uris: key id -> URI that playlists must name; empty when nothing is encrypted.
    """

    master: str
    duration: Seconds
    scheme: SchemeName = CLEAR
    tracks: tuple[ExpectedTrack, ...]
    subtitles: tuple[ExpectedSubtitles, ...] = ()
    objects: tuple[PublishedObject, ...]
    key_uris: dict[str, str] = {}
    thumbnails: str | None = None


class Verification(Data):
    """What was proven. bytes: read back.  rates: rendition id -> measured bit rates.  decoded: frames that ffmpeg decoded."""

    objects: int
    segments: int
    bytes: int
    rates: dict[str, Bitrate]
    decoded: int


@dataclass(frozen=True, slots=True)
class _Measured:
    """A segment as found. decode_time, duration: ticks.  frame_ticks: how long its frames last, the one shown last apart.

    decoded: frames by ffmpeg.
    """

    decode_time: int
    duration: int
    samples: int
    frame_ticks: frozenset[int]
    last_frame_ticks: int
    decoded: int


def verify(
    storage: Storage,
    prefix: str,
    expected: Expected,
    *,
    key_for: Callable[[str], ContentKey],
    ffmpeg: FFmpeg | None,
    reporter: Reporter,
    cancel: threading.Event,
    workers: int = WORKERS,
) -> Verification:
    """Read a version back and prove it. prefix: ``{content_id}/{version}``.

    key_for: key id -> content key.  ffmpeg: decodes the first and the last segment of every rendition; None decodes nothing.
    """
    target, scheme = Target(storage, prefix, cancel), scheme_of(expected.scheme)
    with ThreadPoolExecutor(workers, thread_name_prefix="vidpipe-verify") as pool:
        kept = {expected.master, expected.thumbnails, *(path for track in expected.tracks for path in (track.playlist, track.init))}
        kept |= {track.playlist for track in expected.subtitles}
        objects = dict(_ahead(pool, lambda item: target.keep(item, keep=item.path in kept), expected.objects, workers))
        missing = sorted(path for path in kept if path is not None and path not in objects)
        if missing:
            raise target.wrong(missing[0], "the object was not published", "an object", "none")
        everything: list[ExpectedTrack | ExpectedSubtitles] = [*expected.tracks, *expected.subtitles]
        playlists = {track.playlist: _media(target, track.playlist, objects[track.playlist]) for track in everything}
        rates: dict[str, Bitrate] = {}
        facts: dict[str, TrackFacts] = {}
        decoded = 0
        readers: list[_TrackReader] = []
        for track in expected.tracks:
            _check_playlist(target, track, track.init, expected, playlists)
            readers.append(_TrackReader(target, track, scheme, objects[track.init], key_for, ffmpeg))
        # One queue for all tracks, because the ends of each are decoded; the heaviest first, so that none is left alone at the end.
        readers.sort(key=lambda reader: max((segment.size for segment in reader.expected.segments), default=0), reverse=True)
        segments_of_all = ((reader, segment) for reader in readers for segment in reader.expected.segments)
        results = _ahead(pool, lambda item: item[0].measure(item[1]), segments_of_all, workers)
        with closing(results):
            for reader in readers:
                track, playlist = reader.expected, playlists[reader.expected.playlist]
                measured = list(itertools.islice(results, len(track.segments)))
                facts[track.facts.id] = _check_track(target, track, playlist, reader.track, measured, expected)
                rates[track.facts.id] = _rate(track.segments, playlist)
                decoded += sum(segment.decoded for segment in measured)
        _check_delays(target, sorted(readers, key=lambda reader: expected.tracks.index(reader.expected)))
        for text in expected.subtitles:
            _check_playlist(target, text, None, expected, playlists)
            check_cues(target, text, list(_ahead(pool, SubtitleReader(target, text, scheme, key_for).read, text.segments, workers)))
            _check_time_line(target, text, expected)
            rates[text.plan.id] = _rate(text.segments, playlists[text.playlist])
    _check_master(target, expected, objects[expected.master], facts, rates)
    if expected.thumbnails is not None:
        _check_thumbnails(target, expected.thumbnails, objects[expected.thumbnails], expected)
    segments = [segment for track in everything for segment in track.segments]
    size = sum(item.size for item in expected.objects) + sum(segment.size for segment in segments)
    shown = f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{size / 1e3:.1f} kB"
    reporter.emit(Note(text=f"read back {len(expected.objects) + len(segments)} objects, {shown}: all as published"))
    return Verification(objects=len(expected.objects), segments=len(segments), bytes=size, rates=rates, decoded=decoded)


class _TrackReader:
    """Reads the segments of one rendition, on any thread."""

    def __init__(
        self,
        target: Target,
        expected: ExpectedTrack,
        scheme: Scheme,
        init: bytes,
        key_for: Callable[[str], ContentKey],
        ffmpeg: FFmpeg | None,
    ) -> None:
        self._target = target
        self.expected = expected
        self._scheme = scheme
        self._init = init
        self._ffmpeg = ffmpeg
        self._keys = keys_of(expected.segments, key_for)
        try:
            self._movie = parse_movie(init)
            (self.track,) = self._movie.tracks
            self.delay = sum(edit.media_time for edit in self.track.edits)
        except (BoxError, ValueError) as error:
            raise target.wrong(expected.init, "the init section cannot be read", "ftyp and moov with one track", error) from error

    def measure(self, segment: PublishedSegment) -> _Measured:
        """Read one segment back, decrypt it, parse it; decode it if it is the first or the last."""
        data = self._target.opened(segment, self._scheme, self._keys, _CLEAR)
        try:
            fragments = list(read_fragments(io.BytesIO(data), self._movie))
        except BoxError as error:
            raise self._target.wrong(segment.uri, "the segment is no fragmented MP4", "moof and mdat", error) from error
        self._target.same(segment.uri, "the number of fragments", 1, len(fragments))
        samples = fragments[0].samples
        self._target.same(segment.uri, "the number of frames", segment.samples, len(samples))
        if not samples or not samples[0].sync:
            raise self._target.wrong(segment.uri, "the segment does not begin with a key frame", "a sync sample", "none")
        shown = self._shown(samples)
        if shown[0][0] != self.delay:
            raise self._target.wrong(segment.uri, "the first frame is not shown at the segment's start", self.delay, shown[0][0])
        for (time, duration), (following, _) in itertools.pairwise(shown):
            self._target.same(segment.uri, "when a frame gives way to the next (ticks)", time + duration, following)
        ends = (0, len(self.expected.segments) - 1)
        return _Measured(
            decode_time=fragments[0].decode_time,
            duration=fragments[0].duration,
            samples=len(samples),
            frame_ticks=frozenset(duration for _, duration in shown[:-1]),
            last_frame_ticks=shown[-1][1],
            decoded=self._decode(segment, data, self._ffmpeg) if self._ffmpeg is not None and segment.index in ends else 0,
        )

    def _shown(self, samples: Sequence[Sample]) -> list[tuple[int, int]]:
        """Return when each frame of a segment is shown, in ticks after its decode time, and how long; in that order.

        The edit list's delay is part of the time. Audio is decoded in order; its delay is the priming.
        """
        delay = 0 if self.expected.facts.type == "video" else self.delay
        times = itertools.accumulate((sample.duration for sample in samples), initial=delay)
        return sorted((time + sample.cts, sample.duration) for time, sample in zip(times, samples, strict=False))

    def _decode(self, segment: PublishedSegment, data: bytes, ffmpeg: FFmpeg) -> int:
        """Decode init section and segment with ffmpeg; return the number of frames."""
        argv = [ffmpeg.path, "-hide_banner", "-nostdin", "-v", "error", "-xerror", "-threads", "1"]
        # Only stdin is opened. passthrough: ffmpeg must neither drop nor repeat a frame before they are counted, one line for each.
        argv += ["-protocol_whitelist", "pipe", "-f", "mp4", "-i", "pipe:0", "-fps_mode", "passthrough", "-f", "framecrc", "pipe:1"]
        lines: list[str] = []
        done = process.run(argv, stdin=self._init + data, on_line=lines.append, cancel=self._target.cancel)
        problem = done.stderr_tail.strip()
        frames = sum(1 for line in lines if line.strip() and not line.startswith("#"))
        if done.returncode or problem:
            found = problem or f"exit code {done.returncode}"
            raise self._target.wrong(segment.uri, "the segment does not decode", f"{segment.samples} frames", found)
        # The audio decoder swallows the priming of the first frames; of video every frame must come out.
        if frames != segment.samples if self.expected.facts.type == "video" else frames == 0:
            raise self._target.wrong(segment.uri, "the segment does not decode whole", f"{segment.samples} frames", f"{frames} frames")
        return frames


def _media(target: Target, path: str, data: bytes) -> MediaPlaylist:
    try:
        playlist = parse(data)
    except PlaylistError as error:
        raise target.wrong(path, "the playlist cannot be read", "a media playlist", error) from error
    if not isinstance(playlist, MediaPlaylist):
        raise target.wrong(path, "the playlist is of the wrong kind", "a media playlist", "a master playlist")
    return playlist


def _check_playlist(
    target: Target, track: ExpectedTrack | ExpectedSubtitles, init: str | None, expected: Expected, playlists: dict[str, MediaPlaylist]
) -> None:
    """Compare a media playlist with the segments that were published. init: None if there is no init section."""
    path = track.playlist
    playlist = playlists[path]
    # Fragmented MP4 needs 6; text needs it only if a segment is a little longer than the rounded target.
    over = any(entry.duration > playlist.target_duration for entry in playlist.segments)
    target.same(path, "EXT-X-VERSION", 6 if init or over else 3, playlist.version)
    target.same(path, "EXT-X-PLAYLIST-TYPE with EXT-X-ENDLIST", ("VOD", True), (playlist.playlist_type, playlist.end_list))
    longest = max((whole_seconds(entry.duration) for other in playlists.values() for entry in other.segments), default=0)
    target.same(path, "EXT-X-TARGETDURATION", max(1, longest), playlist.target_duration)
    target.same(path, "the list of segments", [segment.uri for segment in track.segments], [entry.uri for entry in playlist.segments])
    ivs: set[str] = set()
    for segment, entry, duration in zip(track.segments, playlist.segments, extinf(track.segments), strict=True):
        where = f"{path}:{entry.line}"
        target.same(where, "EXTINF", Fraction(duration), entry.duration)
        if init and (entry.init is None or entry.init.keys or entry.init.byte_range is not None):
            raise target.wrong(where, "EXT-X-MAP is missing or does not name a clear init section", init, entry.init)
        target.same(where, "EXT-X-MAP", init, entry.init.uri if entry.init else None)
        target.same(where, "EXT-X-KEY", _keys(segment, expected), _found_keys(entry))
        if segment.iv in ivs:
            raise target.wrong(where, "two segments share an IV", "an IV of its own", segment.iv)
        ivs.update([segment.iv] if segment.iv else [])


def _rate(segments: Sequence[PublishedSegment], playlist: MediaPlaylist) -> Bitrate:
    sizes, durations = [segment.size for segment in segments], [entry.duration for entry in playlist.segments]
    return Bitrate(peak=peak(sizes, durations, playlist.target_duration), average=average(sizes, durations))


def _check_time_line(target: Target, text: ExpectedSubtitles, title: Expected) -> None:
    """Compare the borders of subtitle segments with those of the picture."""
    video = next(track for track in title.tracks if track.facts.type == "video")
    borders, found = ([(segment.start, segment.start + segment.duration) for segment in track.segments] for track in (video, text))
    target.same(text.playlist, "the time line", borders, found)


def _keys(segment: PublishedSegment, expected: Expected) -> list[tuple[str, str | None, str | None]]:
    method = scheme_of(expected.scheme).hls_method
    return [(method, expected.key_uris.get(segment.key_id), segment.iv)] if segment.key_id and method else []


def _found_keys(entry: Entry) -> list[tuple[str, str | None, str | None]]:
    return [(key.method, key.uri, key.iv) for key in entry.keys]


def _check_track(
    target: Target, expected: ExpectedTrack, playlist: MediaPlaylist, track: Track, measured: list[_Measured], title: Expected
) -> TrackFacts:
    """Compare the measured segments with each other and with the plan; return the measured facts.

    That EXTINF states these durations was checked with the playlist.
    """
    time = 0
    for segment, found in zip(expected.segments, measured, strict=True):
        target.same(segment.uri, "the decode time (ticks)", time, found.decode_time)
        target.same(segment.uri, "the duration (s)", segment.duration, Fraction(found.duration, track.timescale))
        time += found.duration
    target.same(expected.playlist, "the number of frames", expected.frames, sum(found.samples for found in measured))
    video = expected.facts.type == "video"
    frames = {found.last_frame_ticks for found in measured[:-1]}.union(*(found.frame_ticks for found in measured))
    # One frame alone says nothing of its rate: it ends with the title.
    frame = max(frames, default=round(track.timescale / (expected.facts.frame_rate or track.timescale)))
    if video:
        target.same(expected.playlist, "the duration of every frame but the last (ticks)", frame, min(frames, default=frame))
        delay, last = sum(edit.media_time for edit in track.edits), measured[-1].duration
        if len(measured) > 1 and last <= delay:  # hls.js would wait for its end for ever
            raise target.wrong(expected.segments[-1].uri, "the last segment is not longer than the edit list", f"over {delay} ticks", last)
    allowed = 0 if video else playlist.target_duration
    if abs(Fraction(time, track.timescale) - title.duration) > allowed:
        seconds = time / track.timescale
        raise target.wrong(expected.playlist, "the rendition is shorter or longer than the title", float(title.duration), seconds)
    try:
        facts = measure_track(track, expected.facts.id, frame)
    except EncodeFailed as error:
        raise target.wrong(expected.init, "the init section is wrong", expected.facts.codecs, error.what) from error
    target.same(expected.init, "what the init section says", expected.facts, facts)
    return facts


def _check_delays(target: Target, readers: Sequence[_TrackReader]) -> None:
    """Compare timescales and edit lists of all rungs: a player that switches must not jump. AV1 has no edit list (see package/init.py)."""
    rungs = [reader for reader in readers if reader.expected.facts.type == "video"]
    for reader in rungs:
        target.same(reader.expected.init, "the timescale", rungs[0].track.timescale, reader.track.timescale)
    delayed = [reader for reader in rungs if not reader.expected.facts.codecs.startswith("av01")]
    for reader in delayed:
        target.same(reader.expected.init, "the edit list of all rungs (ticks)", delayed[0].delay, reader.delay)


def _check_master(target: Target, expected: Expected, data: bytes, facts: dict[str, TrackFacts], rates: dict[str, Bitrate]) -> None:
    """Compare everything that the master playlist declares with what was measured."""
    path = expected.master
    try:
        master = parse(data)
    except PlaylistError as error:
        raise target.wrong(path, "the playlist cannot be read", "a master playlist", error) from error
    if not isinstance(master, MasterPlaylist):
        raise target.wrong(path, "the playlist is of the wrong kind", "a master playlist", "a media playlist")
    video = {track.playlist: track.facts.id for track in expected.tracks if track.facts.type == "video"}
    audio = {
        track.playlist: PublishedAudio(track.plan, facts[track.facts.id].channels or 0)
        for track in expected.tracks
        if track.plan is not None
    }
    target.same(path, "EXT-X-INDEPENDENT-SEGMENTS", True, master.independent_segments)
    target.same(path, "the list of variants", sorted(video), sorted({variant.uri for variant in master.variants}))
    target.same(path, "the kinds of renditions", [], sorted({member.type for member in master.renditions} - {"AUDIO", "SUBTITLES"}))
    groups = check_audio(target, path, master, video, audio)
    check_members(target, path, expected.subtitles, master)
    texts = {track.playlist: track.plan.id for track in expected.subtitles}
    ranges = {facts[name].video_range for name in video.values()}
    for variant in master.variants:
        where, name = f"{path}:{variant.line}", video[variant.uri]
        group = groups.get(variant.audio, [])
        shown = [texts[uri] for uri in group_of(master.renditions, variant)]
        target.same(where, "the subtitle group", sorted(texts.values()), sorted(shown))
        heaviest = sum(max((rates[member].peak for member in members), default=0) for members in (group, shown))
        target.same(where, "BANDWIDTH", rates[name].peak + heaviest, variant.bandwidth)
        heaviest = sum(max((rates[member].average for member in members), default=0) for members in (group, shown))
        target.same(where, "AVERAGE-BANDWIDTH", rates[name].average + heaviest, variant.average_bandwidth)
        target.same(where, "CODECS", sorted({facts[member].codecs for member in (name, *group)}), sorted(variant.codecs))
        target.same(where, "RESOLUTION", (facts[name].width, facts[name].height), (variant.width, variant.height))
        rate = facts[name].frame_rate or Fraction(0)
        if abs(Fraction(variant.frame_rate or 0) - rate) > Fraction(1, 2000):  # it has three decimals
            raise target.wrong(where, "FRAME-RATE is wrong", float(rate), variant.frame_rate)
        target.same(where, "VIDEO-RANGE", None if ranges == {"SDR"} else facts[name].video_range, variant.video_range)


def _check_thumbnails(target: Target, path: str, data: bytes, expected: Expected) -> None:
    """Follow the thumbnails track: every picture lies on a sprite that was published."""
    published = {item.path for item in expected.objects}
    folder = path.rpartition("/")[0]
    try:
        cues = list(read_pictures(data))
    except CueError as error:
        raise target.wrong(path, "the thumbnails track cannot be read", "WebVTT", error) from error
    if not cues:
        raise target.wrong(path, "the thumbnails track is empty", "a picture", "none")
    for cue in cues:
        sheet = f"{folder}/{cue.sheet}" if folder else cue.sheet
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
