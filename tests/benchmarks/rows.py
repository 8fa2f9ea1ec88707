"""Every row of the table in docs/performance.md: ``python -m tests.benchmarks.rows --grain CLIP --talk CLIP``.

Makes the sources from two clips of your own (an animation or film, and somebody who talks; they are looped), measures each with
``ladder.py``, and prints one line a source, the losing ones too. A row: name, seconds, lines, frame rate, which clip, ladder.

All of it takes hours. ``--rounds-in FILE`` adds each round to a file, a JSON object a line, and the table has the medians of all rounds
that are there, of earlier runs, too: the rounds of one code may be measured on several days.
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

from tests.benchmarks.ladder import measure, medians, ways
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


def line(name: str, rounds: Mapping[str, Sequence[Cost]]) -> str:
    """Return the row: vidpipe against each of the others, CPU and wall."""
    figures = medians(rounds)
    ours = figures["vidpipe"]
    cells = [f"{ours[0]:.0f} / {ours[1]:.0f}"]
    for way in ("bare", "shaka", "serial"):
        there = figures.get(way)
        cells.append(f"{ours[0] / there[0]:.3f} / {ours[1] / there[1]:.3f}" if there else "")
    again = figures.get("again")
    cells.append(f"{again[0] / ours[0]:.4f} / {again[1] / ours[1]:.4f}" if again else "")
    return f"| {name} | {len(rounds['vidpipe'])} | {' | '.join(cells)} |"


def add(kept: Path, name: str, rounds: Mapping[str, Sequence[Cost]]) -> dict[str, list[Cost]]:
    """Add the rounds of a row to a file; return all that the file has of the row."""
    with kept.open("a", encoding="utf-8") as file:
        for way, runs in rounds.items():
            file.writelines(json.dumps({"row": name, "way": way, **asdict(run)}) + "\n" for run in runs)
    known: dict[str, list[Cost]] = {}
    for entry in map(json.loads, kept.read_text(encoding="utf-8").splitlines()):
        if entry["row"] == name:
            known.setdefault(entry["way"], []).append(Cost(cpu=entry["cpu"], wall=entry["wall"]))
    return known


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
            row = measure(file, options.ladder or source.ladder, rounds=options.rounds, names=names, quality=options.quality)
        rounds = add(options.rounds_in, source.name, row.rounds) if options.rounds_in else row.rounds
        print(line(source.name, rounds), flush=True)
        for way, rungs in row.made.items():
            for rung, made in rungs.items():
                score = "" if made.vmaf is None else f", VMAF {made.vmaf:.2f}"
                print(f"{source.name}: {way} {rung}: {made.frames} frames, {made.bytes / 1000:.0f} kB{score}", file=sys.stderr)


if __name__ == "__main__":
    main()
