"""Bring a remote source into a local file: http(s):// by urllib, s3:// through the storage room. A local path is passed through.

In:   the location as the user gave it, and a folder for the copy.
Out:  the path of a local file; the name is the last part of the URL, made safe.
Wrong: SourceRefused: not there, not allowed, too large, cut off, redirected to another kind of address.  Interrupted on cancel.
       UsageError: an address of a kind that is not fetched.

A copy is written under a temporary name and renamed when it is complete. Certificates are verified; a redirect may lead from http to
https, never back, and never to a file.
"""

from __future__ import annotations

import http.client
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from vidpipe.errors import Interrupted, PublishFailed, SourceRefused, UsageError
from vidpipe.source.limits import SourceLimits
from vidpipe.source.text import clean

BLOCK = 1 << 20
TIMEOUT = 60.0  # seconds without a byte
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def is_remote(location: str) -> bool:
    """Whether ``location`` is an address and not a path."""
    return _SCHEME.match(location) is not None


def local_copy(
    location: str,
    folder: Path,
    *,
    limits: SourceLimits | None = None,
    cancel: threading.Event | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Path:
    """Return a local path of the source; a remote one is copied into ``folder``. on_bytes: called with the size of each block."""
    scheme = _SCHEME.match(location)
    if scheme is None:
        return Path(location)
    kind = scheme[1].lower()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / safe_name(location)
    partial = target.with_name(f".{target.name}.part")
    try:
        if kind in ("http", "https"):
            _download(location, partial, (limits or SourceLimits()).max_bytes, cancel, on_bytes)
        elif kind == "s3":
            _from_s3(location, partial, (limits or SourceLimits()).max_bytes)
        else:
            raise UsageError(
                f"sources are not fetched from {kind}://", where=public(location), fix="give a file, https:// or s3:// address"
            )
        return partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def safe_name(location: str) -> str:
    """Return the file name that an address ends in, cleaned of what must not reach a terminal or stand in a file name."""
    last = urllib.parse.unquote(urllib.parse.urlsplit(location).path).replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = clean(last, 100).lstrip(".-")
    return name.encode()[-200:].decode("utf-8", "ignore") or "source"


def public(location: str) -> str:
    """Return an address without user, password and query (they may hold secrets), fit for a message."""
    parts = urllib.parse.urlsplit(location)
    return clean(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 1000)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects that stay on the web and do not fall back from https to http."""

    max_redirections = 5

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if new != "https" and (new != "http" or old == "https"):
            fp.close()
            raise SourceRefused(
                f"the server redirects to {new or 'another kind of address'}://", where=public(req.full_url), fix="give the final address"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(location: str, partial: Path, most: int, cancel: threading.Event | None, on_bytes: Callable[[int], None] | None) -> None:
    where = public(location)
    if "@" in urllib.parse.urlsplit(location).netloc:
        raise SourceRefused(
            "an address with user and password is not fetched", where=where, fix="give a signed address, or download the file first"
        )
    # build_opener would add file:, ftp: and data: handlers; only the web is wanted here
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler, _Redirects):
        opener.add_handler(handler())
    opener.add_handler(urllib.request.HTTPDefaultErrorHandler())
    opener.add_handler(urllib.request.HTTPErrorProcessor())
    try:
        request = urllib.request.Request(location, headers={"User-Agent": "vidpipe", "Accept-Encoding": "identity"})  # noqa: S310 - http(s) only, see above
        with opener.open(request, timeout=TIMEOUT) as answer, partial.open("wb") as file:
            promised = answer.headers.get("Content-Length")
            if promised is not None and promised.isdigit() and int(promised) > most:
                raise SourceRefused(f"the file has {promised} bytes; the limit is {most}", where=where, fix="raise the limit max_bytes")
            written = 0
            while block := answer.read(BLOCK):
                written += len(block)
                if written > most:
                    raise SourceRefused(f"the file has more than {most} bytes, the limit", where=where, fix="raise the limit max_bytes")
                if cancel is not None and cancel.is_set():
                    raise Interrupted("stopped on request", where=where)
                file.write(block)
                if on_bytes is not None:
                    on_bytes(len(block))
    except urllib.error.HTTPError as error:
        error.close()
        if 300 <= error.code < 400:  # its reason holds the new address, which may hold secrets
            what = "the server redirects to an address that is not followed, or in a circle"
            raise SourceRefused(what, where=where, fix="give the final address") from error
        raise SourceRefused(f"the server answers {error.code} {clean(str(error.reason))}", where=where, fix=_advice(error.code)) from error
    except (urllib.error.URLError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceRefused(f"it cannot be fetched: {clean(str(reason))}", where=where, fix="check the address and the network") from error
    except OSError as error:
        raise SourceRefused(
            f"fetching it stopped: {clean(str(error))}", where=where, fix="check the network and the space on disk; try again"
        ) from error
    if promised is not None and promised.isdigit() and written != int(promised):
        raise SourceRefused(f"fetching it stopped after {written} of {promised} bytes", where=where, fix="try again")


def _advice(code: int) -> str:
    if code in (401, 403):
        return "give an address that needs no login, such as a signed one"
    return "check the address" if code in (404, 410) else "try again later"


def _from_s3(location: str, partial: Path, most: int) -> None:
    from vidpipe.storage import open_storage  # boto3 is imported only if it is needed

    prefix, _, name = location.rpartition("/")
    try:
        storage = open_storage(prefix)
        try:
            stored = storage.head(name)
            if stored is None:
                raise SourceRefused("there is no such object", where=location, fix="check the bucket and the key")
            if stored.size > most:
                raise SourceRefused(
                    f"the object has {stored.size} bytes; the limit is {most}", where=location, fix="raise the limit max_bytes"
                )
            storage.download(name, partial)
        finally:
            storage.close()
    except ValueError as error:
        raise SourceRefused("this is no address of an object", where=location, fix="write s3://BUCKET/KEY") from error
    except PublishFailed as error:  # the storage room speaks of targets; here it is a source that cannot be had
        raise SourceRefused(f"it cannot be fetched: {error.what}", where=location, fix=error.fix, details=error.details) from error
