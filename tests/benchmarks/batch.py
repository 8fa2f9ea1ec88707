"""What a batch costs beside its titles one after the other, and beside bare ffmpeg: ``python -m tests.benchmarks.batch CLIP``.

One run makes so many titles of a short clip in three ways, which take turns (``turns.py``), and prints the medians of their wall and CPU
seconds:
    batch     one ``vidpipe ingest`` of all
    single    ``vidpipe ingest`` for each, one after the other
    bare      one ffmpeg ladder for each, as many at once as there are cores (GNU parallel, or xargs -P where it is not installed)
After each round every title of every way is decoded, every rung to its end, and its frames are counted (``proof.py``).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.bytecode import write_bytecode
from tests.benchmarks.ladder import bare
from tests.benchmarks.proof import in_the_clear, named, prove
from tests.benchmarks.turns import Command, Cost, side_by_side
from vidpipe.encode.machine import cores_here
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.plan import Plan
from vidpipe.settings import Settings

VIDPIPE = [sys.executable, "-c", "from vidpipe.cli import main; main()"]
WAYS = ("batch", "single", "bare")


def copies(clip: Path, folder: Path, titles: int) -> list[Path]:
    """Return so many files of the same clip, each of its own bytes: one encode must not serve all."""
    folder.mkdir()
    made = [folder / f"title-{number:02d}{clip.suffix}" for number in range(titles)]
    for number, source in enumerate(made):
        shutil.copy(clip, source)
        with source.open("ab") as file:
            file.write(b"\0\0\0\x09free" + bytes([number]))
    return made


def commands(way: str, sources: list[Path], folder: Path, ladder: str, plan: Plan, ffmpeg: str) -> list[Command]:
    """Return the commands of a way, one after the other. folder: where it leaves what it makes."""
    folder.mkdir()
    options = ["--home", str(folder), "--ladder", ladder, "--progress", "none"]
    if way == "batch":
        return [Command([*VIDPIPE, "ingest", str(sources[0].parent), *options], folder)]
    if way == "single":
        return [Command([*VIDPIPE, "ingest", str(source), *options], folder) for source in sources]
    lines = []
    for source in sources:
        (folder / source.stem).mkdir()
        argv = bare(ffmpeg, plan, folder / source.stem, plan.video, audio=True)
        lines.append(" ".join(f"'{word}'" for word in (str(source) if word == plan.source.location else word for word in argv)))
    script = folder / "script"
    script.write_text("\n".join(lines) + "\n")
    jobs = str(cores_here())
    if shutil.which("parallel"):
        return [Command(["parallel", "-j", jobs, "-a", str(script)], folder)]
    return [Command(["xargs", "-a", str(script), "-P", jobs, "-d", "\n", "-n", "1", "sh", "-c"], folder)]


def check(way: str, sources: list[Path], folder: Path, plan: Plan, ffmpeg: str) -> None:
    """Decode every rung of every title that a way has left. Ends with an error if a frame is missing."""
    for source in sources:
        if way == "bare":
            left = named(folder / source.stem, plan)
        else:
            versions = [master.parent for master in (folder / "library" / source.stem).glob("*/master.m3u8")]
            if len(versions) != 1:
                raise SystemExit(f"{way}: {source.stem} has {len(versions)} versions, not one")
            left = in_the_clear(versions[0], folder, folder / "clear" / source.stem)
        prove(f"{way}: {source.stem}", left, plan, ffmpeg)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--titles", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ladder", default="fast")
    parser.add_argument("--only", default=",".join(WAYS), help="comma-separated ways, to leave some out")
    given = parser.parse_args()
    write_bytecode()
    ways = [way for way in WAYS if way in given.only.split(",")]
    figures: dict[str, list[Cost]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as name:
        top, ffmpeg = Path(name), find(None).path
        sources = copies(given.clip, top / "masters", given.titles)
        plan = prepare(IngestRequest(source=str(sources[0])), Settings(home=top / "plan", ladder=given.ladder))
        for number in range(1, given.rounds + 1):
            folders = {way: top / f"{way}-{number}" for way in ways}
            running = {way: commands(way, sources, folder, given.ladder, plan, ffmpeg) for way, folder in folders.items()}
            for way, spent in side_by_side(running).items():
                check(way, sources, folders[way], plan, ffmpeg)
                figures[way].append(spent)
                print(f"round {number} {way}: {spent.cpu:.1f} CPU s, {spent.wall:.1f} s", file=sys.stderr)
                shutil.rmtree(folders[way])
    wall = {way: statistics.median(spent.wall for spent in runs) for way, runs in figures.items()}
    print("| | CPU s | wall s | batch / it, wall |\n|---|---|---|---|")
    for way, runs in figures.items():
        ratio = f"{wall['batch'] / wall[way]:.2f}" if "batch" in wall else ""
        print(f"| {way} | {statistics.median(spent.cpu for spent in runs):.1f} | {wall[way]:.1f} | {ratio} |")


if __name__ == "__main__":
    main()
