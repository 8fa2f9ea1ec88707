"""How much memory vidpipe itself takes for an hour: ``python -m tests.benchmarks.memory SOURCE`` (Linux).

The clip is looped to an hour (packets copied), ingested with small rungs at the quickest preset, and the peak resident size of the
vidpipe process is read from the kernel; its ffmpeg children are not counted.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.bytecode import write_bytecode
from tests.ingest_support import ladder
from vidpipe.media.ffmpeg import find


def peak_megabytes(pid: int) -> float:
    """Return the peak resident size of a running process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> None:
    """Measure and print one line for each duration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--minutes", type=int, nargs="+", default=[1, 60])
    parser.add_argument("--heights", type=int, nargs="+", default=[180], help="of the rungs")
    options = parser.parse_args()
    write_bytecode()
    with tempfile.TemporaryDirectory(prefix="vidpipe-memory-") as name:
        folder = Path(name)
        for minutes in options.minutes:
            looped = folder / f"looped-{minutes}.mp4"
            loop = ["-stream_loop", "-1", "-i", str(options.source), "-t", str(minutes * 60), "-map", "0:v:0", "-map", "0:a:0?"]
            subprocess.run([find(None).path, "-v", "error", "-y", *loop, "-c", "copy", str(looped)], check=True)
            argv = ["ingest", str(looped), "--ladder", ladder(folder, *options.heights), "--progress", "none"]
            argv += ["--home", str(folder / f"home-{minutes}")]
            begun, peak = time.monotonic(), 0.0
            process = subprocess.Popen([sys.executable, "-c", "from vidpipe.cli import main; main()", *argv], stderr=subprocess.DEVNULL)
            while process.poll() is None:
                try:
                    peak = max(peak, peak_megabytes(process.pid))
                except (OSError, StopIteration):
                    break
                time.sleep(0.05)
            code = process.wait()
            took = time.monotonic() - begun
            print(f"{minutes} min: peak resident size of vidpipe {peak:.0f} MB, exit code {code}, {took:.0f} s of wall time")


if __name__ == "__main__":
    main()
