"""What was measured of sources, as text by key, so that an unchanged source is measured once.

In:   the work space, a key that holds everything the facts depend on.
Out:  the text that was kept under it.
Wrong: nothing: what cannot be read is not there, and a disk that is full or read-only only costs the next run another look.

    WORK/sources/{key}.json
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vidpipe import durable
from vidpipe.work.tree import SOURCES


def recall(work: Path, key: str) -> str | None:
    """Return what ``keep`` wrote."""
    try:
        return _file(work, key).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def keep(work: Path, key: str, text: str) -> None:
    """Write a text down."""
    file = _file(work, key)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        durable.write(file, text.encode())


def forget(work: Path, key: str) -> None:
    """Remove what ``keep`` wrote."""
    with suppress(OSError):
        _file(work, key).unlink()


def _file(work: Path, key: str) -> Path:
    return work / SOURCES / f"{key}.json"
