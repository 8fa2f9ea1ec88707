"""Draw the matrix: a row for each ladder and protection, a column for each player and manifest, a square for each audio."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Literal

from tests.playback.cells import AUDIO, CLIPS, PLAYERS, PROTECTIONS, Cell
from tests.playback.outcome import Result, Run

SQUARE, GAP, ROW = 13, 2, 19
LEFT, TOP = 190, 78
COLUMN = len(AUDIO) * (SQUARE + GAP) + 14
Shown = Result | Literal["not played"]
COLOURS: dict[Shown, str] = {"passed": "#2e9e5b", "failed": "#d43a3a", "not possible": "#d9dde3", "absent": "#f2c14e", "not played": "#fff"}
LEGEND: dict[Shown, str] = {
    "passed": "played without a fault",
    "failed": "failed",
    "not possible": "not possible (the page says why)",
    "absent": "player absent",
    "not played": "not played yet",
}

BORDER = ' stroke="#c3c9d1"'


def draw(run: Run, file: Path) -> None:
    """Write the SVG."""
    found = {outcome.cell: outcome.result for outcome in run.outcomes}
    columns = [(player.name, manifest) for player in PLAYERS for manifest in player.manifests]
    rows = [(ladder, protection) for ladder in CLIPS for protection in PROTECTIONS]
    group = 8  # between ladders
    paths: dict[Shown, list[str]] = defaultdict(list)
    text: list[str] = []
    number = 0
    for player in PLAYERS:
        middle = LEFT + number * COLUMN + (len(player.manifests) * COLUMN - 16) // 2
        text.append(f'<text x="{middle}" y="{TOP - 32}" class="c b">{player.name}</text>')
        for manifest in player.manifests:
            text.append(f'<text x="{LEFT + number * COLUMN + COLUMN // 2 - 8}" y="{TOP - 17}" class="c">{manifest.upper()}</text>')
            number += 1
    top = TOP
    for number, (ladder, protection) in enumerate(rows):
        if number and number % len(PROTECTIONS) == 0:
            top += group
        if number % len(PROTECTIONS) == 0:
            text.append(f'<text x="12" y="{top + 11}" class="b">{ladder}</text>')
        text.append(f'<text x="{LEFT - 12}" y="{top + 11}" class="e">{protection}</text>')
        for column, (name, manifest) in enumerate(columns):
            for place, audio in enumerate(AUDIO):
                result = found.get(Cell(name, manifest, ladder, protection, audio), "not played")
                left = LEFT + column * COLUMN + place * (SQUARE + GAP)
                paths[result].append(f"M{left} {top}h{SQUARE}v{SQUARE}h-{SQUARE}z")
        top += ROW
    width = max(LEFT + len(columns) * COLUMN, 760)
    top, left = top + 12, LEFT
    for result, words in LEGEND.items():
        if paths[result]:
            long = SQUARE + 24 + 7 * len(words)
            if left + long > width:
                top, left = top + ROW, LEFT
            paths[result].append(f"M{left} {top}h{SQUARE}v{SQUARE}h-{SQUARE}z")
            text.append(f'<text x="{left + SQUARE + 6}" y="{top + 11}">{words}</text>')
            left += long
    text.append(f'<text x="{LEFT}" y="{top + 34}">The squares of a group, from left to right: {", ".join(AUDIO)}.</text>')
    height = top + 50
    squares = "\n".join(
        f'<path fill="{COLOURS[result]}"{BORDER if result == "not played" else ""} d="{"".join(steps)}"/>'
        for result, steps in paths.items()
        if steps
    )
    style = "text{font:12px system-ui,sans-serif;fill:#24292f}.b{font-weight:600}.c{text-anchor:middle}.e{text-anchor:end}"
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="Which players play what">\n'
        f'<style>{style}</style>\n<rect width="{width}" height="{height}" fill="#fff"/>\n{squares}\n' + "\n".join(text) + "\n</svg>\n",
        encoding="utf-8",
    )
