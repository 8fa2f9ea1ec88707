"""The setting ``key_source``: local, AWS KMS, or a key server. It asks nobody, and imports nothing that takes time.

In:   the setting, and those that say how a key server knows us.  Out: the same.
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
AWS_SIGNATURE = "aws-sigv4"
"""Stands for an Authorization header that signs each request with AWS credentials, as API Gateway asks for; a region may follow."""
_HEADER = re.compile(r"(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(?P<value>[!-~](?:[ -~]*[!-~])?)")
_OURS = frozenset({
    *("authorization", "host", "content-length", "content-type", "transfer-encoding", "connection", "accept", "accept-encoding"),
    *("x-speke-version", "x-amz-date", "x-amz-security-token"),
})  # fmt: skip
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
    """Return what may stand in the Authorization header, or AWS_SIGNATURE."""
    kind, _, region = value.strip().partition(":")
    if kind == AWS_SIGNATURE and not re.fullmatch("[a-z0-9-]*", region):
        fix = f"give {AWS_SIGNATURE}, or {AWS_SIGNATURE}:REGION, such as {AWS_SIGNATURE}:eu-west-1"
        raise UsageError("this is not an AWS region", where=where, fix=fix)
    if not value.isascii() or not value.isprintable():
        raise UsageError("this is not the text of a header", where=where, fix="give printable ASCII, such as Bearer TOKEN")
    return value.strip()


def check_header(value: str, where: str) -> str:
    """Return the line of a header. Those that say what is asked, and of whom, are ours."""
    found = _HEADER.fullmatch(value.strip())
    if not found:
        raise UsageError("this is not a header", where=where, fix="give NAME: VALUE in printable ASCII, such as x-api-key: KEY")
    if found["name"].lower() in _OURS:
        what = f"the header {found['name']} cannot be set"
        fix = "set key_source_authorization" if found["name"].lower() == "authorization" else "give the header that the key server asks for"
        raise UsageError(what, where=where, fix=fix)
    return value.strip()


def header_of(line: str) -> tuple[str, str]:
    """Return name and value of a header that was checked."""
    name, _, value = line.partition(":")
    return name, value.strip()


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
