"""guard: no redirect leads into the network of this machine, and no answer takes for ever."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vidpipe.errors import SourceRefused
from vidpipe.source import guard
from vidpipe.source.fetch import fetch, look
from vidpipe.source.guard import is_public
from vidpipe.source.limits import SourceLimits

FILM = bytes(range(256)) * 40
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
QUICK = SourceLimits(fetch_seconds=1, fetch_bytes_per_second=1000)

PUBLIC = ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101")
PRIVATE = (
    *("127.0.0.1", "::1", "0.0.0.0", "::", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "169.254.169.254", "fe80::1%eth0"),
    *("fd00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "198.18.0.1", "240.0.0.1"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_this_machine_or_its_network(address: str) -> None:
    assert not is_public(address)


class Handler(http.server.BaseHTTPRequestHandler):
    asked: list[str]
    over: threading.Event

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        kind = self.path.split("/")[1]
        if kind == "to":
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        parts = {
            "header": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
            "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 10240\r\n\r\n", b"a"),
            "endless": (b"HTTP/1.1 200 OK\r\n\r\n", b"a"),
            "chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
            "trailer": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n"),
        }
        if kind in parts:
            begin, drop = parts[kind]
            with suppress(OSError):  # the other side has had enough
                self.wfile.write(begin)
                while not self.over.wait(0.1):
                    self.wfile.write(drop)
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(FILM)))
        self.end_headers()
        self.wfile.write(FILM)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, list[str]]]:
    """The port of a web server at all addresses of loopback, one of which counts as public, and what was asked of it."""
    monkeypatch.setattr(guard, "is_public", lambda address: address == OUTSIDE)
    handler = type("Handling", (Handler,), {"asked": [], "over": threading.Event()})
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield listening.server_address[1], handler.asked  # type: ignore[attr-defined]
        handler.over.set()  # type: ignore[attr-defined]
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize("host", [INSIDE, "localhost"], ids=["an address", "a name of it"])
def test_a_public_address_does_not_redirect_into_the_network_of_this_machine(
    host: str, server: tuple[int, list[str]], tmp_path: Path
) -> None:
    port, asked = server
    address = f"http://{OUTSIDE}:{port}/to/http://{host}:{port}/film.mp4"
    with pytest.raises(SourceRefused, match=r"inside of this machine's network \(127.0.0.1\)") as refused:
        fetch(address, tmp_path / "film.mp4")
    assert asked == [f"/to/http://{host}:{port}/film.mp4"], "no request was sent there"
    assert "private_redirects" in str(refused.value.fix)
    assert list(tmp_path.iterdir()) == []
    fetch(address, tmp_path / "film.mp4", limits=SourceLimits(private_redirects=True))
    assert (tmp_path / "film.mp4").read_bytes() == FILM


@pytest.mark.parametrize("path", ["film.mp4", "to/http://{inside}/film.mp4", "to/http://{outside}/film.mp4"])
def test_an_inner_address_is_the_users_own_word(path: str, server: tuple[int, list[str]], tmp_path: Path) -> None:
    port, _ = server
    names = {"inside": f"{INSIDE}:{port}", "outside": f"{OUTSIDE}:{port}"}
    fetch(f"http://{INSIDE}:{port}/{path.format(**names)}", tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_out_and_in_again_is_refused(server: tuple[int, list[str]], tmp_path: Path) -> None:
    port, _ = server
    hop = f"http://{OUTSIDE}:{port}/to/http://{OUTSIDE}:{port}/to/http://{INSIDE}:{port}/film.mp4"
    with pytest.raises(SourceRefused, match="inside of this machine"):
        fetch(hop, tmp_path / "film.mp4")


@pytest.mark.parametrize("kind", ["header", "length", "endless", "chunk", "trailer"])
def test_an_answer_that_drips_ends(kind: str, server: tuple[int, list[str]], tmp_path: Path) -> None:
    port, _ = server
    began = time.monotonic()
    with pytest.raises(SourceRefused, match=r"too slow: \d+ bytes in \d s") as refused:
        fetch(f"http://{INSIDE}:{port}/{kind}", tmp_path / "film.mp4", limits=QUICK)
    assert time.monotonic() - began < 5
    assert "fetch_bytes_per_second" in str(refused.value.fix)
    assert list(tmp_path.iterdir()) == [], "what came of it is no film"


def test_a_look_that_drips_ends(server: tuple[int, list[str]]) -> None:
    port, _ = server
    began = time.monotonic()
    assert look(f"http://{INSIDE}:{port}/header", QUICK) is None, "it says nothing; a GET may"
    assert time.monotonic() - began < 5
