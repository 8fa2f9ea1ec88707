"""The ids of live titles, read from the file of a catalog without SQLAlchemy: a shell asks for them while a person types.

In:   the file (SQLite), and how the ids begin.
Out:  at most ``MOST`` ids, sorted. None if there is no such file, or another program holds it, or it is no catalog.
Wrong: nothing. Nothing is created, locked or repaired.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

MOST = 200
"""More than that no shell shows."""
_SECONDS = 0.2
"""How long a writer is waited for."""
_QUERY = "SELECT content_id FROM vidpipe_versions WHERE status = 'live' AND substr(content_id, 1, ?) = ? ORDER BY content_id LIMIT ?"


def live_ids(file: Path, beginning: str = "") -> list[str]:
    """Return the ids of the live titles that begin so."""
    if not file.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=_SECONDS)) as connection:
            return [str(content_id) for (content_id,) in connection.execute(_QUERY, (len(beginning), beginning, MOST))]
    except sqlite3.Error:
        return []
