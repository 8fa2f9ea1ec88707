"""Published objects as a web server or a CDN shows them. Only read: what a viewer gets.

In:   the URL of the folder below which titles lie.
Out:  a Readable. Sizes and hashes are of the bytes that the server sends, whatever it says of them.
Wrong: UsageError for a URL with a password or a query; PublishFailed for what the server does not give, or does not end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from queue import Empty, SimpleQueue
from urllib.parse import quote, urlsplit

from vidpipe.errors import PublishFailed, UsageError
from vidpipe.storage.base import Damaged, Stored, clean_path
from vidpipe.web import Answer, NoAddress, Web, WebError, checked_url

SILENCE = 20.0
"""Seconds without a byte after which a server is given up."""
LARGEST_TEXT = 256 * 1024**2
"""Bytes of what is read whole and has no known size: the inventory of a day of video takes some 60 MB."""
LARGEST = 2 * 1024**3
"""Bytes of any object that is looked up: nothing of it is kept."""
_MISSING = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
"""S3 says "forbidden" of what is missing to whoever may not list."""


class WebServer:
    """The objects below a URL. Safe to call from several threads, each of which asks over a connection of its own."""

    keeps_headers = True

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        try:
            parts = checked_url(self._url)
        except NoAddress as problem:
            raise UsageError(problem.what, fix="write https://HOST/PATH/master.m3u8") from problem
        if parts.username or parts.password or parts.query or parts.fragment:
            host = urlsplit(self._url).hostname or ""
            fix = "every object is asked for by its path: give the address without them, or a path or s3:// URL"
            raise UsageError("the address has a password, a query or a fragment", where=host, fix=fix)
        self._idle: SimpleQueue[Web] = SimpleQueue()

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        """See Readable.get. What a server sends is what viewers get: it is asked once."""
        blocks, read = [], 0
        with self._asked(path) as answer:
            for block in answer.blocks:
                blocks.append(block)
                read += len(block)
                if size is not None and read > size:
                    break  # it is another object, whatever follows
                if size is None and read > LARGEST_TEXT:
                    raise self._endless(path, LARGEST_TEXT)
        data = b"".join(blocks)
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            raise Damaged.of(data, self.location(path))
        return data

    def head(self, path: str) -> Stored | None:
        """See Readable.head. Reads the object: a hash that the server states would be no proof of what it sends."""
        digest, size = hashlib.sha256(), 0
        with self._asked(path, *_MISSING) as answer:
            if answer.status in _MISSING:
                return None
            for block in answer.blocks:
                digest.update(block)
                size += len(block)
                if size > LARGEST:
                    raise self._endless(path, LARGEST)
            headers = answer.headers
        return Stored(
            path=clean_path(path),
            size=size,
            content_type=headers.get("content-type"),
            cache_control=headers.get("cache-control"),
            content_encoding=headers.get("content-encoding"),
            sha256=digest.hexdigest(),
        )

    def location(self, path: str = "") -> str:
        """See Readable.location."""
        return "/".join(part for part in (self._url, quote(clean_path(path, empty=True))) if part)

    def close(self) -> None:
        """See Readable.close."""
        while not self._idle.empty():
            self._idle.get().close()

    def _endless(self, path: str, most: int) -> PublishFailed:
        what = f"the server sends more than {most} bytes, which no such object has"
        return PublishFailed(what, where=self.location(path), fix="check the address")

    @contextmanager
    def _asked(self, path: str, *allowed: HTTPStatus) -> Iterator[Answer]:
        try:
            web = self._idle.get_nowait()
        except Empty:
            web = Web(silence=SILENCE)
        where = self.location(path)
        try:
            with web.answered(where) as answer:
                if answer.status not in (HTTPStatus.OK, *allowed):
                    fix = "check the address, and that the server gives this object to everybody"
                    raise PublishFailed(f"cannot read: the server answers {answer.status} {answer.reason}", where=where, fix=fix)
                yield answer
        except WebError as problem:
            raise PublishFailed(f"cannot read: {problem.what}", where=where, fix="check the address, and try again") from problem
        finally:
            self._idle.put(web)
