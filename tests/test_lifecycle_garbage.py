"""garbage: what nothing references is found, and nothing else is ever removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests import servers
from tests.ingest_support import Recorder, tree
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import Encoded
from vidpipe.catalog.states import adopt
from vidpipe.lifecycle import garbage
from vidpipe.lifecycle.garbage import Garbage, GarbageRequest, collect_garbage
from vidpipe.storage import open_storage
from vidpipe.work.jobs import claim

OLD, YOUNG = "20260101T000000Z-aaaaaa", f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-bbbbbb"
LIST, DELETE = GarbageRequest(), GarbageRequest(delete=True)


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


def put(house: House, path: str) -> Path:
    file = Path(house.settings.target) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"12345")
    if OLD in path:
        os.utime(file, (time.time() - 8 * 86_400,) * 2)
    return file


def seen(found: Garbage) -> list[tuple[str, str, bool]]:
    return [(item.kind, item.path, item.removed) for item in found.found]


def test_a_clean_target_has_none(house: House) -> None:
    assert collect_garbage(DELETE, house.settings).found == ()


def test_a_version_that_was_never_finished_goes_and_nothing_else(house: House) -> None:
    left = put(house, f"{TITLE}/{OLD}/video/90p/00001.m4s")
    put(house, f"{TITLE}/{OLD}/video/90p/00002.m4s")
    other = put(house, f"zoo/{OLD}/master.m3u8")
    foreign = [
        put(house, name)
        for name in ("readme.txt", f"{TITLE}/notes.txt", f"{TITLE}/v1/a.m4s", f"a b/{OLD}/x.m4s", f"{TITLE}/20260101T000000Z-AAAAAA/x")
    ]
    young = put(house, f"{TITLE}/{YOUNG}/video/90p/00001.m4s")
    before = tree(house.file(FIRST, "."))
    assert seen(collect_garbage(LIST, house.settings)) == [("unfinished", f"{TITLE}/{OLD}", False), ("unfinished", f"zoo/{OLD}", False)]
    assert left.exists()
    recorder = Recorder()
    done = collect_garbage(DELETE, house.settings, recorder)
    assert seen(done) == [("unfinished", f"{TITLE}/{OLD}", True), ("unfinished", f"zoo/{OLD}", True)]
    assert [event.stage for event in recorder.named("stage_started")] == ["delete"]
    assert [(item.objects, item.bytes) for item in done.found] == [(2, 10), (1, 5)]
    assert not left.parent.exists()
    assert not other.parent.exists()
    assert all(file.exists() for file in (*foreign, young))
    assert tree(house.file(FIRST, ".")) == before
    assert collect_garbage(DELETE, house.settings).found == ()


def test_what_an_unfinished_ingest_has_is_no_garbage(house: House) -> None:
    kept = put(house, f"{TITLE}/{OLD}/video/90p/00001.m4s")
    house.note(version=OLD)
    assert collect_garbage(DELETE, house.settings).found == ()
    assert kept.exists()


def test_a_complete_version_of_another_catalog_is_named_and_stays(house: House) -> None:
    for file in Path(house.settings.home).glob("catalog.db*"):
        file.unlink()
    for file in Path(house.settings.target).rglob("*"):
        os.utime(file, (time.time() - 8 * 86_400,) * 2)
    assert seen(collect_garbage(DELETE, house.settings)) == [("unknown", f"{TITLE}/{FIRST}", False)]
    house.file(FIRST, "record.json").unlink()
    assert seen(collect_garbage(DELETE, house.settings)) == [("unknown", f"{TITLE}/{FIRST}", False)], "its inventory says that it was whole"
    house.file(FIRST, "inventory.json").unlink()
    assert seen(collect_garbage(DELETE, house.settings)) == [("unknown", f"{TITLE}/{FIRST}", False)], "the address plays it"
    assert {path for path in house.objects()[FIRST] if path.endswith(".m4s")}


def test_an_upload_that_goes_on_is_no_garbage_however_long_ago_it_was_begun(house: House) -> None:
    put(house, f"{TITLE}/{OLD}/video/90p/00001.m4s")
    fresh = put(house, f"{TITLE}/{OLD}/video/90p/00002.m4s")
    os.utime(fresh)
    assert collect_garbage(DELETE, house.settings).found == ()


def sealed(house: House) -> None:
    put(house, f"{TITLE}/{OLD}/inventory.json")


def catalogued(house: House) -> None:
    with house.catalog() as catalog:
        catalog.change(TITLE, adopt(house.record.model_copy(update={"version": OLD}), "f", "superseded"))


def noted(house: House) -> None:
    house.note(version=OLD)


@pytest.mark.parametrize("happens", [sealed, catalogued, noted])
def test_what_is_finished_while_it_is_looked_for_stays(
    happens: Callable[[House], None], house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another machine, or by an ingest with this home, between the listing and the removal."""
    kept = put(house, f"{TITLE}/{OLD}/video/90p/00001.m4s")

    @contextmanager
    def late(work: Path, content_id: str) -> Iterator[Any]:
        happens(house)
        with claim(work, content_id) as held:
            yield held

    monkeypatch.setattr(garbage, "claim", late)
    assert seen(collect_garbage(DELETE, house.settings)) == [("unfinished", f"{TITLE}/{OLD}", False)]
    assert kept.exists()


def test_a_title_that_is_being_made_is_left_for_another_time(house: House) -> None:
    kept = put(house, f"{TITLE}/{OLD}/video/90p/00001.m4s")
    other = put(house, f"gone/{OLD}/video/90p/00001.m4s")
    with claim(house.settings.work, TITLE):
        done = seen(collect_garbage(DELETE, house.settings))
    assert done == [("unfinished", f"gone/{OLD}", True), ("unfinished", f"{TITLE}/{OLD}", False)]
    assert kept.exists()
    assert not other.exists()


def test_files_that_a_killed_writer_left_half_written_go_when_they_are_old(house: House) -> None:
    left = put(house, f"{TITLE}/{FIRST}/.vidpipe-0123.tmp")
    from vidpipe import durable

    left = left.rename(left.with_name(f"{durable.TEMPORARY}0123.tmp"))
    assert collect_garbage(DELETE, house.settings).found == ()
    os.utime(left, (time.time() - 8 * 86_400,) * 2)
    assert seen(collect_garbage(DELETE, house.settings)) == [("upload", f"{TITLE}/{FIRST}/{left.name}", True)]
    assert not left.exists()


def test_files_beside_the_versions_that_were_never_finished_go_too(house: House) -> None:
    left = [put(house, path) for path in (f"{TITLE}/.vidpipe-01.tmp", ".vidpipe-02.tmp")]  # of an address, of a trial
    foreign = put(house, f"{TITLE}/upload.tmp")
    for file in (*left, foreign):
        os.utime(file, (time.time() - 8 * 86_400,) * 2)
    found = collect_garbage(DELETE, house.settings).found
    assert [(item.kind, item.objects, item.bytes, item.removed) for item in found] == [("upload", 1, 5, True)] * 2
    assert not any(file.exists() for file in left)
    assert foreign.exists()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        yield running.bucket  # which other tests use, too


def test_uploads_in_parts_that_were_never_finished_are_aborted(bucket: str, tmp_path: Path, encoded_title: Encoded) -> None:
    house = House(tmp_path, encoded_title, target=f"s3://{bucket}/garbage")
    with closing(boto3.client("s3")) as client:
        for key in (f"garbage/{TITLE}/{OLD}/video/90p/00001.m4s", "garbage/somebody-elses.tmp", f"elsewhere/{TITLE}/{OLD}/x"):
            client.create_multipart_upload(Bucket=bucket, Key=key)
        now = GarbageRequest.model_construct(delete=True, older_than=timedelta())
        time.sleep(1.1)
        assert seen(collect_garbage(now, house.settings)) == [("upload", f"{TITLE}/{OLD}/video/90p/00001.m4s", True)]
        left = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert sorted(upload["Key"] for upload in left) == [f"elsewhere/{TITLE}/{OLD}/x", "garbage/somebody-elses.tmp"]


def test_a_server_that_lists_no_uploads_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        with servers.rclone() as running:
            running.use(monkeypatch, tmp_path)
            with closing(open_storage(f"s3://{running.bucket}/vod")) as storage:
                assert list(storage.unfinished_uploads(datetime.now(UTC))) == []
    except servers.Unavailable as reason:
        pytest.skip(str(reason))
