"""Put an inventory together: what was made of a plan, measured as it was published, and what was taken over from another version.

In:   the plan, the results of the encode, the segments as they lie at the target, fingerprints; tracks that another version has already.
Out:  Made: the tracks that were made, with their init sections and the cues of the subtitles; Inventory.
Wrong: EncodeFailed if an init section cannot be read. Pure but for reading the artifacts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vidpipe import layout
from vidpipe.encode.result import Encoded, EncodedAudio, EncodedChunk, EncodedSubtitles
from vidpipe.inventory.fingerprints import Fingerprints
from vidpipe.inventory.measure import Bitrate, measure, target_duration
from vidpipe.inventory.model import AudioTrack, Inventory, LeftOutTrack, MediaTrack, Pictures, PublishedTrack, SubtitleTrack, VideoTrack
from vidpipe.package.cut import Cue
from vidpipe.package.init import InitSection, read_init, rungs_of
from vidpipe.package.rates import FrameSizes
from vidpipe.package.subtitles import Unusable, cues_of
from vidpipe.plan import AudioRendition, LeftOut, Plan, SubtitleRendition
from vidpipe.protect.schemes import SchemeName
from vidpipe.publish.result import PublishedSegment
from vidpipe.work.artifacts import Artifact

_LATER = Bitrate(peak=0, average=0)
"""Rates are measured when the title is complete."""


@dataclass(frozen=True)
class Made:
    """What an encode has made. tracks: by id.  inits: path -> init section.  cues: of each subtitle track, as planned.

    left_out: subtitle tracks of which nothing could be made.
    """

    tracks: Mapping[str, PublishedTrack] = field(default_factory=dict)
    inits: Mapping[str, InitSection] = field(default_factory=dict)
    cues: Mapping[str, tuple[Cue, ...]] = field(default_factory=dict)
    left_out: Sequence[LeftOutTrack] = ()


def measured(
    made: Plan, results: Sequence[Encoded], segments: Sequence[PublishedSegment], sizes: FrameSizes, media: Fingerprints, scheme: SchemeName
) -> Made:
    """Put the facts of everything together that was encoded. sizes: of the frames of all segments.  scheme: that protects them.

    made: without chunks, no picture was encoded.
    """
    artifacts: dict[str, Artifact] = {}
    texts: list[EncodedSubtitles] = []
    for result in results:
        if isinstance(result, EncodedChunk):
            artifacts.update(result.video)
        elif isinstance(result, EncodedAudio):
            artifacts[result.rendition.id] = result.artifact
        else:
            texts.append(result)
    runs = _runs(segments)
    inits = rungs_of(made, artifacts) if made.chunks else {}
    tracks: dict[str, PublishedTrack] = {}
    for rung in made.video if made.chunks else ():
        inits[rung.id] = replace(inits[rung.id], rates=sizes.rates(rung.id))
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
        )
    for rendition in made.audio:
        init = read_init(artifacts[rendition.id].path, rendition.id)
        inits[rendition.id] = replace(init, language=rendition.language, rates=sizes.rates(rendition.id))
        tracks[rendition.id] = AudioTrack(
            id=rendition.id,
            media=media.audio[rendition.id],
            scheme=scheme,
            playlist=layout.media_playlist("audio", rendition.id),
            bitrate=_LATER,
            segments=tuple(runs[rendition.id]),
            facts=init.facts,
            init=layout.init_section("audio", rendition.id),
            frames=artifacts[rendition.id].samples,
            **audio_words(made, rendition),
        )
    cues: dict[str, tuple[Cue, ...]] = {}
    left_out: list[LeftOutTrack] = []
    for text in texts:
        rendition_ = text.rendition
        if rendition_.id not in runs:
            left_out.append(_unusable(made, text, media))
            continue
        cues[rendition_.id] = cues_of(made, text)
        tracks[rendition_.id] = SubtitleTrack(
            id=rendition_.id,
            media=media.subtitles[rendition_.id],
            scheme=scheme,
            playlist=layout.subtitle_playlist(rendition_.id),
            bitrate=_LATER,
            segments=tuple(runs[rendition_.id]),
            **subtitle_words(rendition_),
        )
    by_path = {track.init: inits[track.id] for track in tracks.values() if isinstance(track, MediaTrack)}
    return Made(tracks=tracks, inits=by_path, cues=cues, left_out=left_out)


def build(
    content_id: str,
    version: str,
    made: Plan,
    tracks: Mapping[str, PublishedTrack],
    left_out: Sequence[LeftOutTrack],
    *,
    pictures: str,
    sheets: Sequence[str],
    keys: tuple[str, ...],
) -> Inventory:
    """Return the inventory of a whole title, without its objects. tracks: by id, made or taken over.  left_out: of the subtitles.

    pictures: their fingerprint.  sheets: paths of the sprite sheets.
    """
    missing = [*(LeftOutTrack(**dict(track)) for track in made.left_out), *left_out]
    used = {segment.key_id for track in tracks.values() for segment in track.segments}
    # All playlists of a title have one target duration, on which the window of the peak rates depends.
    longest = target_duration([track.segments for track in tracks.values() if isinstance(track, MediaTrack)])
    tracks = {id_: track.model_copy(update={"bitrate": measure(track.segments, longest)}) for id_, track in tracks.items()}
    return Inventory(
        content_id=content_id,
        version=version,
        duration=made.grid.duration,
        video=tuple(track for rung in made.video if isinstance(track := tracks[rung.id], VideoTrack)),
        audio=tuple(track for rendition in made.audio if isinstance(track := tracks[rendition.id], AudioTrack)),
        subtitles=tuple(text for planned in made.subtitles if isinstance(text := tracks.get(planned.id), SubtitleTrack)),
        pictures=Pictures(media=pictures, poster=layout.POSTER, track=layout.THUMBNAILS, sheets=tuple(sheets)),
        left_out=tuple(sorted(missing, key=lambda track: track.stream)),
        keys=tuple(key_id for key_id in keys if key_id in used),
        objects={},
    )


def audio_words(made: Plan, rendition: AudioRendition) -> dict[str, Any]:
    """Return the fields of an AudioTrack that only the plan decides. A stream has one name in all layouts, that of its first rendition."""
    return {
        "stream": rendition.stream,
        "name": next(first.name for first in made.audio if first.stream == rendition.stream),
        "label": rendition.name,
        "language": rendition.language,
        "role": rendition.role,
        "default": rendition.default,
        "cut": next(stream.cut for stream in made.source.audio if stream.index == rendition.stream),
    }


def subtitle_words(rendition: SubtitleRendition) -> dict[str, Any]:
    """Return the fields of a SubtitleTrack that only the plan decides."""
    return rendition.model_dump(include={"stream", "name", "language", "default", "forced", "hearing_impaired"})


def left_out_of(rendition: SubtitleRendition, reason: str, media: str) -> LeftOutTrack:
    """Return what is said of a subtitle track of which nothing could be made."""
    known = LeftOut(
        stream=rendition.stream,
        kind="subtitles",
        channel=rendition.channel,
        language=rendition.language,
        codec=rendition.codec,
        reason=reason,
    )
    return LeftOutTrack(**dict(known), media=media)


def _unusable(made: Plan, result: EncodedSubtitles, media: Fingerprints) -> LeftOutTrack:
    reason = "it has no cues that can be shown"
    try:
        cues_of(made, result)
    except Unusable as problem:
        reason = str(problem).partition(": ")[0]  # what follows are ffmpeg's own words; the warning has them
    return left_out_of(result.rendition, reason, media.subtitles[result.rendition.id])


def _runs(segments: Sequence[PublishedSegment]) -> dict[str, list[PublishedSegment]]:
    """Return the segments of each rendition, in order."""
    runs: dict[str, list[PublishedSegment]] = {}
    for segment in sorted(segments, key=lambda segment: segment.index):
        runs.setdefault(segment.rendition, []).append(segment)
    return runs
