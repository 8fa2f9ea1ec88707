"""Name a content key in a playlist: a relative URI, or the operator's absolute one.

In:   the --key-url template, a content id, a key id.  Out: the URI of EXT-X-KEY.
Wrong: UsageError for a template that is not an absolute URL or has other placeholders; the settings ask before any work starts.
"""

from __future__ import annotations

import string
from urllib.parse import quote, urlsplit

from vidpipe.errors import UsageError
from vidpipe.manifest.grammar import uri

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


def check_key_url(template: str, where: str = "key_url") -> str:
    """Return the template. Raises UsageError unless it is an absolute http(s) URL with a known placeholder and no other.

    where: the flag, variable or file that it comes from, for the message.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"{template!r} has an unmatched brace", where=where, fix=_FIX) from error
    fields = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    for name, spec, conversion in fields:
        if name not in PLACEHOLDERS or spec or conversion:
            written = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise UsageError(f"unknown placeholder {{{written}}}", where=where, fix="only {content_id} and {key_id} may be used")
    if not fields:
        raise UsageError("the URL would be the same for every title and key", where=where, fix=_FIX)
    try:
        url = urlsplit(uri(template.format(content_id="id", key_id="id")))
        host, _ = url.hostname, url.port
    except ValueError as error:
        raise UsageError(
            f"{template!r} is not a URL: it contains a character or a port that is not allowed", where=where, fix=_FIX
        ) from error
    if url.scheme not in ("https", "http") or not host:
        raise UsageError(f"{template!r} is not an absolute URL (http, https)", where=where, fix=_FIX)
    return template
