"""Read a target as the user wrote it: a folder, file:///FOLDER or s3://BUCKET[/PREFIX]. What only looks like one of them is refused.

In:   the text.
Out:  a Folder or a Bucket; ``misspelt``: the right spelling of an address that would be taken for a path.
Wrong: UsageError, with the right spelling where it is known. A text that may hold a password is not repeated.

A folder may have any name, so "s3:/media/vod" is one, too: nobody means it. Who does writes ./s3:/media/vod.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from vidpipe.errors import UsageError
from vidpipe.storage.base import clean_path

ADVICE = "use a directory (./library), file:///absolute/path or s3://BUCKET/PREFIX"
# botocore's own rule; S3-compatible servers are laxer than AWS (3 to 63 lower-case letters, digits, "-", ".").
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+)\s*([:;]?)\s*([/\\]*)(.*)", re.S)
_SCHEMES = {
    "s3": "s3", "s3a": "s3", "s3n": "s3", "file": "file", "http": "http", "https": "https",
    **dict.fromkeys(("ftp", "ftps", "sftp", "ssh", "scp", "rsync", "smb", "nfs", "gs", "gcs", "az", "abfs", "b2", "r2", "hdfs"), ""),
}  # fmt: skip
"""Words that begin an address, and the scheme of vidpipe that they stand for."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of this machine. path: as it was written, relative or not."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A prefix at S3, without slashes around it; "" is the whole bucket."""

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


def read_target(target: str, where: str | None = None) -> Folder | Bucket:
    """Take a target apart. where: the flag, variable or file that it comes from, for the message."""
    if not target.strip() or any(ord(char) < 32 for char in target):
        raise UsageError("the target is empty or contains control characters", where=where, fix=ADVICE)
    scheme, colon, _ = target.partition("://")
    scheme = scheme.lower() if colon else ""
    if scheme == "s3":
        return _bucket(target, where)
    if scheme == "file":
        return _folder(target, where)
    meant = misspelt(target)
    if meant is not None:
        secret = any(char in target for char in "@?")  # user and password, or a signature: not repeated
        shown = f"{target.partition(':')[0].strip()[:20]}:…" if secret else repr(target)
        offered = f"did you mean {meant}?" if meant.startswith(("s3://", "file:///")) and not secret else ADVICE
        other = "" if secret or "://" in target else f" (a directory of this name is ./{target})"
        raise UsageError(f"{shown} is not a target that vidpipe can publish to", where=where, fix=offered + other)
    try:
        return Folder(Path(target).expanduser())
    except RuntimeError as problem:  # "~nobody" has no home
        raise UsageError(f"the home directory is unknown: {target!r}", where=where or target, fix="write the full path") from problem


def misspelt(location: str) -> str | None:
    """Return the right spelling of what looks like an address and is none of ours: "" if nobody knows it, None if it is just a path."""
    found = _ADDRESS.match(location)
    if found is None:
        return "" if "://" in location and not location.startswith((".", "/", "~")) else None
    word, colon, slashes, rest = found[1].lower(), found[2], found[3], found[4].replace("\\", "/").strip()
    known = word in _SCHEMES and (bool(colon) or len(slashes) > 1)
    if not known and not (colon == ":" and slashes):
        return None
    scheme = _SCHEMES.get(word, "")
    if not scheme or not rest or (scheme == "file" and not slashes):
        return ""
    return f"{scheme}://{'/' if scheme == 'file' else ''}{rest}"


def _folder(target: str, where: str | None) -> Folder:
    host, slash, path = target.partition("://")[2].partition("/")
    path = unquote(path)
    if host not in ("", "localhost") or not slash or any(char in target for char in "?#") or any(ord(char) < 32 for char in path):
        fix = "write file:///absolute/path, with three slashes, or the path alone"
        raise UsageError("a file URL must name a directory of this machine", where=where or target, fix=fix)
    return Folder(Path(f"/{path}"))


def _bucket(target: str, where: str | None) -> Bucket:
    name, _, prefix = target.partition("://")[2].partition("/")
    if "@" in name or ":" in name:
        raise UsageError(
            "an S3 target is a bucket and a prefix, without credentials or host",
            where=where,
            fix="credentials go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, another server into AWS_ENDPOINT_URL",
        )
    if not _BUCKET.fullmatch(name):
        meant = f"did you mean s3://{prefix.lstrip('/')}?" if not name and prefix.strip("/") else "write s3://BUCKET/PREFIX"
        raise UsageError(f"{name!r} is not a bucket name", where=where or target, fix=meant)
    if any(char in prefix for char in "?#"):
        fix = "choose a prefix of letters, digits, '-', '_' and '/'"
        raise UsageError("an S3 prefix must not contain ? or #", where=where or target, fix=fix)
    try:
        return Bucket(name, clean_path(prefix.strip("/"), empty=True))
    except ValueError as problem:
        raise UsageError("the prefix has empty, '.' or '..' parts", where=where or target, fix="write s3://BUCKET/PREFIX") from problem
