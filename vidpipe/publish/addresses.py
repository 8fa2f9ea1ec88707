"""The URLs by which viewers reach what was published, behind the CDN or web server that serves the target.

In:   the setting ``public_url``, a content id, a path at the target.
Out:  absolute URLs.
Wrong: UsageError for a setting that is no URL that a path can be added to.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from vidpipe import layout
from vidpipe.errors import UsageError

_FIX = "give the URL of the target's root, such as https://media.example.com/vod"


def check_public_url(url: str, where: str) -> str:
    """Return the URL without a trailing "/". Raise UsageError unless it is an absolute http or https URL without query and fragment.

    where: the flag, variable or file that it comes from, for the message.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is not a URL", where=where, fix=_FIX) from error
    if parts.scheme not in ("https", "http") or not host or not re.fullmatch(r"[!-~]+", url):
        raise UsageError(f"{url!r} is not an absolute URL (http, https)", where=where, fix=_FIX)
    if "?" in url or "#" in url:
        raise UsageError(f"{url!r} has a query or a fragment, to which no path can be added", where=where, fix=_FIX)
    if parts.username is not None:  # "" where there is a password alone
        raise UsageError("the URL holds a user name or a password, which records would show", where=where, fix=_FIX)
    return url.rstrip("/")


def public(base: str, path: str) -> str:
    """Return the URL of an object. base: as ``check_public_url`` gave it.  path: at the target."""
    return f"{base}/{quote(path)}"


def title_url(base: str, content_id: str) -> str:
    """Return the URL that always plays the live version of a title."""
    return public(base, layout.address(content_id))
