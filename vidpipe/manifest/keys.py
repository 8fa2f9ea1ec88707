"""Name a content key in a playlist: a relative URI, or the operator's absolute one.

In:   the --key-url template, a content id, a key id.  Out: the URI of EXT-X-KEY.
Wrong: UsageError for a template that is not an absolute URL or has other placeholders; found before any work starts.
"""

from __future__ import annotations

import string
from urllib.parse import quote, urlsplit

from vidpipe.errors import UsageError
from vidpipe.manifest.text import uri

PLACEHOLDERS = ("content_id", "key_id")
_FIX = "give an absolute URL such as https://keys.example.com/{content_id}/{key_id}"


def key_uri(template: str | None, content_id: str, key_id: str) -> str:
    """Return the URI by which playlists name a key. Without a template it is ``keys/{key_id}``, relative to the playlist.

    Ids are percent-encoded, so that neither can add a path or a query to the operator's URL.
    """
    if template is None:
        return uri(f"keys/{quote(key_id, safe='')}")
    check_key_url(template)
    return uri(template.format(content_id=quote(content_id, safe=""), key_id=quote(key_id, safe="")))


def check_key_url(template: str) -> None:
    """Raise UsageError unless the template is an absolute URL with at least one of the known placeholders and no other."""
    where = "--key-url"
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"{template!r} has a brace without a partner", where=where, fix=_FIX) from error
    fields = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    for name, spec, conversion in fields:
        if name not in PLACEHOLDERS or spec or conversion:
            raise UsageError(f"unknown placeholder {{{name}}}", where=where, fix="only {content_id} and {key_id} may be used")
    if not fields:
        raise UsageError("the URL would be the same for every title and key", where=where, fix=_FIX)
    example = template.format(content_id="id", key_id="id")
    try:
        url = urlsplit(uri(example))
        host = url.hostname
    except ValueError as error:
        raise UsageError(f"{template!r} is not a URL", where=where, fix=_FIX) from error
    if not url.scheme or not host:
        raise UsageError(f"{template!r} is not an absolute URL", where=where, fix=_FIX)
