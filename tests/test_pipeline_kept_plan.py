"""pipeline/kept_plan: the plan of a version is made again by the fingerprint of any version with the same media."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.encode_support import FIXTURES
from vidpipe.ladder import load
from vidpipe.pipeline.kept_plan import keep, recall
from vidpipe.settings import Settings
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.probe import probe

MEDIA = "ab" * 32
KEY_URL = "https://keys.example.com/{key_id}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of an ingest whose plan was kept."""
    made = Settings(home=tmp_path, key_url=KEY_URL, gzip_playlists=True)
    keep(made, f"{MEDIA}-words", probe(str(FIXTURES / "one-second.mp4")), {1: "fr"}, load("mobile"), QualityPolicy())
    return made


@pytest.mark.parametrize("later", ["{}-words", "{}-other", "moved:{}-words"])
def test_it_is_that_of_all_versions_with_the_same_media(later: str, settings: Settings) -> None:
    kept = recall(settings.work, later.format(MEDIA))
    assert kept is not None
    assert (kept.key_url, kept.gzip_playlists, kept.plan.languages) == (KEY_URL, True, {1: "fr"})
    assert (kept.ladder, [rung.height for rung in kept.plan.video]) == (load("mobile"), [180])
    assert [track.language for track in kept.plan.audio] == ["fr"]
    assert recall(settings.work, f"{'cd' * 32}-words") is None


def test_what_cannot_be_read_is_not_there(settings: Settings) -> None:
    (file,) = (settings.work / "plans").iterdir()
    file.write_text(file.read_text()[:-9])
    assert recall(settings.work, MEDIA) is None
