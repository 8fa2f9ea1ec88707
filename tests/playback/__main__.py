"""The command: ``python -m tests.playback``; plays the matrix, a line a cell, and writes docs/players.json, the picture and the page.

Exit code 1 if a cell failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import zip_longest
from pathlib import Path

from tests.playback.cells import AUDIO, CLIPS, PLAYERS, PROTECTIONS, Cell, cells, refusal
from tests.playback.chromium import THEATRES
from tests.playback.outcome import Outcome, Run, read, write
from tests.playback.page import PAGE, PICTURE, RECORD, updated
from tests.playback.picture import draw
from tests.playback.players import IMPLEMENTATIONS, outcome_of
from tests.playback.titles import Titles

REPEATED = "--player, --ladder, --protection and --audio may be given several times."


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.playback", description="Play published titles in every player.", epilog=REPEATED)
    names = [player.name for player in PLAYERS]
    parser.add_argument("--player", action="append", choices=names, metavar="NAME", help=f"only this one: {', '.join(names)}")
    parser.add_argument("--ladder", action="append", choices=list(CLIPS), metavar="NAME", help="only titles of this ladder")
    parser.add_argument("--protection", action="append", choices=PROTECTIONS, metavar="NAME", help="only titles with this protection")
    parser.add_argument("--audio", action="append", choices=AUDIO, metavar="KIND", help="only titles with this audio")
    parser.add_argument("--again", action="store_true", help="only what did not pass in the recorded run")
    parser.add_argument("--titles", type=Path, metavar="FOLDER", help="keep sources and encodes in FOLDER for the next run")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cells in parallel (default: 2)")
    parser.add_argument("--take", type=Path, metavar="FILE", help="play nothing: take what another run has played, its players.json")
    parser.add_argument("--dry", action="store_true", help="write nothing in docs/")
    wanted = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a script it is ignored
    known = read(RECORD) if RECORD.is_file() else Run()
    done = {outcome.cell for outcome in known.outcomes if outcome.result == "passed"} if wanted.again else set()
    every = every_cell(wanted.player or names)
    refused = [Outcome(cell, "not possible", why) for cell in every if (why := refusal(cell))]
    chosen = [cell for cell in every if not refusal(cell) and cell not in done and is_wanted(cell, wanted)]
    if wanted.take:
        known, chosen = known.with_run(read(wanted.take)), []
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(wanted.jobs) as pool:
        titles = Titles(wanted.titles or Path(scratch) / "titles")
        try:
            for begun in as_completed([pool.submit(timed, cell, titles, Path(scratch)) for cell in chosen]):
                outcomes.append(begun.result())
        except KeyboardInterrupt:  # what was played is kept
            pool.shutdown(wait=False, cancel_futures=True)
        finally:
            pool.shutdown()
            THEATRES.close()
    counted = Counter(outcome.result for outcome in outcomes)
    print(", ".join(f"{count} {result}" for result, count in counted.most_common()))
    if not wanted.dry:
        versions = {name: IMPLEMENTATIONS[name].version() or "" for name in {cell.player for cell in chosen}}
        run = known.with_outcomes(versions, [*refused, *outcomes])
        write(run, RECORD)
        draw(run, PICTURE)
        PAGE.write_text(updated(PAGE.read_text(encoding="utf-8"), run), encoding="utf-8")
    return 1 if counted["failed"] else 0


def every_cell(players: list[str]) -> list[Cell]:
    """Return the cells of players, those of one title together, so that it is made while others are played."""
    rows = zip_longest(*(list(cells(player)) for player in PLAYERS if player.name in players))
    order = {ladder: number for number, ladder in enumerate(CLIPS)}
    return sorted((cell for row in rows for cell in row if cell), key=lambda cell: (order[cell.ladder], AUDIO.index(cell.audio)))


def is_wanted(cell: Cell, wanted: argparse.Namespace) -> bool:
    asked = ((wanted.ladder, cell.ladder), (wanted.protection, cell.protection), (wanted.audio, cell.audio))
    return all(value in values for values, value in asked if values)


def timed(cell: Cell, titles: Titles, folder: Path) -> Outcome:
    """Play a cell and print a line."""
    began = time.monotonic()
    outcome = outcome_of(cell, titles, folder)
    print(f"{outcome.result:<8} {time.monotonic() - began:5.1f} s  {cell.id}  {outcome.why}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
