"""Put together what was made of a source: the tracks with their measured facts, the playlists, what to verify, the record.

In:   the plan, the results of the encode, the segments as they lie at the target.
Out:  Track for each rendition; from the tracks the texts of all playlists, Expected for the verification, and the catalog Record.
Wrong: EncodeFailed if an init section cannot be read. Pure but for reading the init sections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vidpipe import layout
from vidpipe.catalog.record import AudioRecord, Cache, Encryption, Playback, Record, RenditionRecord, SourceFile, Thumbnails
from vidpipe.encode.result import Artifact, EncodedAudio, EncodedChunk
from vidpipe.manifest.master import AudioTrack, VideoTrack, write_master
from vidpipe.manifest.measure import Bitrate, measure, target_duration
from vidpipe.manifest.media import write_media
from vidpipe.package.init import InitSection, read_init
from vidpipe.package.result import PublishedSegment
from vidpipe.plan import AudioRendition, Plan, VideoRendition
from vidpipe.publish import CACHE_SECONDS, PublishedObject
from vidpipe.verify import Expected, ExpectedTrack


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


def put_together(made: Plan, results: Sequence[EncodedChunk | EncodedAudio], segments: Sequence[PublishedSegment]) -> list[Track]:
    """Put the facts of every rendition together, in the order of the plan."""
    artifacts: dict[str, Artifact] = {}
    for result in results:
        artifacts.update({result.rendition.id: result.artifact} if isinstance(result, EncodedAudio) else result.video)
    runs: dict[str, list[PublishedSegment]] = {rendition.id: [] for rendition in made.renditions}
    for segment in sorted(segments, key=lambda segment: segment.index):
        runs[segment.rendition].append(segment)
    longest = target_duration(list(runs.values()))
    return [
        Track(
            plan=rendition,
            init=read_init(artifacts[rendition.id].path, rendition.id),
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


def playlists(tracks: Sequence[Track], key_uri: Callable[[str], str] | None) -> dict[str, str]:
    """Return path -> text of every playlist, the master playlist last. key_uri: key id -> URI; None for a clear title."""
    longest = target_duration([track.segments for track in tracks])
    texts = {
        track.playlist: write_media(
            track.segments,
            init_uri=track.init_path,
            key_uri=key_uri,
            target_duration=longest,
        )
        for track in tracks
    }
    video = [
        VideoTrack(facts=track.init.facts, bitrate=track.bitrate, uri=track.playlist)
        for track in tracks
        if isinstance(track.plan, VideoRendition)
    ]
    audio = [
        AudioTrack(
            facts=track.init.facts,
            bitrate=track.bitrate,
            uri=track.playlist,
            name=track.plan.name,
            language=track.plan.language,
            default=track.plan.default,
        )
        for track in tracks
        if isinstance(track.plan, AudioRendition)
    ]
    return {**texts, layout.MASTER: write_master(video, audio)}


def expected(made: Plan, tracks: Sequence[Track], objects: Sequence[PublishedObject], key_uris: dict[str, str]) -> Expected:
    """Return what the read-back has to find. objects: everything but the segments.  key_uris: key id -> URI in the playlists."""
    return Expected(
        master=layout.MASTER,
        duration=made.grid.duration,
        tracks=tuple(
            ExpectedTrack(
                facts=track.init.facts, playlist=track.playlist, init=track.init_path, frames=track.frames, segments=track.segments
            )
            for track in tracks
        ),
        objects=tuple(objects),
        key_uris=key_uris,
        thumbnails=layout.THUMBNAILS,
    )


def record(
    made: Plan,
    tracks: Sequence[Track],
    *,
    content_id: str,
    version: str,
    title: str | None,
    metadata: dict[str, str],
    key_ids: tuple[str, ...],
    location: Callable[[str], str],
) -> Record:
    """Return the catalog record: what was published, as it was measured. location: path below the version -> where it lies."""
    return Record(
        content_id=content_id,
        version=version,
        title=title or Path(made.source.name).stem,
        created_at=datetime.now(UTC),
        duration=float(made.grid.duration),
        source=SourceFile(name=made.source.name, sha256=made.source.sha256, size=made.source.size),
        playback=Playback(hls=location(layout.MASTER)),
        renditions=tuple(_rendition(track, location) for track in tracks),
        audio=tuple(AudioRecord(id=r.id, name=r.name, language=r.language, channels=r.channels, default=r.default) for r in made.audio),
        thumbnails=Thumbnails(poster=location(layout.POSTER), track=location(layout.THUMBNAILS)),
        encryption=Encryption(method="aes-128" if key_ids else "none", key_ids=key_ids),
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
