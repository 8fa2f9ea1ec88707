"""pipeline/kept_plan: what was decided for a version is found again by the fingerprint of any version with the same media."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.encode_support import FIXTURES, tiny_plan
from vidpipe.pipeline.kept_plan import KeptPlan, keep, recall
from vidpipe.source.policy import QualityPolicy

MEDIA = "ab" * 32


@pytest.mark.parametrize("later", [f"{MEDIA}-words", f"{MEDIA}-other", f"moved:{MEDIA}-words"])
def test_it_is_that_of_all_versions_with_the_same_media(later: str, tmp_path: Path) -> None:
    kept = KeptPlan(plan=tiny_plan(FIXTURES / "one-second.mp4"), policy=QualityPolicy(), key_url="k/{key_id}", gzip_playlists=True)
    keep(tmp_path, f"{MEDIA}-words", kept)
    assert recall(tmp_path, later) == kept
    assert recall(tmp_path, f"{'cd' * 32}-words") is None


def test_what_cannot_be_read_is_not_there(tmp_path: Path) -> None:
    keep(tmp_path, MEDIA, KeptPlan(plan=tiny_plan(FIXTURES / "one-second.mp4"), policy=QualityPolicy(), key_url=None, gzip_playlists=False))
    (file,) = (tmp_path / "plans").iterdir()
    file.write_text(file.read_text()[:-9])
    assert recall(tmp_path, MEDIA) is None
