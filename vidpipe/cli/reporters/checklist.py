"""The lines of the checklist: one a stage, none wider than it may be.

In:   a Snapshot, the stages that are expected, a width.
Out:  lines of rich, the same for the same input.
Wrong: nothing; what does not fit is left out, the least important first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from vidpipe.cli.reporters.meter import ENCODE, Headway, Snapshot, StageState
from vidpipe.cli.reporters.plain import chunks
from vidpipe.cli.words import escaped
from vidpipe.progress import STAGES
from vidpipe.quantities import count, duration, percent, size

NARROWEST_BAR, WIDEST_BAR = 8, 40
NAME_WIDTH, TIME_WIDTH = max(map(len, STAGES)), 7  # 1:02:03
GAP = "  "
TURNS_A_SECOND = 5
"""Steps of the mark of a running stage."""


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What marks and bars are drawn with. Done and not done differ without colour, too."""

    done: str
    failed: str
    running: str
    full: str
    empty: str
    cut: str


UNICODE = Glyphs("✓", "✗", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "━", "─", "…")
ASCII = Glyphs("+", "x", "-\\|/", "#", "-", "...")


def checklist(now: Snapshot, expected: Sequence[str], width: int, glyphs: Glyphs = UNICODE) -> list[Text]:
    """Return the lines. expected: stages that are shown before they begin."""
    begun = {stage.name: stage for stage in now.stages}
    known = [name for name in STAGES if name in begun or name in expected] + [name for name in begun if name not in STAGES]
    latest = max((known.index(name) for name in begun), default=-1)
    lines = [_heading(now)] if now.file or now.content_id else []
    for place, name in enumerate(known):
        if name not in begun and place < latest:
            continue  # this run does not need it
        lines.append(_row(now, name, begun.get(name), width, glyphs))
    for line in lines:
        line.no_wrap = True
        if line.cell_len > width:
            line.truncate(max(width - len(glyphs.cut), 0))
            line.append(glyphs.cut)
    return lines


def _heading(now: Snapshot) -> Text:
    name = escaped(now.file or now.content_id)
    return Text.assemble((name, "bold"), GAP, (duration(int(now.seconds)), "dim"))


def _row(now: Snapshot, name: str, stage: StageState | None, width: int, glyphs: Glyphs) -> Text:
    if stage is None:
        return Text(f"  {name}", "dim")
    shown = escaped(name).ljust(NAME_WIDTH)
    if stage.finished:
        mark = (glyphs.failed, "red") if stage.failed else (glyphs.done, "green")
        row = Text.assemble(mark, f" {shown} ", duration(stage.seconds).rjust(TIME_WIDTH))
        result = _result(now, stage)
        return row.append(f"{GAP}{result}", "dim") if result else row
    turn = glyphs.running[int(now.seconds * TURNS_A_SECOND) % len(glyphs.running)]
    row = Text.assemble((turn, "cyan"), (f" {shown}", "bold"), f" {duration(int(stage.seconds)).rjust(TIME_WIDTH)}", GAP)
    return row.append_text(_headway(now, stage, width - row.cell_len, glyphs))


def _result(now: Snapshot, stage: StageState) -> str:
    """Return what a finished stage came to."""
    if stage.note:
        return escaped(stage.note)
    if stage.name == ENCODE and now.encode:
        return chunks(now)
    if stage.name == "copy":
        return f"{count(now.copied, 'object')} copied"
    headway = now.headway.get(stage.name)
    return size(headway.done) if headway and headway.what == "bytes" else ""


def _headway(now: Snapshot, stage: StageState, room: int, glyphs: Glyphs) -> Text:
    """Return how far a running stage is: a bar, and beside it as much as there is room for."""
    headway = now.headway.get(stage.name)
    if headway is None:
        return Text(escaped(stage.note or ""), "dim")
    bar = NARROWEST_BAR if headway.share is not None else -len(GAP)
    shown: list[str] = []
    for part, rank in sorted(_parts(now, stage.name, headway), key=lambda each: each[1]):
        if rank == 0 or bar + sum(len(GAP) + len(each) for each in [*shown, part]) <= room:
            shown.append(part)
    in_order = [part for part, _ in _parts(now, stage.name, headway) if part in shown]
    text = GAP.join(in_order)
    if headway.share is None:
        return Text(text)
    columns = max(min(room - len(GAP) - len(text), WIDEST_BAR), 0)
    full = int(columns * headway.share)
    return Text.assemble((glyphs.full * full, "green" if full == columns else "cyan"), (glyphs.empty * (columns - full), "dim"), GAP, text)


def _parts(now: Snapshot, name: str, headway: Headway) -> list[tuple[str, int]]:
    """Return what there is to say beside the bar, in its order, each with its rank: the last rank goes first where there is no room."""
    parts: list[tuple[str, int]] = []
    if headway.share is not None:
        parts.append((percent(headway.share).rjust(4), 0))
    if headway.what == "bytes":
        parts += [(size(headway.done) + (f" of {size(headway.total)}" if headway.total is not None else ""), 2 if headway.total else 0)]
        parts += [(f"{size(round(headway.pace))}/s", 3)] if headway.pace else []
    elif headway.pace and headway.share != 1:
        parts.append((f"{headway.pace:.1f} fps", 3))
        parts += [(f"{now.encode.speed:.2f}x", 2)] if name == ENCODE and now.encode and now.encode.speed else []
    parts += [(f"{duration(round(headway.left))} left", 1)] if headway.left and round(headway.left) else []
    if name == ENCODE:
        parts.append((chunks(now), 4))
        parts += [(f"{size(now.uploaded)} uploaded", 5)] if now.uploaded else []
    return parts
