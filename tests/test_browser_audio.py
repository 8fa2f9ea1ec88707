"""A real browser chooses among audio groups: hls.js plays stereo and 5.1 of one title to the end, and never description by itself.

Needs what ``tests/test_browser.py`` needs; of several hls.js, the newest is taken.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import run, settings, version
from tests.test_audio_groups import film, surround
from tests.test_browser import CHROMIUM, HLSJS, NEWEST, browser, with_hlsjs

__all__ = ["film"]  # the fixture

PAGE = """<!doctype html><video id=v muted autoplay playsinline></video><script src=/hls.js></script><script>
const v = document.getElementById('v'), h = new Hls(), errors = [], tracks = [];
const report = () => fetch('/report', {method: 'POST', body: JSON.stringify({ended: v.ended, time: v.currentTime, errors, tracks})});
h.on(Hls.Events.ERROR, (_, d) => errors.push(d.details));
h.on(Hls.Events.AUDIO_TRACK_SWITCHED, (_, d) => tracks.push([d.groupId, d.name]));
h.loadSource('/master.m3u8'); h.attachMedia(v); v.onended = report; setTimeout(report, 60000);</script>"""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
    with_hlsjs,
]


class Handler(SimpleHTTPRequestHandler):
    """Serves a title and the page beside it; hands on what the page reports."""

    def __init__(self, *arguments: Any, reports: list[Any], reported: threading.Event, **options: Any) -> None:
        self._reports, self._reported = reports, reported
        super().__init__(*arguments, **options)

    def do_POST(self) -> None:
        self._reports.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._reported.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path, reports: list[Any], reported: threading.Event) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder), reports=reports, reported=reported)) as site:
        threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}/page.html"
        site.shutdown()


@pytest.mark.parametrize(
    "only", [pytest.param(None, id="both groups"), pytest.param("audio-6ch", marks=pytest.mark.nightly, id="surround alone")]
)
def test_hls_js_plays_a_title_with_two_groups(only: str | None, film: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, encrypt="none").model_copy(update={"ladder": surround(tmp_path, 90, 180)})
    title = version(run(film, configured))
    if only:  # a player that takes no other
        lines = (title / "master.m3u8").read_text().splitlines()
        other = [n for n, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF") and f'AUDIO="{only}"' not in line]
        (title / "master.m3u8").write_text("\n".join(line for n, line in enumerate(lines) if n not in other and n - 1 not in other) + "\n")
    (title / "page.html").write_text(PAGE)
    (title / "hls.js").write_bytes(HLSJS[NEWEST].read_bytes())
    reports: list[Any] = []
    reported = threading.Event()
    with served(title, reports, reported) as address, browser(address, tmp_path / "profile"):
        assert reported.wait(90), "the page never reported"
    (seen, *_) = reports
    assert seen["errors"] == []
    assert seen["ended"]
    assert seen["time"] == pytest.approx(4.0, abs=0.1)
    assert {name for _, name in seen["tracks"]} == {"English"}, "the default track, in whatever layout"
    assert {group for group, _ in seen["tracks"]} <= ({only} if only else {"audio-2ch", "audio-6ch"})
