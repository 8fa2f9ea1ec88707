"""What decides the bytes of each track: the same fingerprint asks for the same segments, so that a new version may share them.

In:   a plan, the policy that judged the source, the version of ffmpeg.
Out:  Fingerprints: for each rendition a hash, and one for the pictures.
Wrong: nothing.

Like the key of an artifact, a fingerprint says what was asked for, and the hashes of the segments what came. What leaves no trace in the
bytes is left out: names, languages, flags, ids, how the work was cut into chunks. The policy stands in it, because media that was
never judged by it must not be shared past it. The content key does not: whether it is the same is seen at the segments.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from vidpipe.encode.output import pixel_format
from vidpipe.encode.picture import by_other_filters
from vidpipe.plan import AudioRendition, Plan, SubtitleRendition
from vidpipe.source.policy import QualityPolicy

MEDIA_FORMAT = 1
"""Raised whenever the same plan gives other segments, init sections or pictures than before. Playlists are another matter.
Where that is so of some sources only, say in the fingerprints of these what is new, so that all others stay as they are."""

_BLANK_LINE = {"last_cue": "blank line"}
"""Of segments of subtitles: what ends the last cue; before, only the end of the segment did."""

_WORDS = {"id", "name", "language", "default", "role", "forced", "hearing_impaired"}
"""Fields of renditions that are not in the segments. (An init section holds the language: it is made again where that has changed.)"""
_STREAM_WORDS: dict[str, Any] = {"__all__": {"language", "title", "default", "role", "forced", "hearing_impaired"}}
_SOURCE_WORDS: dict[str, Any] = {
    **dict.fromkeys(("location", "mtime_ns", "name", "chapters"), True),
    **dict.fromkeys(("audio", "subtitles"), _STREAM_WORDS),
    "video": {"lead_in": True},
}


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Of a plan. video, audio, subtitles: by id of the rendition."""

    video: dict[str, str]
    audio: dict[str, str]
    subtitles: dict[str, str]
    pictures: str


def fingerprints_of(made: Plan, policy: QualityPolicy, *, ffmpeg: str) -> Fingerprints:
    """Return the fingerprints of everything that a plan makes."""
    main, *side_files = (source.model_dump(mode="json", exclude=_SOURCE_WORDS) for source in made.asset.inputs)
    common = {
        "format": MEDIA_FORMAT,
        "ffmpeg": ffmpeg,
        "source": main,  # its picture makes the grid of all tracks
        "grid": made.grid.model_dump(mode="json", exclude={"chunk_frames"}),
    }
    judged = common | {"policy": policy.model_dump(mode="json")}
    rungs = {rung.id: rung.model_dump(mode="json", exclude=_WORDS) for rung in made.video}
    # All rungs have the edit list of the one that reorders most, so what a rung looks like depends on the others.
    ladder = sorted(json.dumps(rung, sort_keys=True) for rung in rungs.values())
    picture = made.picture.model_dump(mode="json")
    video = made.source.video
    small = (made.thumbnails.width, made.thumbnails.height)
    drawn = {rung.id: by_other_filters(video, (rung.width, rung.height), rung.picture, pixel_format(rung)) for rung in made.video}

    def dumped(track: AudioRendition | SubtitleRendition) -> dict[str, Any]:
        own = {"side_file": side_files[track.stream.input - 1]} if track.stream.input else {}
        return track.model_dump(mode="json", exclude=_WORDS) | own

    audio = {track.id: dumped(track) for track in made.audio}
    subtitles = {track.id: dumped(track) for track in made.subtitles}
    captions = {"pyav": metadata.version("av")}  # its libavcodec decodes them, and not ffmpeg's
    return Fingerprints(
        video={
            id_: _hash(judged | drawn[id_], kind="video", picture=picture, ladder=ladder, rung=rung)
            for id_, rung in rungs.items()
        },
        audio={id_: _hash(judged, kind="audio", track=track) for id_, track in audio.items()},
        subtitles={
            id_: _hash(common | _BLANK_LINE | (captions if track["channel"] else {}), kind="subtitles", track=track)
            for id_, track in subtitles.items()
        },
        pictures=_hash(
            judged | by_other_filters(video, small, made.picture),
            kind="pictures",
            picture=picture,
            thumbnails=made.thumbnails.model_dump(mode="json"),
        ),
    )


def _hash(common: dict[str, Any], **own: Any) -> str:
    return hashlib.sha256(json.dumps(common | own, sort_keys=True).encode()).hexdigest()
