"""Ask web servers. The only module that does: http:// and https://, by httpcore.

In:   the address that a user named, and those that follow from it (a redirect, a playlist).
Out:  an Answer: status, headers, and the body in blocks, as it comes.
Wrong: WebError, whose kind says how far it came: BadClientCertificate, NoAddress, NotFollowed, Unreached, Broken. Its text never repeats
       an address, which may hold secrets.

What a server sends is untrusted. A redirect or a playlist leads to no private address (loopback, link-local and internal ones) but the
very one that the user named: a connection to any other is refused before anything is sent. An answer may be slow, but not for ever: it has
GRACE seconds, and one more for every SLOWEST bytes that have come. Certificates are verified; https is never left.

httpx is not used: its transport takes no network backend, so while headers come byte by byte no deadline would hold (its timeouts are of
one read each), and a connection could be judged before anything is sent only by its tracing hook, which is there to watch. A transport of
our own for it would be all of this module, on the same httpcore, and httpx one layer more.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

import httpcore

from vidpipe.loopback import is_loopback

GRACE = 60.0
"""Seconds that an answer may take however little of it comes."""
SLOWEST = 10_000
"""Bytes a second that an answer needs beyond that; an hour of video would take days."""
MOST_REDIRECTS = 5
LONGEST_WORDS = 200

_REDIRECTS = frozenset({
    HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER, HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT,
})  # fmt: skip
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


class WebError(Exception):
    """A web server could not be asked, or did not answer well. what: one clause, without the address."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class NoAddress(WebError):
    """No server can be asked for this address."""


class NotFollowed(WebError):
    """It leads to where it must not be followed."""


class Unreached(WebError):
    """The server could not be reached."""


class Broken(WebError):
    """The server was reached, and its answer broke off, took too long or is no HTTP."""


class BadClientCertificate(WebError):
    """The certificate by which the server is to know us cannot be used."""


@dataclass(frozen=True)
class Answer:
    """The answer of a server. url: that answered, after redirects.  headers: names in lower case.

    blocks: of the body; reading them may raise WebError.
    """

    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    blocks: Iterator[bytes]


class Web:
    """Asks for what a user named, and for what follows from it. The first connection is to the user's own server.

    silence: seconds without a byte.  allow_private: other private addresses may follow.
    client_certificate: PEM file with a certificate and its private key, by which a server knows us.
    """

    def __init__(self, *, silence: float, allow_private: bool = False, client_certificate: str | None = None) -> None:
        self._silence = silence
        self._client_certificate = client_certificate
        self._clock = _Clock()
        self._guard = _Guard(allow_private)
        self._pools: dict[tuple[str, str | None], httpcore.ConnectionPool] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()

    @contextmanager
    def answered(
        self, url: str, method: str = "GET", headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Iterator[Answer]:
        """Give the answer to a request, its body not yet read. Redirects are followed. Raises WebError, also while the body is read.

        content: the body of the request. It goes to the address that was given, and to no other.
        """
        self._clock.begin()
        for _ in range(MOST_REDIRECTS + 1):
            with self._asked(url, method, headers or {}, content) as answer:
                target = answer.headers.get("location")
                if answer.status not in _REDIRECTS or target is None:
                    yield answer
                    return
                if content is not None:
                    raise NotFollowed("the server redirects what was sent to it")
            url = _followed(url, target)
        raise NotFollowed("the server redirects in a loop")

    @contextmanager
    def _asked(self, url: str, method: str, headers: Mapping[str, str], content: bytes | None) -> Iterator[Answer]:
        parts = checked_url(url)
        wanted = {"Host": parts.netloc, "User-Agent": "vidpipe", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
        seconds = dict.fromkeys(("connect", "read", "write", "pool"), self._silence)
        pool, plain = self._pool(parts), url.partition("#")[0]
        if content is not None:
            wanted["Content-Length"] = str(len(content))
        lines, timeout = list(wanted.items()), {"timeout": seconds}
        with _translated(), pool.stream(method, plain, headers=lines, content=content, extensions=timeout) as response:
            yield Answer(
                url=url,
                status=response.status,
                reason=bytes(response.extensions.get("reason_phrase", b"")).decode("latin-1"),
                headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers},
                blocks=_blocks(response),
            )

    def _pool(self, parts: SplitResult) -> httpcore.ConnectionPool:
        """Return the connections that lead to an address: direct ones, or those of the proxy that the environment names."""
        host = parts.hostname or ""
        # This machine is asked directly: for a proxy it would be another one, which would get keys and tokens in clear.
        proxy = None if is_loopback(host) or urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(parts.scheme)
        if proxy:
            self._guard.check_name(host)
        way = parts.scheme, proxy
        if way not in self._pools:
            backend = _Backend(self._clock, None if proxy else self._guard)
            # To read the certificates of this machine takes longer than to ask a server nearby.
            context = _tls(self._client_certificate) if parts.scheme == "https" or self._client_certificate else None
            named = _proxy(proxy) if proxy else None
            self._pools[way] = httpcore.ConnectionPool(ssl_context=context, proxy=named, network_backend=backend)
        return self._pools[way]


def _tls(client_certificate: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if client_certificate is not None:
        try:
            context.load_cert_chain(client_certificate, password=lambda: "")  # else OpenSSL asks the terminal for the password of the key
        except OSError as error:  # of which ssl.SSLError is one
            why = "it has no certificate, no private key, or one with a password" if isinstance(error, ssl.SSLError) else error.strerror
            raise BadClientCertificate(f"the client certificate cannot be used: {why}") from error
    return context


def checked_url(url: str) -> SplitResult:
    """Return the parts of an address. Raises NoAddress if no server can be asked for it."""
    try:
        parts = urlsplit(url)
        fit = url.isascii() and not any(char <= " " or char == "\x7f" for char in url) and (parts.port or 1) and parts.hostname
        (parts.hostname or "").encode("idna")  # raises for an empty part of a name, and for one that is too long, as the resolver would
    except ValueError:
        fit = None
    if not fit or parts.scheme not in ("http", "https"):
        raise NoAddress("this is not a valid URL")
    return parts


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")  # RFC 6761 section 6.3


def _followed(url: str, target: str) -> str:
    """Return where a redirect leads. Its text is untrusted and may hold secrets: of it, only the kind of address is repeated."""
    try:
        new = urljoin(url, target)
        kind = urlsplit(new).scheme
    except ValueError:
        raise NotFollowed("the server redirects to an invalid URL") from None
    if kind not in ("http", "https") or (kind == "http" and url.startswith("https:")):
        raise NotFollowed(f"the server redirects to {kind}://" if kind.isalpha() else "the server redirects to another scheme")
    return new


def _proxy(address: str) -> httpcore.Proxy:
    """Return a proxy that the environment names, whose name and password stand in the address. Raises Unreached."""
    try:
        parts = checked_url(address if "://" in address else f"http://{address}")
    except NoAddress as error:
        what = "the proxy set in the environment cannot be used; write http_proxy and https_proxy as http://HOST:PORT"
        raise Unreached(what) from error
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return httpcore.Proxy(f"{parts.scheme}://{host}{port}", auth=auth)


class _Clock:
    """Ends an answer that takes too long for what comes of it."""

    def __init__(self) -> None:
        self._begun, self._bytes = time.monotonic(), 0

    def begin(self) -> None:
        """Begin a request."""
        self._begun, self._bytes = time.monotonic(), 0

    def count(self, number: int) -> None:
        """Count bytes that have come."""
        self._bytes += number

    def left(self, most: float | None) -> float:
        """Return how many seconds to wait for the next bytes. Raises Broken if there are none left."""
        spent = time.monotonic() - self._begun
        left = GRACE + self._bytes / SLOWEST - spent
        if left <= 0:
            raise Broken(f"only {self._bytes} bytes came in {spent:.0f} s")
        return left if most is None else min(left, most)


class _Guard:
    """Refuses private addresses that nobody named."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._named: str | None = None  # the first connection's

    def check(self, address: str) -> None:
        """Check whom a connection has reached, before anything is sent to it. Raises NotFollowed."""
        self._named = self._named or address
        if address == self._named or self._allow_private:
            return
        if _is_private(ipaddress.ip_address(address.partition("%")[0])):
            raise NotFollowed("it redirects to another server, which has a private address")

    def check_name(self, host: str) -> None:
        """Check a host that a proxy is asked for: only the proxy knows its address. Raises NotFollowed."""
        try:
            address = str(ipaddress.ip_address(host))
        except ValueError:
            address = "127.0.0.1" if _is_localhost(host) else "1.1.1.1"
        self.check(address)


def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return _is_private(ipaddress.IPv4Address(address.packed[-4:]))
        if inner := address.ipv4_mapped or address.sixtofour:
            return _is_private(inner)
    return not address.is_global or address.is_multicast


class _Backend(httpcore.NetworkBackend):
    """Connections that are guarded and on the clock. guard: None behind a proxy."""

    def __init__(self, clock: _Clock, guard: _Guard | None) -> None:
        self._clock, self._guard = clock, guard
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._sockets.connect_tcp(host, port, self._clock.left(timeout), local_address, socket_options)
        try:
            if self._guard:
                self._guard.check(str(stream.get_extra_info("server_addr")[0]))
        except BaseException:
            stream.close()
            raise
        return _Stream(stream, self._clock)


class _Stream(httpcore.NetworkStream):
    """A connection on the clock."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream, self._clock = stream, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = self._stream.read(max_bytes, self._clock.left(timeout))
        except httpcore.ReadTimeout:
            self._clock.left(None)  # says so if it is the clock's time that is over
            raise
        self._clock.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._clock.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._clock.left(timeout)), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _blocks(response: httpcore.Response) -> Iterator[bytes]:
    with _translated():
        yield from response.iter_stream()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
        raise NoAddress("this is not a valid URL") from error
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.ProxyError) as error:
        raise Unreached(_words(error) or "the server does not answer") from error
    except httpcore.TimeoutException as error:
        raise Broken("the server sends nothing") from error
    except (httpcore.ProtocolError, httpcore.NetworkError, httpcore.ConnectionNotAvailable) as error:
        raise Broken(_words(error) or "the response is not HTTP") from error


def _words(error: Exception) -> str:
    """Return what a library says of an answer. It may quote a whole line that the server has sent."""
    return str(error)[:LONGEST_WORDS]
