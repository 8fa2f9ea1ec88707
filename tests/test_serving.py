"""docs/serving.md as it stands: its table of headers, its nginx configuration, its key service and its player page.

The last two tests need nginx (Debian: ``apt-get install nginx``); the very last also Chromium and TEST_HLSJS (see playback/chromium.py).
Without them they are skipped and say so.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.ingest_support import FIXTURES, key_of, run, settings, version
from tests.playback.chromium import HLSJS, browser, with_player
from vidpipe.publish.delivery import ADDRESS, delivery

GUIDE = (Path(__file__).parent.parent / "docs" / "serving.md").read_text(encoding="utf-8")
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
with_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx)")
EXAMPLES = {
    "*.m3u8": ["master.m3u8", "video-240p.m3u8"],  # of a version
    "manifest.mpd": ["manifest.mpd"],
    "video/…/*.m4s": ["video/240p/00001.m4s"],
    "video/…/init*.mp4": ["video/240p/init.mp4", "video/240p/init-00101.mp4"],  # the second from a change of keys on
    "audio/…/*.m4s": ["audio/und/00001.m4s"],
    "audio/…/init*.mp4": ["audio/und/init.mp4", "audio/und/init-00101.mp4"],
    "subtitles/…/*.vtt": ["subtitles/en-sub/00001.vtt"],
    "thumbnails/*.jpg": ["thumbnails/poster.jpg", "thumbnails/sprite-001.jpg"],
    "thumbnails/thumbnails.vtt": ["thumbnails/thumbnails.vtt"],
    "record.json": ["record.json"],
    "inventory.json": ["inventory.json"],
}


def code(language: str) -> str:
    """Return the first block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    return found[1]


def headers_in_the_guide() -> dict[str, tuple[str, str]]:
    """Return Content-Type and Cache-Control by kind of file."""
    rows = re.findall(r"^\| (`.+`)(?: of a version)? \| `(\S+/\S+)` \| `(public.*)` \|$", GUIDE, re.M)
    return {kind: (content, cache) for kinds, content, cache in rows for kind in re.findall(r"`(.+?)`", kinds)}


def test_the_table_of_headers_is_what_s3_objects_get() -> None:
    listed = headers_in_the_guide()
    for name in ("master.m3u8", "manifest.mpd"):
        assert listed.pop(f"{{content_id}}/{name}") == (delivery(name).content_type, ADDRESS)
    assert sorted(listed) == sorted(EXAMPLES)
    for kind, paths in EXAMPLES.items():
        for path in paths:
            said = delivery(path)
            assert listed[kind] == (said.content_type, said.cache_control), path


@dataclass(frozen=True)
class Served:
    """A title behind nginx. address: of the version.  key_id: of its key.  key: what that is."""

    origin: str
    version: str
    key_id: str
    key: bytes

    def get(self, path: str, **headers: str) -> tuple[int, Message, bytes]:
        """Ask for a path as curl would; redirects are answers."""
        asked = urllib.request.Request(f"{self.origin}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})
        opener = urllib.request.build_opener(Unredirected, urllib.request.ProxyHandler({}))
        try:
            with opener.open(asked, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


class Unredirected(urllib.request.HTTPRedirectHandler):
    """Follows no redirect."""

    def redirect_request(self, *_: object) -> None:
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def page_origin() -> str:
    """The origin of the player pages: another one than that of the titles."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, page_origin: str) -> Iterator[Served]:
    """A title, nginx with the configuration of the guide and the key service of the guide; only ports and folders are others."""
    folder = tmp_path_factory.mktemp("served")
    configured = settings(folder)
    result = run(FIXTURES / "portrait-25.mp4", configured)
    title = version(result)
    for place in (title, title.parent):
        (place / "manifest.mpd").write_text("<MPD/>")  # an encrypted title has none; nginx does not look into it
    ports = {"titles": free_port(), "keys": free_port()}
    content_id = result.record.content_id
    site = code("nginx")
    for here, there in (
        ("listen 80;", f"listen 127.0.0.1:{ports['titles']};"),
        ("/srv/titles", str(title.parent.parent)),
        ("127.0.0.1:8001", f"127.0.0.1:{ports['keys']}"),
    ):
        assert here in site
        site = site.replace(here, there)
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    owner = "user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""  # others may not enter pytest's folders
    # In the foreground, one process; the types of Debian's nginx.conf are there too, as they would be.
    (folder / "nginx.conf").write_text(
        f"{owner} daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\ntypes {{ text/html html; image/jpeg jpeg jpg; video/mp4 mp4; }}\n{site}\n}}\n"
    )
    (folder / "key_service.py").write_text(code("python").replace("8001", str(ports["keys"])))
    environ = {**os.environ, "VIDPIPE_HOME": str(configured.home), "PAGES": page_origin}
    environ.pop("VIDPIPE_MASTER_KEY", None)
    config = ["-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([str(NGINX), "-t", *config], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    with (
        subprocess.Popen([str(NGINX), *config], stderr=subprocess.DEVNULL) as web,
        subprocess.Popen([sys.executable, str(folder / "key_service.py")], env=environ, stderr=subprocess.DEVNULL) as keys,
    ):
        try:
            for port in ports.values():
                wait_for(port)
            (key_id,) = result.record.encryption.key_ids
            yield Served(f"http://127.0.0.1:{ports['titles']}", f"/{content_id}/{title.name}", key_id, key_of(configured)(key_id))
        finally:
            web.terminate()
            keys.terminate()


@with_nginx
def test_nginx_sends_the_headers_and_the_keys(served: Served, page_origin: str) -> None:
    listed = headers_in_the_guide()
    addresses = {name: listed.pop(f"{{content_id}}/{name}") for name in ("master.m3u8", "manifest.mpd")}
    master = served.get(f"{served.version}/master.m3u8")[2].decode()
    rung = re.findall(r"^video-(.+)\.m3u8$", master, re.M)[0]
    for kind, (content_type, cache) in listed.items():
        if kind.startswith("subtitles/"):
            continue  # this title has none
        path = {"*.m3u8": "master.m3u8", "thumbnails/*.jpg": "thumbnails/poster.jpg"}.get(kind, kind)
        path = path.replace("…", rung if kind.startswith("video/") else "und").replace("init*", "init").replace("*", "00001")
        status, headers, _ = served.get(f"{served.version}/{path}", Origin=page_origin)
        if path.endswith(".json"):
            assert status == 404
            continue
        assert (status, headers["Content-Type"], headers.get_all("Cache-Control")) == (200, content_type, [cache]), path
        assert headers.get_all("Access-Control-Allow-Origin") == ["*"], path

    status, headers, _ = served.get(f"{served.version}/video/{rung}/99999.m4s")
    assert (status, headers["Cache-Control"], headers["Access-Control-Allow-Origin"]) == (404, None, "*")
    assert served.get(f"{served.version}/master.m3u8", Accept_Encoding="gzip")[1]["Content-Encoding"] == "gzip"
    content_id = served.version.split("/")[1]
    for name, address in addresses.items():
        status, headers, _ = served.get(f"/{content_id}/{name}")
        assert (status, headers["Content-Type"], headers["Cache-Control"]) == (200, *address)
        assert headers.get_all("Access-Control-Allow-Origin") == ["*"]
    assert served.get("/another/master.m3u8")[0] == 404

    key = f"{served.version}/keys/{served.key_id}"
    status, headers, body = served.get(key, Authorization="Bearer let-me-in")
    assert (status, headers["Content-Type"], body) == (200, "application/octet-stream", served.key)
    assert headers.get_all("Cache-Control") == ["no-store"]
    assert headers.get_all("Access-Control-Allow-Origin") == [page_origin]
    assert served.get(key)[0] == 403
    assert served.get(f"{served.version}/keys/{'0' * 32}", Authorization="Bearer let-me-in")[0] == 404


@with_nginx
@with_player("hls.js")
def test_the_player_page_plays_from_another_origin(served: Served, page_origin: str, tmp_path: Path) -> None:
    content_id = served.version.split("/")[1]
    report = (
        "<script>video.muted = true; video.play(); video.onended = () => fetch('/ended/' + video.currentTime); "
        "console.error = (...what) => fetch('/failed/' + what.join(' '))</script>"
    )
    page = code("html").replace("https://media.example.com/film", f"{served.origin}/{content_id}") + report
    heard: list[str] = []
    told = Event()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith(("/ended/", "/failed/")):
                heard.append(self.path)
                told.set()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(HLSJS[-1].read_bytes() if self.path == "/hls.min.js" else page.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", int(page_origin.rpartition(":")[2])), Pages) as site:
        Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with browser(f"{page_origin}/", tmp_path / "profile"):
            told.wait(100)
        site.shutdown()
    assert len(heard) == 1
    kind, seconds = heard[0].removeprefix("/").split("/")
    assert kind == "ended", heard
    assert float(seconds) == pytest.approx(3, abs=0.1)
