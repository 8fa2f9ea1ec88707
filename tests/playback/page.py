"""Write what a run found into docs/players.md, between two marks: the table, and why something is not possible."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from tests.playback.cells import PLAYERS, cells, undecodable
from tests.playback.outcome import Run

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "players.md"
PICTURE = ROOT / "docs" / "pictures" / "players.svg"
RECORD = ROOT / "docs" / "players.json"
BEGIN, END = "<!-- made by tests.playback -->\n", "<!-- end -->\n"


def found(run: Run) -> str:
    """Return the part of the page that a run decides."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    failures, absent = [], {}
    for outcome in run.outcomes:
        cell = outcome.cell
        counts[cell.player, cell.manifest][outcome.result] += 1
        if outcome.result == "not possible":
            reasons[outcome.why].setdefault(f"{cell.player} ({cell.manifest.upper()})")
        elif outcome.result == "failed":
            failures.append(f"- {cell.player}, {cell.manifest.upper()}, {cell.ladder}, {cell.protection}, {cell.audio}: {outcome.why}")
        elif outcome.result == "absent":
            absent[cell.player] = outcome.why
        if outcome.left_out:
            why = f"Left out of ladders that have other rungs: {', '.join(outcome.left_out)}. {undecodable(cell, 'hevc') or ''}".strip()
            reasons[why].setdefault(f"{cell.player} ({cell.manifest.upper()})")
    results = ("passed", "failed", "not possible", "absent", "not played")
    lines = [f"| player | version | manifest | {' | '.join(results)} |", "|---" * (3 + len(results)) + "|"]
    for player in PLAYERS:
        for manifest in player.manifests:
            count = counts[player.name, manifest]
            count["not played"] = sum(1 for cell in cells(player) if cell.manifest == manifest) - count.total()
            numbers = " | ".join(str(count[result] or "") for result in results)
            lines.append(f"| {player.name} | {run.versions.get(player.name, '')} | {manifest.upper()} | {numbers} |")
    lines += ["", "What is not possible, and why:", ""]
    lines += [f"- {why} ({', '.join(who)})" for why, who in reasons.items()]
    if failures:
        lines += ["", "What failed:", "", *failures]
    if absent:
        lines += ["", "Absent on the machine of this run:", "", *(f"- {name}: {why}" for name, why in sorted(absent.items()))]
    return "\n".join(lines) + "\n"


def updated(page: str, run: Run) -> str:
    """Return a page with what a run found."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{found(run)}\n{END}{after}"
