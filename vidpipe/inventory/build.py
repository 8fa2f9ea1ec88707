"""Put an inventory together: what was made of a plan, measured as it was published, and what was taken over from another version.

In:   the plan, what packaging knows of the encode, the segments as they lie at the target, fingerprints; tracks that another version
      has already.
Out:  MadeTracks: the tracks that were made, with their init sections and the cues of the subtitles; Inventory.
Wrong: nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vidpipe import layout
from vidpipe.inventory.fingerprints import Fingerprints
from vidpipe.inventory.measure import Bitrate, measure, target_duration
from vidpipe.inventory.model import (
    AudioTrack,
    IFrames,
    Inventory,
    LeftOutTrack,
    MadeChunk,
    MediaTrack,
    Pictures,
    PublishedTrack,
    Sprites,
    SubtitleTrack,
    UsedKey,
    VideoTrack,
)
from vidpipe.package.cut import Cue
from vidpipe.package.init import InitSection
from vidpipe.package.packaged import Packaged
from vidpipe.plan import AudioRendition, LeftOut, Plan, SubtitleRendition
from vidpipe.protect.key_source import KeySet
from vidpipe.protect.schemes import SchemeName, scheme_of
from vidpipe.publish.result import PublishedSegment

_LATER = Bitrate(peak=0, average=0)
"""Rates are measured when the title is complete."""


@dataclass(frozen=True)
class MadeTracks:
    """What an encode has made. tracks: by id.  inits: of video and audio, by id.  cues: of each subtitle track, as planned.

    left_out: subtitle tracks of which nothing could be made.  chunks: of the video, if any was made.
    """

    tracks: Mapping[str, PublishedTrack] = field(default_factory=dict)
    inits: Mapping[str, InitSection] = field(default_factory=dict)
    cues: Mapping[str, tuple[Cue, ...]] = field(default_factory=dict)
    left_out: Sequence[LeftOutTrack] = ()
    chunks: tuple[MadeChunk, ...] = ()

    @property
    def media(self) -> list[MediaTrack]:
        """Video and audio."""
        return [track for track in self.tracks.values() if isinstance(track, MediaTrack)]


def measured(
    made: Plan,
    packaged: Packaged,
    segments: Sequence[PublishedSegment],
    media: Fingerprints,
    scheme: SchemeName,
    threads: Mapping[int, int],
) -> MadeTracks:
    """Put the facts of everything together that was encoded. scheme: that protects the segments.  threads: by index of the chunk.

    made: without chunks, no picture was encoded.
    """
    runs = _runs(segments)
    inits = {id_: replace(init, rates=packaged.sizes.rates(id_)) for id_, init in packaged.inits.items()}
    tracks: dict[str, PublishedTrack] = {}
    for rung in made.video if made.chunks else ():
        tracks[rung.id] = VideoTrack(
            id=rung.id,
            media=media.video[rung.id],
            scheme=scheme,
            playlist=layout.media_playlist("video", rung.id),
            bitrate=_LATER,
            segments=tuple(runs[rung.id]),
            facts=inits[rung.id].facts,
            init=layout.init_section("video", rung.id),
            frames=sum(rung.frames(chunk.frames) for chunk in made.chunks),
            delay=inits[rung.id].delay,
        )
    for rendition in made.audio:
        inits[rendition.id] = replace(inits[rendition.id], language=rendition.language)
        tracks[rendition.id] = AudioTrack(
            id=rendition.id,
            media=media.audio[rendition.id],
            scheme=scheme,
            playlist=layout.media_playlist("audio", rendition.id),
            bitrate=_LATER,
            segments=tuple(runs[rendition.id]),
            facts=inits[rendition.id].facts,
            init=layout.init_section("audio", rendition.id),
            frames=packaged.frames[rendition.id],
            delay=inits[rendition.id].delay,
            **audio_words(made, rendition),
        )
    left_out: list[LeftOutTrack] = []
    for text in made.subtitles:
        if text.id not in runs:
            left_out.append(left_out_of(text, packaged.unusable.get(text.id, "it has no cues that can be shown"), media.subtitles[text.id]))
            continue
        tracks[text.id] = SubtitleTrack(
            id=text.id,
            media=media.subtitles[text.id],
            scheme=scheme_of(scheme).text_scheme,
            playlist=layout.subtitle_playlist(text.id),
            bitrate=_LATER,
            segments=tuple(runs[text.id]),
            **subtitle_words(text),
        )
    chunks = tuple(MadeChunk(frames=chunk.frames, threads=threads[chunk.index]) for chunk in made.chunks)
    return MadeTracks(tracks=tracks, inits=inits, cues=packaged.cues, left_out=left_out, chunks=chunks)


def build(
    content_id: str,
    version: str,
    made: Plan,
    tracks: Mapping[str, PublishedTrack],
    left_out: Sequence[LeftOutTrack],
    *,
    chunks: tuple[MadeChunk, ...],
    pictures: str,
    sheets: Mapping[str, int],
    keys: KeySet,
    session_keys: bool = False,
    i_frames: bool,
) -> Inventory:
    """Return the inventory of a whole title, without its objects. tracks: by id, made or taken over.  left_out: of the subtitles.

    chunks: of the video.  pictures: their fingerprint.  sheets: path -> bytes of the sprite sheets.  keys: all that were made for it.
    session_keys: as in Inventory.  i_frames: list those of rungs, too, where that is possible.
    """
    missing = [*(LeftOutTrack(**dict(track)) for track in made.left_out), *left_out]
    # All playlists of a title have one target duration, on which the window of the peak rates depends.
    longest = target_duration([track.segments for track in tracks.values() if isinstance(track, MediaTrack)])
    tracks = {id_: track.model_copy(update={"bitrate": measure(track.segments, longest)}) for id_, track in tracks.items()}
    rungs = [track for rung in made.video if isinstance(track := tracks[rung.id], VideoTrack)]
    shown = with_i_frames(rungs) if i_frames else ()
    for rung in rungs:
        rates = measure(rung.segments, longest, i_frames=True) if rung.id in shown else None
        listed = IFrames(playlist=layout.i_frame_playlist(rung.id), bitrate=rates) if rates else None
        tracks[rung.id] = rung.model_copy(update={"i_frames": listed})
    return Inventory(
        content_id=content_id,
        version=version,
        duration=made.grid.duration,
        video=tuple(track for rung in made.video if isinstance(track := tracks[rung.id], VideoTrack)),
        audio=tuple(track for rendition in made.audio if isinstance(track := tracks[rendition.id], AudioTrack)),
        subtitles=tuple(text for planned in made.subtitles if isinstance(text := tracks.get(planned.id), SubtitleTrack)),
        chunks=chunks,
        pictures=Pictures(
            media=pictures, poster=layout.POSTER, track=layout.THUMBNAILS, sheets=tuple(sheets), sprites=_sprites(made, sheets)
        ),
        left_out=tuple(sorted(missing, key=lambda track: (track.input, track.stream))),
        formats=made.formats,
        # Also those that protect nothing after all, as of subtitles that turned out to be unusable: they stay and go with the version.
        keys=keys.ids,
        key_uses=tuple(
            UsedKey(key_id=key.key_id, track_type=use.track_type, first=use.first) for use, key in zip(keys.uses, keys.keys, strict=True)
        ),
        drm=keys.signals,
        session_keys=session_keys,
        objects={},
    )


def with_i_frames(rungs: Sequence[VideoTrack]) -> set[str]:
    """Return the ids of the rungs whose I-frames are listed: of those of one size, codec and dynamic range the one with the fewest bits.

    HLS-IFR-009.
    """
    able = [track for track in rungs if all(segment.i_frame for segment in track.segments)]
    least: dict[tuple[object, ...], VideoTrack] = {}
    for track in sorted(able, key=lambda track: track.bitrate.average):
        facts = track.facts
        least.setdefault((facts.codecs[:4], facts.width, facts.height, facts.video_range), track)
    return {track.id for track in least.values()}


def _sprites(made: Plan, sheets: Mapping[str, int]) -> Sprites | None:
    planned = made.thumbnails
    if not sheets:
        return None
    return Sprites(
        interval=made.grid.time(planned.interval),
        width=planned.width,
        height=planned.height,
        columns=planned.columns,
        rows=planned.rows,
        largest=max(sheets.values()),
    )


def audio_words(made: Plan, rendition: AudioRendition) -> dict[str, Any]:
    """Return the fields of an AudioTrack that only the plan decides. A stream has one name in all layouts, that of its first rendition."""
    return {
        **dict(rendition.stream),
        "name": next(first.name for first in made.audio if first.stream == rendition.stream),
        "label": rendition.name,
        "language": rendition.language,
        "role": rendition.role,
        "default": rendition.default,
        "cut": made.asset.audio(rendition.stream).cut,
    }


def subtitle_words(rendition: SubtitleRendition) -> dict[str, Any]:
    """Return the fields of a SubtitleTrack that only the plan decides."""
    return rendition.model_dump(include={"stream", "name", "language", "default", "forced", "hearing_impaired"})


def left_out_of(rendition: SubtitleRendition, reason: str, media: str) -> LeftOutTrack:
    """Return what is said of a subtitle track of which nothing could be made."""
    known = LeftOut(
        **dict(rendition.stream),
        kind="subtitles",
        channel=rendition.channel,
        language=rendition.language,
        codec=rendition.codec,
        reason=reason,
    )
    return LeftOutTrack(**dict(known), media=media)


def _runs(segments: Sequence[PublishedSegment]) -> dict[str, list[PublishedSegment]]:
    """Return the segments of each rendition, in order."""
    runs: dict[str, list[PublishedSegment]] = {}
    for segment in sorted(segments, key=lambda segment: segment.index):
        runs.setdefault(segment.rendition, []).append(segment)
    return runs
