"""Where published objects lie: a local directory or S3. boto3 is imported only when an s3:// target is opened.

In:   a target as the user wrote it: DIR, file:///DIR or s3://BUCKET/PREFIX.
Out:  a Storage.
Wrong: UsageError for a target of another kind.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vidpipe.errors import UsageError
from vidpipe.storage.base import Storage, Stored, clean_path
from vidpipe.storage.local import LocalStorage

__all__ = ["Storage", "Stored", "open_storage"]

_ADVICE = "use a directory (./library), file:///absolute/path or s3://BUCKET/PREFIX"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/*")
# botocore's own rule; S3-compatible servers are laxer than AWS (3 to 63 lower-case letters, digits, "-", ".").
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")


def open_storage(target: str) -> Storage:
    """Open a target: a directory, a file:// URL or s3://BUCKET[/PREFIX]. Nothing is created or contacted yet.

    Raises UsageError for anything else.
    """
    scheme = _SCHEME.match(target)
    kind = scheme[1].lower() if scheme else ""
    if kind == "s3":
        return _open_s3(target)
    if kind == "file":
        url = urlsplit(target)
        if url.netloc not in ("", "localhost") or not target[5:].startswith("//") or url.query or url.fragment:
            fix = "write file:///absolute/path, with three slashes"
            raise UsageError("a file URL must name a directory of this machine", where=target, fix=fix)
        return LocalStorage(Path(unquote(url.path)))
    if "://" in target:
        # The target is not echoed: a URL may hold a password.
        raise UsageError(f"a target of the kind {kind or '?'}:// is not supported", fix=_ADVICE)
    if not target.strip() or any(ord(char) < 32 for char in target):
        raise UsageError("the target is empty or holds control characters", fix=_ADVICE)
    try:
        return LocalStorage(Path(target).expanduser())
    except RuntimeError as problem:  # "~nobody" has no home
        raise UsageError(f"the home directory is unknown ({problem})", where=target, fix="write the full path") from problem


def _open_s3(target: str) -> Storage:
    if not target[:5].lower() == "s3://":
        raise UsageError("an S3 target needs two slashes after the colon", where=target, fix="write s3://BUCKET/PREFIX")
    bucket, _, prefix = target[5:].partition("/")
    if "@" in bucket or ":" in bucket:
        raise UsageError(
            "an S3 target names a bucket and a prefix only, no credentials and no host",
            fix="credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, another server into AWS_ENDPOINT_URL",
        )
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{bucket!r} is not a bucket name", where=target, fix="write s3://BUCKET/PREFIX")
    if any(char in prefix for char in "?#"):
        raise UsageError("an S3 prefix must not hold ? or #", where=target, fix="choose a prefix of letters, digits, '-', '_' and '/'")
    from vidpipe.storage.s3 import S3Storage

    try:
        clean = clean_path(prefix.strip("/"), empty=True)
    except ValueError as problem:
        raise UsageError("the prefix has empty, '.' or '..' parts", where=target, fix="write s3://BUCKET/PREFIX") from problem
    return S3Storage(bucket, clean)
