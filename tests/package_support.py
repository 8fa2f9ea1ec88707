"""Small encoded artifacts, made with the real ffmpeg in the form in which the encode stage leaves them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

from vidpipe.encode.output import timescale
from vidpipe.media import ffmpeg, process
from vidpipe.package.containers.cmaf import Cmaf
from vidpipe.package.containers.webvtt import WebVtt
from vidpipe.package.cut import Cue
from vidpipe.package.cutting import audio_cuts, video_cuts
from vidpipe.package.init import InitSection, read_init
from vidpipe.package.result import Segment
from vidpipe.package.subtitles import subtitle_cuts
from vidpipe.plan import AudioEncode, AudioRendition, Chunk, Grid, Picture, VideoEncode, VideoRendition
from vidpipe.source.asset import StreamRef
from vidpipe.work.artifacts import Artifact

FIXTURES = Path(__file__).parent.parent / "fixtures"
CODECS = {
    "h264": ["libx264", "-preset", "ultrafast", "-bf", "2", "-flags", "+cgop"],
    "hevc": ["libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "open-gop=0:info=0:log-level=error"],
    "hevc-open": ["libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "bframes=3:info=0:log-level=error"],
    "av1": ["libsvtav1", "-preset", "12"],
}
COLOUR = "colorprim=bt2020:transfer={}:colormatrix=bt2020nc"


def grid(rate: str = "24", frames: int = 72, gop: int = 12, segment: int = 24, chunk: int = 48) -> Grid:
    return Grid(frame_rate=Fraction(rate), frames=frames, gop_frames=gop, segment_frames=segment, chunk_frames=chunk)


def rung(name: str = "v", codec: str = "h264", step: int = 1) -> VideoRendition:
    return VideoRendition(
        id=name,
        stream=StreamRef(stream=0),
        make=VideoEncode(codec=codec, bitrate=1, max_bitrate=1, buffer=1, preset="ultrafast"),
        picture=Picture(),
        width=160,
        height=90,
        frame_step=step,
    )


def audio_rendition(name: str = "a") -> AudioRendition:
    return AudioRendition(
        id=name,
        stream=StreamRef(stream=1),
        make=AudioEncode(bitrate=96_000),
        channels=2,
        sample_rate=48_000,
        name="English",
        language="en",
        default=True,
    )


def encode_video(folder: Path, on: Grid, chunk: Chunk, codec: str = "h264", extra: tuple[str, ...] = (), step: int = 1) -> Artifact:
    """Encode one chunk of a fixture, as the encode stage does."""
    rate = on.frame_rate / step
    frames = -(-chunk.frames // step)
    start = chunk.start // step
    chain = f"fps={rate},scale=160:90,setsar=1,settb=1/({rate}),setpts=N,trim=start_frame={start}:end_frame={start + frames},setpts=N"
    shortest = int((Fraction(on.segment_frames) - Fraction(on.gop_frames, 2)) / on.frame_rate * 1_000_000)
    argv = ["-i", FIXTURES / "landscape-24.mp4", "-an", "-vf", chain, "-c:v", *CODECS[codec], *extra, "-g", str(on.gop_frames // step)]
    argv += ["-keyint_min", str(on.gop_frames // step), "-sc_threshold", "0", "-pix_fmt", "yuv420p"]
    argv += ["-movflags", "+frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets", "-min_frag_duration", str(shortest)]
    if step > 1:  # a frame of the grid has to be a whole number of ticks here, too
        argv += ["-video_track_timescale", str(timescale(on))]
    return _encode(folder / f"{codec}-{chunk.index}-{step}.mp4", argv, frames)


def encode_audio(folder: Path, seconds: str = "3", extra: tuple[str, ...] = ()) -> Artifact:
    """Encode the whole audio track of a fixture, as the encode stage does."""
    argv = ["-i", FIXTURES / "landscape-24.mp4", "-vn", "-t", seconds, "-ar", "48000", "-ac", "2", "-c:a", "aac", *extra]
    argv += ["-movflags", "+frag_keyframe+delay_moov+default_base_moof", "-frag_duration", "1000000"]
    return _encode(folder / "audio.mp4", argv, 0)


def _encode(path: Path, argv: list[str | Path], samples: int) -> Artifact:
    done = process.run([ffmpeg.find().path, "-y", "-v", "error", *argv, "-f", "mp4", path])
    assert done.returncode == 0, done.stderr_tail
    data = path.read_bytes()
    return Artifact(key=path.stem, path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest(), samples=samples)


def video_segments(
    artifact: Artifact, rendition: VideoRendition, chunk: Chunk, on: Grid, init: InitSection | None = None
) -> Iterator[Segment]:
    """Cut one rung of one chunk, and write it as CMAF, clear."""
    init = init or read_init(artifact.path, rendition.id)
    return map(Cmaf(init).write, video_cuts(artifact, rendition, chunk, on, init))


def audio_segments(artifact: Artifact, rendition: AudioRendition, on: Grid) -> Iterator[Segment]:
    """Cut an audio track, and write it as CMAF, clear."""
    return map(Cmaf(read_init(artifact.path, rendition.id)).write, audio_cuts(artifact, rendition, on))


def subtitle_segments(cues: Iterable[Cue], rendition: str, on: Grid) -> Iterator[Segment]:
    """Cut a subtitle track, and write it as WebVTT, clear."""
    return map(WebVtt().write, subtitle_cuts(cues, rendition, on))


def frames_of(data: bytes, folder: Path) -> list[str]:
    """Decode with ffmpeg; the time stamp and hash of every frame."""
    file = folder / "decode.mp4"
    file.write_bytes(data)
    done = process.run([ffmpeg.find().path, "-v", "error", "-xerror", "-i", file, "-f", "framemd5", "-"])
    assert done.returncode == 0, done.stderr_tail
    assert not done.stderr_tail
    return [line for line in done.stdout.decode().splitlines() if not line.startswith("#")]


def shown(data: bytes, folder: Path) -> list[int]:
    """The presentation times that a demuxer gives the frames, in ticks of the track; nothing is shifted to 0."""
    file = folder / "shown.mp4"
    file.write_bytes(data)
    argv = [ffmpeg.find().path, "-v", "error", "-copyts", "-i", file, "-c", "copy", "-copytb", "1", "-f", "framecrc", "-"]
    done = process.run(argv)
    assert done.returncode == 0, done.stderr_tail
    return sorted(int(line.split(",")[2]) for line in done.stdout.decode().splitlines() if not line.startswith("#"))
