"""``vidpipe ingest`` as a process: killed, interrupted, piped. What dies leaves nothing visible and loses only the chunks in flight."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

from tests import playback
from tests.ingest_support import FIXTURES, joined, ladder, published, run, settings
from vidpipe.settings import Settings

VIDPIPE = [sys.executable, "-c", "from vidpipe.cli import main; main()"]


def slow_settings(folder: Path) -> Settings:
    """One worker and many small chunks of a rung that takes a while, so that there is time to kill."""
    path = Path(ladder(folder, 180))
    path.write_text(path.read_text().replace("ultrafast", "veryslow"))
    return settings(folder, 180, workers=1, threads=1, chunk_seconds=Fraction(2), ladder=str(path))


def start(folder: Path, source: Path, *options: str) -> subprocess.Popen[str]:
    """Start an ingest with the settings of ``slow_settings``."""
    configured = slow_settings(folder)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")}
    environ |= {"VIDPIPE_GOP_SECONDS": "1", "VIDPIPE_SEGMENT_SECONDS": "2", "VIDPIPE_CHUNK_SECONDS": "2"}
    argv = ["ingest", str(source), "--home", str(configured.home), "--ladder", configured.ladder, "--workers", "1", "--threads", "1"]
    return subprocess.Popen([*VIDPIPE, *argv, *options], env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_chunks(home: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many video chunks are in the store and uploads have begun."""
    deadline = time.monotonic() + 120
    while len(list((home / "work" / "chunks").rglob("*.mp4"))) < count + 1:  # and the sound
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ffmpegs_below(folder: Path) -> list[int]:
    """Return the processes that work in or below a folder (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if where.startswith(str(folder)):
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
def test_kill_9_loses_at_most_the_chunks_in_flight(tmp_path: Path) -> None:
    source = FIXTURES / "landscape-24.mp4"
    configured = slow_settings(tmp_path)
    process = start(tmp_path, source, "--progress", "none")
    wait_for_chunks(configured.home, 2, process)
    process.kill()
    process.communicate()
    done = [path.name for path in (configured.work / "chunks").rglob("*.mp4")]
    library = published(configured.home / "library")
    assert not any(name.endswith(("master.m3u8", "record.json")) for name in library), "nothing that could be played"
    assert not any(".tmp" in name for name in library)
    deadline = time.monotonic() + 10
    while ffmpegs_below(configured.home):
        assert time.monotonic() < deadline, "an ffmpeg outlived its vidpipe"
        time.sleep(0.05)

    result = run(source, configured)
    assert result.chunks_reused >= 2
    assert {path.name for path in (configured.work / "chunks").rglob("*.mp4")} >= set(done), "what was done is used, not made again"
    assert playback.read_barcodes(joined(result, configured, "video-180p.m3u8", tmp_path)) == list(range(336))
    versions = {Path(name).parts[1] for name in published(configured.home / "library")}
    assert versions == {result.record.version}, "the killed run's version was continued, not left behind"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_stops_everything_and_publishes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    configured = slow_settings(tmp_path)
    process = start(tmp_path, FIXTURES / "landscape-24.mp4", "--progress", "plain")
    wait_for_chunks(configured.home, 1, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert ffmpegs_below(configured.home) == []
    assert published(configured.home / "library") == []
    assert published(configured.work / "tmp") == []


def test_json_is_one_object_and_people_read_stderr(tmp_path: Path) -> None:
    process = start(tmp_path, FIXTURES / "one-second.mp4", "--json", "--id", "clip")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    record = json.loads(stdout)
    assert record["schema"] == "vidpipe.catalog/1"
    assert record["content_id"] == "clip"
    assert Path(record["manifest"]).is_file()
    assert record["manifest"] == record["playback"]["hls"]
    assert set(record["timings"]) >= {"validate", "plan", "encode", "thumbnails", "manifest", "publish", "verify", "catalog"}
    assert "vidpipe preview clip" in stderr, "the summary says what to run next"
