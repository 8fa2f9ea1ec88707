"""Remember what was measured of a source, so that an unchanged file is read once and not at every ingest.

In:   the path of a local file and a folder for the notes.
Out:  the Source measured now or earlier. A file counts as unchanged when its path, size, inode, modification and change
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
    try:
        note = folder / f"{_state(location, limits)}.json"
        return Source.model_validate_json(note.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        source = measure()
    # The state is taken again: the file may have been replaced between the failed look and the measurement.
    note = folder / f"{_state(location, limits)}.json"
    if location.stat().st_mtime_ns == source.mtime_ns:
        with suppress(OSError):  # a disk that is full or read-only only costs the next run another look
            folder.mkdir(parents=True, exist_ok=True)
            temporary = note.with_suffix(f".{os.getpid()}.tmp")
            temporary.write_text(source.model_dump_json(), encoding="utf-8")
            temporary.replace(note)
    return source


def _state(location: Path, limits: Data) -> str:
    stat = location.stat()
    facts = [str(location), stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, __version__, limits.model_dump_json()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
