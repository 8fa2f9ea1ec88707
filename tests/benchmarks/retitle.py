"""What it costs to change the title of a title: ``python -m tests.benchmarks.retitle [SOURCE] [--megabytes 100]``.

A source is made (or looped, packets copied) that becomes a title of about so many megabytes, ingested to a real S3 server (``rclone serve
s3``), and ingested again with another ``--title``, also after the encoded chunks were cleaned away. A proxy before the server counts the
bytes of all requests and answers. One line for each run: wall seconds, bytes sent, bytes read; at the end the share of the first run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bytecode import write_bytecode
from tests.fault_proxy import Proxy, counted
from tests.servers import rclone
from vidpipe.media.ffmpeg import find

LADDER = """\
name: retitle
description: one rung that fills a disk, at the preset of the quickest ladder that is shipped
rungs:
  - {name: 720p, height: 720, codec: h264, bitrate: 8000k, max_bitrate: 9000k, buffer: 16000k, preset: veryfast}
audio:
  - {codec: aac, bitrate: 128k, channels: 2}
"""
BITS_A_SECOND = 8_000_000


def source(folder: Path, given: Path | None, seconds: int) -> Path:
    """Return a source that lasts so long: a clip that is looped, or noise that costs its bit rate."""
    made = folder / "source.mp4"
    command = [find(None).path, "-v", "error", "-y"]
    if given:
        command += ["-stream_loop", "-1", "-i", str(given), "-t", str(seconds), "-map", "0:v:0", "-map", "0:a:0?", "-c", "copy"]
    else:
        noise = f"testsrc2=s=1280x720:r=25:d={seconds},noise=alls=20:allf=t"
        command += ["-f", "lavfi", "-i", noise, "-f", "lavfi", "-i", f"anoisesrc=d={seconds}:a=0.1", "-pix_fmt", "yuv420p"]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "24", "-c:a", "aac"]
    subprocess.run([*command, str(made)], check=True)
    return made


def ingest(folder: Path, made: Path, target: str, proxy: Proxy, environ: dict[str, str], *options: str) -> tuple[float, int, int]:
    """Ingest in a process of its own; return wall seconds and bytes sent and read."""
    proxy.sent = proxy.got = 0
    argv = ["ingest", str(made), "--id", "film", "--home", str(folder / "home"), "--to", target, "--ladder", str(folder / "retitle.yaml")]
    begun = time.monotonic()
    command = [sys.executable, "-c", "from vidpipe.cli import main; main()", *argv, "--progress", "none", *options]
    subprocess.run(command, check=True, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    return time.monotonic() - begun, proxy.sent, proxy.got


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?")
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    write_bytecode()
    with tempfile.TemporaryDirectory(prefix="vidpipe-retitle-") as name, rclone() as server, counted(server) as (reached, proxy):
        folder = Path(name)
        (folder / "retitle.yaml").write_text(LADDER)
        made = source(folder, options.source, max(6, options.megabytes * 8_000_000 // BITS_A_SECOND))
        target, environ = f"s3://{server.bucket}/vod", reached.environment(folder)
        runs = {"first": (), "--title": ("--title", "A new name"), "--title, work cleaned": ("--title", "Another name")}
        walls: list[float] = []
        for label, changes in runs.items():
            if "cleaned" in label:
                subprocess.run(
                    [sys.executable, "-c", "from vidpipe.cli import main; main()", "work", "clean", "--home", str(folder / "home")],
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
            wall, sent, got = ingest(folder, made, target, proxy, environ, *changes)
            walls.append(wall)
            share = f"{wall / walls[0]:.1%} of the first"
            print(f"{label}: {wall:.1f} s of wall time ({share}), {sent / 1e6:.3f} MB sent, {got / 1e6:.3f} MB read", flush=True)


if __name__ == "__main__":
    main()
