"""published_at: where the version of a record lies, whatever the settings are today."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_catalog import record
from vidpipe.catalog.published_at import lies_at, storage_of, target_of
from vidpipe.catalog.record import Playback
from vidpipe.errors import CatalogFailed
from vidpipe.storage.local import LocalStorage


@pytest.mark.parametrize("target", ["/srv/titles", "s3://bucket/a/prefix", "s3://bucket", "/"])
def test_a_record_says_its_target(target: str) -> None:
    made = record("film", "v1", playback=Playback(hls=f"{target.rstrip('/')}/film/v1/master.m3u8"))
    assert target_of(made) == target


def test_a_version_lies_at_one_target(tmp_path: Path) -> None:
    here, elsewhere = LocalStorage(tmp_path / "here"), LocalStorage(tmp_path / "elsewhere")
    made = record("film", "v1", playback=Playback(hls=here.location("film/v1/master.m3u8")))
    assert lies_at(here, made)
    assert not lies_at(elsewhere, made)
    assert storage_of(made).location("x") == here.location("x")


@pytest.mark.parametrize("hls", ["/srv/titles/film/v2/master.m3u8", "/srv/titles/film/v1/other.m3u8", "xfilm/v1/master.m3u8"])
def test_a_record_that_names_another_place_is_refused(hls: str) -> None:
    with pytest.raises(CatalogFailed, match="the record of film v1 does not say where the version lies") as refused:
        target_of(record("film", "v1", playback=Playback(hls=hls)))
    assert refused.value.where == hls
