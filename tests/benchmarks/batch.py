"""What a batch costs beside its titles one after the other, and beside bare ffmpeg: ``python -m tests.benchmarks.batch CLIP``.

One run makes so many titles of a short clip in three ways, in turns, and prints the medians of their wall and CPU seconds:
    batch     one ``vidpipe ingest`` of all
    single    ``vidpipe ingest`` for each, one after the other
    bare      one ffmpeg ladder for each, as many at once as there are cores (GNU parallel, or xargs -P where it is not installed)
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.ladder import bare
from vidpipe.encode.machine import cores_here
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.settings import Settings

VIDPIPE = [sys.executable, "-c", "from vidpipe.cli import main; main()"]


def timed(commands: list[list[str]], stdin: str | None = None) -> tuple[float, float]:
    """Run commands one after the other; return wall and CPU seconds, those of all children."""
    before, begun = os.times(), time.monotonic()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, input=stdin, text=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - begun, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--titles", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ladder", default="fast")
    given = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {"batch": [], "single": [], "bare": []}
    with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as name:
        top, ffmpeg = Path(name), find(None).path
        sources = [top / "masters" / f"title-{number:02d}{given.clip.suffix}" for number in range(given.titles)]
        sources[0].parent.mkdir()
        for number, source in enumerate(sources):
            shutil.copy(given.clip, source)
            with source.open("ab") as file:  # each is a file of its own: one encode must not serve all
                file.write(b"\0\0\0\x09free" + bytes([number]))
        plan = prepare(IngestRequest(source=str(given.clip)), Settings(home=top / "plan", ladder=given.ladder))
        for round_ in range(given.rounds):
            home = ["--ladder", given.ladder, "--progress", "none"]
            together = [*VIDPIPE, "ingest", str(top / "masters"), "--home", str(top / f"batch-{round_}"), *home]
            figures["batch"].append(timed([together]))
            alone = [[*VIDPIPE, "ingest", str(source), "--home", str(top / f"single-{round_}"), *home] for source in sources]
            figures["single"].append(timed(alone))
            script = ""
            for source in sources:
                folder = top / f"bare-{round_}" / source.stem
                folder.mkdir(parents=True)
                argv = bare(ffmpeg, plan, folder, plan.video, audio=True)
                script += " ".join(f"'{word}'" for word in (str(source) if word == plan.source.location else word for word in argv)) + "\n"
            jobs = str(cores_here())
            runner = ["parallel", "-j", jobs] if shutil.which("parallel") else ["xargs", "-P", jobs, "-d", "\n", "-n", "1", "sh", "-c"]
            figures["bare"].append(timed([runner], stdin=script))
            print(round_ + 1, {way: f"{each[-1][0]:.1f} s" for way, each in figures.items()}, file=sys.stderr)
    wall = {way: statistics.median(each[0] for each in runs) for way, runs in figures.items()}
    cpu = {way: statistics.median(each[1] for each in runs) for way, runs in figures.items()}
    for way in figures:
        print(f"{way:<7} wall {wall[way]:6.1f} s   CPU {cpu[way]:6.1f} s")
    print(f"single / batch: {wall['single'] / wall['batch']:.2f} of wall;  batch / bare: {wall['batch'] / wall['bare']:.2f} of wall")


if __name__ == "__main__":
    main()
