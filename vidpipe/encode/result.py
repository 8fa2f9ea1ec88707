"""What the encode hands on: artifacts, one file each, content-addressed and verified against the plan."""

from __future__ import annotations

from vidpipe.data import Data
from vidpipe.plan import AudioRendition, Chunk, SubtitleRendition
from vidpipe.work.artifacts import Artifact


class EncodedChunk(Data):
    """A finished chunk. video: rendition id -> artifact.  pictures: JPEG files of the sprites, in order, in one MJPEG artifact.

    threads: that a rung as large as the source was to be encoded with.
    posters: timeline frame -> JPEG artifact, for candidates that lie in this chunk.  quality: the findings measured while decoding.
    """

    chunk: Chunk
    threads: int
    video: dict[str, Artifact]
    pictures: Artifact | None = None
    posters: dict[int, Artifact] = {}
    quality: Artifact | None = None


class EncodedAudio(Data):
    """A finished audio track, whole. quality: loudness and silence measured in the same pass."""

    rendition: AudioRendition
    artifact: Artifact
    quality: Artifact | None = None


class EncodedSubtitles(Data):
    """A subtitle track, whole, as WebVTT in the source's own time (see ``subtitles.TIME_OFFSET``). artifact: None if none could be made.

    problem: then the reason, as half a sentence.
    """

    rendition: SubtitleRendition
    artifact: Artifact | None = None
    problem: str | None = None


Encoded = EncodedChunk | EncodedAudio | EncodedSubtitles
