"""What is said when an ingest has ended. Text only: where it goes into a pipe or a file, rich is not loaded (see words.py).

In:   a console and what the library returned.  Out: lines on the console.  Wrong: nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vidpipe import layout
from vidpipe.cli import hints
from vidpipe.cli.words import Printer, lines, prose
from vidpipe.quantities import count, duration, size

if TYPE_CHECKING:
    from vidpipe.batch.queue import TitleResult
    from vidpipe.catalog.record import LeftOutRecord
    from vidpipe.cli.reporters.meter import Snapshot
    from vidpipe.pipeline.ingest import IngestResult


def finished(console: Printer, result: IngestResult, *, home: str | None = None, warned: Collection[str] = (), quiet: bool = False) -> None:
    """Say where the title is, and what to run next. warned: warnings that were shown already.

    quiet: only say what is wrong, and that once: of a title that is unchanged it was said when it was made.
    """
    if quiet and result.unchanged:
        return
    if not quiet:
        prose(console, _headline(result))
    record = result.record
    left = [f"left out: {left_out(track)}" for track in record.left_out]
    about = f"{record.content_id}: " if quiet else ""  # nothing else says which title it is
    warnings = [f"{finding.severity}: {about}{finding.message} [{finding.id}]" for finding in result.findings]
    warnings += [f"warning: {about}{text}" for text in [*result.warnings, *left] if text not in warned]
    for warning in warnings:
        prose(console, warning)
    if not quiet:
        _labelled(console, "master playlist", _near(record.playback.title_url or result.address or result.manifest))
        if record.playback.dash:
            _labelled(console, "DASH manifest", _near(record.playback.dash_title_url or _beside(result.address) or record.playback.dash))
        _command(console, "play it", hints.command("preview", record.content_id, home=home))
        _command(console, "its record", hints.command("catalog", "show", record.content_id, home=home))


def _headline(result: IngestResult) -> str:
    record = result.record
    if result.unchanged:
        return f"{record.content_id} is unchanged: version {record.version} is live already"
    if result.restored:
        back = count(result.restored, "lost object")
        return f"{record.content_id} is whole again: version {record.version} was live already, {back} put back"
    reused = f", {result.artifacts_reused} of {count(result.artifacts, 'encoded piece')} reused" if result.artifacts_reused else ""
    copied = f", {count(result.copied, 'object')} copied" if result.copied else ""
    videos = count(sum(rendition.type == "video" for rendition in record.renditions), "rendition")
    took = duration(result.timings["total"])
    return f"{record.content_id} is live: {duration(record.duration)} of video in {videos}, made in {took}{reused}{copied}"


_LABEL = "  {:<15}  "


def _labelled(console: Printer, label: str, *values: str) -> None:
    """Print what may be pasted, below its name unless it fits beside it."""
    beside = _LABEL.format(label) + values[0]
    if len(values) == 1 and len(beside) <= console.width:
        lines(console, beside)
    else:
        lines(console, f"  {label}", *(f"    {value}" for value in values))


def _command(console: Printer, label: str, words: Sequence[str]) -> None:
    """Print a command that may be pasted."""
    whole = shlex.join(words)
    fits = len(_LABEL.format(label) + whole) <= console.width
    _labelled(console, label, *([whole] if fits else hints.folded(words, console.width - 4)))


def _beside(address: str | None) -> str | None:
    """Return the address of a title in DASH, which lies beside that in HLS."""
    return address.removesuffix(layout.MASTER) + layout.MPD if address else None


def _near(location: str) -> str:
    """Return a path as seen from here, if it lies below; a URL as it is."""
    if "://" not in location and Path(location).is_relative_to(here := Path.cwd()):
        return str(Path(location).relative_to(here))
    return location


def interrupted(console: Printer, now: Snapshot, arguments: Sequence[str]) -> None:
    """Say what a stopped run has left, and how to go on. arguments: of the command line."""
    prose(console, f"stopped after {duration(now.seconds)}: {_kept(now)}")
    command, hidden = hints.again(arguments)
    _command(console, "continue with", command)
    if hidden:
        prose(console, "    (its address was given with a user, password or query, which are not repeated here)", indent="    ")


def _kept(now: Snapshot) -> str:
    """Return what the next run need not do again."""
    if encode := now.encode:
        if encode.chunks_done == 0:
            return "nothing is published, and no chunk was finished yet"
        rest = encode.chunks - encode.chunks_done
        what = f"{encode.chunks_done} of {count(encode.chunks, 'chunk')}" if rest else "all chunks"
        rest_of_it = f"the other {rest}" if rest else "nothing"
        return f"nothing is published; {what} encoded and kept, the next run encodes {rest_of_it}"
    if "fetch" in now.running and (fetched := now.headway.get("fetch")):
        return f"{size(fetched.done)} of the source were fetched; the next run goes on from there if the server allows it"
    return "nothing was encoded yet"


def lost_result(console: Printer, content_id: str, reason: str, *, home: str | None = None) -> None:
    """Say that the result of an ingest could not be written, and where it can be had."""
    again = shlex.join(hints.command("catalog", "show", content_id, "--json", home=home))
    lines(console, f"warning: {content_id} is live, but its record could not be written ({reason}); it is shown by: {again}")


def left_out(track: LeftOutRecord) -> str:
    """Return a track that was left out, and why, for people."""
    from vidpipe.plan import LeftOut

    return str(LeftOut(**track.model_dump()))


MARKS = {"live": "+", "unchanged": "=", "failed": "x", "stopped": "-", "not-started": "-"}
NAMES = 40
"""Columns that the ids of a table take at most."""


def _wrong(result: TitleResult) -> Sequence[str]:
    """Return why a title failed, or what quality control says of a new one."""
    if result.state == "failed":
        return result.message
    found = result.result.findings if result.state == "live" and result.result else ()
    return [f"{finding.severity}: {finding.message} [{finding.id}]" for finding in found]


def is_quiet(result: TitleResult) -> bool:
    """Whether there is nothing to say of a title but that it is well."""
    return result.is_well and not _wrong(result)


def titles(console: Printer, results: Sequence[TitleResult], *, totals: bool = True) -> None:
    """Say how the titles of a batch ended: a line for each, in the order given, and why those that failed did."""
    names = min(NAMES, max((len(result.content_id) for result in results), default=0))
    for result in sorted(results, key=lambda each: each.number):
        time = duration(result.seconds) if result.seconds else ""
        state = f"failed ({result.exit_code})" if result.state == "failed" else result.state.replace("-", " ")
        lines(console, f"{MARKS[result.state]} {result.content_id:<{names}}  {state:<11}  {time}".rstrip())
        for line in _wrong(result):
            prose(console, f"    {line}", indent="      ")
    if totals:
        states = ("live", "unchanged", "failed", "stopped", "not-started")
        counts = {state: sum(result.state == state for result in results) for state in states}
        lines(console, f"{count(len(results), 'title')}: {', '.join(f'{n} {s.replace(chr(45), chr(32))}' for s, n in counts.items() if n)}")
