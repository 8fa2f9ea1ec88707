"""Remember what was measured of a source, so that an unchanged file is read once and not at every ingest.

In:   the work space, and what distinguishes one state of a source from another.
Out:  the Source measured now or earlier. A local file counts as unchanged when its path, size, inode, modification and change
      time are the same, and so are the limits and the version of vidpipe that measured it.
Wrong: what ``probe`` raises. A note that cannot be read is measured anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from vidpipe import __version__
from vidpipe.data import Data
from vidpipe.source.facts import Source
from vidpipe.work.measurements import of_sources


def remembered(location: Path, work: Path, limits: Data, measure: Callable[[], Source]) -> Source:
    """Return the facts of ``location``: those that are kept if the file is unchanged, else those from ``measure``, which are then kept."""
    with suppress(OSError):  # of a file that is not there, `measure` reports it in a sentence
        if known := recall(work, limits, *_state(location)):
            return known
    source = measure()
    # The state is taken again: the file may have been replaced between the failed look and the measurement.
    if location.stat().st_mtime_ns == source.mtime_ns:
        keep(source, work, limits, *_state(location))
    return source


def recall(work: Path, limits: Data, *state: str | int) -> Source | None:
    """Return what ``keep`` wrote down for this very state, limits and version of vidpipe."""
    text = of_sources(work).recall(_key(limits, state))
    try:
        return None if text is None else Source.model_validate_json(text)
    except ValidationError:
        return None


def keep(source: Source, work: Path, limits: Data, *state: str | int) -> None:
    """Write the facts of a source down."""
    of_sources(work).keep(_key(limits, state), source.model_dump_json())


def forget(work: Path, limits: Data, *state: str | int) -> None:
    """Remove what ``keep`` wrote down."""
    of_sources(work).forget(_key(limits, state))


def _state(location: Path) -> tuple[str | int, ...]:
    stat = location.stat()
    return (str(location), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)


def _key(limits: Data, state: tuple[str | int, ...]) -> str:
    return hashlib.sha256(json.dumps([*state, __version__, limits.model_dump_json()]).encode()).hexdigest()[:32]
