"""``--progress none`` and ``--quiet``: warnings only.

In:   events.  Out: a line for each warning.  Wrong: nothing.
"""

from __future__ import annotations

import time

from vidpipe.cli.reporters.watcher import Metered, print_warning
from vidpipe.progress import Event


class Quiet(Metered):
    """Shows warnings, and counts the rest in case that the run is stopped."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)

    def emit(self, event: Event) -> None:
        """See Watcher."""
        with self._lock:
            self._meter.take(event)
            print_warning(event)
