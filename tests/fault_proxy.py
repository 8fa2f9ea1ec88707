"""Proxies in front of real servers. Of S3: counts bytes (what a server may do wrong is for ``tests/faults/server.py``). Of PostgreSQL:
breaks the connection at a COMMIT, before it arrives or before its answer does.
"""

from __future__ import annotations

import http.client
import http.server
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.servers import S3Server


@dataclass
class Proxy:
    """sent, got: bytes of the bodies of all requests, of all answers."""

    backend: str
    sent: int = 0
    got: int = 0


_counting = threading.Lock()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with _counting:
            self.proxy.sent += len(body)
        connection = http.client.HTTPConnection(urlsplit(self.proxy.backend).netloc, timeout=30)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            found = connection.getresponse()
            data = found.read()
            with _counting:
                self.proxy.got += len(data)
            self.reply(found.status, dict(found.getheaders()), data)
        finally:
            connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def counted(server: S3Server) -> Iterator[tuple[S3Server, Proxy]]:
    """Give the same server as it is reached through a proxy, and the proxy."""
    proxy = Proxy(server.endpoint)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield S3Server(f"http://127.0.0.1:{listening.server_address[1]}", server.access_key, server.secret_key, server.bucket), proxy
        finally:
            listening.shutdown()
            thread.join()


Loss = str
"""answer: the server commits, and its answer does not arrive.  question: the COMMIT does not arrive.  In both the connection breaks."""


@dataclass
class Wire:
    """Between a client and a PostgreSQL server. port: of this end.  armed: what befalls the next COMMITs, in order, as in ``Loss``."""

    port: int = 0
    armed: list[Loss] = field(default_factory=list)
    befell: list[Loss] = field(default_factory=list)


class _WireHandler(socketserver.BaseRequestHandler):
    wire: Wire
    server_socket: str

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(self.server_socket)
            while True:
                for side in select.select([self.request, server], [], [], 30)[0]:
                    data = side.recv(65536)
                    if not data or self.falls(data, asked=side is self.request):
                        return
                    (server if side is self.request else self.request).sendall(data)

    def falls(self, data: bytes, *, asked: bool) -> bool:
        wire = self.wire
        if wire.armed and (b"COMMIT\0" in data) and (wire.armed[0] == "question") == asked:
            wire.befell.append(wire.armed.pop(0))
            return True
        return False


@contextmanager
def breaking(socket_path: str) -> Iterator[Wire]:
    """Give a wire to the PostgreSQL server that listens at a Unix socket. Its messages are small: each arrives in one piece."""
    wire = Wire()
    handler = type("Handler", (_WireHandler,), {"wire": wire, "server_socket": socket_path})
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as listening:
        listening.daemon_threads = True
        wire.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield wire
        finally:
            listening.shutdown()
            thread.join()
