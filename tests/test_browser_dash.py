"""A real browser plays the DASH manifest of a title: Chromium, headless, with dash.js and Shaka Player.

Needs chromium (Debian: ``apt-get install chromium``) and TEST_DASHJS and TEST_SHAKA, the files of the players (``npm install dashjs
shaka-player``); without them the tests are skipped and say so. They take half a minute each, and so run at night.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests.ingest_support import run, settings, version
from tests.test_browser import CHROMIUM, browser
from vidpipe.publish.delivery import delivery

PLAYERS = {name: Path(os.environ.get(f"TEST_{name.upper()}", "")) for name in ("dashjs", "shaka")}
PAGE = """<!doctype html><video id=v muted playsinline></video><script src=/player.js></script><script>
const v = document.getElementById('v'), errors = [], seeks = [];
const ranges = of => [...Array(of.length).keys()].map(at => [of.start(at), of.end(at)]);
const cues = () => [...v.textTracks].flatMap(t => [...(t.cues || [])].map(c => [c.startTime, c.endTime, c.text]));
let about = {};
const report = () => fetch('/report', {method: 'POST', body: JSON.stringify({time: v.currentTime, duration: v.duration,
  frames: v.getVideoPlaybackQuality().totalVideoFrames, ended: v.ended, errors, buffered: ranges(v.buffered), played: ranges(v.played),
  cues: cues(), seeks, about})});
const wait = ms => new Promise(done => setTimeout(done, ms));
const seek = async to => { v.currentTime = to; for (let n = 0; n < 100 && (v.seeking || v.readyState < 3); n++) await wait(50);
  seeks.push([to, v.currentTime, v.readyState]); };
v.onerror = () => { errors.push('video: ' + v.error.message); };
const url = new URL('/title/manifest.mpd', location).href;
async function dashjs_() {
  const p = dashjs.MediaPlayer().create();
  p.updateSettings({debug: {logLevel: 1}, streaming: {text: {defaultEnabled: true}}});
  p.on('error', e => errors.push(JSON.stringify(e.error)));
  p.initialize(v, null, false); p.attachSource(url);
  await new Promise(done => p.on('canPlay', done));
  const at = time => new Promise(done => p.provideThumbnail(time, done));
  about = {audio: p.getTracksFor('audio').map(t => [t.lang, t.roles.map(r => r.value), t.labels.map(l => l.text)]),
    video: p.getRepresentationsByType('video').map(r => [r.width, r.height]), chosen: p.getCurrentTrackFor('audio').lang,
    text: p.getTracksFor('text').map(t => [t.lang, t.roles.map(r => r.value)])};
  const picture = await at(3.5);
  about.thumbnail = picture && [picture.x, picture.y, picture.width, picture.height, picture.url.split('/').pop()];
  return {all: async () => { for (const t of p.getTracksFor('audio')) { p.setCurrentTrack(t); await wait(1500); }
    for (const r of p.getRepresentationsByType('video')) { p.updateSettings({streaming: {abr: {autoSwitchBitrate: {video: false}}}});
      p.setRepresentationForTypeById('video', r.id, true); await wait(1500); } }};
}
async function shaka_() {
  shaka.polyfill.installAll();
  const p = new shaka.Player(); await p.attach(v);
  p.addEventListener('error', e => errors.push(e.detail.code + ' ' + JSON.stringify(e.detail.data)));
  await p.load(url); p.selectTextTrack(p.getTextTracks()[0] || null);
  const variants = p.getVariantTracks();
  about = {audio: p.getAudioTracks().map(t => [t.language, t.roles, [t.label]]),
    video: p.getVideoTracks().map(t => [t.width, t.height]).reverse(), chosen: variants.find(t => t.active).language,
    text: p.getTextTracks().map(t => [t.language, t.roles])};
  const [track] = p.getImageTracks(), picture = track && await p.getThumbnails(track.id, 3.5);
  about.thumbnail = picture && [picture.positionX, picture.positionY, picture.width, picture.height, picture.uris[0].split('/').pop()];
  return {all: async () => { p.configure({abr: {enabled: false}});
    for (const t of variants) { p.selectVariantTrack(t, true); await wait(1200); } }};
}
(async () => {
  const player = await ('{name}' == 'dashjs' ? dashjs_() : shaka_());
  await v.play();
  if ({all}) await player.all();
  for (const to of {seeks}) await seek(to);
  await v.play(); v.currentTime = 0;
  for (let n = 0; n < 100 && v.readyState < 3; n++) await wait(50);
  v.onended = async () => { await wait(200); report(); };
})().catch(e => { errors.push('page: ' + (e.stack || e.code || e)); report(); });
setTimeout(report, 60000);</script>"""

pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"), pytest.mark.nightly]


def with_player(name: str) -> Any:
    missing = not PLAYERS[name].is_file()
    return pytest.param(name, id=name, marks=pytest.mark.skipif(missing, reason=f"TEST_{name.upper()} does not name the player"))


class Stage(ThreadingHTTPServer):
    """Serves a title and a page that plays it; keeps what it reports, and what was asked for and is not there."""

    daemon_threads = True

    def __init__(self, folder: Path, page: str, player: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.page, self.player = folder, page, player
        self.report: dict[str, Any] = {}
        self.missed: list[str] = []
        self.reported = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Stage

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = self.server.folder / path.removeprefix("/title/")
        if path == "/":
            self._send(self.server.page.encode(), "text/html")
        elif path == "/player.js":
            self._send(self.server.player.read_bytes(), "text/javascript")
        elif path.startswith("/title/") and file.is_file():
            self._send(file.read_bytes(), delivery(path.rpartition("/title/")[2]).content_type)
        else:
            self.server.missed.append(path)
            self.send_error(404)

    def do_POST(self) -> None:
        self.server.report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.reported.set()
        self._send(b"", "text/plain")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def watch(folder: Path, name: str, profile: Path, *, seeks: list[float], everything: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Play a title; return what the page saw of it, and what was asked for in vain."""
    page = PAGE
    for key, value in {"name": name, "seeks": json.dumps(seeks), "all": json.dumps(everything)}.items():
        page = page.replace(f"{{{key}}}", value)
    with Stage(folder, page, PLAYERS[name]) as stage:
        threading.Thread(target=stage.serve_forever, daemon=True).start()
        with browser(f"http://127.0.0.1:{stage.server_address[1]}/", profile):
            stage.reported.wait(90)
        stage.shutdown()
    return stage.report, [path for path in stage.missed if path != "/favicon.ico"]
