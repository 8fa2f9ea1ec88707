"""Bring a source into a local file: http(s):// by ``vidpipe.web``, s3:// by ``vidpipe.storage``, standard input by reading it.

In:   an address as the user gave it, and where the copy goes.
Out:  ``look``: what the server says of the file without sending it.  ``fetch``, ``spool``: the whole file, renamed when it is complete.
Wrong: SourceRefused: no address, not there, not allowed, too large, cut off, redirected to another kind of address.  Interrupted on
       cancel.
       UsageError: an address of a kind that is not fetched, or nothing to read on standard input.
       OtherVersion: the file is not the one that was looked at.  OSError as it is when the disk is full: that is not the source's fault.

A redirect may lead from http to https, never back, never to a file, and to no private address of another server unless the limit
private_redirects allows it. An answer that comes too slowly ends (``vidpipe.web``). What broke off is continued (Range and If-Range) where
a strong ETag proves that the rest belongs to it.
"""

from __future__ import annotations

import email.utils
import errno
import json
import os
import re
import select
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from vidpipe import durable
from vidpipe.data import Data
from vidpipe.errors import Interrupted, PublishFailed, SourceRefused, UsageError
from vidpipe.source.limits import SourceLimits, raising
from vidpipe.source.text import one_line
from vidpipe.storage.target import misspelt
from vidpipe.work.fetched import PARTIAL

if TYPE_CHECKING:
    from vidpipe.storage.base import Storage
    from vidpipe.web import Answer

BLOCK = 1 << 20
TIMEOUT = 60.0  # seconds without a byte
TICK = 0.2  # seconds between looks at the cancel signal
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
SETTLED = timedelta(seconds=60)  # RFC 9110, 8.8.2.2: a younger date may stand for two versions, for it counts whole seconds
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_UNFIT = re.compile(r"[\x00-\x20\x7f]")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18})")  # a longer number is no place in any file

OnBytes = Callable[[int, int | None], None]
"""Called with the bytes that have arrived so far, and with those in all if the server says so; from any thread."""


class Version(Data):
    """What a server says of a file. tag: text that changes whenever the bytes do.  size: bytes, None if it does not say.

    etag: the strong entity tag of HTTP, which proves that two parts belong together.
    """

    tag: str
    size: int | None = None
    etag: str | None = None

    @property
    def joins(self) -> bool:
        """Whether the rest of a copy that broke off is known to belong to it."""
        return self.etag is not None and self.size is not None

    def same(self, other: Version | None) -> bool:
        """Whether both are of the same bytes. Some servers report the size only along with the body."""
        return other is not None and self.tag == other.tag and (self.size == other.size or None in (self.size, other.size))


class OtherVersion(Exception):
    """What the server sends is not what it reported a moment ago: it was replaced, or several servers answer, each its own way."""


def is_remote(location: str) -> bool:
    """Whether ``location`` is an address and not a path."""
    return _SCHEME.match(location) is not None


def local_path(location: str) -> Path:
    """Return the path of a source that is no address. Raises UsageError for an address with a slip ("s3:/bucket/key")."""
    path, meant = Path(location), misspelt(location)
    if meant is not None and not os.path.lexists(path):
        known = meant.startswith(("s3://", "https://", "http://"))
        fix = f"did you mean {public(meant)}?" if known else "give a path, or a URL that starts with https://, http:// or s3://"
        where = one_line(location.partition("?")[0]) if "@" not in location else None  # it may hold a password
        raise UsageError("there is no such file, and this is not the URL of a source", where=where, fix=fix)
    return path


def look(location: str, limits: SourceLimits | None = None) -> Version | None:
    """Ask which version of the file lies at an address; nothing of it is sent. None if the server says nothing that can be relied on."""
    limits = limits or SourceLimits()
    most = limits.max_bytes
    if _is_s3(location):
        with _object(location) as (storage, name):
            return _s3_version(storage, name, location, most)
    try:
        with _answered(location, "HEAD", allow_private=limits.private_redirects) as answer:
            version = _http_version(answer)
    except _NoFile:  # not every server answers HEAD, and signed addresses may be signed for GET alone
        return None
    if version is not None:
        _check_size(version.size, most, public(location))
    return version


def fetch(
    location: str,
    file: Path,
    *,
    version: Version | None = None,
    limits: SourceLimits | None = None,
    cancel: threading.Event | None = None,
    on_bytes: OnBytes | None = None,
) -> None:
    """Copy the file at an address to ``file``. version: what ``look`` said of it; anything else is not accepted (OtherVersion)."""
    limits = limits or SourceLimits()
    partial = file.with_name(PARTIAL)
    arrived = _Arrived(public(location), cancel, on_bytes)
    try:
        if _is_s3(location):
            _from_s3(location, partial, version, limits.max_bytes, arrived)
        else:
            _download(location, partial, version, limits, arrived)
        _settle(partial, file)
    except OtherVersion:
        partial.unlink(missing_ok=True)
        raise
    finally:
        if version is None or not version.joins:
            partial.unlink(missing_ok=True)


def spool(
    file: Path,
    *,
    limits: SourceLimits | None = None,
    cancel: threading.Event | None = None,
    on_bytes: OnBytes | None = None,
    stdin: int = 0,
) -> None:
    """Copy standard input to ``file`` up to its end. stdin: its file descriptor."""
    where = "standard input"
    most = (limits or SourceLimits()).max_bytes
    partial = file.with_name(PARTIAL)
    arrived = _Arrived(where, cancel, on_bytes)
    try:
        if os.isatty(stdin):
            fix = "pipe a video into it: vidpipe ingest - --id X < PIPE"
            raise UsageError("standard input is a terminal, not a video", where="-", fix=fix)
        with partial.open("wb") as copy:
            while True:
                arrived.add(0)
                if not select.select([stdin], [], [], TICK)[0]:  # whoever writes may take long; a read could not be cancelled
                    continue
                block = os.read(stdin, BLOCK)
                if not block:
                    break
                copy.write(block)
                arrived.add(len(block))
                _check_size(arrived.bytes, most, where, more=True)
        if not arrived.bytes:
            raise SourceRefused("no data arrived", where=where, fix="check the command that writes into the pipe")
        _settle(partial, file)
    except (OSError, ValueError) as error:  # closed, or a directory
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise
        what = f"reading it stopped: {one_line(str(error))}"
        raise SourceRefused(what, where=where, fix="check the pipe and the space on disk") from error
    finally:
        partial.unlink(missing_ok=True)


def safe_name(location: str) -> str:
    """Return the file name that an address ends in, cleaned of what must not reach a terminal or stand in a file name."""
    last = urllib.parse.unquote(split_url(location).path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = one_line(last, 100).lstrip(".-")
    return name.encode()[-200:].decode("utf-8", "ignore") or "source"


def public(location: str) -> str:
    """Return an address without user, password and query (they may hold secrets), fit for a message."""
    try:
        parts = urllib.parse.urlsplit(location)
    except ValueError:  # then it is not known what of it is secret
        return one_line(f"{location.partition('://')[0]}://…")
    return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 1000)


def split_url(location: str) -> urllib.parse.SplitResult:
    """Return the parts of an address. Raises SourceRefused if no server can be asked for it."""
    try:
        parts = urllib.parse.urlsplit(location)
        _ = parts.port  # raises
    except ValueError as error:
        raise _no_address(location) from error
    if _UNFIT.search(location) and parts.scheme in ("http", "https"):  # a key at S3 may hold spaces
        raise _no_address(location)
    return parts


def _no_address(location: str) -> SourceRefused:
    # What Python says of it quotes the whole address, and with it a signature.
    fix = "check its host; percent-encode spaces (%20) and other special characters"
    return SourceRefused("this is not a valid URL", where=public(location), fix=fix)


class _Arrived:
    """Counts what arrives, reports it, and stops on request. total: bytes in all, once they are known."""

    def __init__(self, where: str, cancel: threading.Event | None, on_bytes: OnBytes | None) -> None:
        self.bytes = 0
        self.total: int | None = None
        self._where, self._cancel, self._on_bytes = where, cancel, on_bytes
        self._lock = threading.Lock()

    def add(self, number: int) -> None:
        """Count so many more bytes. Raises Interrupted."""
        if self._cancel is not None and self._cancel.is_set():
            raise Interrupted("stopped on request", where=self._where, fix="run the same command again to continue")
        with self._lock:
            self.bytes += number
            if self._on_bytes is not None and number:
                self._on_bytes(self.bytes, self.total)


def _settle(partial: Path, file: Path) -> None:
    """Give a complete copy its name, when its bytes are on the disk."""
    durable.move(partial, file)


def _check_size(size: int | None, most: int, where: str, *, more: bool = False) -> None:
    if size is not None and size > most:
        what = f"the file has more than {most} bytes, the limit" if more else f"the file has {size} bytes; the limit is {most}"
        raise SourceRefused(what, where=where, fix=raising("max_bytes"), id="limit-exceeded")


# --- the web ---


class _NoFile(SourceRefused):
    """The server was reached, but did not answer with the file, or not to its end."""

    id = "fetch-failed"


@contextmanager
def _answered(location: str, method: str, headers: dict[str, str] | None = None, *, allow_private: bool) -> Iterator[Answer]:
    """Give the answer to a request, its body not yet read, and translate what goes wrong until the block ends."""
    from vidpipe.web import NoAddress, NotFollowed, Unreached, Web, WebError  # httpcore is imported only if a web server is asked

    where, parts = public(location), split_url(location)
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"sources cannot be fetched from {parts.scheme}://", where=where, fix="give a file, or an https:// or s3:// URL")
    if "@" in parts.netloc:
        raise SourceRefused(
            "a URL with a user and password is not accepted", where=where, fix="give a signed URL, or download the file first"
        )
    try:
        with Web(silence=TIMEOUT, allow_private=allow_private) as web, web.answered(location, method, headers) as answer:
            if answer.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                raise _NoFile(f"the server answers {answer.status} {one_line(answer.reason)}", where=where, fix=_advice(answer.status))
            yield answer
    except NoAddress as error:
        raise _no_address(location) from error
    except NotFollowed as error:
        fix = "give the final URL" + ("; the limit private_redirects allows it" if "private" in error.what else "")
        raise _NoFile(one_line(error.what), where=where, fix=fix) from error
    except Unreached as error:
        fix = "check the URL and the network"
        raise SourceRefused(f"it cannot be fetched: {one_line(error.what)}", where=where, fix=fix, id="fetch-failed") from error
    except WebError as error:
        raise _NoFile(f"the download stopped: {one_line(error.what)}", where=where, fix="check the network, and try again") from error


def _http_version(answer: Answer) -> Version | None:
    """Return the version that the headers of an answer name.

    An entity tag is unique among the versions of one address only, so the address that answered, after redirects and with its query,
    belongs to it. A signed address, which is another one each time, is therefore never taken for a file that is known: its query may as
    well say which file is meant.
    """
    headers, url = answer.headers, answer.url
    part = _RANGE.fullmatch(headers.get("content-range", ""))
    length = part[2] if part else headers.get("content-length", "")
    size = int(length) if length.isdigit() else None
    etag = headers.get("etag", "")
    if etag.startswith('"') and etag.endswith('"') and len(etag) > 2:  # W/"…" is weak: it stands for much the same, not for the same bytes
        return Version(tag=json.dumps([url, etag]), size=size, etag=etag)
    try:
        modified, now = (email.utils.parsedate_to_datetime(headers.get(name, "")) for name in ("last-modified", "date"))
        if size is None or now - modified < SETTLED:
            return None
    except (TypeError, ValueError):  # no date, or one without a zone
        return None
    return Version(tag=json.dumps([url, modified.isoformat(), size]), size=size)


def _download(location: str, partial: Path, version: Version | None, limits: SourceLimits, arrived: _Arrived) -> None:
    """Copy the body, or what is missing of it: ``partial``, if there is one, is the beginning of ``version``."""
    from vidpipe.web import Broken

    have, headers, most = 0, {}, limits.max_bytes
    if version is not None and version.etag and version.size and partial.exists() and partial.stat().st_size < version.size:
        have = partial.stat().st_size
        headers = {"Range": f"bytes={have}-", "If-Range": version.etag}
    with _answered(location, "GET", headers, allow_private=limits.private_redirects) as answer:
        if version is not None and not version.same(_http_version(answer)):
            raise OtherVersion
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            part = _RANGE.fullmatch(answer.headers.get("content-range", ""))
            if part is None or int(part[1]) != have:
                raise OtherVersion
        else:
            have = 0
        length = answer.headers.get("content-length", "")
        known = length.isdigit()
        promised = have + int(length) if known else version.size if version else None
        _check_size(promised, most, public(location))
        arrived.total = promised
        with partial.open("ab" if have else "wb") as file:
            arrived.add(have)
            try:
                for block in answer.blocks:
                    file.write(block)
                    file.flush()  # what has arrived survives a kill
                    arrived.add(len(block))
                    _check_size(arrived.bytes, most, public(location), more=True)
            except Broken as error:
                what = f"the download stopped after {arrived.bytes} of {promised or 'unknown'} bytes: {one_line(error.what)}"
                raise _NoFile(what, where=public(location), fix="check the network, and try again") from error
    if promised is not None and arrived.bytes != promised:
        # Then this is the whole of it, and what HEAD reported is not true.
        if not known and ("transfer-encoding" in answer.headers or arrived.bytes > promised):
            raise OtherVersion
        what = f"the download stopped after {arrived.bytes} of {promised} bytes"
        raise SourceRefused(what, where=public(location), fix="run the same command again", id="fetch-failed")


def _advice(code: int) -> str:
    if code in (401, 403):
        return "give a URL that needs no login, such as a signed one"
    return "check the URL" if code in (404, 410) else "run the same command again later"


# --- S3 ---


def _is_s3(location: str) -> bool:
    return location[:5].lower() == "s3://"


@contextmanager
def _object(location: str) -> Iterator[tuple[Storage, str]]:
    """Give the storage of an object and its name there, and translate what goes wrong."""
    from vidpipe.storage import open_storage  # boto3 is imported only if it is needed

    split_url(location)
    prefix, _, name = location.rpartition("/")
    try:
        storage = open_storage(prefix)
        try:
            yield storage, name
        finally:
            storage.close()
    except ValueError as error:
        raise SourceRefused("this is not the URL of an object", where=location, fix="write s3://BUCKET/KEY") from error
    except PublishFailed as error:  # ``vidpipe.storage`` speaks of targets; here it is a source that cannot be had
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_FULL:
            raise error.__cause__ from error
        what = f"it cannot be fetched: {error.what}"
        raise SourceRefused(what, where=location, fix=error.fix, details=error.details, id="fetch-failed") from error


def _s3_version(storage: Storage, name: str, location: str, most: int) -> Version | None:
    stored = storage.head(name)
    if stored is None:
        raise SourceRefused("there is no such object", where=location, fix="check the bucket and the key", id="missing-source")
    _check_size(stored.size, most, location)
    return Version(tag=stored.tag, size=stored.size) if stored.tag else None


def _from_s3(location: str, partial: Path, version: Version | None, most: int, arrived: _Arrived) -> None:
    with _object(location) as (storage, name):
        before = _s3_version(storage, name, location, most)
        if version is not None and not version.same(before):
            raise OtherVersion
        arrived.total = before.size if before else None
        storage.download(name, partial, arrived.add)
        if version is not None and not version.same(_s3_version(storage, name, location, most)):
            raise OtherVersion  # replaced meanwhile; the server was not asked for a version with every range
