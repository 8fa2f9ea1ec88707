"""What chunks cost side by side and one after the other: ``python -m tests.benchmarks.chunks SOURCE``.

Every way makes the first chunk of the source twice, in turns (``turns.py``):
    bare           one ffmpeg with a split filter after the other, as in ``ladder.py``
    after, N       the ffmpeg of a chunk, with N threads for each encoder, one after the other
    beside, N      the same, both at once
    rungs only     beside, 1 without thumbnails and quality control
The first way is the measure of the others; ratios are of the sums of all rounds. A source that is one chunk compares like with like.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.ladder import bare
from tests.benchmarks.turns import Command, side_by_side
from vidpipe.encode.artifact_keys import posters_in
from vidpipe.encode.command import chunk_arguments, chunk_command
from vidpipe.encode.quality_gate import chains
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, prepare
from vidpipe.plan import Plan
from vidpipe.settings import Settings
from vidpipe.source.policy import load_policy


def chunk(ffmpeg: str, plan: Plan, threads: int, *, extras: bool = True) -> list[str]:
    """Return the command of the first chunk; extras: thumbnails and quality control ride along."""
    first = plan.chunks[0]
    posters = posters_in(plan, first) if extras else ()
    quality = chains(load_policy()) if extras else None
    job = chunk_command(plan, first, threads=threads, renditions=plan.video, pictures=extras, posters=posters, quality=quality)
    return [ffmpeg, *chunk_arguments(job)]


def twice(argv: list[str], folder: Path, *, beside: bool) -> list[Command]:
    """Return the commands that run argv in two folders, at once or one after the other."""
    folders = [folder / "one", folder / "two"]
    for each in folders:
        each.mkdir(parents=True)
    if not beside:
        return [Command(argv, each) for each in folders]
    words = shlex.join(argv)
    return [Command(["sh", "-c", f"(cd one && exec {words}) & (cd two && exec {words}); ended=$?; wait $! && exit $ended"], folder)]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--ladder", default="streaming")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    ffmpeg = find(None).path
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as name:
        top = Path(name)
        plan = prepare(IngestRequest(source=str(options.source.resolve())), Settings(home=top / "plan", ladder=options.ladder))
        for number in range(1, options.rounds + 1):
            ways = {"bare": twice(bare(ffmpeg, plan, Path(), plan.video, audio=False), top / "bare", beside=False)}
            for threads in options.threads:
                argv = chunk(ffmpeg, plan, threads)
                ways[f"after, {threads}"] = twice(argv, top / f"after{threads}", beside=False)
                ways[f"beside, {threads}"] = twice(argv, top / f"beside{threads}", beside=True)
            ways["rungs only"] = twice(chunk(ffmpeg, plan, 1, extras=False), top / "rungs", beside=True)
            for way, cost in side_by_side(ways).items():
                total = spent.setdefault(way, [0.0, 0.0])
                total[:] = total[0] + cost.cpu, total[1] + cost.wall
                print(f"round {number} {way}: {cost.cpu:.1f} CPU s, {cost.wall:.1f} s", file=sys.stderr)
            for folder in top.iterdir():
                if folder.name != "plan":
                    shutil.rmtree(folder)
    print("| | CPU s | wall s | it / bare, CPU | it / bare, wall | cores busy |\n|---|---|---|---|---|---|")
    for way, (cpu, wall) in spent.items():
        base = spent["bare"]
        print(f"| {way} | {cpu:.1f} | {wall:.1f} | {cpu / base[0]:.3f} | {wall / base[1]:.3f} | {cpu / wall:.2f} |")


if __name__ == "__main__":
    main()
