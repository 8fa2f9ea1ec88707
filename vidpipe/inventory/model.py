"""The inventory of a version: its tracks, segments, pictures and every other object, as they lie at the target.

In:   ``build`` puts it together; ``inventory.json`` in each version holds it.
Out:  Inventory. Playlists, verification, the record, preview, inspection and the next version are functions of it.
Wrong: pydantic's ValidationError for bytes that are no inventory.

All paths are relative to the version's prefix, so that a version may lie anywhere. Times are rational. It names keys and never holds one;
the words of subtitles, which some schemes encrypt like the media, do not stand in it either.

Schema "vidpipe.inventory/1" only ever grows: a reader ignores fields that it does not know. Removing or redefining one makes "/2".
Versions of 0.2.0.dev had only the sizes and hashes of objects (``Objects``), those of 0.1.0 nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from vidpipe.data import Data, Seconds
from vidpipe.inventory.measure import Bitrate
from vidpipe.layout import HLS_ONLY, FormatName, init_section
from vidpipe.package.result import TrackFacts
from vidpipe.plan import LeftOut
from vidpipe.protect.key_source import DrmSignal
from vidpipe.protect.key_uses import IntendedTrackType
from vidpipe.protect.schemes import SAMPLE_SCHEMES, SchemeName
from vidpipe.publish.result import ObjectEntry, PublishedObject, PublishedSegment
from vidpipe.source.facts import AudioRole

SCHEMA: Final = "vidpipe.inventory/1"

Path = Annotated[str, Field(min_length=1, description="Of an object, relative to the version's prefix.")]


class Objects(Data):
    """The objects of a version by path, below its prefix: all that versions of 0.2.0.dev have."""

    objects: dict[str, ObjectEntry]

    @property
    def entries(self) -> Mapping[str, ObjectEntry]:
        """Every object by path, segments too, but not inventory and record."""
        return self.objects


class PublishedTrack(Data):
    """What all published tracks have in common."""

    id: str = Field(description="Of the rendition, unique among the tracks of its kind.")
    media: str = Field(description="Hash of everything that decided the bytes of its segments, but for the key (see fingerprints).")
    scheme: SchemeName = Field(description="Protection of its segments.")
    playlist: Path
    bitrate: Bitrate = Field(description="Measured from the stored segments.")
    segments: tuple[PublishedSegment, ...] = Field(min_length=1, description="In order.")


class MediaTrack(PublishedTrack):
    """A video or audio track."""

    facts: TrackFacts = Field(description="As measured from its init section and segments.")
    init: Path = Field(description="The first; see ``inits``.")
    frames: int = Field(description="As many as planned.")
    delay: int | None = Field(
        default=None, description="Ticks that its edit list skips; None in inventories of 0.2.0.dev, before there was DASH."
    )


    @property
    def inits(self) -> dict[int, str]:
        """Path of each init section, by the segment from which on HLS plays with it.

        There are several where samples are encrypted and the key changes: each names the one of its segments.
        """
        found = {0: self.init}
        if self.scheme in SAMPLE_SCHEMES:
            for before, segment in pairwise(self.segments):
                if segment.key_id != before.key_id:
                    found[segment.index] = init_section(self.facts.type, self.id, segment.index)
        return found


class IFrames(Data):
    """The pictures of a rung that can be shown by themselves: the first one of each segment. For trick play."""

    playlist: Path
    bitrate: Bitrate = Field(description="Measured from the parts of the stored segments that hold them.")


class VideoTrack(MediaTrack):
    """A rung."""

    i_frames: IFrames | None = Field(default=None, description="Listed by themselves; None if they are not.")


class AudioTrack(MediaTrack):
    """An audio rendition."""

    input: int = Field(default=0, description="Which of the inputs has its stream; 0 is the source, others are side files.")
    stream: int = Field(description="Index in that input; renditions of one stream are one track for viewers.")
    name: str = Field(description="For people; the same in every layout of a stream.")
    label: str = Field(description="Name of this rendition alone, unique in the title.")
    language: str | None = Field(default=None, description="BCP 47; None if unknown.")
    role: AudioRole = "main"
    default: bool = Field(default=False, description="Played unless the viewer chooses.")
    cut: Seconds = Field(description="Of the source's track, before its first picture, and so not in the title.")


class SubtitleTrack(PublishedTrack):
    """A subtitle track."""

    input: int = Field(default=0, description="Which of the inputs has its stream; 0 is the source, others are side files.")
    stream: int = Field(description="Index in that input.")
    name: str = Field(description="For people, unique among the subtitles.")
    language: str | None = Field(default=None, description="BCP 47; None if unknown.")
    default: bool = Field(default=False, description="Shown unless the viewer chooses.")
    forced: bool = Field(default=False, description="Only what every viewer needs translated.")
    hearing_impaired: bool = Field(default=False, description="Includes non-speech sound (SDH).")


class MadeChunk(Data):
    """A chunk of the encode. Where it begins and how many threads its encoders had shape the bytes of all rungs.

    One thread gives the same bytes each time; several, held to a rate, need not.
    """

    frames: int = Field(ge=1, description="Of the time line.")
    threads: int = Field(ge=1, description="Of the encoder of a rung as large as the source; smaller ones have fewer.")


class Sprites(Data):
    """How sprites lie on their sheets, row by row. The last sheet is only as large as it has to be."""

    interval: Seconds = Field(description="From one sprite to the next.")
    width: int = Field(description="Pixels of one sprite.")
    height: int = Field(description="Pixels of one sprite.")
    columns: int
    rows: int
    largest: int = Field(description="Bytes of the largest sheet.")


class Pictures(Data):
    """The still pictures of a title."""

    media: str = Field(description="Hash of everything that decided their bytes.")
    poster: Path
    track: Path = Field(description="Of the WebVTT track that says which sprite belongs to which time.")
    sheets: tuple[Path, ...]
    sprites: Sprites | None = Field(default=None, description="None in inventories of 0.2.0.dev, before there was DASH.")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a media playlist lists of a track: its segments, or only their I-frames."""

    track: PublishedTrack
    i_frames: bool = False


class UsedKey(Data):
    """What a key of the version is for."""

    key_id: str
    track_type: IntendedTrackType = Field(default="ALL", description="The class of tracks that it protects, in CPIX's words.")
    first: int = Field(default=0, description="0-based index of the first segment that it protects; the next key of the class ends it.")


class LeftOutTrack(LeftOut):
    """A track of the source that viewers do not get."""

    media: str | None = Field(default=None, description="That of the track that could not be made of it; None if none was planned.")


class Inventory(Objects):
    """A version as it was published."""

    # "schema" is also the name of a deprecated method of pydantic's models, hence the alias.
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    schema_: Literal["vidpipe.inventory/1"] = Field(default=SCHEMA, alias="schema")
    content_id: str
    version: str
    duration: Seconds = Field(description="Of the time line.")
    video: tuple[VideoTrack, ...] = Field(min_length=1, description="In the order of the plan.")
    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    chunks: tuple[MadeChunk, ...] = Field(default=(), description="Of the encode of the video, in order; empty where it was not noted.")
    pictures: Pictures | None = None
    left_out: tuple[LeftOutTrack, ...] = ()
    formats: tuple[FormatName, ...] = Field(default=HLS_ONLY, description="Of the manifests; before there was DASH, all had HLS.")
    keys: tuple[str, ...] = Field(default=(), description="Ids of the content keys; empty if nothing is encrypted.")
    key_uses: tuple[UsedKey, ...] = Field(default=(), description="What each key is for; empty if there can be only one.")
    drm: tuple[DrmSignal, ...] = Field(default=(), description="What DRM systems want manifests to say of each key; public.")
    session_keys: bool = Field(default=False, description="Whether the master playlist names the keys, too.")
    objects: dict[str, ObjectEntry] = Field(description="Every object but the segments, the record and this inventory.")

    @property
    def media(self) -> tuple[MediaTrack, ...]:
        """Video, then audio."""
        return (*self.video, *self.audio)

    @property
    def tracks(self) -> tuple[PublishedTrack, ...]:
        """Video, audio, subtitles."""
        return (*self.video, *self.audio, *self.subtitles)

    @property
    def playlists(self) -> dict[str, Listing]:
        """The media playlists of HLS by path."""
        whole = {track.playlist: Listing(track) for track in self.tracks}
        return whole | {track.i_frames.playlist: Listing(track, i_frames=True) for track in self.video if track.i_frames}

    @property
    def scheme(self) -> SchemeName:
        """What protects the title."""
        return self.video[0].scheme

    @property
    def segments(self) -> Iterable[PublishedSegment]:
        """Those of all tracks."""
        return (segment for track in self.tracks for segment in track.segments)

    @property
    def entries(self) -> Mapping[str, ObjectEntry]:
        """Every object by path, segments too, but not inventory and record."""
        return self.objects | {segment.uri: segment.entry for segment in self.segments}

    def with_objects(self, published: Iterable[PublishedObject]) -> Inventory:
        """Return the same with more objects, or others in their place."""
        added = {item.path: item.entry for item in published}
        return self.model_copy(update={"objects": dict(sorted((self.objects | added).items()))})


def inventory_json(inventory: Inventory) -> Iterator[bytes]:
    """Yield the JSON of an inventory in pieces, the segments of one track at a time: those of all tracks are megabytes."""
    kinds = ("video", "audio", "subtitles")
    without = {kind: tuple(track.model_copy(update={"segments": ()}) for track in getattr(inventory, kind)) for kind in kinds}
    frame = inventory.model_copy(update=without).model_dump_json(indent=1, exclude_none=True).encode().split(_NO_SEGMENTS)
    for piece, track in zip(frame, inventory.tracks, strict=False):
        segments = track.model_dump_json(include={"segments"}, indent=1, exclude_none=True).encode()
        yield piece + segments[len(b"{\n ") : -len(b"\n}")].replace(b"\n", b"\n  ")  # two levels down; strings have no line breaks
    yield frame[-1]


_NO_SEGMENTS = b'"segments": []'


def read_inventory(data: bytes) -> Objects:
    """Return what an ``inventory.json`` says: an Inventory, or Objects of an earlier vidpipe. Raises ValidationError (a ValueError)."""
    try:
        return Inventory.model_validate_json(data, extra="ignore")
    except ValueError:
        return Objects.model_validate_json(data)  # "extra" stays forbidden: a damaged or newer inventory is none of these
