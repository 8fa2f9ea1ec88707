"""Web servers that do not mean well: what they send ends in a WebError, soon, and leads nowhere that it should not."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from vidpipe import web
from vidpipe.web import Broken, NoAddress, NotFollowed, Unreached, Web, WebError


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1,127.0.0.2,127.0.0.3,localhost")


@contextmanager
def sending(*parts: bytes, pause: float = 0, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that answers every request with these bytes, and says nothing of HTTP by itself. context: of TLS."""
    over = threading.Event()
    with socket.create_server((host, 0)) as listener:

        def serve() -> None:
            while not over.is_set():
                with suppress(OSError):
                    plain, _ = listener.accept()
                    with context.wrap_socket(plain, server_side=True) if context else plain as connection:
                        connection.recv(65536)
                        for part in parts:
                            connection.sendall(part)
                            if over.wait(pause):
                                break

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield f"http{'s' if context else ''}://{host}:{port}/"
        finally:
            over.set()
            with suppress(OSError):
                socket.create_connection((host, port), 1).close()
            thread.join()


def got(url: str, client: Web | None = None) -> bytes:
    with client or Web(silence=5) as asked, asked.answered(url) as answer:
        return b"".join(answer.blocks)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def test_an_answer() -> None:
    with sending(OK + b"film") as url, Web(silence=5) as client, client.answered(url) as answer:
        assert (answer.status, answer.reason, answer.headers["content-length"]) == (200, "OK", "4")
        assert b"".join(answer.blocks) == b"film"


@pytest.mark.parametrize(
    ("sent", "kind", "what"),
    [
        pytest.param(b"\x00\x16garbage\r\n\r\n", Broken, ".", id="garbage"),
        pytest.param(b"HTTP/1.1 6000000000 OK\r\n\r\n", Broken, ".", id="a status that is none"),
        pytest.param(b"", Broken, "without sending a response", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfilm", Broken, "received 4 bytes, expected 9", id="cut off"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nfilm", Broken, ".", id="a length that is none"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nfilm", Broken, ".", id="broken chunks"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 6000 + b"\r\n", Broken, "chunk header", id="a long chunk"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nfilm", Broken, ".", id="chunks cut off"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 40_000 + b"\r\n", Broken, ".", id="too many headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000 + b"\r\n\r\n", Broken, ".", id="a header without end"),
        pytest.param(b"HTTP/1.1 302 -\r\nLocation: file:///etc/passwd\r\n\r\n", NotFollowed, "redirects to file://", id="to a file"),
        pytest.param(b"HTTP/1.1 302 -\r\nLocation: http://[x/\r\n\r\n", NotFollowed, "to an invalid URL", id="to no address"),
        pytest.param(b"HTTP/1.1 302 -\r\nLocation: http://x:y/\r\n\r\n", NoAddress, ".", id="to no port"),
        pytest.param(b"HTTP/1.1 302 -\r\nLocation: http://a..b/\r\n\r\n", NoAddress, ".", id="to no name"),
        pytest.param(b"HTTP/1.1 302 -\r\nLocation: http://" + b"a" * 64 + b".com/\r\n\r\n", NoAddress, ".", id="to a long name"),
        pytest.param(b"HTTP/1.1 302 -\r\nLocation: /again\r\n\r\n", NotFollowed, "in a loop", id="to itself"),
    ],
)
def test_what_is_no_answer_is_a_web_error(sent: bytes, kind: type[WebError], what: str) -> None:
    with sending(sent) as url, pytest.raises(kind, match=what):
        got(url)


@pytest.mark.parametrize("url", ["http://[x/", "http://x:y/", "http:///x", "http://a b/", "http://é/", "ftp://x/", "x", "http://x/\n"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(NoAddress):
        got(url)


def test_nobody_listens() -> None:
    with pytest.raises(Unreached):
        got("http://127.0.0.1:9/")


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([OK[:1]] + [bytes([byte]) for byte in OK[1:]], id="of the headers"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"] + [b"a"] * 100, id="of the body"),
    ],
)
def test_a_byte_a_moment_ends(parts: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """No moment is silent; but the whole would take ten times what an answer is given."""
    monkeypatch.setattr(web, "GRACE", 0.5)
    with sending(*parts, pause=0.05) as url:
        begun = time.monotonic()
        with pytest.raises(Broken, match="bytes came in"):
            got(url)
        assert time.monotonic() - begun < 60  # and not for ever: the server would go on for as long as it is asked


def test_a_slow_answer_that_keeps_coming_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "GRACE", 1.0)
    body = [bytes(10_000)] * 15  # a second more for each
    with sending(b"HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n", *body, pause=0.1) as url:
        assert len(got(url)) == 150_000


def test_each_request_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with sending(OK + b"film") as url, Web(silence=5) as client:
        with client.answered(url) as answer:
            assert b"".join(answer.blocks) == b"film"
        monkeypatch.setattr(web, "GRACE", 2.0)
        time.sleep(2.1)  # whoever asks may take a while over each answer
        with client.answered(url) as answer:
            assert b"".join(answer.blocks) == b"film"


def test_silence_ends() -> None:
    with sending(OK, b"film", pause=30) as url, pytest.raises(Broken, match="sends nothing"):
        got(url, Web(silence=0.2))


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("8.8.8.8", False), ("2606:4700::1111", False), ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.0.1", True),
        ("172.16.0.1", True),
        ("169.254.169.254", True), ("100.64.0.1", True), ("0.0.0.0", True), ("::1", True), ("fe80::1", True), ("fd00::1", True),
        ("::ffff:127.0.0.1", True), ("::ffff:8.8.8.8", False), ("64:ff9b::7f00:1", True), ("64:ff9b::808:808", False), ("224.0.0.1", True),
        ("2002:7f00:1::", True), ("2002:808:808::", False),
    ],
)  # fmt: skip
def test_which_addresses_are_private(address: str, private: bool) -> None:
    assert web._is_private(ipaddress.ip_address(address)) is private


@pytest.fixture
def one_is_public(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], bool]:
    """127.0.0.1 plays a public server, 127.0.0.2 an internal one."""
    judge = lambda address: str(address) != "127.0.0.1"  # noqa: E731
    monkeypatch.setattr(web, "_is_private", judge)
    return judge


@pytest.mark.usefixtures("one_is_public")
def test_a_redirect_leads_to_no_private_address_but_the_named_one() -> None:
    with sending(OK + b"film", host="127.0.0.2") as inside:
        answer = f"HTTP/1.1 302 -\r\nLocation: {inside}\r\n\r\n".encode()
        with sending(answer) as public, pytest.raises(NotFollowed, match="private address"):
            got(public)
        with sending(answer) as public:
            assert got(public, Web(silence=5, allow_private=True)) == b"film"
        with sending(answer, host="127.0.0.2") as inside_too:  # the user's own word, and the port is another service of the same host
            assert got(inside_too) == b"film"
        with sending(answer, host="127.0.0.3") as other, pytest.raises(NotFollowed, match="private address"):
            got(other)  # that a private address was named says nothing of others


@pytest.mark.usefixtures("one_is_public")
def test_what_follows_from_a_public_server_is_not_private_either() -> None:
    """A playlist names addresses as well; one client asks for all that follows from one address."""
    with sending(OK + b"list") as public, sending(OK + b"film", host="127.0.0.2") as inside, Web(silence=5) as client:
        with client.answered(public) as answer:
            assert b"".join(answer.blocks) == b"list"
        with pytest.raises(NotFollowed), client.answered(inside):
            pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -keyout -"
    made = subprocess.run([*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], capture_output=True, check=True)
    file.write_bytes(made.stdout)
    return file


def secured(answer: bytes, certificate: Path) -> AbstractContextManager[str]:
    """The same server behind TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return sending(answer, context=context)


def test_certificates_are_verified(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with secured(OK + b"film", certificate) as url:
        with pytest.raises(Unreached, match="certificate"):
            got(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert got(url) == b"film"


def test_https_is_never_left(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with sending(OK + b"film") as plain:
        answer = f"HTTP/1.1 302 -\r\nLocation: {plain}\r\n\r\n".encode()
        with secured(answer, certificate) as url, pytest.raises(NotFollowed, match="redirects to http://"):
            got(url)


@pytest.mark.parametrize(
    "proxy", ["http://proxy:abc", "socks5://127.0.0.1:1", "ftp://proxy:1", "http://", "http://me:secret@[::1", "http://a..b:1", "http://ü:1"]
)
def test_a_proxy_that_is_none_is_a_sentence(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(Unreached, match="the proxy set in the environment cannot be used") as caught:
        got("http://films.example/one.mp4")
    assert "secret" not in str(caught.value)


def test_a_proxy_may_have_an_address_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://[::1]:1")
    with pytest.raises(Unreached, match=r"refused|annot"):
        got("http://films.example/one.mp4")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_proxy_is_asked_for_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would get keys and tokens in clear, and what it reaches is another machine."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with sending(b"HTTP/1.1 200 -\r\nContent-Length: 2\r\n\r\nhi") as url:
        assert got(url.replace("127.0.0.1", host)) == b"hi"


def test_a_proxy_is_not_asked_for_private_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with sending(b"HTTP/1.1 302 -\r\nLocation: http://169.254.169.254/\r\n\r\n") as proxy:
        monkeypatch.setenv("http_proxy", proxy)
        with pytest.raises(NotFollowed, match="private address"):
            got("http://films.example/one.mp4")
