"""What the plan of a live version was made of, remembered: so that what its target loses can be put back without source and flags.

In:   the fingerprint of a version, under which the catalog knows it; what decided its plan.
Out:  the KeptPlan of a version.
Wrong: nothing. What cannot be read is not there.

It lies in the work space (``WORK/plans``), beside the encoded chunks without which it is of no use.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from vidpipe.data import Data, Seconds
from vidpipe.ladder import Ladder
from vidpipe.plan import Plan, plan
from vidpipe.plan.languages import with_languages
from vidpipe.settings import Settings
from vidpipe.source.facts import Source
from vidpipe.source.policy import QualityPolicy
from vidpipe.work.measurements import of_plans


class KeptPlan(Data):
    """Everything that decides the published bytes, but for keys and formats, which the inventory has.

    source: as measured.  languages: that were given, by stream.  The others are the settings of these names.
    """

    source: Source
    languages: dict[int, str]
    ladder: Ladder
    policy: QualityPolicy
    gop_seconds: Seconds
    segment_seconds: Seconds
    chunk_seconds: Seconds
    key_url: str | None
    gzip_playlists: bool

    @property
    def plan(self) -> Plan:
        """The plan, as it was made then."""
        made = plan(
            with_languages(self.source, self.languages),
            self.ladder,
            gop_seconds=self.gop_seconds,
            segment_seconds=self.segment_seconds,
            chunk_seconds=self.chunk_seconds,
        )
        return made.model_copy(update={"languages": self.languages})


def keep(
    settings: Settings, fingerprint: str, source: Source, languages: Mapping[int, str], ladder: Ladder, policy: QualityPolicy
) -> None:
    """Write down what decided the plan of a version."""
    kept = KeptPlan(
        source=source,
        languages=dict(languages),
        ladder=ladder,
        policy=policy,
        **{name: getattr(settings, name) for name in ("gop_seconds", "segment_seconds", "chunk_seconds", "key_url", "gzip_playlists")},
    )
    of_plans(settings.work).keep(_media(fingerprint), kept.model_dump_json())


def recall(work: Path, fingerprint: str) -> KeptPlan | None:
    """Return what decided the plan of a version."""
    text = of_plans(work).recall(_media(fingerprint))
    try:
        return KeptPlan.model_validate_json(text or "")
    except ValidationError:
        return None


def _media(fingerprint: str) -> str:
    """Return the part of a fingerprint that says what viewers play: ``set`` and ``copy`` change only the rest."""
    return fingerprint.rpartition(":")[2].partition("-")[0]
