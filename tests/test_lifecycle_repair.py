"""repair: catalog and target agree again, and what cannot be put right is named."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from tests.ingest_support import Recorder
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import Encoded
from vidpipe import layout
from vidpipe.catalog.states import give_up
from vidpipe.errors import PublishFailed, UsageError, VerificationFailed
from vidpipe.lifecycle.repair import Repair, RepairRequest, repair
from vidpipe.lifecycle.restoration import restore
from vidpipe.lifecycle.scrub import ScrubRequest, scrub
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.storage.base import Stored
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import claim, unfinished

SECOND = "20261121T000000Z-222222"
ALL = RepairRequest()
ADOPT = RepairRequest(adopt=True)


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    made = House(tmp_path, encoded_title)
    made.publish(SECOND, age=10)
    return made


def deeds(done: Repair) -> list[tuple[str, str]]:
    return [(item.version, item.deed) for item in done.found]


def lose_the_catalog(house: House) -> None:
    for file in Path(house.settings.home).glob("catalog.db*"):
        file.unlink()


def test_where_all_is_well_nothing_is_done(house: House) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path(house.settings.target).rglob("*")}
    assert repair(ALL, house.settings).found == ()
    assert before == {path: path.stat().st_mtime_ns for path in Path(house.settings.target).rglob("*")}


def test_a_lost_object_is_copied_from_another_version_that_has_it(house: House) -> None:
    for path in ("master.m3u8", next(path for path in house.inventory.entries if path.endswith(".m4s"))):
        house.file(SECOND, path).unlink()
    house.file(SECOND, "record.json").unlink()
    (Path(house.settings.target) / layout.address(TITLE)).unlink()
    planned = repair(ALL.model_copy(update={"dry_run": True}), house.settings)
    assert planned.dry_run
    assert not house.file(SECOND, "master.m3u8").exists()
    note = house.note(version="20261122T000000Z-333333")
    recorder = Recorder()
    done = repair(RepairRequest(content_id=TITLE), house.settings, recorder)
    assert [event.stage for event in recorder.named("stage_started")] == ["repair"]
    assert {event.content_id for event in recorder.events} == {TITLE}
    assert deeds(done) == [(SECOND, "record"), (SECOND, "copied"), (SECOND, "address")]
    assert deeds(planned)[:2] == deeds(done)[:2]
    assert unfinished(house.settings.work, TITLE) == note, "an ingest that makes another version still goes on"
    assert "2 objects" in done.found[1].what
    assert scrub(ScrubRequest(title=TITLE, full=True), house.settings).version == SECOND
    assert repair(ALL, house.settings).found == ()


def test_objects_come_from_any_version_that_stays(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the newest that has them; never from one that is being deleted, of which another process may just have removed half."""
    third, fourth, path = "20261122T000000Z-333333", "20261123T000000Z-444444", "thumbnails/sprite-001.jpg"
    others = {name: entry for name, entry in house.inventory.objects.items() if not name.startswith("thumbnails/")}
    house.publish(third, age=5, inventory=house.inventory.model_copy(update={"pictures": None, "objects": others}))
    house.publish(fourth, age=1)
    house.file(fourth, path).unlink()
    house.file(SECOND, path).unlink()
    with monkeypatch.context() as patched:  # a target that says that it has copied, and has not
        patched.setattr(LocalStorage, "copy", lambda *_, **__: house.file(fourth, path).write_bytes(b"other") > 0)
        assert deeds(repair(ALL, house.settings)) == [(fourth, "lost")]
    assert deeds(repair(ALL, house.settings)) == [(fourth, "copied")]
    with house.catalog() as catalog:
        catalog.change(TITLE, give_up({FIRST, SECOND}))
    house.file(fourth, path).unlink()
    assert deeds(repair(ALL, house.settings)) == [(fourth, "lost")]


def test_what_no_version_has_is_named(house: House) -> None:
    lost = sorted(path for path in house.inventory.entries if path.endswith(".m4s"))[:3]
    for version in (FIRST, SECOND):
        for path in lost:
            house.file(version, path).unlink()
    done = repair(ALL, house.settings)
    assert deeds(done) == [(SECOND, "lost")]
    assert f": {', '.join(lost)};" in done.found[0].what
    assert "ingest the source again" in done.found[0].what


@pytest.mark.parametrize("name", ["inventory.json", "master.m3u8"])
def test_what_cannot_be_read_right_now_is_not_lost(name: str, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    read = LocalStorage.get

    def fails(self: LocalStorage, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        if path == f"{TITLE}/{SECOND}/{name}":
            raise PublishFailed("cannot read: the server failed")
        return read(self, path, sha256, size=size)

    monkeypatch.setattr(LocalStorage, "get", fails)
    with pytest.raises(PublishFailed, match="the server failed"):
        repair(ALL, house.settings)
    monkeypatch.undo()
    house.file(SECOND, name).unlink()
    assert [deed for _, deed in deeds(repair(ALL, house.settings))] == (["copied"] if name == "master.m3u8" else ["lost"])


def test_a_lost_catalog_comes_back_from_the_target(house: House, tmp_path: Path) -> None:
    before = house.states
    lose_the_catalog(house)
    shutil.copytree(house.settings.target, tmp_path / "elsewhere")
    moved = repair(ADOPT, house.settings.model_copy(update={"target": str(tmp_path / "elsewhere")}))
    assert (deeds(moved), house.states) == ([(FIRST, "lost"), (SECOND, "lost")], {})
    assert f"its record says that it lies at {house.settings.target}: name that target with --to" in moved.found[0].what
    assert deeds(repair(ALL, house.settings)) == [(FIRST, "unknown"), (SECOND, "unknown")], "it may be another catalog's"
    assert deeds(repair(ADOPT.model_copy(update={"dry_run": True}), house.settings)) == [(FIRST, "adopted"), (SECOND, "adopted")]
    assert house.states == {}
    done = repair(ADOPT, house.settings)
    assert deeds(done) == [(FIRST, "adopted"), (SECOND, "adopted")]
    assert house.states == before == {SECOND: "live", FIRST: "superseded"}
    assert house.shown == SECOND
    assert repair(ALL, house.settings).found == ()


def test_a_version_that_is_deleted_while_it_is_looked_for_hides_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_the_catalog(house)
    listed = LocalStorage.list

    def late(self: LocalStorage, prefix: str = "") -> Iterator[Stored]:
        yield from listed(self, prefix)
        house.file(FIRST, "record.json").unlink(missing_ok=True)

    monkeypatch.setattr(LocalStorage, "list", late)
    assert deeds(repair(ALL, house.settings)) == [(SECOND, "unknown")]


def test_a_title_that_was_withdrawn_does_not_come_back_to_life(house: House) -> None:
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    lose_the_catalog(house)
    repair(ADOPT, house.settings)
    assert house.states == {SECOND: "withdrawn", FIRST: "superseded"}
    assert house.shown is None
    assert restore(TitleRequest(content_id=TITLE, dry_run=True), house.settings).dry_run
    assert (house.states[SECOND], house.shown) == ("withdrawn", None)
    restore(TitleRequest(content_id=TITLE), house.settings)
    assert (house.states[SECOND], house.shown) == ("live", SECOND)


def test_an_old_catalog_does_not_turn_an_address_back(house: House) -> None:
    catalog = Path(house.settings.home) / "catalog.db"
    with house.catalog() as opened:
        opened.list()
    shutil.copy(catalog, catalog.with_name("backup"))
    third = "20261122T000000Z-333333"
    house.publish(third, age=1)
    lose_the_catalog(house)
    catalog.with_name("backup").rename(catalog)
    assert deeds(repair(ALL, house.settings)) == [(third, "unknown"), (SECOND, "lost")]
    assert house.shown == third
    done = repair(ADOPT, house.settings)
    assert deeds(done) == [(third, "adopted"), (SECOND, "address")]
    assert house.states == {third: "superseded", SECOND: "live", FIRST: "superseded"}


def test_a_damaged_byte_is_put_right_from_another_version(house: House) -> None:
    path = next(path for path in house.inventory.entries if path.endswith(".m4s"))
    file = house.file(SECOND, path)
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert deeds(repair(ALL, house.settings)) == [(SECOND, "copied")]
    assert file.read_bytes() == data


def test_a_lost_inventory_is_no_version_of_the_first_vidpipe(house: House) -> None:
    house.file(SECOND, "inventory.json").unlink()
    assert deeds(repair(ALL, house.settings)) == [(SECOND, "lost")]
    with pytest.raises(VerificationFailed, match="the inventory of the version is lost"):
        scrub(ScrubRequest(title=TITLE), house.settings)
    with closing(sqlite3.connect(house.settings.home / "catalog.db")) as database, database:
        database.execute("UPDATE vidpipe_versions SET record = json_remove(record, '$.left_out')")  # as of vidpipe 0.1.0, which made none
    assert repair(ALL, house.settings).found == ()


@pytest.mark.parametrize("content_id", ["", "../x", "/srv/titles/film", "a/b"])
def test_what_is_no_content_id_is_refused(content_id: str, house: House) -> None:
    with pytest.raises(UsageError, match="is not a content id"):
        repair(RepairRequest(content_id=content_id), house.settings)


def test_a_version_that_does_not_play_is_not_made_live(house: House) -> None:
    lose_the_catalog(house)
    path = next(path for path in house.inventory.entries if path.endswith(".m4s"))
    house.file(SECOND, path).unlink()
    done = repair(ADOPT, house.settings)
    assert deeds(done) == [(FIRST, "adopted"), (SECOND, "lost")]
    assert "does not prove to play" in done.found[1].what
    assert house.states == {FIRST: "superseded"}


def test_a_version_that_may_be_about_to_be_published_is_left_alone(house: House) -> None:
    third = "20261122T000000Z-333333"
    house.publish(third, age=0.01)  # a quarter of an hour
    lose_the_catalog(house)
    assert third not in [version for version, _ in deeds(repair(ADOPT, house.settings))]


def test_a_version_of_which_there_is_a_note_is_left_to_its_ingest(house: House, tmp_path: Path) -> None:
    lose_the_catalog(house)
    inventory = house.file(FIRST, "inventory.json").rename(tmp_path / "inventory.json")
    assert deeds(repair(ALL, house.settings)) == [(SECOND, "unknown")], "the other was never complete, or is not any more"
    inventory.rename(house.file(FIRST, "inventory.json"))
    house.file(FIRST, "record.json").write_text("{}")
    assert deeds(repair(ALL, house.settings)) == [(SECOND, "unknown")], "nor is one whose record is damaged"
    recorder = Recorder()
    with claim(house.settings.work, TITLE):
        assert repair(ADOPT, house.settings, recorder).found == ()
    assert ["left for another time" in warning for warning in recorder.warnings] == [True]
    house.note(version=SECOND)
    assert repair(ADOPT, house.settings).found == ()


def another_title(house: House) -> Path:
    """Copy the title, under the name zebra; the catalog does not know it. Return its folder."""
    library = Path(house.settings.target)
    shutil.copytree(library / TITLE, library / "zebra")
    for record in (library / "zebra").rglob("record.json"):
        text = record.read_text().replace(f"/{TITLE}/", "/zebra/")
        record.write_text(re.sub(f'("content_id": ?)"{TITLE}"', r'\1"zebra"', text))
    return library / "zebra"


def test_one_title_is_repaired_and_no_other(house: House, tmp_path: Path) -> None:
    other = another_title(house)
    assert deeds(repair(RepairRequest(content_id="zebra"), house.settings)) == [(FIRST, "unknown"), (SECOND, "unknown")]
    assert repair(RepairRequest(content_id=TITLE), house.settings).found == (), "zebra is for a run of its own"
    repair(ADOPT, house.settings)
    (other / SECOND / "master.m3u8").unlink()
    assert repair(RepairRequest(content_id=TITLE), house.settings).found == ()
    (tmp_path / "elsewhere").mkdir()
    assert repair(ALL, house.settings.model_copy(update={"target": str(tmp_path / "elsewhere")})).found == (), "that is for a run there"
    assert not (other / SECOND / "master.m3u8").exists()
    assert deeds(repair(RepairRequest(content_id="zebra"), house.settings)) == [(SECOND, "copied")]
    with pytest.raises(UsageError, match="there is no title 'zebr' in the catalog"):
        repair(RepairRequest(content_id="zebr"), house.settings)


def test_an_unfinished_ingest_of_one_title_does_not_keep_others_from_the_catalog(house: House) -> None:
    another_title(house)
    lose_the_catalog(house)
    house.note(version=SECOND)
    done = repair(ADOPT, house.settings)
    assert [(item.content_id, item.version, item.deed) for item in done.found] == [
        ("zebra", FIRST, "adopted"),
        ("zebra", SECOND, "adopted"),
    ]


def test_the_address_of_a_withdrawn_title_goes(house: House) -> None:
    address = Path(house.settings.target) / layout.address(TITLE)
    text = address.read_bytes()
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    address.write_bytes(text)
    assert deeds(repair(ALL, house.settings)) == [(SECOND, "address")]
    assert house.shown is None
    assert repair(ALL, house.settings).found == ()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        yield f"s3://{running.bucket}/{tmp_path.name}"


def test_on_s3_a_lost_object_is_copied_by_the_server(bucket: str, tmp_path: Path, encoded_title: Encoded) -> None:
    house = House(tmp_path, encoded_title, target=bucket)
    house.publish(SECOND, age=10)
    path = next(path for path in house.inventory.entries if path.endswith(".m4s"))
    with closing(house.open()) as storage:
        storage.delete(f"{TITLE}/{SECOND}/{path}")
        storage.delete(layout.address(TITLE))
    lose_the_catalog(house)
    done = repair(ADOPT, house.settings)
    assert [version for version, deed in deeds(done) if deed == "adopted"] == [FIRST, SECOND]
    assert house.states == {SECOND: "withdrawn", FIRST: "superseded"}, "no address says that it is live"
    assert (SECOND, "copied") in deeds(done)


def test_an_address_in_dash_that_no_version_has_goes(house: House) -> None:
    stale = Path(house.settings.target) / layout.dash_address(TITLE)
    for withdrawn in (False, True):
        if withdrawn:
            withdraw(TitleRequest(content_id=TITLE), house.settings)
        stale.write_text("<MPD/>")
        assert deeds(repair(ALL, house.settings)) == [(SECOND, "address")]
        assert not stale.exists()
        assert (house.shown is None) == withdrawn
