"""A real Dask scheduler and real workers on loopback, and what tests look up about them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import free_port

PATIENCE = 30  # seconds for Dask's processes to start
# distributed closes its own event loop and sockets in its own time
QUIET = [pytest.mark.filterwarnings("ignore::ResourceWarning"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def start(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    log = (folder / f"{arguments[0]}-{time.monotonic_ns()}.log").open("wb")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | (env or {}),
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Dask:
    """A scheduler and its workers on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
        self.processes = [start(folder, "scheduler", *options)]
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def worker(self, name: str, *options: str, env: dict[str, str] | None = None, folder: Path | None = None) -> None:
        """Start a worker. folder: its scratch disk."""
        own = ["--local-directory", str(folder or self.folder), *options]
        options = ("--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard", *own)
        process = start(self.folder, "worker", self.address, *options, env=env)
        self.workers[name] = process
        self.processes.append(process)

    def wait(self, workers: int) -> None:
        from distributed import Client

        with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=PATIENCE)

    def cleared(self) -> bool:
        """Stop the workers. True if the scheduler is as it was before the first one."""
        from distributed import Client

        scheduler, *workers = self.processes
        for process in workers:
            stop(process)
        self.processes, self.workers = [scheduler], {}
        if scheduler.poll() is not None:
            return False
        end = time.monotonic() + PATIENCE
        with Client(self.address, timeout=PATIENCE, set_as_default=False) as client:
            while client.scheduler_info()["workers"]:
                if time.monotonic() > end:
                    return False
                time.sleep(0.02)
        return True

    def close(self) -> None:
        for process in reversed(self.processes):
            stop(process)


def ffmpeg_below(worker: subprocess.Popen[bytes]) -> list[int]:
    """Return the encodes that a worker has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == worker.pid and b"-filter_complex" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def alive(pid: int) -> bool:
    """Return whether a process runs; a dead one that nobody has reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
