"""Every row of the table in docs/performance.md: ``python -m tests.benchmarks.rows --grain CLIP --talk CLIP``.

Makes the sources from two clips of your own (an animation or film, and somebody who talks; they are looped), measures each with
``ladder.py``, and prints one line a source, the losing ones too. A row: name, seconds, lines, frame rate, which clip, ladder.

All of it takes hours. ``--rounds-in FILE`` adds the rounds of a row to a file, a JSON object a line, and the table has the medians of all
that are there, of earlier runs, too: the rounds of one code may be measured on several days. A new code needs a new file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.ladder import SHAKA_PRESET, measure, median, ways
from tests.benchmarks.turns import Cost
from vidpipe.media.ffmpeg import find


class Source(NamedTuple):
    """How a source is made. grain: noise is laid over it, as much as film has."""

    seconds: int
    lines: int
    rate: int
    clip: str
    grain: bool
    ladder: str = "streaming"

    @property
    def name(self) -> str:
        return f"{self.seconds} s, {self.lines}p{self.rate}, {'grain' if self.grain else 'talking head'}"


SOURCES = [
    Source(12, 720, 24, "grain", grain=True),
    Source(12, 1080, 24, "grain", grain=True),
    Source(48, 720, 50, "talk", grain=False),
    Source(48, 1080, 24, "grain", grain=True),
    Source(48, 1080, 24, "talk", grain=False),
    Source(48, 1080, 50, "grain", grain=True),
    Source(120, 720, 24, "grain", grain=True),
    Source(120, 1080, 24, "grain", grain=True),
    Source(12, 2160, 24, "grain", grain=True),  # the one with the H.265 rung
]


def make(source: Source, clip: Path, folder: Path) -> Path:
    """Make a source: H.264 of high quality with stereo AAC."""
    file = folder / f"{source.lines}p{source.rate}-{source.seconds}s-{source.clip}.mp4"
    noise = ",noise=alls=4:allf=t" if source.grain else ""
    picture = f"fps={source.rate},scale=-2:{source.lines}:flags=bicubic{noise},format=yuv420p"
    argv = [find(None).path, "-v", "error", "-y", "-stream_loop", "-1", "-i", str(clip), "-t", str(source.seconds), "-vf", picture]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-g", str(2 * source.rate), "-c:a", "aac", "-ac", "2", "-b:a", "192k"]
    subprocess.run([*argv, str(file)], check=True)
    return file


def line(name: str, rounds: Sequence[Mapping[str, Cost]]) -> str:
    """Return the row: vidpipe against each of the others, CPU and wall, of the rounds in which both ran."""
    ours = median(rounds, "vidpipe")
    cells = [name, str(len(rounds)), f"{ours[0]:.0f} / {ours[1]:.0f}"]
    for way in ("bare", "shaka", "serial", "again"):
        both = [each for each in rounds if way in each]
        if not both:
            cells.append("")
            continue
        whole, there = median(both, "vidpipe"), median(both, way)
        cpu, wall = ((there[n] / whole[n] if way == "again" else whole[n] / there[n]) for n in (0, 1))
        cells.append(f"{cpu:.4f} / {wall:.4f}" if way == "again" else f"{cpu:.3f} / {wall:.3f}")
    return f"| {' | '.join(cells)} |"


def add(kept: Path, row: Mapping[str, str], rounds: Sequence[Mapping[str, Cost]]) -> list[dict[str, Cost]]:
    """Add rounds to a file; return all that it has of the row. row: its name and its ladder."""
    with kept.open("a", encoding="utf-8") as file:
        for each in rounds:
            file.write(json.dumps({**row, "cost": {way: asdict(cost) for way, cost in each.items()}}) + "\n")
    known = [entry for entry in map(json.loads, kept.read_text(encoding="utf-8").splitlines()) if row.items() <= entry.items()]
    return [{way: Cost(**cost) for way, cost in entry["cost"].items()} for entry in known]


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grain", type=Path, required=True, help="a clip of film or animation")
    parser.add_argument("--talk", type=Path, required=True, help="a clip of somebody who talks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--row", type=int, nargs="*", help="numbers of rows, from 1; all unless said")
    parser.add_argument("--ladder", help="a ladder for all rows")
    parser.add_argument("--only", default="", help="comma-separated ways, to leave some out")
    parser.add_argument("--rounds-in", type=Path, metavar="FILE", help="add the rounds to FILE; the table is of all that are in it")
    parser.add_argument("--quality", action="store_true", help="VMAF of every rung of the first round, too")
    options = parser.parse_args()
    chosen = [SOURCES[number - 1] for number in options.row] if options.row else SOURCES
    print("| source | rounds | vidpipe, CPU s / wall s | / bare | / Shaka Streamer | / one ffmpeg a rung | again |")
    print("|---|---|---|---|---|---|---|")
    for source in chosen:
        with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as folder:
            file = make(source, options.talk if source.clip == "talk" else options.grain, Path(folder))
            names = ways(options.only)
            ladder = options.ladder or source.ladder
            row = measure(file, ladder, rounds=options.rounds, names=names, quality=options.quality)
        known = {"row": source.name, "ladder": f"{ladder}, preset {SHAKA_PRESET}" if "shaka" in names else ladder}
        rounds = add(options.rounds_in, known, row.rounds) if options.rounds_in else row.rounds
        print(line(source.name, rounds), flush=True)
        for way, rungs in row.made.items():
            for rung, made in rungs.items():
                score = "" if made.vmaf is None else f", VMAF {made.vmaf:.2f}"
                print(f"{source.name}: {way} {rung}: {made.frames} frames, {made.bytes / 1000:.0f} kB{score}", file=sys.stderr)


if __name__ == "__main__":
    main()
