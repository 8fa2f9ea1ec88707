"""What ``vidpipe keys`` and ``vidpipe rekey`` print: never a key.

In:   a console and what ``title_keys.py`` and ``rekeying.py`` in ``vidpipe/lifecycle/`` returned.  Out: tables and lines on the console.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vidpipe.cli.render.columns import table
from vidpipe.cli.words import lines
from vidpipe.quantities import count, size

if TYPE_CHECKING:
    from vidpipe.lifecycle.rekeying import Rekeying
    from vidpipe.lifecycle.title_keys import HeldKey
    from vidpipe.protect.master_rotation import MasterRotation


def listed(console: Console, found: Sequence[HeldKey]) -> None:
    """List keys."""
    if not found:
        lines(console, "no keys")
        return
    rows = [(key.key_id, key.content_id or "unknown", _made(key), key.state, _versions(key)) for key in found]
    table(console, ("key", "title", "made", "state", "needed by"), rows)


def shown(console: Console, found: Sequence[HeldKey]) -> None:
    """Show what keys are for: the newest version first, and in each the keys of a class in the order in which they are played."""
    uses = sorted(((key, each) for key in found for each in key.versions), key=lambda use: (use[1].track_type or "", use[1].first or 0))
    rows = [
        (key.key_id, _made(key), key.state, each.version, each.status, each.track_type or "", _number(each.first), _number(each.segments))
        for key, each in sorted(uses, key=lambda use: use[1].version, reverse=True)
    ]
    rows += [(key.key_id, _made(key), key.state, "none", "", "", "", "") for key in found if not key.versions]
    table(console, ("key", "made", "state", "version", "status", "class", ">from segment", ">segments"), rows)


def would_rotate(planned: MasterRotation) -> str:
    """Say what a rotation would do."""
    return f"{count(planned.keys, 'key is', 'keys are')} wrapped with a new master key."


def rotated(console: Console, done: MasterRotation, variable: str | None) -> None:
    """Say what was wrapped, and what to keep."""
    if done.dry_run:
        lines(console, f"would wrap {count(done.keys, 'key', 'keys')} with a new master key")
    else:
        before = f", {done.already} were already" if done.already else ""
        lines(console, f"{count(done.keys, 'key is', 'keys are')} wrapped with the new master key{before}")
        given = f"from now on set VIDPIPE_MASTER_KEY to what {variable} has, and keep it"
        kept = f"it lies in {done.file}: back it up" if done.file else given
        lines(console, f"  {kept}. Backups of key files need the master key of their time")
    if done.foreign:
        lines(console, f"  {count(len(done.foreign), 'key was', 'keys were')} wrapped with a third master key, and stay as they are")


def would_rekey(planned: Rekeying) -> str:
    """Say what new keys for a title take."""
    if planned.finished:
        return f"The earlier rekey of {planned.replaced.content_id} is finished: its address plays it, and nothing is encrypted anew."
    keys = len(planned.replaced.encryption.key_ids)
    what = f"{count(planned.segments, 'segment')}, {size(planned.bytes)}"
    return f"A new version of {planned.replaced.content_id} is published under {count(keys, 'new key', 'new keys')} ({what})."


def rekeyed(console: Console, done: Rekeying) -> None:
    """Say what is live now."""
    if done.record is None:
        lines(console, would_rekey(done))
        return
    what = f"{count(done.segments, 'segment')} encrypted anew, {size(done.bytes)}"
    now = f"version {done.record.version}, in place of version {done.replaced.version}"
    earlier = f"finished the rekey of {done.record.content_id} that made {now}: its address plays it; nothing was encrypted anew"
    lines(
        console,
        earlier if done.finished else f"{done.record.content_id} is live: {now}, {what}",
        *(f"  key              {key_id}" for key_id in done.record.encryption.key_ids),
        f"  master playlist  {done.record.playback.hls}",
        *([f"  DASH manifest    {done.record.playback.dash}"] if done.record.playback.dash else []),
    )


def _made(key: HeldKey) -> str:
    return f"{key.created_at:%Y-%m-%d %H:%M}" if key.created_at else ""


def _versions(key: HeldKey) -> str:
    shown = [each.status for each in key.versions]
    return ", ".join(f"{shown.count(status)} {status}" for status in dict.fromkeys(shown)) or "no version"


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
