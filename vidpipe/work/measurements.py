"""What was measured of sources and of programs, and decided for titles, as text by key, so that it need not be done again.

In:   the work space, a key that holds everything the facts depend on.
Out:  the text that was kept under it.
Wrong: nothing: what cannot be read is not there, and a disk that is full or read-only only costs the next run another look.

    WORK/sources/{key}.json
    WORK/programs/{key}.json
    WORK/plans/{key}.json
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vidpipe import durable
from vidpipe.work.tree import PLANS, PROGRAMS, SOURCES


@dataclass(frozen=True)
class KeptFacts:
    """The texts of one folder."""

    folder: Path

    def recall(self, key: str) -> str | None:
        """Return what ``keep`` wrote."""
        try:
            return self._file(key).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def keep(self, key: str, text: str) -> None:
        """Write a text down."""
        file = self._file(key)
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            durable.write(file, text.encode())

    def forget(self, key: str) -> None:
        """Remove what ``keep`` wrote."""
        with suppress(OSError):
            self._file(key).unlink()

    def _file(self, key: str) -> Path:
        return self.folder / f"{key}.json"


def of_sources(work: Path) -> KeptFacts:
    """Return what is known of sources."""
    return KeptFacts(work / SOURCES)


def of_programs(work: Path) -> KeptFacts:
    """Return what is known of programs."""
    return KeptFacts(work / PROGRAMS)


def of_plans(work: Path) -> KeptFacts:
    """Return what was decided for titles."""
    return KeptFacts(work / PLANS)
