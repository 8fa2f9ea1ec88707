"""The catalog record: the contract with the CDN and the streaming services. Its JSON Schema is printed by ``vidpipe catalog schema``.

In:   what the pipeline measured and published.
Out:  ``Record``, written as ``record.json`` beside the master playlist and into the catalog; ``json_schema()``.
Wrong: pydantic's ValidationError for a record that breaks the contract (only vidpipe writes records, so that is a bug).

Schema "vidpipe.catalog/1" only ever grows: a reader ignores fields that it does not know. Removing or redefining a field makes "/2".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, PlainSerializer

from vidpipe.data import Data
from vidpipe.protect.schemes import MEANING, SchemeName

SCHEMA: Final = "vidpipe.catalog/1"

Status = Literal["live", "superseded", "withdrawn", "deleting"]
STANDING: Final[tuple[Status, ...]] = ("live", "withdrawn")
"""A title has at most one version of these: the one that it shows, or would show if it were not withdrawn."""


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(microsecond=0)


def _written(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _rounded(value: float) -> float:
    return round(value, 6)


Moment = Annotated[AwareDatetime, AfterValidator(_utc), PlainSerializer(_written, when_used="json")]
Number = Annotated[float, AfterValidator(_rounded)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Location = Annotated[str, Field(min_length=1)]


class RecordPart(Data):
    """A part of a record."""

    # A reader finds every field, also those with a default: the JSON Schema says so.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True)


class SourceFile(RecordPart):
    """The file that was ingested."""

    name: str = Field(description="Name of the source file, without its directory.")
    sha256: Sha256 = Field(description="SHA-256 of the source file, lower-case hex.")
    size: int = Field(ge=0, description="Size of the source file in bytes.")
    languages: dict[int, str] = Field(default={}, description="BCP 47 tags that were given with --language, by index of the stream.")


class Playback(RecordPart):
    """Where to start playing."""

    hls: Location = Field(description="Location of the HLS master playlist: an s3:// URL, or an absolute path for a directory target.")
    url: str | None = Field(default=None, description="URL of the same playlist, behind the setting public_url; null without it.")
    title_url: str | None = Field(
        default=None, description="URL that plays the live version of the title, whichever that is; null without the setting public_url."
    )
    dash: Location | None = Field(
        default=None, description="Location of the DASH manifest, written as playback.hls is; null if the version has none."
    )
    dash_url: str | None = Field(default=None, description="URL of the DASH manifest, as url is of the playlist; null without it.")
    dash_title_url: str | None = Field(
        default=None, description="URL of the DASH manifest that plays the live version of the title, as title_url is; null without it."
    )


class RenditionRecord(RecordPart):
    """One encoded rendition. Sizes and rates are those of the published bytes, after encryption."""

    id: str = Field(description="Name of the rendition, unique in the title.")
    type: Literal["video", "audio"] = Field(description="What the rendition holds.")
    codecs: str = Field(description='RFC 6381 codec string read from the init section, such as "avc1.64001f".')
    width: int | None = Field(default=None, ge=1, description="Pixels; null for audio.")
    height: int | None = Field(default=None, ge=1, description="Pixels; null for audio.")
    frame_rate: Number | None = Field(default=None, gt=0, description="Frames per second, rounded to six decimals; null for audio.")
    bandwidth: int = Field(ge=0, description="Measured peak bit rate of this rendition alone, bits per second.")
    average_bandwidth: int = Field(ge=0, description="Measured mean bit rate of this rendition alone, bits per second.")
    url: Location = Field(description="Location of the rendition's media playlist, written as playback.hls is.")
    segments: int = Field(ge=1, description="Number of media segments.")


class AudioRecord(RecordPart):
    """An audio track that a viewer can choose."""

    id: str = Field(description="Id of the audio rendition under renditions.")
    name: str = Field(description="Name for viewers, unique among the audio tracks.")
    language: str | None = Field(default=None, description="BCP 47 tag; null if the source does not declare one.")
    channels: int = Field(ge=1, description="Number of channels.")
    default: bool = Field(description="Played unless the viewer chooses another; players may take the same track with more channels.")
    role: Literal["main", "description", "clear-speech", "commentary"] = Field(
        default="main",
        description="description: also describes the picture; clear-speech: mixed for understanding speech; commentary: about the film.",
    )
    cut: float = Field(
        default=0, ge=0, description="Seconds of the source's track before its first video frame, which the title does not have."
    )


class LeftOutRecord(RecordPart):
    """A track of the source that the title does not have."""

    input: int = Field(default=0, ge=0, description="Index of the input that has it: 0 is the source, others are side files.")
    stream: int = Field(ge=0, description="Index of the stream in that input.")
    kind: Literal["audio", "subtitles", "video"] = Field(description="What the track holds.")
    channel: str | None = Field(default=None, description="CC1 to SERVICE63 for closed captions, which the stream carries; else null.")
    language: str | None = Field(default=None, description="BCP 47 tag; null if the source does not declare one.")
    codec: str | None = Field(default=None, description="Name of its codec; null if it is not known.")
    reason: str = Field(min_length=1, description="Why the title does not have it, in one sentence.")


class SubtitleRecord(RecordPart):
    """A subtitle track that a viewer can choose."""

    id: str = Field(description="Name of the subtitle track, unique in the title.")
    name: str = Field(description="Name for viewers, unique among the subtitle tracks.")
    language: str | None = Field(default=None, description="BCP 47 tag; null if the source does not declare one.")
    default: bool = Field(description="Shown unless the viewer chooses another.")
    forced: bool = Field(description="Only for passages that every viewer needs translated.")
    hearing_impaired: bool = Field(default=False, description="Includes non-speech sound (SDH), for viewers who do not hear it.")
    url: Location = Field(description="Location of the track's media playlist, written as playback.hls is.")


class Thumbnails(RecordPart):
    """Still pictures."""

    poster: Location | None = Field(
        default=None, description="Location of the poster (JPEG), written as playback.hls is; null if there is none."
    )
    track: Location | None = Field(default=None, description="Location of the WebVTT track that names the sprites; null if there is none.")


class Encryption(RecordPart):
    """How the media segments are encrypted. Never holds a key."""

    method: SchemeName = Field(description=MEANING)
    key_ids: tuple[str, ...] = Field(default=(), description="Ids of the content keys in the key store; empty when not encrypted.")


class Cache(RecordPart):
    """How long each class of objects may be cached, in seconds; also sent as Cache-Control."""

    video: int = Field(ge=0, description="Init sections and media segments, those of subtitles too.")
    thumbnails: int = Field(ge=0, description="Poster, sprites and their WebVTT track.")
    metadata: int = Field(ge=0, description="Playlists and records.")


class Record(RecordPart):
    """A published version of a title."""

    # "schema" is also the name of a deprecated method of pydantic's models, hence the alias. (The rest is inherited.)
    model_config = ConfigDict(serialize_by_alias=True, validate_by_name=True, validate_by_alias=True)

    schema_: Literal["vidpipe.catalog/1"] = Field(default=SCHEMA, alias="schema", description="Name and major version of this format.")
    content_id: str = Field(min_length=1, description="Id of the title; the same for all its versions.")
    version: str = Field(min_length=1, description="Id of this version; sorts by time of creation.")
    status: Status = Field(
        default="live",
        description=(
            "live: the version to play; superseded: another one took its place; withdrawn: it was live, and the title was taken down; "
            "deleting: its objects are being deleted. A record.json keeps its first status."
        ),
    )
    status_since: Moment | None = Field(
        default=None, description="When the status last changed, UTC; null if it never did, or a vidpipe before 0.2.0 did not note it."
    )
    title: str = Field(description="Title shown to viewers.")
    created_at: Moment = Field(description="When the version was made, UTC, ISO 8601.")
    duration: Number = Field(gt=0, description="Seconds of the published video, rounded to six decimals.")
    source: SourceFile
    playback: Playback
    renditions: tuple[RenditionRecord, ...] = Field(min_length=1, description="Every rendition, video in ascending order, then audio.")
    audio: tuple[AudioRecord, ...] = Field(default=(), description="The audio tracks to choose from; empty for a silent title.")
    subtitles: tuple[SubtitleRecord, ...] = Field(default=(), description="The subtitle tracks to choose from.")
    left_out: tuple[LeftOutRecord, ...] = Field(default=(), description="Tracks of the source that the title does not have, and why.")
    thumbnails: Thumbnails
    encryption: Encryption
    cache: Cache
    metadata: dict[str, str] = Field(default={}, description="The metadata given with --meta, unchanged.")


def had_inventory(record: Record) -> bool:
    """Whether a version was published with an inventory: vidpipe 0.1.0 made none, and its records did not say what was left out."""
    return "left_out" in record.model_fields_set


def as_published(record: Record) -> Record:
    """Return a record as its version was published: all that may change later is the status."""
    return record.model_copy(update={"status": "live", "status_since": None})


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a record as it is written."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        **Record.model_json_schema(mode="serialization"),
        "title": SCHEMA,
    }
