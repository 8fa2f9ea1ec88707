"""Play a published title on this machine: a small server for its tree, its keys, and a page with a player.

In:   a content id in the catalog and Settings; or a Storage, the prefix of a version, and a function that answers the title's keys.
Out:  an HTTP server on the loopback address; nothing is printed and nothing is written.
Wrong: UsageError if the title is unknown or the port cannot be used; a missing object is a 404, a target that cannot be read a 502.

The page plays the title decrypted by this server (below ``/clear/``): Chromium's own HLS cannot decrypt whole segments of fragmented MP4.
Other players get the published bytes, and the key.

Only this machine can reach it, and only under its own name: requests with a foreign Host header are refused, so that a web
page elsewhere cannot read keys through the viewer's browser.
"""

from __future__ import annotations

import difflib
import html
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from vidpipe.catalog import open_catalog
from vidpipe.catalog.record import Record
from vidpipe.content_id import CONTENT_ID
from vidpipe.errors import PublishFailed, UsageError, VidpipeError
from vidpipe.layout import MASTER, POSTER, version_prefix
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.schemes import scheme_of
from vidpipe.publish.upload import delivery, is_compressible
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Storage, clean_path
from vidpipe.storage.compression import decompressed

ADDRESS = "127.0.0.1"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{margin:0;background:#111;color:#eee;font:16px sans-serif}}main{{max-width:80rem;margin:auto;padding:1rem}}
video{{width:100%;max-height:80vh;background:#000}}a{{color:#9cf}}</style>
<main><h1>{title}</h1>
<video controls autoplay muted playsinline src="{master}" poster="{poster}">This browser cannot play video.</video>
<p>This server decrypts the segments for the browser. A browser without HLS (Firefox, old Chrome) shows no picture: use a current
Chrome, Edge or Safari. Players such as ffplay, mpv or VLC can open the title as it was published: <a href="{published}">{published}</a></p>
</main></html>
"""
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")  # a longer number is no position in any file: the header is ignored
_CLEAR = "/clear"
_IN_FORCE = re.compile(r'#EXT-X-KEY:METHOD=[A-Z0-9-]+,URI="keys/([0-9a-f]+)",IV=0x([0-9A-F]{32})')
_KEY_LINE = re.compile(rb'(#EXT-X-(?:SESSION-)?KEY:[^\r\n]*?URI=")([^"\r\n]*)(")')


class Preview(ThreadingHTTPServer):
    """The server of one title. Call ``serve_forever``, and ``server_close`` at the end.

    prefix: of the version, below the target.  scheme: its protection.
    key: key id -> 16 bytes, asked only for ``key_ids``.  port: 0 takes a free one.
    """

    daemon_threads = True

    def __init__(
        self,
        storage: Storage,
        prefix: str,
        *,
        title: str,
        scheme: str,
        key_ids: Collection[str],
        key: Callable[[str], bytes],
        port: int = 0,
    ) -> None:
        self.storage = storage
        self.prefix = prefix
        self.title = title
        self.scheme = scheme_of(scheme)
        self.key_ids = frozenset(key_ids)
        self.key = key
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise UsageError(f"port {port} cannot be used: {error}", fix="choose another with --port, or leave it out") from error
        self.port = int(self.server_address[1])
        self.hosts = frozenset({f"{ADDRESS}:{self.port}", f"localhost:{self.port}"})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a viewer that has gone: it closed the page, or was cut off."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """Address of the page with the player."""
        return f"http://{ADDRESS}:{self.port}/"

    @property
    def master_url(self) -> str:
        """Address of the master playlist."""
        return f"{self.url}{quote(self.prefix)}/{MASTER}"

    def answer(self, path: str, query: str = "") -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and body for a decoded path that begins with a slash."""
        base = f"/{self.prefix}/"
        if path == "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", self._page()
        if path.startswith(_CLEAR + base):
            status, kind, body = self.answer(path.removeprefix(_CLEAR))
            return status, kind, self._decrypted(path, query, body) if status == HTTPStatus.OK else body
        if not path.startswith(base):
            return _plain(HTTPStatus.NOT_FOUND)
        name = path.removeprefix(base)
        if name.startswith("keys/"):
            key_id = name.removeprefix("keys/")
            found = key_id in self.key_ids
            return (HTTPStatus.OK, "application/octet-stream", self.key(key_id)) if found else _plain(HTTPStatus.NOT_FOUND)
        try:
            content_type = delivery(clean_path(name)).content_type
        except ValueError:
            return _plain(HTTPStatus.NOT_FOUND)
        stored = f"{self.prefix}/{name}"
        try:
            body = self.storage.get(stored)
            body = decompressed(body) if is_compressible(name) else body  # sent as it is, its header would be missing
        except ValueError:
            return _plain(HTTPStatus.BAD_GATEWAY)
        except PublishFailed:
            return _plain(HTTPStatus.BAD_GATEWAY if self.storage.head(stored) else HTTPStatus.NOT_FOUND)
        return HTTPStatus.OK, content_type, self._local_keys(body) if name.endswith(".m3u8") else body

    def _page(self) -> bytes:
        base = html.escape(f"/{quote(self.prefix)}")
        return _PAGE.format(
            title=html.escape(self.title), master=f"{_CLEAR}{base}/{MASTER}", published=f"{base}/{MASTER}", poster=f"{base}/{POSTER}"
        ).encode()

    def _decrypted(self, path: str, query: str, body: bytes) -> bytes:
        """Return a playlist without keys, its segments named with the key and IV that were in force; a segment so named, decrypted."""
        if path.endswith(".m3u8"):
            kept: list[str] = []
            suffix = ""
            for line in body.decode("utf-8", "replace").splitlines():
                if line.startswith("#EXT-X-KEY:"):
                    found = _IN_FORCE.match(line)
                    suffix = f"?key={found[1]}&iv={found[2]}" if found else ""
                else:
                    kept.append(line + suffix if line and not line.startswith("#") else line)
            return ("\n".join(kept) + "\n").encode()
        asked = dict(parse_qsl(query))
        if asked.keys() == {"key", "iv"} and asked["key"] in self.key_ids and re.fullmatch("[0-9A-F]{32}", asked["iv"]):
            return self.scheme.open(body, self.key(asked["key"]), bytes.fromhex(asked["iv"]))
        return body

    def _local_keys(self, playlist: bytes) -> bytes:
        """Point the key URIs of a playlist here: a title with an absolute key URL asks a key service that may not exist yet."""

        def local(found: re.Match[bytes]) -> bytes:
            uri = found[2].decode("utf-8", "replace")
            ids = [key_id for key_id in self.key_ids if key_id in uri] or (list(self.key_ids) if len(self.key_ids) == 1 else [])
            return found[1] + f"keys/{ids[0]}".encode() + found[3] if ids else found[0]

        return _KEY_LINE.sub(local, playlist)


@contextmanager
def playing(content_id: str, settings: Settings, port: int = 0) -> Iterator[Preview]:
    """Serve the live version of a title while the block runs.  Raises UsageError, CatalogFailed."""
    record = live_record(settings, content_id)
    prefix = version_prefix(record.content_id, record.version)
    storage = open_storage(record.playback.hls.removesuffix(f"/{prefix}/{MASTER}"))
    keys = KeyStore(settings.keys, settings.master_key.get_secret_value() if settings.master_key else None)
    for key_id in record.encryption.key_ids:
        keys.get(key_id)  # a key that cannot be opened is an error now, not a black picture later
    try:
        with Preview(
            storage,
            prefix,
            title=record.title,
            scheme=record.encryption.method,
            key_ids=record.encryption.key_ids,
            key=lambda key_id: keys.get(key_id).key,
            port=port,
        ) as server:
            threading.Thread(target=server.serve_forever, name="preview", daemon=True).start()
            try:
                yield server
            finally:
                server.shutdown()
    finally:
        storage.close()


def live_record(settings: Settings, content_id: str) -> Record:
    """Return the live record of a title.  Raises UsageError if there is none, with the nearest id."""
    with open_catalog(settings.catalog_url) as catalog:
        found = catalog.live(content_id) if CONTENT_ID.fullmatch(content_id) else None
        if found is not None:
            return found[0]
        close = difflib.get_close_matches(content_id, [record.content_id for record in catalog.list()], 1)
    fix = f"did you mean {close[0]}?" if close else "see vidpipe catalog list, and check --home"
    raise UsageError(f"there is no title {content_id!r} in the catalog", fix=fix)


class _Handler(BaseHTTPRequestHandler):
    server: Preview
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that an idle connection is kept

    def do_GET(self) -> None:
        """Answer a request."""
        self._respond(body_wanted=True)

    def do_HEAD(self) -> None:
        """Answer a request for the headers alone."""
        self._respond(body_wanted=False)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the library never prints."""

    def _respond(self, *, body_wanted: bool) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            status, kind, body = _plain(HTTPStatus.FORBIDDEN)
        else:
            try:
                asked = urlsplit(self.path)
                status, kind, body = self.server.answer(unquote(asked.path), asked.query)
            except VidpipeError:
                status, kind, body = _plain(HTTPStatus.BAD_GATEWAY)
            except ValueError:  # no address: "//[x"
                status, kind, body = _plain(HTTPStatus.BAD_REQUEST)
        total = len(body)
        window = _window(self.headers.get("Range"), total) if status == HTTPStatus.OK else None
        if window is not None:
            start, end = window
            status = HTTPStatus.PARTIAL_CONTENT if start < end else HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            body = body[start:end]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Cache-Control", "no-store")  # another title may come to the same port next time
        self.send_header("X-Content-Type-Options", "nosniff")
        if window is not None:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}" if start < end else f"bytes */{total}")
        self.end_headers()
        if body_wanted:
            try:
                self.wfile.write(body)
            except ConnectionError:  # the viewer went elsewhere or closed the page
                self.close_connection = True


def _window(header: str | None, total: int) -> tuple[int, int] | None:
    """Return start and end of the one range asked for (RFC 9110 section 14); None for the whole, an empty one if it lies outside."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last n bytes
        return max(0, total - int(match[2])), total
    start, end = int(match[1]), int(match[2] or total) + bool(match[2])
    if match[2] and end <= start:
        return None
    return (start, min(end, total)) if start < total else (total, total)


def _plain(status: HTTPStatus) -> tuple[HTTPStatus, str, bytes]:
    return status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode()
