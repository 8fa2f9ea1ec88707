"""What a second Dask worker brings: ``python -m tests.benchmarks.cluster SOURCE``.

A real scheduler on loopback; the same ingest with one worker of one thread and with two, interleaved, at least three rounds, each in a
fresh home. Each worker gets a core of its own, as if it were a machine with one: the ffmpeg of one task has a thread for every encoder, so
a single worker that is left alone fills more than one core. (Linux only; the machine needs two free cores.)
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.bytecode import write_bytecode

PATIENCE = 30


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[str]:
    """Run a scheduler and its workers; yield the address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask = [sys.executable, "-m"]
    with (folder / "dask.log").open("ab") as log:
        commands = [[*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]]
        commands += [[*dask, "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"] for _ in range(workers)]
        running = [subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) for command in commands]
        for process, core in zip(running[1:], sorted(os.sched_getaffinity(0)), strict=False):
            os.sched_setaffinity(process.pid, {core})  # what it starts later inherits this
    try:
        import distributed

        with distributed.Client(address, timeout=PATIENCE) as client:
            client.wait_for_workers(workers, timeout=PATIENCE)
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()


def main() -> None:
    """Measure and print the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--ladder", default="streaming")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk-seconds", default="6", help="short, so that both workers have enough to do")
    options = parser.parse_args()
    write_bytecode()
    wall: dict[int, list[float]] = {1: [], 2: []}
    environ = {**os.environ, "VIDPIPE_CHUNK_SECONDS": options.chunk_seconds}
    for _ in range(options.rounds):
        for workers in wall:
            with tempfile.TemporaryDirectory(prefix="vidpipe-cluster-") as name, cluster(workers, Path(name)) as address:
                argv = ["ingest", str(options.source.resolve()), "--ladder", options.ladder, "--home", f"{name}/home", "--cluster", address]
                begun = time.monotonic()
                command = [sys.executable, "-c", "from vidpipe.cli import main; main()", *argv, "--progress", "none"]
                subprocess.run(command, env=environ, check=True, stderr=subprocess.DEVNULL)
                wall[workers].append(time.monotonic() - begun)
                print(f"{workers} worker(s): {wall[workers][-1]:.1f} s", file=sys.stderr)
                shutil.rmtree(Path(name) / "home", ignore_errors=True)
    one, two = (statistics.median(wall[workers]) for workers in (1, 2))
    print(f"one worker {one:.1f} s, two workers {two:.1f} s: {one / two:.2f} times")


if __name__ == "__main__":
    main()
