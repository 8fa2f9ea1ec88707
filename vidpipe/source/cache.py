"""Remember what was measured of a source, so that an unchanged file is read once and not at every ingest.

In:   a folder for the notes, and what tells one state of a source from another.
Out:  the Source measured now or earlier. A local file counts as unchanged when its path, size, inode, modification and change
      time are the same, and so are the limits and the version of vidpipe that measured it.
Wrong: what ``probe`` raises. A note that cannot be read is measured anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from vidpipe import __version__
from vidpipe.data import Data
from vidpipe.source.facts import Source


def remembered(location: Path, folder: Path, limits: Data, measure: Callable[[], Source]) -> Source:
    """Return the facts of ``location``: from ``folder`` if the file is unchanged, else from ``measure``, which are then kept."""
    with suppress(OSError):  # of a file that is not there, `measure` tells in a sentence
        if known := recall(folder, limits, *_state(location)):
            return known
    source = measure()
    # The state is taken again: the file may have been replaced between the failed look and the measurement.
    if location.stat().st_mtime_ns == source.mtime_ns:
        keep(source, folder, limits, *_state(location))
    return source


def recall(folder: Path, limits: Data, *state: str | int) -> Source | None:
    """Return what ``keep`` wrote down for this very state, limits and version of vidpipe."""
    try:
        return Source.model_validate_json(_note(folder, limits, state).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None


def keep(source: Source, folder: Path, limits: Data, *state: str | int) -> None:
    """Write the facts of a source down. A disk that is full or read-only only costs the next run another look."""
    note = _note(folder, limits, state)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = note.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(source.model_dump_json(), encoding="utf-8")
        temporary.replace(note)


def forget(folder: Path, limits: Data, *state: str | int) -> None:
    """Remove what ``keep`` wrote down."""
    with suppress(OSError):
        _note(folder, limits, state).unlink()


def _state(location: Path) -> tuple[str | int, ...]:
    stat = location.stat()
    return (str(location), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns)


def _note(folder: Path, limits: Data, state: tuple[str | int, ...]) -> Path:
    facts = [*state, __version__, limits.model_dump_json()]
    return folder / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]}.json"
