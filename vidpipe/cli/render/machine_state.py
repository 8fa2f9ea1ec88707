"""Show this machine: its work folder, a preview that runs on it, what doctor looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from vidpipe.cli.render.columns import STATE_STYLE, facts, table
from vidpipe.cli.words import lines, prose
from vidpipe.quantities import count, size

if TYPE_CHECKING:
    from vidpipe.doctor import CheckResult
    from vidpipe.preview import Preview
    from vidpipe.work.usage import FolderUse, Usage


def show_work(console: Console, found: Usage) -> None:
    """Show what the work folder holds."""
    lines(console, found.folder)
    rows = [(share.kind, share.files, size(share.bytes), share.meaning) for share in found.shares]
    table(console, ("kind", ">files", ">size", "what"), rows)
    if found.sources:
        chunks = [(held.title, held.source[:12], held.artifacts, size(held.bytes)) for held in found.sources]
        table(console, ("chunks of", "SHA-256", ">files", ">size"), chunks)
    lines(console, *(f"running: {name}" for name in found.running))
    lines(
        console, *(f"unfinished: {name}; run its ingest again, or discard it: vidpipe work clean --unfinished" for name in found.unfinished)
    )


def show_cleaned(console: Console, removed: Sequence[FolderUse], given_up: Sequence[str], *, dry_run: bool) -> None:
    """Say what was removed."""
    lines(console, *(f"discarded: {name}" for name in given_up))
    files, total = sum(share.files for share in removed), sum(share.bytes for share in removed)
    lines(console, f"{'would free' if dry_run else 'freed'} {size(total)} in {count(files, 'file')}")


def show_preview(console: Console, server: Preview) -> None:
    """Say where the preview is."""
    lines(
        console,
        f"playing {server.title}",
        f"  in a browser  {server.url}",
        f"  in a player   {server.master_url}",
        "press Ctrl-C to end",
    )


def show_checks(console: Console, checks: Sequence[CheckResult]) -> None:
    """Show what was looked at."""
    state, name = (max((len(text) for text in texts), default=0) for texts in zip(*((c.state, c.name) for c in checks), strict=True))
    facts(
        console,
        [
            (Text.assemble((check.name.ljust(name), "bold"), "  ", (check.state.ljust(state), STATE_STYLE[check.state])), check.detail)
            for check in checks
        ],
    )
    for check in checks:
        if check.fix:
            prose(console, f"{check.name}: {check.fix}")
