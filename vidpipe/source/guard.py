"""Watch one request to a server that nobody vouches for: where its redirects lead, and that it comes to an end.

In:   the limits, and how many bytes of the body have arrived.
Out:  the handlers of urllib that make the connections; while the context lasts, a thread that looks at the clock.
Wrong: SourceRefused: a redirect from a public address to one of this machine or its network, or an answer that is too slow.

A name is no address, so the address of the other end of each connection is looked at, before a request is sent. Where the user's own
address leads is the user's word. Through a proxy only the proxy is seen; which addresses it reaches is for its keeper to say.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self

from vidpipe.errors import SourceRefused
from vidpipe.source.limits import SourceLimits

TICK = 0.25
"""Seconds between two looks at the clock."""
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that end in the IPv4 address that they stand for (RFC 6052)."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet: not this machine, its network, a carrier's, or a reserved one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global
    inner = [found.ipv4_mapped, found.sixtofour]
    if found in _TRANSLATED:
        inner.append(ipaddress.IPv4Address(found.packed[-4:]))
    meant = [each for each in inner if each is not None]
    return all(each.is_global for each in meant) if meant else found.is_global


class TooSlow(SourceRefused):
    """The answer does not come to an end in the time that its size is worth."""


class Guard:
    """Watches one request and its redirects. where: the address, fit for a message.  arrived: bytes of the body so far."""

    def __init__(self, where: str, limits: SourceLimits, arrived: Callable[[], int]) -> None:
        self._where, self._limits, self._arrived = where, limits, arrived
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._socket: socket.socket | None = None
        self._first: bool | None = None
        self._late: float | None = None
        self._clock = threading.Thread(target=self._watch, name="vidpipe-guard", daemon=True)

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._clock.join()
        if self._late is not None and (problem is None or isinstance(problem, OSError | http.client.HTTPException | SourceRefused)):
            slow = self._limits.fetch_bytes_per_second
            raise TooSlow(
                f"the server is too slow: {self._arrived()} bytes in {self._late:.0f} s",
                where=self._where,
                fix=f"fetch it by other means, or change the limits fetch_seconds and fetch_bytes_per_second ({slow})",
            ) from problem

    def handlers(self) -> tuple[urllib.request.BaseHandler, ...]:
        """Return what opens http:// and https:// under this watch."""
        return _Plain(self), _Secure(self)

    def connected(self, other: socket.socket, *, proxied: bool) -> None:
        """Take note of a connection. Raises SourceRefused if it may not be used."""
        self._socket = other
        if proxied:
            return
        address = str(other.getpeername()[0])
        public = is_public(address)
        if self._first is None:
            self._first = public
        # An intranet's own redirects are fine, but not to where clouds keep credentials.
        inside = not self._first and not ipaddress.ip_address(address.partition("%")[0]).is_link_local
        if not public and not inside and not self._limits.private_redirects:
            raise SourceRefused(
                f"it redirects to an address inside of this machine's network ({address})",
                where=self._where,
                fix="give the final address if you trust it, or set the limit private_redirects to true",
            )

    def _watch(self) -> None:
        """End the connection when it is too slow. A read may wait for a minute, and a byte that comes meanwhile begins another one."""
        while not self._over.wait(TICK):
            took = time.monotonic() - self._begun
            if took > self._limits.fetch_seconds + self._arrived() / self._limits.fetch_bytes_per_second and self._socket is not None:
                self._late = took
                with suppress(OSError):  # it has ended by itself
                    self._socket.shutdown(socket.SHUT_RDWR)
                return


class _Plain(urllib.request.HTTPHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, self._guard, req.has_proxy()), req)


class _Secure(urllib.request.HTTPSHandler):
    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        proxied = bool(getattr(req, "_tunnel_host", None))
        return self.do_open(partial(_SecureConnection, self._guard, proxied), req)


class _Connection(http.client.HTTPConnection):
    def __init__(self, guard: Guard, proxied: bool, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._guard, self._proxied = guard, proxied

    def connect(self) -> None:
        super().connect()
        self._guard.connected(self.sock, proxied=self._proxied)


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, guard: Guard, proxied: bool, host: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._guard, self._proxied = guard, proxied

    def connect(self) -> None:
        super().connect()
        self._guard.connected(self.sock, proxied=self._proxied)
