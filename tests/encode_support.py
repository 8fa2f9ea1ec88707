"""What the tests of the encode share: numbered clips, plans with a tiny grid, and reading back which source frame is shown."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

from vidpipe.encode.result import Encoded, EncodedChunk
from vidpipe.ladder import AudioRung, Ladder, Rung
from vidpipe.mp4.boxes import find, fragments, read_movie
from vidpipe.plan import Plan, plan
from vidpipe.progress import Event
from vidpipe.source.asset import Asset
from vidpipe.source.facts import Source
from vidpipe.source.probe import probe

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
FIXTURES = Path(__file__).parent.parent / "fixtures"
BITS = 16
FAST = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2"]  # B-frames: decode and display order differ


def ffmpeg(*arguments: str | Path) -> bytes:
    """Run ffmpeg and return its stdout."""
    done = subprocess.run([FFMPEG, "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _generator() -> Callable[[int, int, str, str], str]:
    spec = importlib.util.spec_from_file_location("fixture_generator", FIXTURES / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    picture: Callable[[int, int, str, str], str] = module.picture
    return picture


picture = _generator()


def clip(
    path: Path,
    rate: str = "24",
    frames: int = 60,
    *,
    size: tuple[int, int] = (160, 96),
    filters: str = "",
    options: list[str] | None = None,
    gop: int = 19,
    beeps: int = 0,
) -> Path:
    """Write a clip of ``frames`` frames, each with its number as a barcode. beeps: channels of a tone that beeps each second."""
    seconds = float(frames / Fraction(rate))
    graph = picture(*size, rate, f"{seconds + 1:.6f}") + f",trim=end_frame={frames}" + filters
    audio: list[str] = []
    if beeps:
        tone = "if(lt(mod(t\\,1)\\,0.1)\\,0.5*sin(2*PI*1000*t)\\,0)"
        layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[beeps]
        tones = f"aevalsrc={'|'.join([tone] * beeps)}:s=48000:c={layout}:d={seconds:.6f}"
        audio = ["-f", "lavfi", "-i", tones, "-c:a", "aac", "-b:a", "64k"]
    video = [*(options or FAST), "-g", str(gop)]
    ffmpeg("-f", "lavfi", "-i", graph, *audio, *video, path)
    return path


def remux(source: Path, target: Path, *options: str) -> Path:
    """Copy the streams into another container."""
    ffmpeg("-i", source, "-map", "0", "-c", "copy", *options, target)
    return target


def barcodes(path: Path, *before: str) -> list[int]:
    """Return for each decoded frame the number of the source frame that it shows."""
    crop = "crop=iw:ih/8:0:0,scale=16:1:flags=area,format=gray"
    data = ffmpeg(*before, "-i", path, "-map", "0:v:0", "-vf", crop, "-fps_mode", "passthrough", "-f", "rawvideo", "-")
    return [sum((data[at + bit] > 127) << bit for bit in range(BITS)) for at in range(0, len(data), BITS)]


def rung(name: str = "90p", height: int = 90, **changes: object) -> Rung:
    """Return a rung that encodes in no time."""
    facts = {"codec": "h264", "bitrate": 200_000, "max_bitrate": 300_000, "buffer": 400_000, "preset": "ultrafast"} | changes
    return Rung.model_validate({"name": name, "height": height, **facts})


def tiny_plan(
    path: Path | Source | Asset, *rungs: Rung, gop: int = 12, segment: int = 24, chunk: int = 48, audio: tuple[AudioRung, ...] = ()
) -> Plan:
    """Plan a source on a grid counted in frames, far smaller than a real one, so that a short clip has many chunks."""
    source = path if isinstance(path, (Source, Asset)) else probe(str(path))
    ladder = Ladder(name="tiny", description="", rungs=rungs or (rung(),), audio=audio or (AudioRung(),))
    rate = (source.main if isinstance(source, Asset) else source).video.frame_rate
    return plan(source, ladder, gop_seconds=gop / rate, segment_seconds=segment / rate, chunk_seconds=chunk / rate)


def whole(plan: Plan) -> Plan:
    """Return the same plan as one chunk."""
    return plan.model_copy(update={"chunks": (plan.chunks[0].model_copy(update={"frames": plan.grid.frames}),)})


@dataclass
class Seen:
    """A Reporter that keeps the events."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        self.events.append(event)


def chunks_of(results: list[Encoded]) -> list[EncodedChunk]:
    """Return the chunks in order."""
    return sorted((result for result in results if isinstance(result, EncodedChunk)), key=lambda done: done.chunk.index)


def joined(chunks: list[EncodedChunk], rendition: str, target: Path) -> Path:
    """Join the chunks of a rung as packaging does: one init section, decode times moved to the chunk's place."""
    start = 0
    with target.open("wb") as out:
        for done in chunks:
            path = done.video[rendition].path
            movie = read_movie(path)
            if start == 0:
                out.write(movie.init)
            data = path.read_bytes()
            length = 0
            for fragment in fragments(path, movie):
                body = bytearray(data[fragment.offset : fragment.offset + fragment.size])
                tfdt = find(bytes(fragment.moof), "moof", "traf", "tfdt")
                assert tfdt is not None
                width = 8 if body[tfdt.body] else 4
                body[tfdt.body + 4 : tfdt.body + 4 + width] = (start + fragment.decode_time).to_bytes(width, "big")
                out.write(body)
                length += fragment.duration
            start += length
    return target


def times(path: Path) -> list[Fraction]:
    """Return the presentation times of all frames, as ffmpeg reads them."""
    text = ffmpeg("-i", path, "-map", "0:v:0", "-c", "copy", "-copyts", "-f", "framecrc", "-").decode()
    base = next(line for line in text.splitlines() if line.startswith("#tb 0:")).split(": ")[1]
    return sorted(int(line.split(",")[2]) * Fraction(base) for line in text.splitlines() if not line.startswith("#"))


def inits(chunks: list[EncodedChunk], rendition: str) -> set[bytes]:
    """Return the different init sections of a rung."""
    return {read_movie(done.video[rendition].path).init for done in chunks}
