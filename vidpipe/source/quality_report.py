"""What quality control says of a source.

In:   nothing.  Out: QualityReport.  Wrong: nothing. (A module of its own, because the child that measures a file needs no diagnostics.)
"""

from __future__ import annotations

from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic


class QualityReport(Data):
    """The outcome of validation. An error among the findings refuses the source."""

    findings: tuple[Diagnostic, ...] = ()

    @property
    def refused(self) -> bool:
        """True if any finding is an error."""
        return any(finding.severity == "error" for finding in self.findings)
