"""Make a CDN forget what is no longer true: the setting ``cdn`` says how.

In:   the setting; what has changed at the target; the setting ``public_url``.
Out:  the paths to forget; the CDN was asked to.
Wrong: UsageError for a setting that says nothing; PurgeFailed if the CDN does not do it.

Only the address of a title ever changes, and caches keep it for a minute at most, so that a purge that fails makes viewers wait and nothing
worse. A title that is taken down has to be forgotten whole: its segments may be cached for a week.

cloudfront:ID      an invalidation of that distribution, with the credentials that S3 uses
https://…          a POST of {"content_id": …, "paths": [...], "urls": [...]} as JSON
command:PATH       a program; the content id is its argument, the URLs (or paths) come on standard input, one a line
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from vidpipe import layout
from vidpipe.errors import PublishFailed, UsageError, VidpipeError
from vidpipe.publish.addresses import public

_FIX = "give cloudfront:DISTRIBUTION_ID, the URL of a webhook, or command:PATH"
SILENCE = 20.0
"""Seconds that a webhook may be silent."""
COMMAND_SECONDS = 60
"""Seconds that a program may take."""


class PurgeFailed(PublishFailed):
    """The CDN was not told. What it keeps ends by itself."""


class Purge(NamedTuple):
    """How a CDN is asked. kind and what the setting says after it: an id, a URL, a path."""

    kind: Literal["cloudfront", "webhook", "command"]
    value: str


def read_cdn(setting: str, where: str = "cdn") -> Purge:
    """Read the setting. where: the variable or file that it comes from, for the message.  Raises UsageError."""
    kind, colon, value = setting.partition(":")
    if kind == "cloudfront" and value.isalnum() and value.isascii():
        return Purge("cloudfront", value)
    if kind == "command" and value.startswith("/"):
        return Purge("command", value)
    try:
        if kind in ("http", "https") and colon and urlsplit(setting).hostname and "@" not in urlsplit(setting).netloc:
            return Purge("webhook", setting)
    except ValueError:
        pass
    # A webhook may hold a token: the setting is not repeated.
    raise UsageError("this is not a way to ask a CDN", where=where, fix=_FIX)


def flipped(content_id: str, *, dash: bool = False) -> tuple[str, ...]:
    """Return what a CDN has to forget when another version is live. dash: whether the address in DASH has changed, too."""
    return (layout.address(content_id), *((layout.dash_address(content_id),) if dash else ()))


def taken_down(content_id: str) -> tuple[str, ...]:
    """Return what a CDN has to forget when a title is no longer to be played: everything of it (a path may end with ``*``)."""
    return (f"{content_id}/*",)


def purge(setting: str, content_id: str, paths: Sequence[str], public_url: str | None) -> None:
    """Ask the CDN to forget paths at the target.  Raises PurgeFailed, UsageError."""
    asked = read_cdn(setting)
    urls = [_url(public_url, path) for path in paths] if public_url else []
    base = urlsplit(public_url).path if public_url else ""
    try:
        if asked.kind == "cloudfront":
            if public_url is None:  # which path of the distribution the target lies at
                raise PurgeFailed("CloudFront forgets paths of its own, which nobody knows without public_url", fix="set public_url, too")
            from vidpipe.storage.s3 import invalidate

            invalidate(asked.value, [f"{base}/{path}" for path in paths])
        elif asked.kind == "webhook":
            _post(asked.value, {"content_id": content_id, "paths": list(paths), "urls": urls})
        else:
            _run(asked.value, content_id, urls or list(paths))
    except PurgeFailed:
        raise
    except VidpipeError as problem:
        raise PurgeFailed(
            f"the CDN was not asked to forget {paths[0]}: {problem.what}", fix=problem.fix or "purge it by hand", details=problem.details
        ) from problem


def _url(public_url: str, path: str) -> str:
    plain = path.removesuffix("*")
    return public(public_url, plain) + path[len(plain) :]


def _post(url: str, content: dict[str, object]) -> None:
    from vidpipe.web import Web, WebError

    where = urlsplit(url).hostname or ""
    try:
        with Web(silence=SILENCE) as web, web.answered(
            url, "POST", {"Content-Type": "application/json"}, json.dumps(content).encode()
        ) as answer:
            status, reason = answer.status, answer.reason
    except WebError as problem:
        fix = "check the setting cdn, and the server"
        raise PurgeFailed(f"the webhook cannot be asked: {problem.what}", where=where, fix=fix) from problem
    if not 200 <= status < 300:
        raise PurgeFailed(f"the webhook answers {status} {reason}", where=where, fix="look into the log of that server")


def _run(program: str, content_id: str, lines: Sequence[str]) -> None:
    from vidpipe.media.process import Limits, run

    ended = run([program, content_id], limits=Limits(wall_seconds=COMMAND_SECONDS), stdin="".join(f"{line}\n" for line in lines).encode())
    if ended.timed_out or ended.returncode != 0:
        how = f"took longer than {COMMAND_SECONDS} s" if ended.timed_out else f"ended with {ended.returncode}"
        raise PurgeFailed(f"the command {how}", where=program, fix="run it by hand", details=ended.stderr_tail.strip().splitlines()[-1:])
