"""``vidpipe ingest`` as a process: killed, interrupted, piped. What dies leaves nothing visible and loses only the chunks in flight."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import FIXTURES, joined, ladder, published, run, settings
from tests.playback import barcodes
from tests.servers import isolated_aws
from vidpipe.catalog.store import Catalog
from vidpipe.settings import Settings

VIDPIPE = [sys.executable, "-c", "from vidpipe.cli import main; main()"]


def slow_settings(folder: Path) -> Settings:
    """One worker and many small chunks of a rung that takes a while, so that there is time to kill."""
    path = Path(ladder(folder, 180))
    path.write_text(path.read_text().replace("ultrafast", "veryslow"))
    return settings(folder, 180, workers=1, threads=1, chunk_seconds=Fraction(2), ladder=str(path))


def start(folder: Path, source: Path | str, *options: str, variables: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start an ingest with the settings of ``slow_settings``."""
    configured = slow_settings(folder)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_")}
    environ |= {"VIDPIPE_GOP_SECONDS": "1", "VIDPIPE_SEGMENT_SECONDS": "2", "VIDPIPE_CHUNK_SECONDS": "2"} | (variables or {})
    argv = ["ingest", str(source), "--home", str(configured.home), "--ladder", configured.ladder, "--workers", "1", "--threads", "1"]
    return subprocess.Popen([*VIDPIPE, *argv, *options], env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_chunks(home: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many video chunks are in the store and uploads have begun."""
    deadline = time.monotonic() + 120
    chunks = home / "work" / "chunks"
    # What is in the store has its facts beside it, which come last.
    while sum((file.parent / f"{file.name.partition('.')[0]}.json").exists() for file in chunks.rglob("*.mp4")) <= count:  # and the audio
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
    deadline = time.monotonic() + 10
    while ffmpegs_below(configured.home):
        assert time.monotonic() < deadline, "an ffmpeg outlived its vidpipe"
        time.sleep(0.05)

    result = run(source, configured)
    assert result.chunks_reused >= 2
    assert {path.name for path in (configured.work / "chunks").rglob("*.mp4")} >= set(done), "what was done is used, not made again"
    assert barcodes.read_barcodes(joined(result, configured, "video-180p.m3u8", tmp_path)) == list(range(336))
    finished = published(configured.home / "library")
    assert not any(".tmp" in name for name in finished), "what the killed run was just writing is gone"
    versions = {Path(name).parts[1] for name in finished if len(Path(name).parts) > 2}  # beside the address
    assert versions == {result.record.version}, "the killed run's version was continued, not left behind"


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_stops_everything_and_publishes_nothing(number: signal.Signals, tmp_path: Path) -> None:
    configured = slow_settings(tmp_path)
    process = start(tmp_path, FIXTURES / "landscape-24.mp4", "--progress", "json")
    wait_for_chunks(configured.home, 1, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert json.loads(stderr.splitlines()[-1])["event"] == "failed"
    assert stdout == ""
    assert ffmpegs_below(configured.home) == []
    assert published(configured.home / "library") == []
    assert published(configured.work / "tmp") == []
    with closing(Catalog(configured.catalog_url)) as catalog:
        assert catalog.list() == ()


class Mute(BaseHTTPRequestHandler):
    """An S3 server that holds nothing, takes uploads, and never answers them."""

    protocol_version = "HTTP/1.1"
    puts = 0
    over = threading.Event()

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(
            200, b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated></ListBucketResult>'
        )

    def do_HEAD(self) -> None:
        self.answer(404)

    def do_PUT(self) -> None:
        type(self).puts += 1
        self.over.wait(60)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mute() -> Iterator[type[Mute]]:
    """The server; its class has the port and the number of uploads."""
    handler = type("Handler", (Mute,), {"over": threading.Event(), "port": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        handler.port = server.server_address[1]  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield handler
        handler.over.set()
        server.shutdown()
        thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for child processes in /proc")
@pytest.mark.parametrize("signals", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_an_upload_that_hangs_keeps_nobody(signals: int, mute: Any, tmp_path: Path) -> None:
    configured = slow_settings(tmp_path)
    server = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{mute.port}", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    options = ("--to", "s3://titles/vod", "--progress", "plain")
    process = start(tmp_path, FIXTURES / "landscape-24.mp4", *options, variables=server | isolated_aws(tmp_path))
    assert process.stderr
    deadline = time.monotonic() + 60
    while not mute.puts:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    if signals == 2:
        while "press Ctrl-C again" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    took = time.monotonic() - began
    assert process.returncode == 130, stderr
    assert took < (2 if signals == 2 else 15)
    assert "Traceback" not in stderr
    if signals == 1:
        assert "may still reach the target" in stderr
        assert "run the same command again" in stderr
    deadline = time.monotonic() + 3  # after the second signal nothing waits for them
    while ffmpegs_below(configured.home):
        assert time.monotonic() < deadline, "an ffmpeg outlived its vidpipe"
        time.sleep(0.05)
    assert list((configured.work / "jobs").glob("*.json")), "the version can be continued or discarded"
