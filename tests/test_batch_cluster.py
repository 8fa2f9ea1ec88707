"""A batch on a cluster, by the command line: the same queue, and every chunk of every title is encoded once, by the workers of Dask."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster_support import QUIET, Dask
from tests.ingest_support import FIXTURES, ladder
from tests.test_ingest_together import counting

pytest.importorskip("distributed", reason="the extra vidpipe[cluster] is not installed")

pytestmark = QUIET

NAMES = ("landscape-24", "ntsc-29.97", "portrait-25", "silent-video")


@pytest.mark.nightly  # twenty seconds on a busy machine; tests/test_encode_cluster.py has a small batch ordinarily
def test_every_chunk_of_every_title_is_encoded_once_by_a_worker(dask: Dask, tmp_path: Path) -> None:
    dask.worker("one")
    dask.worker("two")
    dask.wait(2)
    ffmpeg, log = counting(tmp_path, begin="$PPID")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    # gop_seconds and segment_seconds have no flags
    (tmp_path / "home").mkdir()
    (tmp_path / "home/vidpipe.toml").write_text("gop_seconds = 0.5\nsegment_seconds = 0.5\nchunk_seconds = 0.5\n")
    argv = ["ingest", *(str(FIXTURES / f"{name}.mp4") for name in NAMES), str(broken), "--cluster", dask.address, "--ffmpeg", ffmpeg]
    argv += ["--home", str(tmp_path / "home"), "--ladder", ladder(tmp_path, 90), "--json", "--progress", "none"]
    done = subprocess.run(
        [sys.executable, "-c", "from vidpipe.cli import main; main()", *argv], capture_output=True, text=True, check=False, timeout=200
    )
    results = {result["content_id"]: result for result in map(json.loads, done.stdout.splitlines())}
    states = {name: result["state"] for name, result in results.items()}
    assert states == {"broken": "failed", **dict.fromkeys(NAMES, "live")}, done.stderr
    assert done.returncode == 3
    chunks = sum(result["result"]["chunks"] for result in results.values() if result["result"])
    begun = [word for word in log.read_text().split() if word != "end"]
    assert {*begun} == {str(worker.pid) for worker in dask.workers.values()}
    assert len(begun) == chunks >= 16, "no idle worker took a second copy: it belonged to another title"
