"""Why a file cannot be a source: what the child process answers, and the probe makes a refusal of."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """One reason. id: stable, see docs/diagnostics.md.  message: the sentence for people.  fix: what helps against this one, if known."""

    id: str
    message: str
    fix: str | None = None
