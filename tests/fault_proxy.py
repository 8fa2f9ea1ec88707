"""A proxy in front of an S3 server that loses or damages what it is told to, and answers as if all were well."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.servers import S3Server

Fault = str
"""pass: nothing is wrong.  lost: a PUT is answered 200 and goes nowhere.  cut: half of it is stored."""


@dataclass
class Proxy:
    """fault: method, path -> Fault.  asked: every request, in order."""

    backend: str
    fault: Callable[[str, str], Fault] = lambda method, path: "pass"
    asked: list[tuple[str, str]] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.proxy.asked.append((self.command, self.path))
        fault = self.proxy.fault(self.command, self.path)
        headers = dict(self.headers.items())
        if fault == "lost":
            self.reply(200, {"ETag": '"0123456789abcdef0123456789abcdef"'}, b"")
            return
        if fault == "cut":
            body = body[: len(body) // 2]
            headers = {name: value for name, value in headers.items() if name.lower() != "content-md5"}
            headers["Content-Length"] = str(len(body))
        connection = http.client.HTTPConnection(urlsplit(self.proxy.backend).netloc, timeout=30)
        try:
            connection.request(self.command, self.path, body, headers)
            found = connection.getresponse()
            self.reply(found.status, dict(found.getheaders()), found.read())
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
def faulty(server: S3Server) -> Iterator[tuple[S3Server, Proxy]]:
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
