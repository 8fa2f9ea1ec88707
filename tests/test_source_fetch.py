"""Sources from elsewhere: a real web server and a real S3 server on the loopback, and pipes."""

from __future__ import annotations

import errno
import hashlib
import http.server
import os
import pty
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from vidpipe.errors import Interrupted, SourceRefused, UsageError
from vidpipe.source.fetch import PARTIAL, OtherVersion, Version, fetch, is_remote, local_path, look, public, safe_name, spool
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
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("s3:/masters/film.mov", "s3://masters/film.mov"),
        ("s3//masters/film.mov", "s3://masters/film.mov"),
        ("S3:masters/film.mov", "s3://masters/film.mov"),
        ("https:/host/film.mov?sig=TOPSECRET", "https://host/film.mov?"),
        ("https:/me:TOPSECRET@host/film.mov", "https://host/film.mov?"),
        ("file:/masters/film.mov", "give a path"),
        ("gs:masters/film.mov", "give a path"),
    ],
)
def test_an_address_with_a_slip_is_no_path(slip: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        local_path(slip)
    assert meant in str(caught.value.fix)
    assert "TOPSECRET" not in str(caught.value.lines())


def test_a_file_may_have_the_name_of_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:film.mov").write_bytes(b"")
    for name in ("s3:film.mov", "./s3:/missing.mov", "a:b.mp4", "s3/film.mov", str(tmp_path / "s3:film.mov")):
        assert local_path(name) == Path(name)


def test_what_is_an_address() -> None:
    assert not is_remote("films/a:b.mp4")
    assert not is_remote("C:\\film.mp4")
    assert is_remote("s3://bucket/film.mp4")


@pytest.mark.parametrize("path", ["film/one.mp4", "redirect/?/film/one.mp4", "endless/one.mp4"])
def test_a_file_from_the_web(path: str, web: str, tmp_path: Path) -> None:
    progress: list[tuple[int, int | None]] = []
    fetch(f"{web}/{path}", tmp_path / "film.mp4", on_bytes=lambda *numbers: progress.append(numbers))
    assert (tmp_path / "film.mp4").read_bytes() == FILM
    assert progress[-1] == (len(FILM), None if "endless" in path else len(FILM))
    assert [each.name for each in tmp_path.iterdir()] == ["film.mp4"]


REFUSED = {
    "404/film.mp4": ("answers 404", "check the URL"),
    "403/film.mp4": ("answers 403", "no login"),
    "503/film.mp4": ("answers 503", "later"),
    "cut/film.mp4": (f"stopped after {len(FILM)} of {2 * len(FILM)}", "check the network, and try again"),
    "redirect/?file:///etc/passwd": ("redirects to file", "final URL"),
    "redirect/?ftp://127.0.0.1/x": ("redirects to ftp", "final URL"),
    "redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/?/redirect/": ("in a loop", "final URL"),
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_cannot_be_fetched_ends_in_a_sentence(path: str, web: str, tmp_path: Path) -> None:
    what, fix = REFUSED[path]
    with pytest.raises(SourceRefused, match=what) as caught:
        fetch(f"{web}/{path}", tmp_path / "film.mp4")
    assert re.search(fix, str(caught.value.fix))
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_leads_to_a_private_address_only_if_that_is_allowed(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,127.0.0.2")
    with serving(Handler, "127.0.0.2") as inside:
        address = f"{web}/redirect/?{inside}/film.mp4"
        with pytest.raises(SourceRefused, match="to another server, which has a private address") as refused:
            fetch(address, tmp_path / "film.mp4")
        assert "private_redirects" in str(refused.value.fix)
        assert list(tmp_path.iterdir()) == []
        fetch(address, tmp_path / "film.mp4", limits=SourceLimits(private_redirects=True))
    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_what_drips_is_no_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpipe.web.GRACE", 0.5)
    over = threading.Event()

    class Drips(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)  # of no length: where it ends, it is complete
            self.end_headers()
            while not over.wait(0.05):
                with suppress(OSError):
                    self.wfile.write(b"a")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Drips) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(SourceRefused, match="bytes came in"):
            fetch(f"http://127.0.0.1:{server.server_address[1]}/film.mp4", tmp_path / "film.mp4")
        over.set()
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="cannot be fetched"):
        look("http://127.0.0.1:9/film.mp4")
    with pytest.raises(SourceRefused, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/film.mp4", tmp_path / "film.mp4")


def test_secrets_in_an_address_are_not_repeated(web: str, tmp_path: Path) -> None:
    with pytest.raises(SourceRefused) as caught:
        fetch(f"{web}/404/film.mp4?X-Signature=secret", tmp_path / "film.mp4")
    assert "secret" not in "\n".join(caught.value.lines())
    with pytest.raises(SourceRefused, match="user and password") as caught:
        look("https://me:secret@127.0.0.1/film.mp4")
    assert "secret" not in "\n".join(caught.value.lines())
    assert public("https://me:secret@host/a?b=c#d") == "https://host/a"


NO_ADDRESS = {
    "a space": "https://127.0.0.1/my film.mp4?signature=secret",
    "a line break": "https://127.0.0.1/film.mp4?signature=secret\n",
    "a control character": "https://127.0.0.1/film.mp4\x7f?signature=secret",
    "no end of the host": "https://[::1/film.mp4?signature=secret",
    "user without an end of the host": "https://me:secret@[::1/film.mp4",
    "no port": "https://127.0.0.1:secret/film.mp4",
    "no end, at S3": "s3://[bucket/film.mp4?secret",
}


@pytest.mark.parametrize("address", NO_ADDRESS.values(), ids=NO_ADDRESS)
def test_what_is_no_address_is_reported_without_its_secrets(address: str, tmp_path: Path) -> None:
    for call in (lambda: look(address), lambda: fetch(address, tmp_path / "film.mp4"), lambda: safe_name(address)):
        with pytest.raises(SourceRefused, match="this is not a valid URL") as caught:
            call()
        if ":secret/" not in address:  # a host and its port are shown
            assert "secret" not in "\n".join(caught.value.lines())
    assert list(tmp_path.iterdir()) == []


def test_an_address_with_other_letters_is_reported_without_its_secrets(web: str) -> None:
    with pytest.raises(SourceRefused, match="this is not a valid URL") as caught:
        look(f"{web}/film/é.mp4?signature=secret")
    assert "secret" not in "\n".join(caught.value.lines())


def test_a_key_at_s3_may_hold_spaces() -> None:
    assert safe_name("s3://bucket/my film.mp4") == "my film.mp4"


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler], host: str = "127.0.0.1") -> Iterator[str]:
    """Serve with a handler; the address."""
    with http.server.ThreadingHTTPServer((host, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("how", ["drops", "ignores", "breaks"])
def test_a_server_that_does_not_answer_head_is_asked_for_the_file(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    class NoHead(Handler):
        def do_HEAD(self) -> None:
            match how:
                case "ignores":
                    over.wait(30)
                case "breaks":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close sends a reset
                    self.connection.close()
                    self.close_connection = True

    monkeypatch.setattr("vidpipe.source.fetch.TIMEOUT", 1.0)
    with serving(NoHead) as url:
        try:
            assert look(f"{url}/film/one.mp4") is None
            fetch(f"{url}/film/one.mp4", tmp_path / "film.mp4")
        finally:
            over.set()
    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_a_number_without_end_is_no_size(tmp_path: Path) -> None:
    class Boastful(Handler):
        def do_GET(self) -> None:
            self.send_response(206)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Range", f"bytes 0-3/{'9' * 6000}")
            self.end_headers()
            self.wfile.write(b"film")

    with serving(Boastful) as url, pytest.raises(OtherVersion):
        fetch(f"{url}/film.mp4", tmp_path / "film.mp4", version=Version(tag="x", size=8))


@pytest.mark.parametrize("sent", ["short", "whole", "longer"])
def test_the_size_that_head_declared_is_missed_in_a_body_without_one(sent: str, tmp_path: Path) -> None:
    """Without a Content-Length, a body that broke off looks like one that ended."""
    body = {"short": FILM[:5000], "whole": FILM, "longer": FILM + b"more"}[sent]

    class Sizeless(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("ETag", '"1"')
            if self.command == "HEAD":
                self.send_header("Content-Length", str(len(FILM)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    file = tmp_path / "film.mp4"
    with serving(Sizeless) as url:
        version = look(f"{url}/film.mp4")
        assert version
        match sent:
            case "short":
                with pytest.raises(SourceRefused, match=f"stopped after 5000 of {len(FILM)} bytes"):
                    fetch(f"{url}/film.mp4", file, version=version)
                assert not file.exists()
            case "whole":
                fetch(f"{url}/film.mp4", file, version=version)
                assert file.read_bytes() == FILM
            case "longer":
                with pytest.raises(OtherVersion):
                    fetch(f"{url}/film.mp4", file, version=version)


@pytest.mark.parametrize("kind", ["film", "endless"])
def test_a_file_over_the_limit(kind: str, web: str, tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="limit"):
        fetch(f"{web}/{kind}/film.mp4", tmp_path / "film.mp4", limits=SourceLimits(max_bytes=1000))
    assert list(tmp_path.iterdir()) == []


def test_cancel(web: str, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        fetch(f"{web}/film/one.mp4", tmp_path / "film.mp4", cancel=cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["file", "ftp", "concat", "rtmp"])
def test_other_addresses_are_not_fetched(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be fetched"):
        look(f"{scheme}://host/film.mp4")
    with pytest.raises(UsageError, match="cannot be fetched"):
        fetch(f"{scheme}://host/film.mp4", tmp_path / "film.mp4")


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


@pytest.fixture
def shop() -> Iterator[servers.Web]:
    """A web server with one film, and entity tags."""
    with servers.web() as running:
        running.files["/film.mp4"] = FILM
        yield running


def test_a_version_is_known_without_the_body(shop: servers.Web) -> None:
    address = f"{shop.url}/film.mp4"
    before = look(address)
    assert before
    assert (before.size, before.joins) == (len(FILM), True)
    assert before.same(look(address))
    shop.files["/film.mp4"] = FILM[::-1]
    assert not before.same(look(address))
    assert shop.bodies() == []


def test_an_entity_tag_is_one_of_its_address(shop: servers.Web) -> None:
    shop.files |= {"/film.mp4?id=1": FILM, "/film.mp4?id=2": FILM}
    first, second = look(f"{shop.url}/film.mp4?id=1"), look(f"{shop.url}/film.mp4?id=2")
    assert first
    assert second
    assert first.etag == second.etag
    assert not first.same(second)


DOUBTFUL = {
    "weak tag": {"tags": "weak"},
    "nothing": {"tags": "none"},
    "just written": {"tags": "none", "age": 0.0},
    "no HEAD": {"head": False},
}


@pytest.mark.parametrize("doubt", DOUBTFUL)
def test_what_proves_nothing_is_no_version(doubt: str, shop: servers.Web) -> None:
    for name, value in DOUBTFUL[doubt].items():
        setattr(shop, name, value)
    assert look(f"{shop.url}/film.mp4") is None


def test_an_old_date_and_a_size_are_a_version(shop: servers.Web) -> None:
    shop.tags, shop.age = "none", 3600.0
    before = look(f"{shop.url}/film.mp4")
    assert before
    assert before.same(look(f"{shop.url}/film.mp4"))
    assert not before.joins
    shop.age = 1800.0
    assert not before.same(look(f"{shop.url}/film.mp4"))


def test_head_stays_head_over_a_redirect(web: str, shop: servers.Web) -> None:
    assert look(f"{web}/redirect/?{shop.url}/film.mp4") is None, "that server knows no HEAD"
    assert shop.asked == []

    class Leads(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{shop.url}/film.mp4")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Leads) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        found = look(f"http://127.0.0.1:{server.server_address[1]}/film.mp4")
        thread.join()
    assert found
    assert found.same(look(f"{shop.url}/film.mp4"))
    assert [method for method, _, _ in shop.asked] == ["HEAD", "HEAD"]


def broken_off(shop: servers.Web, folder: Path, count: int = 5000) -> Any:
    """Let a fetch break off after some bytes, and return the version."""
    version = look(f"{shop.url}/film.mp4")
    shop.cut = count
    with pytest.raises(SourceRefused, match=f"{count} of {len(FILM)}"):
        fetch(f"{shop.url}/film.mp4", folder / "film.mp4", version=version)
    shop.cut = None
    shop.asked.clear()
    return version


def test_what_broke_off_is_continued(shop: servers.Web, tmp_path: Path) -> None:
    version = broken_off(shop, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [PARTIAL], "what is not complete has not got the name"
    progress: list[tuple[int, int | None]] = []
    fetch(f"{shop.url}/film.mp4", tmp_path / "film.mp4", version=version, on_bytes=lambda *numbers: progress.append(numbers))
    assert shop.bodies() == ["bytes=5000-"]
    assert (tmp_path / "film.mp4").read_bytes() == FILM
    assert progress[0] == (5000, len(FILM))
    assert progress[-1] == (len(FILM), len(FILM))


def test_a_server_without_ranges_sends_it_again(shop: servers.Web, tmp_path: Path) -> None:
    version = broken_off(shop, tmp_path)
    shop.ranges = False
    fetch(f"{shop.url}/film.mp4", tmp_path / "film.mp4", version=version)
    assert (tmp_path / "film.mp4").read_bytes() == FILM


def test_parts_of_two_versions_are_never_joined(shop: servers.Web, tmp_path: Path) -> None:
    version = broken_off(shop, tmp_path)
    shop.files["/film.mp4"] = FILM[::-1]
    with pytest.raises(OtherVersion):
        fetch(f"{shop.url}/film.mp4", tmp_path / "film.mp4", version=version)
    assert list(tmp_path.iterdir()) == []


def test_without_a_tag_nothing_is_continued(shop: servers.Web, tmp_path: Path) -> None:
    shop.tags, shop.age = "none", 3600.0
    version = broken_off(shop, tmp_path)
    assert list(tmp_path.iterdir()) == []
    fetch(f"{shop.url}/film.mp4", tmp_path / "film.mp4", version=version)
    assert shop.bodies() == [None]


@pytest.fixture(params=[servers.moto, servers.rclone], ids=["moto", "rclone"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A function that puts a film into a bucket, and returns its address."""
    from vidpipe.storage import open_storage

    try:
        with request.param() as server:
            server.use(monkeypatch, tmp_path)

            def put(data: bytes) -> str:
                target = open_storage(f"s3://{server.bucket}/films")
                target.put("one.mp4", data, content_type="video/mp4", cache_control="", sha256=hashlib.sha256(data).hexdigest())
                target.close()
                return f"s3://{server.bucket}/films/one.mp4"

            yield put
    except servers.Unavailable as reason:
        pytest.skip(str(reason))


def test_a_file_from_s3(bucket: Any, tmp_path: Path) -> None:
    address, file = bucket(FILM), tmp_path / "film.mp4"
    version = look(address)
    progress: list[tuple[int, int | None]] = []
    fetch(address, file, version=version, on_bytes=lambda *numbers: progress.append(numbers))
    assert file.read_bytes() == FILM
    assert progress[-1] == (len(FILM), len(FILM))
    assert version
    assert version.same(look(address))
    bucket(FILM[::-1])
    assert not version.same(look(address))
    with pytest.raises(OtherVersion):
        fetch(address, file, version=version)
    for missing in (address.replace("one", "two"), "s3://no-such-bucket-here/films/two.mp4"):
        with pytest.raises(SourceRefused, match="no such object"):
            look(missing)
    with pytest.raises(SourceRefused, match="limit"):
        look(address, SourceLimits(max_bytes=10))
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        fetch(address, tmp_path / "other.mp4", cancel=cancel)
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_not_the_fault_of_an_object(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = bucket(FILM)
    with Path("/dev/full").open("wb", buffering=0) as full:
        monkeypatch.setattr("s3transfer.utils.OSUtils.open", lambda *_: full)
        with pytest.raises(OSError, match="No space left") as caught:
            fetch(address, tmp_path / "film.mp4")
    assert caught.value.errno == errno.ENOSPC


def piped(data: bytes) -> int:
    """Return the end of a pipe that gives ``data``."""
    reading, writing = os.pipe()
    threading.Thread(target=lambda: (os.write(writing, data), os.close(writing))).start()
    return reading


def test_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    progress: list[tuple[int, int | None]] = []
    spool(tmp_path / "film", stdin=piped(FILM), on_bytes=lambda *numbers: progress.append(numbers))
    assert (tmp_path / "film").read_bytes() == FILM
    assert progress[-1] == (len(FILM), None)


def test_what_standard_input_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused, match="no data arrived"):
        spool(tmp_path / "film", stdin=piped(b""))
    with pytest.raises(SourceRefused, match="more than 1000 bytes, the limit"):
        spool(tmp_path / "film", stdin=piped(FILM[:2000]), limits=SourceLimits(max_bytes=1000))
    master, slave = pty.openpty()
    with pytest.raises(UsageError, match="is a terminal"):
        spool(tmp_path / "film", stdin=slave)
    os.close(master)
    os.close(slave)
    with pytest.raises(SourceRefused, match="reading it stopped"):
        spool(tmp_path / "film", stdin=slave)
    assert list(tmp_path.iterdir()) == []


def test_waiting_for_standard_input_can_be_stopped(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    with pytest.raises(Interrupted):
        spool(tmp_path / "film", stdin=reading, cancel=cancel)
    os.close(reading)
    os.close(writing)
    assert list(tmp_path.iterdir()) == []
