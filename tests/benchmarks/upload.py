"""How fast a version goes to S3, beside ``aws s3 cp --recursive`` with the same files: ``python -m tests.benchmarks.upload``.

    vidpipe  as an ingest (``publish/upload.py`` over ``storage/s3.py``): segments in parallel, then the small objects
    aws      the AWS command line (package awscli, or another ``aws`` on the path)

Both run in turns (``turns.py``), in processes of their own, start-up and all, each with an ``rclone serve s3`` of its own that stands still
with it; ``--segments 0`` leaves little but the start-up. vidpipe is told the SHA-256 of each segment, as an ingest knows it from before.
After each round every object is looked for as it lies at the server, and its size and SHA-256 are compared with the file: a way that loses
or cuts an object is an error, however quick it was. The figures are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.turns import Command, Cost, side_by_side
from tests.servers import S3Server, rclone
from vidpipe import layout
from vidpipe.storage.base import sha256_file

RUNGS = ("1080p", "720p", "540p", "360p", "240p")
SMALL = 40
"""Playlists, init sections, pictures."""


def make(folder: Path, segments: int, seed: int) -> dict[str, tuple[int, str]]:
    """Write the files of a version: segments of 0.3 to 3 MB and small objects. Return size and hash by path."""
    chance = random.Random(seed)
    files = {layout.segment("video", RUNGS[n % len(RUNGS)], n // len(RUNGS)): chance.randint(300_000, 3_000_000) for n in range(segments)}
    files |= {f"video-{number}.m3u8": chance.randint(500, 60_000) for number in range(SMALL)}
    for path, size in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(chance.randbytes(size))
    return found_in(folder)


def found_in(folder: Path) -> dict[str, tuple[int, str]]:
    """Return size and SHA-256 of every file below a folder, by path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_size, sha256_file(path)) for path in files}


def compare(way: str, server: S3Server, target: str, wanted: dict[str, tuple[int, str]]) -> None:
    """End with an error unless exactly the files lie at the server, each with its size and hash."""
    assert server.folder
    found = found_in(server.folder / target)
    if found != wanted:
        wrong = sorted(path for path in found.keys() | wanted.keys() if found.get(path) != wanted.get(path))
        raise SystemExit(f"{way}: {len(wrong)} of {len(wanted)} objects are missing, others, or too many: {', '.join(wrong[:5])}")


def aws() -> str:
    """Return the AWS command line, that of this environment first."""
    found = shutil.which("aws", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise SystemExit("there is no aws: pip install '.[test,benchmark]'")
    return found


def measure(folder: Path, wanted: dict[str, tuple[int, str]], rounds: int, program: str) -> dict[str, list[Cost]]:
    """Send the files both ways in turns, so many times, and look at what arrived each time."""
    figures: dict[str, list[Cost]] = {"vidpipe": [], "aws": []}
    with rclone() as ours, rclone() as theirs, tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as empty:
        servers, hashes = {"vidpipe": ours, "aws": theirs}, Path(empty) / "hashes.json"
        hashes.write_text(json.dumps({path: sha256 for path, (_, sha256) in sorted(wanted.items())}))
        for number in range(1, rounds + 1):
            argv = {}
            for way, server in servers.items():
                target = f"s3://{server.bucket}/{way}-{number}"
                if way == "vidpipe":
                    argv[way] = [sys.executable, "-m", "tests.benchmarks.uploader", str(folder), target, str(hashes)]
                else:
                    argv[way] = [program, "s3", "cp", "--recursive", "--only-show-errors", str(folder), target]
            environ = {way: os.environ | server.environment(Path(empty)) for way, server in servers.items()}
            running = {way: [Command(argv[way], Path.cwd(), environ[way])] for way in servers}
            pids = {way: server.pid for way, server in servers.items() if server.pid}
            for way, spent in side_by_side(running, pids).items():
                compare(way, servers[way], f"{way}-{number}", wanted)
                figures[way].append(spent)
                print(f"round {number} {way}: {spent.cpu:.2f} CPU s, {spent.wall:.2f} s", file=sys.stderr)
                shutil.rmtree((servers[way].folder or Path(empty)) / f"{way}-{number}")
    return figures


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    program = aws()
    with tempfile.TemporaryDirectory(prefix="vidpipe-bench-") as name:
        wanted = make(Path(name), given.segments, given.seed)
        megabytes = sum(size for size, _ in wanted.values()) / 1e6
        print(f"{len(wanted)} files, {megabytes:.0f} MB", file=sys.stderr)
        figures = measure(Path(name), wanted, given.rounds, program)
    print("| | CPU s | wall s | MB/s |\n|---|---|---|---|")
    wall = {way: statistics.median(spent.wall for spent in runs) for way, runs in figures.items()}
    for way, runs in figures.items():
        cpu = statistics.median(spent.cpu for spent in runs)
        print(f"| {way} | {cpu:.2f} | {wall[way]:.2f} | {megabytes / wall[way]:.0f} |")
    ratios = ", ".join(f"{one.wall / other.wall:.2f}" for one, other in zip(figures["vidpipe"], figures["aws"], strict=True))
    print(f"\nvidpipe / aws, wall: {wall['vidpipe'] / wall['aws']:.2f} (rounds: {ratios})")


if __name__ == "__main__":
    main()
