"""The keys of everything that a plan makes: a hash of the input that it comes from, the frames, the ffmpeg version and the command itself.

In:   a plan, the threads of a chunk, the version of ffmpeg, the quality chains.
Out:  for each chunk and track: file name -> key.
Wrong: nothing here can fail.

A key is taken from the very command that would make the piece alone, so that no setting can be forgotten: change a flag and
its pieces are new. What does not shape the bytes is left out: the source's place, the seek, the names of rungs, the other pieces.
"""

from __future__ import annotations

from fractions import Fraction
from importlib import metadata

from vidpipe.encode.audio import audio_arguments, audio_command, audio_file, measured_file
from vidpipe.encode.command import PICTURES, QualityChains, chunk_arguments, chunk_command, pictures_in, poster_file
from vidpipe.encode.output import pixel_format, video_file
from vidpipe.encode.subtitles import caption_request, subtitle_arguments, subtitle_command, subtitle_file
from vidpipe.encoders import EIGHT_BITS
from vidpipe.plan import AudioRendition, Chunk, Plan, SubtitleRendition, VideoRendition
from vidpipe.work.artifacts import key_of


class Keys:
    """The keys of one plan. Computed once for a rung, then only hashed for each chunk."""

    def __init__(self, plan: Plan, *, threads: int, version: str, quality: QualityChains | None) -> None:
        self._plan, self._threads, self._version, self._quality = plan, threads, version, quality
        self._rungs = {rendition.id: self._command(renditions=(rendition.model_copy(update={"id": "rung"}),)) for rendition in plan.video}
        self._sprites = self._command(pictures=True)
        self._poster = self._command(posters=(0,))
        self._measured = self._command(quality=quality) if quality else None

    def video(self, rendition: VideoRendition, chunk: Chunk) -> str:
        """Return the key of a rung's chunk."""
        depth = pixel_format(rendition)
        # What versions before 0.2 keep under the key of a Main 10 rung may have 8 bits: a kind of its own leaves it alone.
        return self._key("video" if depth == EIGHT_BITS else f"video {depth}", self._rungs[rendition.id], chunk)

    def chunk(self, chunk: Chunk) -> dict[str, str]:
        """Return file name -> key for everything that the chunk gives."""
        keys = {video_file(rendition): self.video(rendition, chunk) for rendition in self._plan.video}
        if pictures_in(self._plan.thumbnails, chunk):
            keys[PICTURES] = self._key("pictures", self._sprites, chunk)
        for frame in posters_in(self._plan, chunk):
            keys[poster_file(frame)] = self._key("poster", self._poster, chunk, frame)
        if self._quality and self._measured:
            keys[self._quality.picture_file] = self._key("quality", self._measured, chunk)
        return keys

    def audio(self, number: int, rendition: AudioRendition) -> dict[str, str]:
        """Return file name -> key for a track."""
        same = {"id": "track", "name": "", "default": False, "language": None}  # none of them is in the bytes
        alone = (rendition.model_copy(update=same),)
        keys = {audio_file(number): self._audio(alone, None)}
        if self._quality:
            keys[measured_file(number, self._quality)] = self._audio(alone, self._quality)
        return keys

    def subtitles(self, rendition: SubtitleRendition) -> dict[str, str]:
        """Return file name -> key for a subtitle track. Nothing of the plan but the stream and the channel shapes it."""
        input_, stream, source = rendition.stream.input, rendition.stream.stream, self._plan.asset.source(rendition.stream)
        if rendition.channel:
            request = caption_request(self._plan, ((stream, rendition.channel),), input_)
            asked = request.model_copy(update={"location": "", "mtime_ns": 0}).model_dump(mode="json")
            pyav = metadata.version("av")  # its libavcodec decodes them, and not ffmpeg's
            key = key_of(kind="captions", pyav=pyav, source=source.sha256, job=asked)
            return {subtitle_file(stream, rendition.channel): key}
        job = subtitle_command(self._plan, (stream,), input_).model_copy(update={"location": ""})
        key = key_of(kind="subtitles", ffmpeg=self._version, source=source.sha256, command=subtitle_arguments(job))
        return {subtitle_file(stream): key}

    def _command(
        self,
        *,
        renditions: tuple[VideoRendition, ...] = (),
        pictures: bool = False,
        posters: tuple[int, ...] = (),
        quality: QualityChains | None = None,
    ) -> list[str]:
        """Return the command that makes only this of a first chunk; where the real chunk lies is hashed beside it."""
        first = Chunk(index=0, start=0, frames=self._plan.grid.segment_frames)
        job = chunk_command(
            self._plan, first, threads=self._threads, renditions=renditions, pictures=pictures, posters=posters, quality=quality
        )
        return chunk_arguments(job.model_copy(update={"location": "", "seek": None}))

    def _key(self, kind: str, command: list[str], chunk: Chunk, frame: int | None = None) -> str:
        return key_of(
            kind=kind,
            ffmpeg=self._version,
            source=self._plan.source.sha256,
            command=command,
            rate=str(self._plan.grid.frame_rate),
            frames=[chunk.start, chunk.frames],
            frame=frame,
        )

    def _audio(self, alone: tuple[AudioRendition, ...], quality: QualityChains | None) -> str:
        job = audio_command(self._plan, alone, quality).model_copy(update={"location": ""})
        return key_of(
            kind="audio measured" if quality else "audio",
            ffmpeg=self._version,
            source=self._plan.asset.source(alone[0].stream).sha256,
            command=audio_arguments(job),
            duration=str(Fraction(job.duration)),
        )


def posters_in(plan: Plan, chunk: Chunk) -> tuple[int, ...]:
    """Return the poster candidates that lie in the chunk."""
    return tuple(frame for frame in plan.thumbnails.posters if chunk.start <= frame < chunk.start + chunk.frames)
