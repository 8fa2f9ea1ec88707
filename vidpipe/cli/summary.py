"""What is said when an ingest has ended. Lines only: where they go into a pipe or a file, rich is not loaded (see words.py).

In:   a console and what the library returned.  Out: lines on the console.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from vidpipe.cli.reporters import clock, count
from vidpipe.cli.words import Printer, lines

if TYPE_CHECKING:
    from vidpipe.catalog.record import LeftOutRecord
    from vidpipe.pipeline.ingest import IngestResult


def finished(console: Printer, result: IngestResult) -> None:
    """Say where the title is and what to run next."""
    record = result.record
    if result.unchanged:
        lines(console, f"{record.content_id} is unchanged: version {record.version} is live already")
    elif result.restored:
        back = count(result.restored, "lost object")
        lines(console, f"{record.content_id} is whole again: version {record.version} was live already, {back} put back")
    else:
        reused = f", {result.artifacts_reused} of {count(result.artifacts, 'encoded piece')} reused" if result.artifacts_reused else ""
        copied = f", {count(result.copied, 'object')} copied" if result.copied else ""
        videos = sum(rendition.type == "video" for rendition in record.renditions)
        lines(
            console,
            f"{record.content_id} is live: {clock(record.duration)} of video in {count(videos, 'rendition')}, version {record.version}, "
            f"made in {clock(result.timings['total'])}{reused}{copied}",
        )
    for finding in result.findings:
        lines(console, f"{finding.severity}: {finding.message} [{finding.id}]")
    lines(console, *(f"warning: {warning}" for warning in result.warnings), *(f"left out: {left_out(track)}" for track in record.left_out))
    content_id = shlex.quote(record.content_id)
    lines(
        console,
        f"  master playlist  {result.manifest}",
        f"  play it          vidpipe preview {content_id}",
        f"  look inside      vidpipe inspect {shlex.quote(result.manifest)}",
        f"  its record       vidpipe catalog show {content_id}",
    )


def lost_result(console: Printer, content_id: str, reason: str) -> None:
    """Say that the result of an ingest could not be written, and where it can be had."""
    again = f"vidpipe catalog show {shlex.quote(content_id)} --json"
    lines(console, f"warning: {content_id} is live, but its record could not be written ({reason}); it is shown by: {again}")


def left_out(track: LeftOutRecord) -> str:
    """Return a track that was left out, and why, for people."""
    from vidpipe.plan import LeftOut

    return str(LeftOut(**track.model_dump()))
