"""Generated sources that are easy to get wrong, each with what has to come of it.

``python -m tests.oracle --traps`` judges all of them; ``trap.TRAPS`` is the list, a module for each kind of trap adds to it.
"""

from __future__ import annotations

from tests.oracle.traps import clocks, colours, containers, refusals, shapes, tracks
from tests.oracle.traps.trap import TRAPS, Trap, check, chosen

__all__ = ["TRAPS", "Trap", "check", "chosen", "clocks", "colours", "containers", "refusals", "shapes", "tracks"]
