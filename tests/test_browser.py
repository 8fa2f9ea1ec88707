"""A real browser plays what was published: Chromium, headless. Encrypted titles with hls.js, clear ones also by its own HLS.

Needs chromium (Debian: ``apt-get install chromium``) and, for hls.js, TEST_HLSJS: its file (``npm install hls.js``), or those of
several versions with a colon between them, the newest last, which then all play the titles that one of them stumbled over;
without them the tests are skipped and say so. Chromium's own HLS cannot decrypt AES-128 in fragmented MP4: it joins the init
section to the segment before it decrypts. So there only the clear title is played natively.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests.ingest_support import FIXTURES, key_of, run, settings, version
from tests.subtitle_support import Words, srt, subtitled

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
HLSJS = [Path(name) for name in os.environ.get("TEST_HLSJS", "").split(os.pathsep) if name]
NEWEST = len(HLSJS) - 1
PLAYER = """<!doctype html><video id=v muted autoplay playsinline></video><script src=/hls/{how}.js></script><script>
const v = document.getElementById('v'); let errors = [];
const cues = () => [...v.textTracks].flatMap(t => [...(t.cues || [])].map(c => [t.label, c.startTime, c.endTime, c.text]));
const ranges = of => [...Array(of.length).keys()].map(at => [of.start(at), of.end(at)]);
const seen = () => ({time: v.currentTime, duration: v.duration, width: v.videoWidth, height: v.videoHeight,
  frames: v.getVideoPlaybackQuality().totalVideoFrames, ended: v.ended, errors, cues: cues(),
  buffered: ranges(v.buffered), played: ranges(v.played)});
const report = () => fetch('/report/{number}', {method: 'POST', body: JSON.stringify(seen())});
v.onended = report; v.onerror = () => { errors.push(v.error.message); report(); };
v.onplaying = () => { v.playbackRate = {rate}; };
if ('{how}' == 'native') v.src = '/title/{title}/master.m3u8';
else { const h = new Hls(); h.on(Hls.Events.ERROR, (_, d) => { errors.push(d.details); if (d.fatal) report(); });
  h.loadSource('/title/{title}/master.m3u8'); h.attachMedia(v); }
setTimeout(report, 120000);</script>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
with_hlsjs = pytest.mark.skipif(
    not HLSJS or not all(file.is_file() for file in HLSJS), reason="TEST_HLSJS does not name hls.js (npm install hls.js)"
)


@dataclass(frozen=True)
class Show:
    """A title to play. key: key id -> sixteen bytes.  how: "native", or which of HLSJS.  rate: of playback."""

    folder: Path
    key: Any
    how: str | int
    rate: float = 1


class Site(ThreadingHTTPServer):
    """Serves titles, their keys as a key service would, and a page that plays them side by side; keeps what it reports."""

    daemon_threads = True

    def __init__(self, shows: Sequence[Show]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.shows = shows
        self.reports: dict[int, dict[str, Any]] = {}
        self.all_reported = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        kind, _, rest = self.path.removeprefix("/").partition("/")
        what, _, path = rest.partition("/")
        if kind == "":
            players = range(len(self.server.shows))
            self._send("".join(f"<iframe src=/player/{number} allow=autoplay></iframe>" for number in players).encode())
        elif kind == "player":
            show = self.server.shows[int(what)]
            page = PLAYER
            for name, value in {"how": show.how, "rate": show.rate, "title": what, "number": what}.items():
                page = page.replace(f"{{{name}}}", str(value))
            self._send(page.encode())
        elif kind == "hls":
            self._send(b"" if what == "native.js" else HLSJS[int(what.removesuffix(".js"))].read_bytes(), "text/javascript")
        elif kind == "title" and path.startswith("keys/"):
            self._send(self.server.shows[int(what)].key(path.removeprefix("keys/")), "application/octet-stream")
        elif kind == "title" and (file := self.server.shows[int(what)].folder / path).is_file():
            types = {".m3u8": "application/vnd.apple.mpegurl", ".mp4": "video/mp4", ".m4s": "video/mp4"}
            self._send(file.read_bytes(), types.get(file.suffix, "application/octet-stream"))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.reports.setdefault(int(self.path.removeprefix("/report/")), report)
        if len(self.server.reports) == len(self.server.shows):
            self.server.all_reported.set()
        self._send(b"")

    def _send(self, body: bytes, kind: str = "text/html") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

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


def play(shows: Sequence[Show], profile: Path) -> list[dict[str, Any]]:
    """Play titles side by side, each to its end, and return what the page saw of each."""
    with Site(shows) as site:
        threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with browser(f"http://127.0.0.1:{site.server_address[1]}/", profile):
            site.all_reported.wait(150)
        site.shutdown()
    assert sorted(site.reports) == list(range(len(shows))), "a player never reported"
    return [site.reports[number] for number in range(len(shows))]


@with_hlsjs
def test_an_encrypted_title_plays_with_hls_js(tmp_path: Path) -> None:
    configured = settings(tmp_path)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    assert result.record.encryption.method == "aes-128"
    (seen,) = play([Show(version(result), key_of(configured), NEWEST)], tmp_path / "profile")
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["time"] == pytest.approx(3.0, abs=0.05)
    assert (seen["width"], seen["height"]) in {(90, 160), (180, 320)}
    assert seen["frames"] >= 70


@with_hlsjs
@pytest.mark.nightly
@pytest.mark.parametrize("rotated", [False, True], ids=["classes", "classes and periods"])
def test_a_title_with_several_keys_plays_with_hls_js(rotated: bool, tmp_path: Path) -> None:
    """Keys change within a track while it plays, those of all tracks at once; the master playlist has named them before."""
    rotation = {"key_rotation": "1 segment"} if rotated else {}
    configured = settings(tmp_path, segment_seconds=Fraction(1), key_classes="audio-video", session_keys=True, **rotation)
    result = run(FIXTURES / "landscape-24.mp4", configured)
    (seen,) = play([Show(version(result), key_of(configured), NEWEST)], tmp_path / "profile")
    assert len(result.record.encryption.key_ids) == (2 if not rotated else 2 * result.record.renditions[0].segments)
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["time"] == pytest.approx(float(result.record.duration), abs=0.05)


@with_hlsjs
def test_encrypted_subtitles_are_shown_by_hls_js(tmp_path: Path) -> None:
    spoken = srt(("00:00:00,500", "00:00:01,000", "<i>One</i> & two"), ("00:00:01,200", "00:00:02,400", "over the border"))
    # Only the one that the source asks for is loaded; a lone track of a Matroska file asks for nothing.
    tracks = (Words(spoken, language="eng", disposition="default"), Words(spoken, language="fra"))
    source = subtitled(tmp_path / "words.mkv", *tracks, options=("-output_ts_offset", "5"))
    configured = settings(tmp_path)
    result = run(source, configured)
    assert [(track.id, track.default) for track in result.record.subtitles] == [("en-sub", True), ("fr-sub", False)]
    (seen,) = play([Show(version(result), key_of(configured), NEWEST)], tmp_path / "profile")
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["cues"] == [["English", 0.5, 1.0, "<i>One</i> &amp; two"], ["English", 1.2, 2.4, "over the border"]]


def test_a_clear_title_plays_natively(tmp_path: Path) -> None:
    configured = settings(tmp_path, encrypt="none")
    spoken = srt(("00:00:00,500", "00:00:01,000", "One"))
    result = run(subtitled(tmp_path / "words.mkv", Words(spoken, language="eng", disposition="default")), configured)
    (seen,) = play([Show(version(result), key_of(configured), "native")], tmp_path / "profile")
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["duration"] == pytest.approx(3.0, abs=0.1)
    assert seen["frames"] >= 70


HLS_LADDER = """\
name: reordered
description: Rungs whose encoder reorders frames
rungs:
  - {name: 90p, height: 90, codec: h264, bitrate: 60k, max_bitrate: 60k, buffer: 60k, preset: veryfast}
audio:
  - {codec: aac, bitrate: 64k, channels: 2}
"""
HALF_RATE = """\
  - {{name: half, height: 72, codec: h264, bitrate: 40k, max_bitrate: 40k, buffer: 40k, preset: veryfast, max_frame_rate: {0}}}
audio:"""


def tailed(folder: Path, rate: str, tail: int, *, half: bool = False) -> Path:
    """Publish a clip of two segments of 2 s and a tail, and return the folder of its playlists."""
    folder.mkdir()
    frames = 4 * Fraction(rate) + tail
    inputs = ("-f", "lavfi", "-i", f"testsrc2=s=320x180:r={rate}", "-f", "lavfi", "-i", "sine=f=440:r=48000")
    length = ("-frames:v", str(frames), "-t", f"{float(frames / Fraction(rate)):.6f}")
    encoded = (*length, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *encoded, folder / "clip.mp4"], check=True)
    ladder = folder / "ladder.yaml"
    ladder.write_text(HLS_LADDER.replace("audio:", HALF_RATE.format(float(Fraction(rate) / 2))) if half else HLS_LADDER)
    return version(run(folder / "clip.mp4", settings(folder, encrypt="none").model_copy(update={"ladder": str(ladder)})))


def assert_all_end(titles: Sequence[tuple[Path, float]], profile: Path) -> None:
    """Play titles of so many seconds in every version of hls.js, from the beginning to ``ended``.

    A busy machine starves one of many players until hls.js nudges it: what did not play well among others plays once more, alone. A
    fault of the title is there again.
    """
    shows = [Show(folder, None, how) for folder, _ in titles for how in range(len(HLSJS))]
    lasting = [seconds for _, seconds in titles for _ in HLSJS]
    for number, (show, seconds, seen) in enumerate(zip(shows, lasting, play(shows, profile), strict=True)):
        last = seen if plays_whole(seen, seconds) else play([show], profile.with_name(f"{profile.name}-alone-{number}"))[0]
        assert plays_whole(last, seconds), f"{HLSJS[int(show.how)]}, {show.folder}: {seen}, and alone: {last}"


def plays_whole(seen: dict[str, Any], seconds: float) -> bool:
    """True if a player showed a title of so many seconds from 0 to its end, give or take less than a frame: one of audio lasts 21 ms."""
    whole = [pytest.approx([0, seconds], abs=0.025)]
    return (
        seen["ended"]
        and seen["time"] == pytest.approx(seconds, abs=0.025)
        and seen["duration"] == pytest.approx(seconds, abs=0.025)  # hls.js puts off what it maps to other times
        and seen["buffered"] == whole
        and seen["played"] == whole  # a player that skips a hole plays two ranges
        # Not fatal: a slow machine waits for frames; hls.js 1.7 takes a segment for nothing new that it has of another rung already.
        and set(seen["errors"]) <= {"bufferStalledError", "bufferAppendNoProgress"}
    )


@with_hlsjs
def test_titles_end_however_short_their_tail(tmp_path: Path) -> None:
    """The edit list skips up to 167 ms here; hls.js 1.7 waited for ever for a tail that is shorter.

    It also left a hole as long as the edit list where it switched to a rung with another timescale, as that of half the rate was.
    """
    tails = (("25/2", 1, False), ("24", 2, False), ("24", 10, True), ("30", 12, False))
    titles = [
        (tailed(tmp_path / str(number), rate, tail, half=half), 4 + float(tail / Fraction(rate)))
        for number, (rate, tail, half) in enumerate(tails)
    ]
    assert_all_end(titles, tmp_path / "profile")


@pytest.mark.nightly
@with_hlsjs
@pytest.mark.parametrize("half", [False, True], ids=["full-rate", "half-rate"])
@pytest.mark.parametrize("rate", ["25/2", "24", "25", "30"])
def test_every_tail_of_1_to_12_frames_ends(tmp_path: Path, rate: str, half: bool) -> None:
    titles = [(tailed(tmp_path / str(tail), rate, tail, half=half), 4 + float(tail / Fraction(rate))) for tail in range(1, 13)]
    for at in range(0, len(titles), 4):
        assert_all_end(titles[at : at + 4], tmp_path / f"profile-{at}")
