"""What is said of a title that has changed, or would: versions, rollbacks, withdrawals, deletions.

In:   a console and what ``vidpipe/lifecycle/`` returned.  Out: lines and tables on the console; sentences to ask with.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vidpipe.cli.render.columns import table
from vidpipe.cli.words import lines
from vidpipe.quantities import clock, count, size

if TYPE_CHECKING:
    from vidpipe.catalog.record import Record
    from vidpipe.lifecycle.garbage import Garbage
    from vidpipe.lifecycle.redescription import Redescription
    from vidpipe.lifecycle.removal import RemovedVersion
    from vidpipe.lifecycle.repair import Repair
    from vidpipe.lifecycle.revival import Revival
    from vidpipe.lifecycle.scrub import Scrub
    from vidpipe.lifecycle.transfer import Transfer
    from vidpipe.lifecycle.withdrawal import Withdrawal


def versions(console: Console, records: Sequence[Record]) -> None:
    """List the versions of a title."""
    table(
        console,
        ("version", "status", "since", ">duration", "title", "source", "master playlist"),
        [
            (
                record.version, record.status, f"{record.status_since or record.created_at:%Y-%m-%d %H:%M}", clock(record.duration),
                record.title, record.source.name, record.playback.hls,
            )
            for record in records
        ],
    )  # fmt: skip


def would_revive(planned: Revival) -> str:
    """Say what a rollback or a restore would do."""
    record, replaced = planned.record, planned.replaced
    instead = f" in place of version {replaced.version} ({replaced.title})" if replaced else ""
    return f"Version {record.version} of {record.content_id} ({record.title}) becomes live{instead}."


def revived(console: Console, done: Revival) -> None:
    """Say what is live now."""
    record = done.record
    if done.unchanged:
        lines(console, f"{record.content_id} is unchanged: version {record.version} is live already")
        return
    if done.dry_run:
        lines(console, would_revive(done))
        return
    instead = f", in place of version {done.replaced.version}" if done.replaced else ""
    lines(console, f"{record.content_id} is live: version {record.version}{instead}")
    if done.proof:
        by = "size and hash of each as published" if done.proof.by == "inventory" else "all that its playlists name is there"
        lines(console, f"  proven           {count(done.proof.objects, 'object')}, {by}")
    lines(console, f"  master playlist  {record.playback.hls}")


def would_withdraw(planned: Withdrawal) -> str:
    """Say what a withdrawal would do."""
    return f"Version {planned.record.version} of {planned.record.content_id} ({planned.record.title}) is taken down."


def withdrawn(console: Console, done: Withdrawal) -> None:
    """Say what is live no longer."""
    record = done.record
    if done.dry_run and not done.unchanged:
        lines(console, would_withdraw(done))
        return
    content_id = shlex.quote(record.content_id)
    lines(
        console,
        f"{record.content_id} is withdrawn{' already' if done.unchanged else ''}: version {record.version}",
        f"  still there      {record.playback.hls}",
        f"  make it live     vidpipe catalog restore {content_id}",
        f"  delete it        vidpipe catalog delete {content_id}",
    )


def would_redescribe(planned: Redescription) -> str:
    """Say what a title would be called."""
    known, wanted = planned.replaced.metadata, planned.metadata
    changed = [f"{key}={wanted.get(key, '')}" for key in sorted(known | wanted) if known.get(key) != wanted.get(key)]
    words = ", ".join([f"title {planned.title!r}", *changed])
    return f"A new version of {planned.replaced.content_id} says: {words}."


def redescribed(console: Console, done: Redescription) -> None:
    """Say what a title is called now."""
    content_id = done.replaced.content_id
    if done.unchanged:
        lines(console, f"{content_id} is unchanged: version {done.replaced.version} says so already")
    elif done.record is None:
        lines(console, would_redescribe(done))
    else:
        lines(
            console,
            f"{content_id} is live: version {done.record.version}, {count(done.copied, 'object')} copied",
            f"  title            {done.title}",
            *(f"  meta {key:<12}{text}" for key, text in done.metadata.items()),
            f"  master playlist  {done.record.playback.hls}",
        )


def removed(console: Console, gone: Sequence[RemovedVersion], *, dry_run: bool) -> None:
    """List the versions that were deleted, or would be."""
    if not gone:
        lines(console, "nothing to delete")
        return
    rows = [(each.content_id, each.version, each.objects, size(each.bytes), len(each.key_ids), each.target) for each in gone]
    table(console, ("content id", "version", ">objects", ">size", ">keys", "target"), rows)
    total = sum(each.bytes for each in gone)
    lines(console, f"{'would delete' if dry_run else 'deleted'} {count(len(gone), 'version')}, {size(total)}")


def scrubbed(console: Console, done: Scrub) -> None:
    """Say that a version is as it was published."""
    read = f", {size(done.proof.bytes)} read" if done.proof.bytes is not None else ""
    address = ", and its address plays it" if done.address else ""
    what = f"version {done.version}, {count(done.proof.objects, 'object')}{read}{address}"
    lines(console, f"{done.content_id} is as it was published: {what}")


def repaired(console: Console, done: Repair) -> None:
    """Say what was put right, and what cannot be."""
    if not done.found:
        lines(console, "nothing to repair: catalog and target agree")
        return
    would = {"address": "put right", "record": "write", "copied": "copy", "uploaded": "upload", "adopted": "adopt"}
    did = {"address": "put right", "record": "written"}
    for item in done.found:
        deed = f"would {would[item.deed]}" if done.dry_run and item.deed in would else did.get(item.deed, item.deed)
        lines(console, f"{item.content_id} {item.version}  {deed}: {item.what}")


def garbage(console: Console, found: Garbage) -> None:
    """List what nothing references."""
    if not found.found:
        lines(console, f"nothing at {found.target} is without a reference")
        return
    what = {
        "unfinished": "a version that was never finished",
        "upload": "an upload that was never finished",
        "unknown": "a complete version that the catalog does not know: vidpipe repair --adopt takes it in",
    }
    table(
        console,
        ("path", ">objects", ">size", "", "what it is"),
        [(item.path, item.objects, size(item.bytes), "removed" if item.removed else "", what[item.kind]) for item in found.found],
    )
    left = [item for item in found.found if item.kind != "unknown" and not item.removed]
    if left and not found.deleted:
        lines(console, f"{count(len(left), 'thing')} to remove, {size(sum(item.bytes for item in left))}: vidpipe gc --delete")


def moved(console: Console, done: Transfer) -> None:
    """Say where a title lies now."""
    what = f"{count(done.objects, 'object')}, {size(done.bytes)}"
    if done.record is None:
        lines(console, f"would copy {what} of version {done.replaced.version} of {done.replaced.content_id}")
        return
    if done.record == done.replaced:
        lines(console, f"{done.record.content_id} lies there already: version {done.record.version}, and its address plays it")
        return
    lines(
        console,
        f"{done.record.content_id} is live at its new target: version {done.record.version}, {what} copied and read back",
        f"  master playlist  {done.record.playback.hls}",
    )
