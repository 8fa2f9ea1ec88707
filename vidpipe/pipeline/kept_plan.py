"""What was decided for a version that is live, remembered: so that what its target loses can be put back without source and flags.

In:   the fingerprint of a version, under which the catalog knows it; what was decided.
Out:  the KeptPlan of a version.
Wrong: nothing. What cannot be read is not there.

It lies in the work space (``WORK/plans``), beside the encoded chunks without which it is of no use.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from vidpipe.data import Data
from vidpipe.plan import Plan
from vidpipe.source.policy import QualityPolicy
from vidpipe.work.measurements import of_plans


class KeptPlan(Data):
    """Everything that decides the published bytes, but for the keys. key_url, gzip_playlists: the settings of these names."""

    plan: Plan
    policy: QualityPolicy
    key_url: str | None
    gzip_playlists: bool


def keep(work: Path, fingerprint: str, decided: KeptPlan) -> None:
    """Write down what was decided for a version."""
    of_plans(work).keep(_media(fingerprint), decided.model_dump_json())


def recall(work: Path, fingerprint: str) -> KeptPlan | None:
    """Return what was decided for a version."""
    text = of_plans(work).recall(_media(fingerprint))
    try:
        return None if text is None else KeptPlan.model_validate_json(text)
    except ValidationError:
        return None


def _media(fingerprint: str) -> str:
    """Return the part of a fingerprint that says what viewers play: ``set`` and ``copy`` change only the rest."""
    return fingerprint.rpartition(":")[2].partition("-")[0]
