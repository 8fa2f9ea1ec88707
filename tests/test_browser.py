"""A real browser plays what was published: Chromium, headless. Encrypted titles with hls.js, clear ones also by its own HLS.

Needs chromium (Debian: ``apt-get install chromium``) and, for hls.js, its file named by TEST_HLSJS (``npm install hls.js``);
without them the tests are skipped and say so. Chromium's own HLS cannot decrypt AES-128 in fragmented MP4: it joins the init
section to the segment before it decrypts. So there only the clear title is played natively.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import FIXTURES, key_of, run, settings, version
from tests.subtitle_support import Words, srt, subtitled

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
HLSJS = os.environ.get("TEST_HLSJS", "")
PAGE = """<!doctype html><video id=v muted autoplay playsinline></video><script src=/hls.js></script><script>
const v = document.getElementById('v'); let errors = [];
const cues = () => [...v.textTracks].flatMap(t => [...(t.cues || [])].map(c => [t.label, c.startTime, c.endTime, c.text]));
const tell = () => fetch('/report', {method: 'POST', body: JSON.stringify({time: v.currentTime, duration: v.duration, width: v.videoWidth,
  height: v.videoHeight, frames: v.getVideoPlaybackQuality().totalVideoFrames, ended: v.ended, errors, cues: cues()})});
v.onended = tell; v.onerror = () => { errors.push(v.error.message); tell(); };
if (location.hash == '#native') v.src = '/title/master.m3u8';
else { const h = new Hls(); h.on(Hls.Events.ERROR, (_, d) => { errors.push(d.details); if (d.fatal) tell(); });
  h.loadSource('/title/master.m3u8'); h.attachMedia(v); }
setTimeout(tell, 30000);</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")


class Site(ThreadingHTTPServer):
    """Serves one title, its keys as a key service would, and the page; keeps what the page reports."""

    daemon_threads = True

    def __init__(self, folder: Path, key: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.key = folder, key
        self.report: dict[str, Any] = {}
        self.told = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        path = self.path.split("#")[0].split("?")[0]
        kind = "application/octet-stream"
        if path == "/":
            body, kind = PAGE.encode(), "text/html"
        elif path == "/hls.js":
            body, kind = Path(HLSJS).read_bytes() if HLSJS else b"", "text/javascript"
        elif path.startswith("/title/keys/"):
            body = self.server.key(path.removeprefix("/title/keys/"))
        else:
            file = self.server.folder / path.removeprefix("/title/")
            if not file.is_file():
                self.send_error(404)
                return
            body = file.read_bytes()
            kind = {".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/mp4"}.get(file.suffix, kind)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if not self.server.told.is_set():
            self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.server.told.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def browser(address: str, profile: Path) -> Iterator[None]:
    """Open a page in a fresh headless Chromium."""
    assert CHROMIUM
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [CHROMIUM, *flags, *quiet, "--remote-debugging-port=0", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def play(folder: Path, key: Any, how: str, profile: Path) -> dict[str, Any]:
    """Play a title to its end and return what the page saw."""
    with Site(folder, key) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        with browser(f"http://127.0.0.1:{site.server_address[1]}/#{how}", profile):
            told = site.told.wait(60)
        site.shutdown()
    assert told, "the page never reported"
    return site.report


@pytest.mark.skipif(not Path(HLSJS).is_file(), reason="TEST_HLSJS does not name hls.js (npm install hls.js)")
def test_an_encrypted_title_plays_with_hls_js(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    assert result.record.encryption.method == "aes-128"
    seen = play(version(result), key_of(configured), "hls.js", tmp_path / "profile")
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["time"] == pytest.approx(3.0, abs=0.05)
    assert (seen["width"], seen["height"]) in {(90, 160), (180, 320)}
    assert seen["frames"] >= 70


@pytest.mark.skipif(not Path(HLSJS).is_file(), reason="TEST_HLSJS does not name hls.js (npm install hls.js)")
def test_encrypted_subtitles_are_shown_by_hls_js(tmp_path: Path) -> None:
    spoken = srt(("00:00:00,500", "00:00:01,000", "<i>One</i> & two"), ("00:00:01,200", "00:00:02,400", "over the border"))
    # Only the one that the source asks for is loaded; a lone track of a Matroska file asks for nothing.
    tracks = (Words(spoken, language="eng", disposition="default"), Words(spoken, language="fra"))
    source = subtitled(tmp_path / "words.mkv", *tracks, options=("-output_ts_offset", "5"))
    configured = settings(tmp_path)
    result = run(source, configured)
    assert [(track.id, track.default) for track in result.record.subtitles] == [("en-sub", True), ("fr-sub", False)]
    seen = play(version(result), key_of(configured), "hls.js", tmp_path / "profile")
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["cues"] == [["en", 0.5, 1.0, "<i>One</i> &amp; two"], ["en", 1.2, 2.4, "over the border"]]


def test_a_clear_title_plays_natively(tmp_path: Path) -> None:
    configured = settings(tmp_path, encrypt="none")
    spoken = srt(("00:00:00,500", "00:00:01,000", "One"))
    result = run(subtitled(tmp_path / "words.mkv", Words(spoken, language="eng", disposition="default")), configured)
    seen = play(version(result), key_of(configured), "native", tmp_path / "profile")
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["duration"] == pytest.approx(3.0, abs=0.1)
    assert seen["frames"] >= 70
