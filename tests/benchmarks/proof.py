"""What a way to make a ladder really made: each rung decoded to its end, its frames counted; bytes, and VMAF where it is asked for.

In:   the plan, and where a way left its output.
Out:  Made of each rung.
Wrong: SystemExit if a rung is missing, has another number of frames, or the audio is missing or too short: a way that fails and says
       nothing must not count as quick.

Nothing of vidpipe reads what vidpipe made: its playlists are read and its segments decrypted as in the oracle.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.oracle.title import attributes, key_of
from tests.playback.barcodes import join
from vidpipe.plan import Plan, VideoRendition

SLACK_FRAMES = 1
SLACK_SECONDS = 0.1
EVERY = 5
"""Frames: VMAF is taken of one in so many."""


@dataclass(frozen=True)
class Made:
    """A rung as it was left. playlist or file: ffmpeg reads it.  bytes: of its media, init section and all."""

    file: Path
    bytes: int
    frames: int
    vmaf: float | None = None


def prove(way: str, made: dict[str, Path], plan: Plan, ffmpeg: str, *, vmaf: bool = False) -> dict[str, Made]:
    """Decode every rung that a way made. made: rung id, or "audio", -> file or playlist in the clear."""
    proven = {}
    for rendition in plan.video:
        wanted = -(-plan.grid.frames // rendition.frame_step)
        file = made.get(rendition.id)
        frames = _frames(ffmpeg, file) if file else 0
        if file is None or abs(frames - wanted) > SLACK_FRAMES:
            raise SystemExit(f"{way}: rung {rendition.id} has {frames} frames, not {wanted}")
        score = _vmaf(ffmpeg, file, plan, rendition) if vmaf else None
        proven[rendition.id] = Made(file, _bytes(file), frames, score)
    if plan.audio:
        seconds = _seconds(ffmpeg, made["audio"]) if "audio" in made else 0.0
        if seconds < float(plan.grid.duration) - SLACK_SECONDS:
            raise SystemExit(f"{way}: {seconds:.2f} s of audio, not {float(plan.grid.duration):.2f}")
    return proven


def named(folder: Path, plan: Plan) -> dict[str, Path]:
    """Find what ``bare`` left in its folder: a playlist of each rung's name."""
    return {name: folder / f"{name}.m3u8" for name in [*(r.id for r in plan.video), "audio"] if (folder / f"{name}.m3u8").exists()}


def from_master(master: Path, plan: Plan) -> dict[str, Path]:
    """Find the media playlists of a master playlist in the clear, by their heights."""
    lines = master.read_text().splitlines()
    heights = {r.height: r.id for r in plan.video}
    found = {}
    for number, line in enumerate(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            height = int(attributes(line)["RESOLUTION"].split("x")[1])
            if height in heights:
                found[heights[height]] = master.parent / lines[number + 1]
        elif line.startswith("#EXT-X-MEDIA:") and attributes(line)["TYPE"] == "AUDIO":
            found.setdefault("audio", master.parent / attributes(line)["URI"])
    return found


def in_the_clear(version: Path, home: Path, target: Path) -> dict[str, Path]:
    """Decrypt the renditions of a title of vidpipe's into files in ``target``."""
    target.mkdir(parents=True, exist_ok=True)
    found = {}
    for playlist in sorted(version.glob("*.m3u8")):
        kind, _, name = playlist.stem.partition("-")
        if kind in ("video", "audio"):
            file = join(version, playlist.name, lambda key_id: key_of(home, key_id), target / f"{playlist.stem}.mp4")
            found.setdefault(name if kind == "video" else "audio", file)
    return found


def _frames(ffmpeg: str, file: Path) -> int:
    """Return how many pictures are decoded. An error of the decoder fails."""
    argv = [ffmpeg, "-v", "error", "-xerror", "-i", str(file), "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]
    done = subprocess.run([*argv, "-progress", "pipe:1", "-nostats"], capture_output=True, text=True, check=False)
    counted = re.findall(r"^frame=(\d+)", done.stdout, re.MULTILINE)
    return int(counted[-1]) if counted and not done.returncode else 0


def _seconds(ffmpeg: str, file: Path) -> float:
    argv = [ffmpeg, "-v", "error", "-xerror", "-i", str(file), "-map", "0:a:0", "-ac", "1", "-ar", "8000", "-f", "s16le", "-"]
    done = subprocess.run(argv, capture_output=True, check=False)
    return 0.0 if done.returncode else len(done.stdout) / 16000


def _bytes(file: Path) -> int:
    if file.suffix != ".m3u8":
        return file.stat().st_size
    lines = file.read_text().splitlines()
    uris = [line for line in lines if line and not line.startswith("#")]
    uris += [attributes(line)["URI"] for line in lines if line.startswith("#EXT-X-MAP:")]
    return sum((file.parent / uri).stat().st_size for uri in set(uris))


def _vmaf(ffmpeg: str, file: Path, plan: Plan, rendition: VideoRendition) -> float:
    """Return the mean VMAF against the source, scaled to the rung's size."""
    step, size = rendition.frame_step, f"{rendition.width}:{rendition.height}"
    with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as folder:
        graph = (
            f"[0:v]setpts=N/25/TB[got];[1:v]framestep={step},scale={size}:flags=bicubic,format=yuv420p,setpts=N/25/TB[wanted];"
            f"[got][wanted]libvmaf=n_threads=2:n_subsample={EVERY}:shortest=1:log_fmt=json:log_path=vmaf.json"
        )
        argv = [ffmpeg, "-v", "error", "-i", str(file), "-i", plan.source.location, "-filter_complex", graph, "-f", "null", "-"]
        subprocess.run(argv, cwd=folder, check=True)
        return float(json.loads((Path(folder) / "vmaf.json").read_text())["pooled_metrics"]["vmaf"]["mean"])
