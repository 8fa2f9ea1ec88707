"""Put together what was made of a source: the tracks with their measured facts, the playlists, what to verify, the record.

In:   the plan, the results of the encode, the segments as they lie at the target.
Out:  Track for each rendition, Text for each subtitle track; from these the texts of all playlists, Expected for the verification,
      and the catalog Record.
Wrong: EncodeFailed if an init section cannot be read, Unusable for subtitles that are left out. Pure but for reading the artifacts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vidpipe import layout
from vidpipe.catalog.record import (
    AudioRecord,
    Cache,
    Encryption,
    LeftOutRecord,
    Playback,
    Record,
    RenditionRecord,
    SourceFile,
    SubtitleRecord,
    Thumbnails,
)
from vidpipe.encode.result import Encoded, EncodedAudio, EncodedChunk, EncodedSubtitles
from vidpipe.manifest.groups import AudioTrack
from vidpipe.manifest.master import SubtitleTrack, VideoTrack, write_master
from vidpipe.manifest.measure import Bitrate, measure, target_duration
from vidpipe.manifest.media import write_media
from vidpipe.package.cut import Cue
from vidpipe.package.init import InitSection, aligned, read_init
from vidpipe.package.rates import FrameSizes
from vidpipe.package.result import PublishedSegment
from vidpipe.package.subtitles import Unusable, title_cues
from vidpipe.plan import AudioRendition, LeftOut, Plan, SubtitleRendition, VideoRendition
from vidpipe.protect.schemes import SchemeName
from vidpipe.publish.upload import CACHE_SECONDS, PublishedObject
from vidpipe.source.asset import StreamRef
from vidpipe.verify.proof import Expected, ExpectedTrack
from vidpipe.verify.subtitles import ExpectedSubtitles
from vidpipe.work.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class Track:
    """A rendition as it was made: what its init section says and what its segments measure. frames: planned."""

    plan: VideoRendition | AudioRendition
    init: InitSection
    segments: tuple[PublishedSegment, ...]
    bitrate: Bitrate
    frames: int

    @property
    def id(self) -> str:
        """Id of the rendition."""
        return self.plan.id

    @property
    def playlist(self) -> str:
        """Path of its media playlist."""
        return layout.media_playlist(self.init.facts.type, self.id)

    @property
    def init_path(self) -> str:
        """Path of its init section."""
        return layout.init_section(self.init.facts.type, self.id)


@dataclass(frozen=True, slots=True)
class Text:
    """A subtitle track as it was made."""

    plan: SubtitleRendition
    cues: tuple[Cue, ...]
    segments: tuple[PublishedSegment, ...]
    bitrate: Bitrate

    @property
    def playlist(self) -> str:
        """Path of its media playlist."""
        return layout.subtitle_playlist(self.plan.id)


def cues_of(made: Plan, result: EncodedSubtitles) -> tuple[Cue, ...]:
    """Return the cues of a subtitle track. Raises Unusable with the reason if it is left out of the title."""
    if result.artifact is None:
        raise Unusable(result.problem or "it was not made")
    return title_cues(result.artifact, made.asset.source(result.rendition.stream).zero, made.grid, codec=result.rendition.codec)


def rungs_of(made: Plan, artifacts: Mapping[str, Artifact]) -> dict[str, InitSection]:
    """Return the init section of every rung, with the delay that they have in common. artifacts: of any chunk, by rendition."""
    return aligned({r.id: read_init(artifacts[r.id].path, r.id) for r in made.video}, made.grid.duration)


def put_together(made: Plan, results: Sequence[Encoded], segments: Sequence[PublishedSegment], sizes: FrameSizes) -> list[Track]:
    """Put the facts of every rendition together, in the order of the plan. sizes: of the frames of all segments."""
    artifacts: dict[str, Artifact] = {}
    for result in results:
        if isinstance(result, EncodedChunk):
            artifacts.update(result.video)
        elif isinstance(result, EncodedAudio):
            artifacts[result.rendition.id] = result.artifact
    inits = rungs_of(made, artifacts)
    for sound in made.audio:
        inits[sound.id] = replace(read_init(artifacts[sound.id].path, sound.id), language=sound.language)
    runs = _runs(segments)
    longest = target_duration(list(runs.values()))
    return [
        Track(
            plan=rendition,
            init=replace(inits[rendition.id], rates=sizes.rates(rendition.id)),
            segments=tuple(runs[rendition.id]),
            bitrate=measure(runs[rendition.id], longest),
            frames=(
                sum(rendition.frames(chunk.frames) for chunk in made.chunks)
                if isinstance(rendition, VideoRendition)
                else artifacts[rendition.id].samples
            ),
        )
        for rendition in made.renditions
    ]


def texts_of(made: Plan, results: Sequence[Encoded], segments: Sequence[PublishedSegment]) -> list[Text]:
    """Put the subtitle tracks together that have segments, in the order of the plan."""
    found = {result.rendition.id: result for result in results if isinstance(result, EncodedSubtitles)}
    runs = _runs(segments)
    longest = target_duration(list(runs.values()))
    return [
        Text(
            plan=rendition,
            cues=cues_of(made, found[rendition.id]),
            segments=tuple(runs[rendition.id]),
            bitrate=measure(runs[rendition.id], longest),
        )
        for rendition in made.subtitles
        if rendition.id in runs
    ]


def left_out(made: Plan, results: Sequence[Encoded], texts: Sequence[Text]) -> list[LeftOut]:
    """Return the tracks that viewers will not get: those that were not planned, and the subtitles of which nothing could be made."""
    there = {text.plan.id for text in texts}
    missing = list(made.left_out)
    for result in results:
        if isinstance(result, EncodedSubtitles) and result.rendition.id not in there:
            missing.append(_unusable(made, result))
    return sorted(missing, key=lambda track: (track.input, track.stream))


def _unusable(made: Plan, result: EncodedSubtitles) -> LeftOut:
    plan, reason = result.rendition, "it has no cues that can be shown"
    try:
        cues_of(made, result)
    except Unusable as problem:
        reason = str(problem).partition(": ")[0]  # what follows are ffmpeg's own words; the warning has them
    return LeftOut(
        **dict(plan.stream), kind="subtitles", channel=plan.channel, language=plan.language, codec=plan.codec, reason=reason
    )


def _runs(segments: Sequence[PublishedSegment]) -> dict[str, list[PublishedSegment]]:
    """Return the segments of each rendition, in order."""
    runs: dict[str, list[PublishedSegment]] = {}
    for segment in sorted(segments, key=lambda segment: segment.index):
        runs.setdefault(segment.rendition, []).append(segment)
    return runs


def playlists(
    tracks: Sequence[Track], subtitles: Sequence[Text], method: str | None, key_uri: Callable[[str], str] | None
) -> dict[str, str]:
    """Return path -> text of every playlist, the master playlist last.

    method: of EXT-X-KEY.  key_uri: key id -> URI; None for a clear title.
    """
    longest = target_duration([track.segments for track in tracks])
    texts = {
        track.playlist: write_media(
            track.segments,
            init_uri=track.init_path,
            method=method,
            key_uri=key_uri,
            target_duration=longest,
        )
        for track in tracks
    }
    texts |= {
        text.playlist: write_media(text.segments, init_uri=None, method=method, key_uri=key_uri, target_duration=longest)
        for text in subtitles
    }
    video = [
        VideoTrack(facts=track.init.facts, bitrate=track.bitrate, uri=track.playlist)
        for track in tracks
        if isinstance(track.plan, VideoRendition)
    ]
    names: dict[StreamRef, str] = {}  # a stream has one name in all layouts, that of its first rendition
    audio = [
        AudioTrack(
            facts=track.init.facts,
            bitrate=track.bitrate,
            uri=track.playlist,
            name=names.setdefault(track.plan.stream, track.plan.name),
            language=track.plan.language,
            role=track.plan.role,
            default=track.plan.default,
        )
        for track in tracks
        if isinstance(track.plan, AudioRendition)
    ]
    shown = [
        SubtitleTrack(
            bitrate=text.bitrate,
            uri=text.playlist,
            name=text.plan.name,
            language=text.plan.language,
            default=text.plan.default,
            forced=text.plan.forced,
            hearing_impaired=text.plan.hearing_impaired,
        )
        for text in subtitles
    ]
    return {**texts, layout.MASTER: write_master(video, audio, shown)}


def expected(
    made: Plan,
    tracks: Sequence[Track],
    subtitles: Sequence[Text],
    objects: Sequence[PublishedObject],
    scheme: SchemeName,
    key_uris: dict[str, str],
) -> Expected:
    """Return what the read-back has to find. objects: everything but the segments.  key_uris: key id -> URI in the playlists."""
    return Expected(
        master=layout.MASTER,
        duration=made.grid.duration,
        scheme=scheme,
        tracks=tuple(
            ExpectedTrack(
                facts=track.init.facts,
                plan=track.plan if isinstance(track.plan, AudioRendition) else None,
                playlist=track.playlist,
                init=track.init_path,
                frames=track.frames,
                segments=track.segments,
            )
            for track in tracks
        ),
        subtitles=tuple(
            ExpectedSubtitles(plan=text.plan, playlist=text.playlist, cues=text.cues, segments=text.segments) for text in subtitles
        ),
        objects=tuple(objects),
        key_uris=key_uris,
        thumbnails=layout.THUMBNAILS,
    )


def record(
    made: Plan,
    tracks: Sequence[Track],
    subtitles: Sequence[Text],
    left_out: Sequence[LeftOut],
    *,
    content_id: str,
    version: str,
    title: str,
    metadata: dict[str, str],
    scheme: SchemeName,
    key_ids: tuple[str, ...],
    location: Callable[[str], str],
) -> Record:
    """Return the catalog record: what was published, as it was measured. location: path below the version -> where it lies."""
    return Record(
        content_id=content_id,
        version=version,
        title=title,
        created_at=datetime.now(UTC),
        duration=float(made.grid.duration),
        source=SourceFile(name=made.source.name, sha256=made.source.sha256, size=made.source.size, languages=made.languages),
        playback=Playback(hls=location(layout.MASTER)),
        renditions=tuple(_rendition(track, location) for track in tracks),
        audio=tuple(
            AudioRecord(
                id=r.id,
                name=r.name,
                language=r.language,
                channels=r.channels,
                default=r.default,
                role=r.role,
                cut=float(made.asset.audio(r.stream).cut),
            )
            for r in made.audio
        ),
        subtitles=tuple(
            SubtitleRecord(
                id=text.plan.id,
                name=text.plan.name,
                language=text.plan.language,
                default=text.plan.default,
                forced=text.plan.forced,
                hearing_impaired=text.plan.hearing_impaired,
                url=location(text.playlist),
            )
            for text in subtitles
        ),
        left_out=tuple(LeftOutRecord(**track.model_dump()) for track in left_out),
        thumbnails=Thumbnails(poster=location(layout.POSTER), track=location(layout.THUMBNAILS)),
        encryption=Encryption(method=scheme, key_ids=key_ids),
        cache=Cache(**CACHE_SECONDS),
        metadata=metadata,
    )


def _rendition(track: Track, location: Callable[[str], str]) -> RenditionRecord:
    facts = track.init.facts
    return RenditionRecord(
        id=track.id,
        type=facts.type,
        codecs=facts.codecs,
        width=facts.width,
        height=facts.height,
        frame_rate=float(facts.frame_rate) if facts.frame_rate else None,
        bandwidth=track.bitrate.peak,
        average_bandwidth=track.bitrate.average,
        url=location(track.playlist),
        segments=len(track.segments),
    )
