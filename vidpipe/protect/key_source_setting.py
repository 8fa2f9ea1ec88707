"""The setting ``key_source``: local, AWS KMS, or a key server. It asks nobody, and imports nothing that takes time.

In:   the setting, and that of the Authorization header.  Out: the same.
Wrong: UsageError for what names no source of keys, or one that would send keys in clear over the network. It never quotes a URL or header.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from vidpipe.errors import UsageError
from vidpipe.loopback import is_loopback

LOCAL_KEYS = "local"
"""The key source that asks nobody."""
KMS_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/:-]+")
_FIX = "give local, kms:KEY_ARN, or cpix:URL, such as cpix:https://keys.example.com/speke/v2.0/copyProtection"


def check_key_source(value: str, where: str) -> str:
    """Return the setting. where: the variable or file that it comes from, for the message."""
    kind, _, rest = value.partition(":")
    if kind == "cpix":
        _check_server(rest, where)
    elif value != LOCAL_KEYS and not (kind == "kms" and KMS_ARN.fullmatch(rest)):
        raise UsageError("this is not a source of keys", where=where, fix=_FIX)
    return value


def check_authorization(value: str, where: str) -> str:
    """Return what may stand in the Authorization header."""
    if not value.isascii() or not value.isprintable():
        raise UsageError("this is not the text of a header", where=where, fix="give printable ASCII, such as Bearer TOKEN")
    return value.strip()


def _check_server(url: str, where: str) -> None:
    """Keys come in clear: over TLS, or on this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("https", "http") or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        raise UsageError("this is not the URL of a key server, without user and password", where=where, fix=_FIX)
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError("keys would come in clear over the network", where=where, fix="ask the key server by https://")
