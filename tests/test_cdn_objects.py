"""cdn/objects: what a CDN serves of a title, and what is worth fetching before anyone asks."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, published, run, settings
from vidpipe.catalog.published_at import storage_of
from vidpipe.cdn.objects import CdnReport, prefetched, title_report
from vidpipe.pipeline.ingest import IngestResult
from vidpipe.publish.delivery import delivery
from vidpipe.settings import Settings
from vidpipe.storage.base import sha256_file

BASE = "https://media.example.com/vod"


@pytest.fixture(scope="module")
def title(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, IngestResult, CdnReport]:
    configured = settings(tmp_path_factory.mktemp("cdn"), public_url=BASE)
    made = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
    with closing(storage_of(made.record)) as storage:
        return configured, made, title_report(made.record, storage, BASE)


def test_every_object_is_there_as_it_lies(title: tuple[Settings, IngestResult, CdnReport]) -> None:
    configured, made, found = title
    root = Path(configured.target)
    assert sorted(item.path for item in found.objects) == published(root)
    for item in found.objects:
        assert (item.size, item.sha256) == ((root / item.path).stat().st_size, sha256_file(root / item.path)), item.path
        assert item.url == f"{BASE}/{item.path}"
        if item.cache != "address":
            assert f"max-age={item.ttl}" in delivery(item.path.removeprefix(f"film/{made.record.version}/")).cache_control
    assert (found.objects[0].path, found.objects[0].cache, found.objects[0].ttl) == ("film/master.m3u8", "address", 60)
    assert found.purge == (f"{BASE}/film/master.m3u8",)


def test_the_order_is_that_of_a_player_that_starts(title: tuple[Settings, IngestResult, CdnReport]) -> None:
    _, made, found = title
    below = f"film/{made.record.version}/"
    first = [item.path.removeprefix(below) for item in prefetched(found.objects)]
    assert first == [
        "film/master.m3u8",
        "master.m3u8", "video-180p.m3u8", "audio-und.m3u8",
        "video/180p/init.mp4", "video/180p/00001.m4s", "audio/und/init.mp4", "audio/und/00001.m4s",
        "video/180p/00002.m4s", "audio/und/00002.m4s", "thumbnails/poster.jpg",
        "video-90p.m3u8", "video/90p/init.mp4", "video/90p/00001.m4s",
        "thumbnails/thumbnails.vtt", "thumbnails/sprite-001.jpg",
    ]  # fmt: skip
    assert [item.priority for item in found.objects] == sorted(item.priority for item in found.objects)
    assert [item.path.removeprefix(below) for item in found.objects[-2:]] == ["inventory.json", "record.json"]


def test_without_a_public_url_there_are_paths_alone(title: tuple[Settings, IngestResult, CdnReport]) -> None:
    _, made, _ = title
    with closing(storage_of(made.record)) as storage:
        found = title_report(made.record, storage)
    assert {item.url for item in found.objects} == {None}
    assert found.purge == ("film/master.m3u8",)


def test_a_title_without_an_inventory_is_listed_as_it_lies(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    made = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
    for gone in (Path(made.manifest).parent / "inventory.json", Path(made.address)):
        gone.unlink()
    with closing(storage_of(made.record)) as storage:
        found = title_report(made.record, storage)
    assert sorted(item.path for item in found.objects) == published(Path(configured.target))
    assert found.objects[0].path.endswith("/master.m3u8")
