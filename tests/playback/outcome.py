"""What came of each cell, and the file that keeps it: one line a cell, so that two runs can be compared."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tests.playback.cells import Cell

Result = Literal["passed", "failed", "not possible", "absent"]


@dataclass(frozen=True)
class Outcome:
    """why: what failed, or why it is not possible.  left_out: rungs that the player cannot decode, which the others play without."""

    cell: Cell
    result: Result
    why: str = ""
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """The outcomes of a run. versions: of the players that took part."""

    versions: dict[str, str] = field(default_factory=dict)
    outcomes: tuple[Outcome, ...] = ()

    def with_outcomes(self, versions: dict[str, str], outcomes: Iterable[Outcome]) -> Run:
        """Return this run with newer outcomes in the place of those of the same cells."""
        known = {outcome.cell: outcome for outcome in self.outcomes} | {outcome.cell: outcome for outcome in outcomes}
        return Run({**self.versions, **versions}, tuple(known[cell] for cell in sorted(known)))

    def with_run(self, other: Run) -> Run:
        """Return this run with what another one has played, and not what was absent there."""
        played = [outcome for outcome in other.outcomes if outcome.result != "absent"]
        players = {outcome.cell.player for outcome in played if outcome.result != "not possible"}
        return self.with_outcomes({name: version for name, version in other.versions.items() if name in players}, played)


def write(run: Run, file: Path) -> None:
    rows = [
        json.dumps({**asdict(outcome.cell), **{name: value for name, value in asdict(outcome).items() if name != "cell" and value}})
        for outcome in run.outcomes
    ]
    versions = json.dumps(dict(sorted(run.versions.items())))
    file.write_text(f'{{"versions": {versions},\n"outcomes": [\n' + ",\n".join(rows) + "\n]}\n", encoding="utf-8")


def read(file: Path) -> Run:
    known = json.loads(file.read_text(encoding="utf-8"))
    outcomes = []
    for row in known["outcomes"]:
        cell = Cell(**{name: row.pop(name) for name in Cell.__dataclass_fields__})
        outcomes.append(Outcome(cell, **{**row, "left_out": tuple(row.get("left_out", ()))}))
    return Run(known["versions"], tuple(outcomes))
