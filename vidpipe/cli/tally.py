"""What came of many files, said when the last one has been validated.

In:   the Validation of each file.
Out:  one line: how many are ok, have warnings, are refused; None if only one file was asked for, which has said it itself.
Wrong: nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidpipe.validation import Validation


class FileTally:
    """Counts files. files: so many were asked for."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._ok = self._warned = 0
        self.refused = 0

    def add(self, result: Validation) -> None:
        """Count a file."""
        if result.refused:
            self.refused += 1
        elif any(finding.severity == "warning" for finding in result.findings):
            self._warned += 1
        else:
            self._ok += 1

    def line(self) -> str | None:
        """Return the totals; of a run that was stopped, those of the files that were done."""
        done = self._ok + self._warned + self.refused
        if self._files < 2 or not done:
            return None
        of = f"{done} of {self._files}" if done < self._files else f"{done}"
        return f"{of} files: {self._ok} ok, {self._warned} with warnings, {self.refused} refused"
