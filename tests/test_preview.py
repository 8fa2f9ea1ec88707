"""The preview server: the published bytes, ranges, keys of this title alone, and nobody but this machine."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import imageio_ffmpeg
import pytest

from tests.playback.chromium import CHROMIUM, browser
from vidpipe.errors import UsageError
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.preview import Preview, playing
from vidpipe.progress import Silent
from vidpipe.protect.key_store import KeyStore
from vidpipe.settings import Settings

CLIP = Path(__file__).parent.parent / "fixtures" / "one-second.mp4"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with two titles, one of them with an absolute key URL."""
    made = Settings(home=tmp_path_factory.mktemp("home"), ladder="fast", workers=1)
    for name, template in (("one", None), ("other", "https://keys.invalid/{content_id}/{key_id}")):
        request = IngestRequest(source=str(CLIP), content_id=name, title=f"<b>{name}</b>")
        ingest(request, made.model_copy(update={"key_url": template}), Silent(), threading.Event())
    return made


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Preview]:
    with playing("one", settings) as running:
        yield running


def ask(server: Preview, path: str, *, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Make one request to the server and return status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def base(server: Preview) -> str:
    return f"/{server.prefix}"


def test_the_page_names_the_title_and_its_master_playlist(server: Preview) -> None:
    status, headers, body = ask(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<h1>&lt;b&gt;one&lt;/b&gt;</h1>" in body
    assert f'<video controls autoplay muted playsinline src="/clear{base(server)}/master.m3u8"'.encode() in body


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("master.m3u8", "application/vnd.apple.mpegurl"),
        ("video-240p.m3u8", "application/vnd.apple.mpegurl"),
        ("video/240p/init.mp4", "video/mp4"),
        ("video/240p/00001.m4s", "video/mp4"),
        ("thumbnails/poster.jpg", "image/jpeg"),
        ("thumbnails/thumbnails.vtt", "text/vtt"),
        ("record.json", "application/json"),
    ],
)
def test_objects_are_the_published_bytes(server: Preview, path: str, kind: str) -> None:
    status, headers, body = ask(server, f"{base(server)}/{path}")
    assert (status, headers["Content-Type"], headers["Content-Length"]) == (200, kind, str(len(body)))
    assert body == server.storage.get(f"{server.prefix}/{path}")


def test_the_key_of_this_title_is_answered_and_no_other(server: Preview, settings: Settings) -> None:
    keys = {info.content_id: info.key_id for info in KeyStore(settings.keys).find()}
    status, headers, body = ask(server, f"{base(server)}/keys/{keys['one']}")
    assert (status, len(body), headers["Content-Type"]) == (200, 16, "application/octet-stream")
    assert body == KeyStore(settings.keys).get(keys["one"]).key
    assert ask(server, f"{base(server)}/keys/{keys['other']}")[0] == 404
    assert ask(server, f"{base(server)}/keys/master.key")[0] == 404


RANGES = {
    "bytes=0-9": (206, "bytes 0-9/{n}", slice(0, 10)),
    "bytes=5-": (206, "bytes 5-{last}/{n}", slice(5, None)),
    "bytes=-7": (206, "bytes {tail}-{last}/{n}", slice(-7, None)),
    "bytes=3-99999999": (206, "bytes 3-{last}/{n}", slice(3, None)),
    "bytes=99999999-": (416, "bytes */{n}", slice(0, 0)),
    "bytes=-0": (416, "bytes */{n}", slice(0, 0)),
    "bytes=9-3": (200, None, slice(None)),
    "bytes=0-1,4-5": (200, None, slice(None)),
    "lines=1-2": (200, None, slice(None)),
    f"bytes={'9' * 5000}-": (200, None, slice(None)),
    f"bytes=0-{'9' * 5000}": (200, None, slice(None)),
    f"bytes=-{'9' * 5000}": (200, None, slice(None)),
    f"bytes=0-{'9' * 18}": (206, "bytes 0-{last}/{n}", slice(None)),
}


@pytest.mark.parametrize("asked", RANGES)
def test_ranges(server: Preview, asked: str) -> None:
    path = f"{base(server)}/video/240p/00001.m4s"
    whole = ask(server, path)[2]
    status, shown, part = RANGES[asked]
    got_status, headers, body = ask(server, path, Range=asked)
    assert (got_status, body) == (status, whole[part])
    expected = shown.format(n=len(whole), last=len(whole) - 1, tail=len(whole) - 7) if shown else None
    assert headers.get("Content-Range") == expected


@pytest.mark.parametrize(
    "request_line",
    ["GET //[x HTTP/1.1", "GET http://[x/ HTTP/1.1", "GET /%ff%00 HTTP/1.1", "GET", "\x00\xff", "GET / HTTP/9.9",
     f"GET /{'x' * 70000} HTTP/1.1",
     "GET /clear/{base}/video/240p/00001.m4s?key={key} HTTP/1.1", "POST / HTTP/1.1"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["answered", "reset", "reset at once"])
def test_no_request_and_no_viewer_that_goes_makes_it_print(
    request_line: str, how: str, server: Preview, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    (key_id,) = server.key_ids
    text = request_line.format(base=server.prefix, key=key_id) + f"\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        if how != "answered":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets the connection
        if how != "reset at once":
            connection.sendall(text.encode("latin-1"))
        if how == "answered":
            with contextlib.suppress(ConnectionError):  # what was too long was not read
                while connection.recv(1 << 16):
                    pass
    assert ask(server, "/")[0] == 200, "it goes on"
    time.sleep(0.05)
    assert capfd.readouterr().err == ""


def test_head_has_no_body(server: Preview) -> None:
    status, headers, body = ask(server, f"{base(server)}/master.m3u8", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/one/other/master.m3u8", "{base}/missing.m4s", "{base}/../../../keys/master.key", "{base}/%2e%2e/%2e%2e/catalog.db",
     "{base}/catalog.db", "{base}//etc/passwd", "{base}/", "{base}/video/240p/00001.m4s%00.mp4"],
)  # fmt: skip
def test_everything_else_is_not_there(server: Preview, path: str) -> None:
    assert ask(server, path.format(base=base(server)))[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:80", ""])
def test_a_foreign_host_header_is_refused(server: Preview, host: str) -> None:
    assert ask(server, "/", Host=host)[0] == 403


def test_localhost_is_a_name_of_this_machine(server: Preview) -> None:
    assert ask(server, "/", Host=f"localhost:{server.port}")[0] == 200


@pytest.mark.parametrize("way", ["", "clear/"], ids=["published", "clear"])
@pytest.mark.parametrize("content_id", ["one", "other"])
def test_it_plays_from_here_whatever_the_key_url(settings: Settings, content_id: str, way: str) -> None:
    with playing(content_id, settings) as server:
        address = server.master_url.replace(server.url, server.url + way)
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", address, "-f", "framehash", "-"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    frames = [line for line in done.stdout.splitlines() if line.startswith("0,")]
    assert len(frames) == 30


def test_the_clear_playlist_has_no_key_and_the_clear_segment_no_cipher(server: Preview) -> None:
    playlist = ask(server, f"/clear{base(server)}/video-240p.m3u8")[2].decode()
    assert "EXT-X-KEY" not in playlist
    (segment,) = [line for line in playlist.splitlines() if line and not line.startswith("#")]
    body = ask(server, f"/clear{base(server)}/{segment}")[2]
    assert body[4:8] in (b"styp", b"moof", b"sidx", b"prft")
    assert ask(server, f"{base(server)}/{segment}")[2] == server.storage.get(f"{server.prefix}/{segment}")


class Reporting(Preview):
    """The same server, whose page also reports how playing went."""

    report = ""
    ended = threading.Event()

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        if path.startswith("/report/"):
            self.report = path.removeprefix("/report/")
            self.ended.set()
        status, kind, body = super().answer(path)
        return status, kind, body + SCRIPT if path == "/" else body


SCRIPT = b"""<script>
const v = document.querySelector('video');
v.onended = () => fetch('/report/' + [v.ended, v.currentTime > 0.9, v.videoHeight > 0].join());
v.onerror = () => fetch('/report/' + v.error.message);
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")
def test_the_page_plays_an_encrypted_title_in_a_browser(server: Preview, tmp_path: Path) -> None:
    locks = server.locks
    with Reporting(
        server.storage, server.prefix, title="t", scheme="aes-128", key_ids=server.key_ids, key=server.key, locks=locks
    ) as reporting:
        threading.Thread(target=reporting.serve_forever, daemon=True).start()
        with browser(reporting.url, tmp_path / "profile"):
            assert reporting.ended.wait(60)
        reporting.shutdown()
    assert reporting.report == "true,true,true"


def test_an_unknown_title_is_refused_with_the_nearest(settings: Settings) -> None:
    with pytest.raises(UsageError, match="there is no title 'onne'") as refused, playing("onne", settings):
        pass
    assert refused.value.fix == "did you mean one?"


def test_a_port_that_is_taken(server: Preview, settings: Settings) -> None:
    with pytest.raises(UsageError, match=f"port {server.port} cannot be used"), playing("one", settings, server.port):
        pass


def test_a_lost_key_is_reported_before_anything_plays(settings: Settings, tmp_path: Path) -> None:
    lost = settings.model_copy(update={"home": tmp_path})
    with pytest.raises(UsageError), playing("one", lost):
        pass
