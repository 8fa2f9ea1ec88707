"""A real browser decrypts samples: Chromium's Encrypted Media Extensions (ClearKey) under Shaka Player, hls.js and dash.js.

Needs chromium (Debian: ``apt-get install chromium``) and TEST_HLSJS (see test_browser), TEST_SHAKA and TEST_DASHJS, the files of the
players (``npm install hls.js shaka-player dashjs``); without them the tests are skipped and say so.

Shaka Player fetches the key from the URI in the playlist, and reads its id from the init section. hls.js takes keys of Common Encryption
from a key system only: its page reads KEYFORMAT "identity" as ClearKey, and asks a server for the license. In DASH stands no
address of a key: both players are given the keys by their page.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from tests.ingest_support import FIXTURES, key_of, run, settings, version
from tests.test_browser import CHROMIUM, HLSJS, browser
from vidpipe.publish.delivery import delivery

PLAYERS = {name: Path(os.environ.get(f"TEST_{name.upper()}", "")) for name in ("shaka", "dashjs")} | {"hlsjs": (HLSJS or [Path()])[-1]}
PAGE = """<!doctype html><video id=v muted playsinline></video><script src=/player.js></script><script>
const v = document.getElementById('v'), errors = [];
const report = () => fetch('/report', {method: 'POST', body: JSON.stringify({time: v.currentTime, duration: v.duration,
  frames: v.getVideoPlaybackQuality().totalVideoFrames, ended: v.ended, errors, stalls, keys: !!v.mediaKeys, heights})});
let stalls = 0, started = false, heights = [];
v.onresize = () => heights.push(v.videoHeight);
v.onplaying = () => { started = true; };
v.onwaiting = () => { if (started) stalls++; };
v.onerror = () => { errors.push('video: ' + v.error.message); report(); };
v.onended = report;
async function shaka_() {
  shaka.polyfill.installAll();
  const p = new shaka.Player(); await p.attach(v);
  p.addEventListener('error', e => errors.push(e.detail.code + ' ' + JSON.stringify(e.detail.data)));
  p.configure({abr: {defaultBandwidthEstimate: 50000, useNetworkInformation: false}});  // begins with the smallest
  if ('{manifest}'.endsWith('.mpd')) p.configure({drm: {clearKeys: {clearkeys_hex}}});
  await p.load(new URL('/title/{manifest}', location).href);
}
async function hlsjs_() {
  class AsClearKey extends Hls.DefaultConfig.loader {
    load(context, config, callbacks) {
      const passOn = callbacks.onSuccess;
      const asClearKey = line => line.replace(/,IV=0x[0-9A-F]+/, '') + ',KEYFORMAT="org.w3.clearkey"';
      super.load(context, config, {...callbacks, onSuccess: (response, ...rest) => {
        response.data = response.data.replace(/^#EXT-X-KEY:METHOD=SAMPLE-AES.*$/gm, asClearKey); passOn(response, ...rest); }});
    }
  }
  const base64url = bytes => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  const ofKey = keyId => new TextEncoder().encode(JSON.stringify({kids: [base64url(keyId)]})).buffer;
  const generateRequest = (type, data, {decryptdata}) => ({initDataType: 'keyids', initData: ofKey(decryptdata.keyId)});
  const h = new Hls({emeEnabled: true, pLoader: AsClearKey, drmSystems: {'org.w3.clearkey': {licenseUrl: '/license', generateRequest}}});
  h.on(Hls.Events.ERROR, (_, d) => { errors.push(d.details + ' ' + (d.error || '')); if (d.fatal) report(); });
  h.loadSource('/title/{manifest}'); h.attachMedia(v);
  await new Promise(done => h.on(Hls.Events.MANIFEST_PARSED, done));
}
async function dashjs_() {
  const p = dashjs.MediaPlayer().create();
  p.updateSettings({debug: {logLevel: 1}, streaming: {abr: {limitBitrateByPortal: false, initialBitrate: {video: 50}}}});
  const rate = track => track.bitrateList[0].bandwidth;
  p.setCustomInitialTrackSelectionFunction(tracks => [...tracks].sort((a, b) => rate(a) - rate(b)).slice(0, 1));
  p.on('error', e => errors.push(JSON.stringify(e.error)));
  p.initialize(v, null, false); p.setProtectionData({'org.w3.clearkey': {clearkeys: {clearkeys}}});
  p.attachSource('/title/{manifest}');
  await new Promise(done => p.on('canPlay', done));
}
({'shaka': shaka_, 'hlsjs': hlsjs_, 'dashjs': dashjs_})['{player}']().then(() => v.play())
  .catch(e => { errors.push('page: ' + (e.stack || e.code || e)); report(); });
setTimeout(report, 40000);</script>"""

NO_CHROMIUM = "chromium is not installed (Debian: apt-get install chromium)"
pytestmark = [pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM), pytest.mark.nightly]


def with_player(name: str, manifest: str) -> Any:
    missing = not PLAYERS[name].is_file()
    reason = f"TEST_{name.upper()} does not name the player"
    return pytest.param(name, manifest, id=f"{name}-{manifest}", marks=pytest.mark.skipif(missing, reason=reason))


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Stage(ThreadingHTTPServer):
    """Serves a title with its keys, bare and as a license server for ClearKey does (W3C EME 9.1.4), and a page that plays it."""

    daemon_threads = True

    def __init__(self, folder: Path, key: Any, key_ids: tuple[str, ...], player: str, manifest: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.key, self.player = folder, key, PLAYERS[player]
        clearkeys = json.dumps({unpadded(bytes.fromhex(key_id)): unpadded(key(key_id)) for key_id in key_ids})
        self.page = PAGE
        in_hex = json.dumps({key_id: key(key_id).hex() for key_id in key_ids})
        for name, value in {"clearkeys": clearkeys, "clearkeys_hex": in_hex, "player": player, "manifest": manifest}.items():
            self.page = self.page.replace(f"{{{name}}}", value)
        self.report: dict[str, Any] = {}
        self.reported = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Stage

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.removeprefix("/title/")
        if path == "/":
            self._send(self.server.page.encode(), "text/html")
        elif path == "/player.js":
            self._send(self.server.player.read_bytes(), "text/javascript")
        elif name.startswith("keys/"):
            self._send(self.server.key(name.removeprefix("keys/")), "application/octet-stream")
        elif path.startswith("/title/") and (file := self.server.folder / name).is_file():
            self._send(file.read_bytes(), delivery(name).content_type)
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/license":
            asked = [base64.urlsafe_b64decode(kid + "==") for kid in body["kids"]]
            keys = [{"kty": "oct", "kid": unpadded(kid), "k": unpadded(self.server.key(kid.hex()))} for kid in asked]
            self._send(json.dumps({"keys": keys, "type": body.get("type", "temporary")}).encode(), "application/json")
            return
        self.server.report = body
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


@pytest.fixture(scope="module", params=["cbcs", "cenc"])
def title(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, tuple[str, ...]]:
    configured = settings(tmp_path_factory.mktemp(request.param), encrypt=request.param)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    return version(result), key_of(configured), result.record.encryption.key_ids


@pytest.fixture(scope="module")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, tuple[str, ...]]:
    """A title of 16 s, in SD and in HD, each under a key of its own."""
    folder = tmp_path_factory.mktemp("classes")
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=24:d=16", "-f", "lavfi", "-i", "sine=f=440:r=48000:d=16")
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(folder / "clip.mp4"))
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *encoded], check=True)
    configured = settings(folder, 90, 720, encrypt="cbcs", key_classes="audio-sd-hd-uhd")
    result = run(folder / "clip.mp4", configured)
    return version(result), key_of(configured), result.record.encryption.key_ids


def watch(title: tuple[Path, Any, tuple[str, ...]], player: str, manifest: str, profile: Path) -> dict[str, Any]:
    """Play a title; return what the page saw of it."""
    with Stage(*title, player, manifest) as stage:
        threading.Thread(target=stage.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with browser(f"http://127.0.0.1:{stage.server_address[1]}/", profile):
            stage.reported.wait(60)
        stage.shutdown()
    return stage.report


@pytest.mark.parametrize(("player", "manifest"), [with_player("shaka", "manifest.mpd"), with_player("dashjs", "manifest.mpd")])
def test_a_player_changes_to_a_rung_under_another_key(
    two_classes: tuple[Path, Any, tuple[str, ...]], player: str, manifest: str, tmp_path: Path
) -> None:
    assert len(two_classes[2]) == 3
    seen = watch(two_classes, player, manifest, tmp_path / "profile")
    assert (seen["errors"], seen["ended"]) == ([], True), seen
    assert seen["heights"] == [90, 720]
    assert seen["time"] == pytest.approx(16.0, abs=0.05)


@pytest.mark.parametrize(
    ("player", "manifest"),
    [
        with_player("shaka", "master.m3u8"),
        with_player("hlsjs", "master.m3u8"),
        with_player("shaka", "manifest.mpd"),
        with_player("dashjs", "manifest.mpd"),
    ],
)
def test_encrypted_samples_play_to_the_end(title: tuple[Path, Any, tuple[str, ...]], player: str, manifest: str, tmp_path: Path) -> None:
    if not (title[0] / manifest).is_file():
        pytest.skip(f"the title has no {manifest}")
    for attempt in range(2):  # a busy machine starves a player: what did not play well plays once more; a fault of the title is there again
        seen = watch(title, player, manifest, tmp_path / f"profile-{attempt}")
        if not seen["errors"] and seen["ended"] and not seen["stalls"]:
            break
    assert (seen["errors"], seen["stalls"], seen["ended"]) == ([], 0, True), seen
    assert seen["keys"], "the browser decrypts, and not the player"
    assert seen["time"] == pytest.approx(3.0, abs=0.05)
    assert seen["frames"] >= 70
