"""``--progress none`` and ``--quiet``: warnings only.

In:   events.  Out: a line for each warning, which names the title: nothing else does.  Wrong: nothing.
"""

from __future__ import annotations

import time
from contextlib import suppress

from vidpipe.cli.reporters.watcher import Metered
from vidpipe.cli.words import err, prose
from vidpipe.progress import Event, Note


class Quiet(Metered):
    """Shows warnings, and counts the rest in case that the run is stopped."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)

    def emit(self, event: Event) -> None:
        """See Watcher."""
        with self._lock:
            self._meter.take(event)
        if isinstance(event, Note) and event.level == "warning":
            about = f"{event.content_id}: " if event.content_id else ""
            with suppress(OSError):  # nobody reads; the work goes on
                prose(err(), f"warning: {about}{event.text}")
