"""Remote sources, from a real web server and a real S3 server on the loopback."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vidpipe.errors import Interrupted, SourceRefused, UsageError
from vidpipe.source.fetch import is_remote, local_copy, public, safe_name
from vidpipe.source.limits import SourceLimits

FILM = (Path(__file__).parent.parent / "fixtures" / "one-second.mp4").read_bytes()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        kind = self.path.split("?")[0].strip("/").split("/")[0]
        if kind == "redirect":
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if kind in ("403", "404", "503"):
            self.send_error(int(kind))
            return
        self.send_response(200)
        if kind == "cut":
            self.send_header("Content-Length", str(2 * len(FILM)))
        elif kind != "endless":
            self.send_header("Content-Length", str(len(FILM)))
        self.end_headers()
        self.wfile.write(FILM)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_a_local_path_is_passed_through(tmp_path: Path) -> None:
    assert local_copy("films/a:b.mp4", tmp_path) == Path("films/a:b.mp4")
    assert not is_remote("C:\\film.mp4")
    assert is_remote("s3://bucket/film.mp4")


@pytest.mark.parametrize("path", ["film/one.mp4", "redirect/?/film/one.mp4", "endless/one.mp4"])
def test_a_file_from_the_web(path: str, web: str, tmp_path: Path) -> None:
    sizes: list[int] = []
    file = local_copy(f"{web}/{path}", tmp_path / "new", on_bytes=sizes.append)
    assert file.read_bytes() == FILM
    assert sum(sizes) == len(FILM)
    assert [each.name for each in file.parent.iterdir()] == [file.name]


REFUSED = {
    "404/film.mp4": ("answers 404", "check the address"),
    "403/film.mp4": ("answers 403", "no login"),
    "503/film.mp4": ("answers 503", "later"),
    "cut/film.mp4": ("stopped after|IncompleteRead", "try again|check the address"),
    "redirect/?file:///etc/passwd": ("redirects to an address that is not followed", "final address"),
    "redirect/?ftp://127.0.0.1/x": ("redirects to ftp", "final address"),
    "redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/": ("in a circle", "final address"),
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_cannot_be_fetched_ends_in_a_sentence(path: str, web: str, tmp_path: Path) -> None:
    what, fix = REFUSED[path]
    with pytest.raises(SourceRefused, match=what) as caught:
        local_copy(f"{web}/{path}", tmp_path)
    assert re.search(fix, str(caught.value.fix))
    assert list(tmp_path.iterdir()) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="cannot be fetched"):
        local_copy("http://127.0.0.1:9/film.mp4", tmp_path)


def test_secrets_in_an_address_are_not_repeated(web: str, tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as caught:
        local_copy(f"{web}/404/film.mp4?X-Signature=secret", tmp_path)
    assert "secret" not in "\n".join(caught.value.lines())
    with pytest.raises(SourceRefused, match="user and password") as caught:
        local_copy("https://me:secret@127.0.0.1/film.mp4", tmp_path)
    assert "secret" not in "\n".join(caught.value.lines())
    assert public("https://me:secret@host/a?b=c#d") == "https://host/a"


@pytest.mark.parametrize("kind", ["film", "endless"])
def test_a_file_over_the_limit(kind: str, web: str, tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="limit"):
        local_copy(f"{web}/{kind}/film.mp4", tmp_path, limits=SourceLimits(max_bytes=1000))
    assert list(tmp_path.iterdir()) == []


def test_cancel(web: str, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        local_copy(f"{web}/film/one.mp4", tmp_path, cancel=cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["file", "ftp", "concat", "rtmp"])
def test_other_addresses_are_not_fetched(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not fetched"):
        local_copy(f"{scheme}://host/film.mp4", tmp_path)


NAMES = {
    "https://h/a/film.mp4?x=1": "film.mp4",
    "https://h/..%2f..%2fetc%2fpasswd": "passwd",
    "https://h/%2e%2e": "source",
    "https://h/": "source",
    "https://h/-i%20;rm%20x.mp4": "i ;rm x.mp4",
    "s3://b/.hidden": "hidden",
    "https://h/" + "x" * 300 + ".mp4": "x" * 99 + "…",
}


@pytest.mark.parametrize(("address", "name"), NAMES.items())
def test_names_are_made_safe(address: str, name: str) -> None:
    assert safe_name(address) == name


def test_a_file_from_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.servers import BUCKET, moto
    from vidpipe.storage import open_storage

    with moto() as server:
        server.use(monkeypatch, tmp_path)
        target = open_storage(f"s3://{BUCKET}/films")
        target.put("one.mp4", FILM, content_type="video/mp4", cache_control="", sha256=hashlib.sha256(FILM).hexdigest())
        assert local_copy(f"s3://{BUCKET}/films/one.mp4", tmp_path / "new").read_bytes() == FILM
        with pytest.raises(SourceRefused, match="no such object"):
            local_copy(f"s3://{BUCKET}/films/two.mp4", tmp_path)
        with pytest.raises(SourceRefused, match="no such object"):
            local_copy("s3://no-such-bucket-here/films/two.mp4", tmp_path)
        with pytest.raises(SourceRefused, match="limit"):
            local_copy(f"s3://{BUCKET}/films/one.mp4", tmp_path, limits=SourceLimits(max_bytes=10))
        target.close()
