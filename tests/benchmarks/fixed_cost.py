"""What an ingest costs however short the title is: ``python -m tests.benchmarks.fixed_cost``.

CPU seconds, those of all children included, of one frame that goes into a local folder, and of what it consists of, in turns. The machine
decides how long a second is (a busy neighbour on the same core adds half of it), so the last column compares with the imports that no
command line of this kind does without: ``import typer, pydantic``.

Bytecode is written first, as an installation does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.bytecode import write_bytecode
from vidpipe.media.ffmpeg import find

VIDPIPE = [sys.executable, "-c", "from vidpipe.cli import main; main()"]
REFERENCE = "import typer, pydantic"


def cpu_seconds(argv: Sequence[str | Path]) -> float:
    """Return the CPU seconds of a program and its children."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit code {process.returncode}: {argv}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print one line a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    write_bytecode()
    with tempfile.TemporaryDirectory(prefix="vidpipe-fixed-cost-") as name:
        folder = Path(name)
        clip, home, to, planned = folder / "one.mp4", folder / "home", folder / "to", folder / "planned"
        frame = ["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25", "-frames:v", "1", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
        subprocess.run([find().path, "-v", "error", *frame, clip], check=True)
        ingest = [*VIDPIPE, "ingest", clip, "--home", home, "--to", to, "--ladder", "fast"]
        ways: dict[str, Sequence[str | Path]] = {
            REFERENCE: [sys.executable, "-c", REFERENCE],
            "import sqlalchemy": [sys.executable, "-c", "import sqlalchemy"],
            "import vidpipe.pipeline.ingest": [sys.executable, "-c", "import vidpipe.pipeline.ingest"],
            "vidpipe --help": [*VIDPIPE, "--help"],
            "vidpipe ingest --workers (refused)": ["/bin/sh", "-c", '"$@" 2> /dev/null; [ $? = 2 ]', "sh", *VIDPIPE, "ingest", "--workers"],
            "vidpipe plan": [*VIDPIPE, "plan", clip, "--home", planned, "--ladder", "fast"],
            "vidpipe validate --quick": [*VIDPIPE, "validate", "--quick", clip, "--home", planned],
            "vidpipe ingest, the first in its home": ingest,
            "vidpipe ingest, a later one": [*ingest, "--id", "another"],
            "vidpipe ingest, unchanged": ingest,
        }
        costs: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for made in (home, to, planned):  # the plan has a home of its own, or the first ingest would know the source already
                shutil.rmtree(made, ignore_errors=True)
            for way, argv in ways.items():
                if way.endswith("a later one"):  # what is encoded and measured goes, what is known of ffmpeg stays
                    shutil.rmtree(home / "work" / "chunks", ignore_errors=True)
                    shutil.rmtree(home / "work" / "sources", ignore_errors=True)
                costs[way].append(cpu_seconds(argv))
    reference = statistics.median(costs[REFERENCE])
    print(f"load {os.getloadavg()[0]:.1f}; CPU s: median, least; median / {REFERENCE}")
    for way, seconds in costs.items():
        middle = statistics.median(seconds)
        print(f"{way:40} {middle:.2f}  {min(seconds):.2f}  {middle / reference:.1f}")


if __name__ == "__main__":
    main()
