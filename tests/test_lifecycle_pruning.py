"""delete and prune: the catalog says it first, then objects, keys and lines go, whatever kills the command in between."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests import servers
from tests.ingest_support import Recorder
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import KEY, Encoded
from vidpipe import layout
from vidpipe.catalog.record import Record, Status
from vidpipe.errors import Interrupted, PublishFailed, UsageError, VidpipeError
from vidpipe.lifecycle.deletion import delete
from vidpipe.lifecycle.pruning import PruneRequest, prunable, prune
from vidpipe.lifecycle.removal import remove
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import JobNote, claim, unfinished

SECOND, THIRD, FOURTH = "20261121T000000Z-222222", "20261122T000000Z-333333", "20261123T000000Z-444444"
WHOLE = TitleRequest(content_id=TITLE)


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


def old(keep: int = 0, **options: object) -> PruneRequest:
    return PruneRequest.model_validate({"keep": keep, "older_than": timedelta(), **options})


# -- delete ------------------------------------------------------------------------------------------------------------------------------


def test_a_withdrawn_title_is_deleted_with_its_keys(house: House) -> None:
    house.publish(SECOND, age=1)
    size = sum(entry.size for entry in house.inventory.entries.values())
    withdraw(WHOLE, house.settings)
    recorder = Recorder()
    done = delete(WHOLE, house.settings, recorder)
    assert [(gone.version, gone.key_ids) for gone in done.removed] == [(SECOND, ()), (FIRST, (KEY.key_id,))]
    for gone in done.removed:
        assert gone.objects == len(house.inventory.entries) + 2
        assert gone.bytes > size
        assert gone.target == house.settings.target
    assert [(event.version, event.content_id) for event in recorder.named("deleted")] == [(SECOND, TITLE), (FIRST, TITLE)]
    assert [(event.stage, event.content_id) for event in recorder.named("stage_started")] == [("delete", TITLE)]
    assert (house.states, house.objects(), house.keys.find()) == ({}, {}, ())
    assert list(Path(house.settings.target).iterdir()) == [], "no address either"
    with pytest.raises(UsageError, match="no title"):
        delete(WHOLE, house.settings)


def test_a_live_title_is_not_deleted(house: House) -> None:
    for request in (WHOLE, WHOLE.model_copy(update={"dry_run": True})):
        with pytest.raises(UsageError, match="is live") as failure:
            delete(request, house.settings)
        assert "catalog withdraw title" in str(failure.value.fix)
    assert house.states == {FIRST: "live"}


def test_a_dry_run_deletes_nothing(house: House) -> None:
    house.publish(SECOND, age=1)
    planned = prune(old(dry_run=True), house.settings)
    assert ([(gone.version, gone.key_ids) for gone in planned.removed], planned.dry_run) == ([(FIRST, ())], True)
    withdraw(WHOLE, house.settings)
    before = house.states, house.objects(), sorted(house.settings.home.rglob("*"))
    planned_all = delete(WHOLE.model_copy(update={"dry_run": True}), house.settings)
    assert planned_all.dry_run
    assert [(gone.version, gone.key_ids) for gone in planned_all.removed] == [(SECOND, ()), (FIRST, (KEY.key_id,))]
    assert (house.states, house.objects(), sorted(house.settings.home.rglob("*"))) == before


def test_a_title_that_is_being_ingested_is_left_alone(house: House) -> None:
    house.publish(SECOND, age=1)
    with claim(house.settings.work, TITLE):
        recorder = Recorder()
        done = prune(old(), house.settings, recorder)
        assert (done.removed, done.skipped) == ((), (TITLE,))
        assert ["left for another time" in warning for warning in recorder.warnings] == [True]
        with pytest.raises(UsageError, match="another ingest"):
            prune(old(content_id=TITLE), house.settings)
        withdraw(WHOLE, house.settings)  # at any time
        with pytest.raises(UsageError, match="another ingest"):
            delete(WHOLE, house.settings)
    assert house.objects().keys() == {FIRST, SECOND}


def test_what_an_unfinished_ingest_references_stays(house: House) -> None:
    house.publish(SECOND, age=2)
    house.publish(THIRD, age=1)
    note = house.note(key_ids=(KEY.key_id,), keys_kept=True, copy_of=SECOND)
    for dry_run in (True, False):
        assert [gone.version for gone in prune(old(dry_run=dry_run), house.settings).removed] == [FIRST]
    assert house.states == {THIRD: "live", SECOND: "superseded"}
    withdraw(WHOLE, house.settings)
    with pytest.raises(UsageError, match="unfinished") as failure:
        delete(WHOLE, house.settings)
    assert "work clean --unfinished" in str(failure.value.fix)
    assert unfinished(house.settings.work, TITLE) == note
    assert house.keys.holds(KEY.key_id)


def test_the_key_of_an_unfinished_ingest_for_another_catalog_stays(house: House) -> None:
    note = house.note(key_ids=(KEY.key_id,), catalog="sqlite:///elsewhere.db")
    withdraw(WHOLE, house.settings)
    for dry_run in (True, False):
        assert [gone.key_ids for gone in delete(WHOLE.model_copy(update={"dry_run": dry_run}), house.settings).removed] == [()]
    assert house.keys.holds(KEY.key_id)
    assert unfinished(house.settings.work, TITLE) == note


def test_a_key_that_nothing_but_an_unfinished_ingest_has_any_more_stays(house: House) -> None:
    house.note(key_ids=(KEY.key_id,))
    clear = house.record.encryption.model_copy(update={"key_ids": ()})
    with house.catalog() as catalog:
        catalog.publish(house.record.model_copy(update={"version": SECOND, "encryption": clear}), "f")
    for dry_run in (True, False):
        assert [(gone.version, gone.key_ids) for gone in prune(old(dry_run=dry_run), house.settings).removed] == [(FIRST, ())]
    assert house.keys.holds(KEY.key_id)


def test_a_note_of_a_version_that_was_published_goes_with_it(house: House) -> None:
    """The machine died between the catalog and the note: without its line, a new ingest would continue the deleted version."""
    house.note(version=FIRST, key_ids=(KEY.key_id,))
    withdraw(WHOLE, house.settings)
    assert [gone.key_ids for gone in delete(WHOLE, house.settings).removed] == [(KEY.key_id,)]
    assert unfinished(house.settings.work, TITLE) is None


# -- prune -------------------------------------------------------------------------------------------------------------------------------


def test_prune_keeps_the_newest_and_what_players_may_be_in_the_middle_of(house: House) -> None:
    for version, age in ((SECOND, 40), (THIRD, 35), (FOURTH, 1)):
        house.publish(version, age=age)
    assert prune(PruneRequest(), house.settings).removed == (), "all were superseded just now"
    recorder = Recorder()
    done = prune(old(keep=1), house.settings, recorder)
    assert [gone.version for gone in done.removed] == [SECOND, FIRST]
    assert [(event.version, event.content_id) for event in recorder.named("deleted")] == [(SECOND, TITLE), (FIRST, TITLE)]
    assert [(event.stage, event.content_id) for event in recorder.named("stage_started")] == [("delete", None)]
    assert len({event.run for event in recorder.events}) == 1
    assert house.states == {FOURTH: "live", THIRD: "superseded"}
    assert house.objects().keys() == {FOURTH, THIRD}
    assert house.keys.holds(KEY.key_id)
    assert rollback(RollbackRequest(content_id=TITLE), house.settings).record.version == THIRD
    assert prune(old(keep=1), house.settings).removed == ()


def test_every_title_is_pruned_by_itself_and_one_that_is_named_alone(house: House) -> None:
    for version, age in ((SECOND, 40), (THIRD, 35)):
        house.publish(version, age=age)
    for content_id, versions in (("animal", (FIRST, SECOND)), ("zebra", (FIRST, SECOND, THIRD))):
        for version in versions:
            place = f"{house.settings.target}/{content_id}/{version}/master.m3u8"
            playback = house.record.playback.model_copy(update={"hls": place})
            with house.catalog() as catalog:
                catalog.publish(house.record.model_copy(update={"content_id": content_id, "version": version, "playback": playback}), "f")

    def pruned(**options: object) -> list[tuple[str, str]]:
        return [(gone.content_id, gone.version) for gone in prune(old().model_copy(update=options), house.settings).removed]

    assert pruned(keep=1, content_id="zebra", dry_run=True) == [("zebra", FIRST)]
    assert pruned(keep=1, dry_run=True) == [(TITLE, FIRST), ("zebra", FIRST)], "animal has nothing to prune"
    assert pruned(keep=1, content_id="zebra") == [("zebra", FIRST)]
    assert pruned() == [("animal", FIRST), (TITLE, SECOND), (TITLE, FIRST), ("zebra", SECOND)]


def test_the_address_of_what_is_live_is_not_gone_for_a_moment(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.publish(SECOND, age=1)
    removed, gone = LocalStorage.delete, []

    def noted(self: LocalStorage, path: str) -> None:
        gone.append(path)
        removed(self, path)

    monkeypatch.setattr(LocalStorage, "delete", noted)
    assert [each.version for each in prune(old(), house.settings).removed] == [FIRST]
    assert (house.shown, layout.address(TITLE) in gone) == (SECOND, False)


def test_an_address_at_a_target_that_a_title_has_left_goes_with_the_version_that_it_plays(house: House, tmp_path: Path) -> None:
    moved = LocalStorage(tmp_path / "elsewhere")
    version = house.record.playback.model_copy(update={"hls": moved.location(f"{TITLE}/{SECOND}/master.m3u8")})
    with house.catalog() as catalog:
        catalog.publish(house.record.model_copy(update={"version": SECOND, "playback": version}), "f")
    assert house.shown == FIRST
    assert [gone.version for gone in prune(old(), house.settings).removed] == [FIRST]
    assert (house.shown, house.objects()) == (None, {})


def test_withdrawn_versions_are_not_pruned(house: House) -> None:
    house.publish(SECOND, age=1)
    withdraw(WHOLE, house.settings)
    recorder = Recorder()
    assert [gone.version for gone in prune(old(content_id=TITLE), house.settings, recorder).removed] == [FIRST]
    assert {event.content_id for event in recorder.events} == {TITLE}
    assert house.states == {SECOND: "withdrawn"}


def record(base: Record, version: str, status: Status, age: float, changed: float | None = None) -> Record:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    since = None if changed is None else now - timedelta(days=changed)
    return base.model_copy(
        update={"version": version, "status": status, "created_at": now - timedelta(days=age), "status_since": since}
    )


def test_the_age_of_a_version_counts_from_when_it_was_superseded(house: House) -> None:
    base = house.record
    versions = [
        record(base, "v6", "superseded", 50, 10),  # rolled back ten days ago
        record(base, "v5", "live", 60),
        record(base, "v4", "superseded", 70),  # by a vidpipe that did not note it: when v5 was made
        record(base, "v3", "superseded", 80, 30),
        record(base, "v2", "superseded", 90, 31),
        record(base, "v1", "deleting", 95, 0),
    ]
    now = datetime(2026, 11, 26, tzinfo=UTC)

    def chosen(keep: int, days: int, note: JobNote | None = None, records: Sequence[Record] = versions) -> list[str]:
        request = PruneRequest(keep=keep, older_than=timedelta(days=days))
        return [found.version for found in prunable(records, request, now, note)]

    assert chosen(0, 30) == ["v1", "v4", "v3", "v2"]
    assert chosen(0, 31) == ["v1", "v4", "v2"]
    assert chosen(0, 60) == ["v1", "v4"]
    assert chosen(0, 61) == ["v1"]
    assert chosen(2, 0) == ["v1", "v3", "v2"]
    assert chosen(9, 0) == ["v1"]
    assert chosen(0, 61, records=versions[1:]) == ["v1"], "v5 is the newest then"
    note = JobNote(content_id=TITLE, fingerprint="f", version="v3", target="/t", copy_of="v4")
    assert chosen(0, 0, note) == ["v1", "v6", "v2"]


def test_a_version_that_became_live_meanwhile_is_not_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.publish(SECOND, age=1)
    from vidpipe.lifecycle import pruning

    choose = pruning.prunable

    def meanwhile(*args: object) -> object:
        found = choose(*args)  # type: ignore[arg-type]
        monkeypatch.undo()
        rollback(RollbackRequest(content_id=TITLE), house.settings)
        return found

    with house.catalog() as catalog:
        monkeypatch.setattr(pruning, "prunable", lambda *args: meanwhile(*args) if unfinished_is_held(house) else choose(*args))
        assert catalog.having("superseded") == (TITLE,)
        assert prune(old(), house.settings).removed == ()
    assert house.states == {SECOND: "superseded", FIRST: "live"}
    assert house.objects().keys() == {FIRST, SECOND}


def unfinished_is_held(house: House) -> bool:
    """Whether the title is claimed: then the choice is the one that counts."""
    try:
        with claim(house.settings.work, TITLE):
            return False
    except UsageError:
        return True


# -- failures ----------------------------------------------------------------------------------------------------------------------------


def test_a_target_that_fails_leaves_what_the_same_command_finishes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.publish(SECOND, age=1)
    withdraw(WHOLE, house.settings)
    removed = LocalStorage.delete_prefix

    def fails(self: LocalStorage, prefix: str) -> None:
        if SECOND in prefix:
            raise PublishFailed("cannot delete: permission denied")
        removed(self, prefix)

    monkeypatch.setattr(LocalStorage, "delete_prefix", fails)
    recorder = Recorder()
    with pytest.raises(PublishFailed, match="permission denied"):
        delete(WHOLE, house.settings, recorder)
    assert [note.level for note in recorder.named("note")] == ["warning"]
    assert (house.states, house.objects().keys()) == ({SECOND: "deleting"}, {SECOND}), "the other one is gone"
    assert house.keys.holds(KEY.key_id), "the version that is left is encrypted under it"
    with pytest.raises(UsageError, match="being deleted"):
        rollback(RollbackRequest(content_id=TITLE, version=SECOND), house.settings)
    with pytest.raises(PublishFailed, match="permission denied"):
        prune(PruneRequest(), house.settings)
    monkeypatch.undo()
    assert [gone.version for gone in prune(PruneRequest(), house.settings).removed] == [SECOND], "prune goes on with it, too"
    assert (house.states, house.objects(), house.keys.find()) == ({}, {}, ())


def test_what_is_still_there_is_not_forgotten(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    withdraw(WHOLE, house.settings)
    monkeypatch.setattr(LocalStorage, "delete_prefix", lambda *_: None)  # a server that answers 204 and keeps it
    with pytest.raises(PublishFailed, match="still there"):
        delete(WHOLE, house.settings)
    assert house.states == {FIRST: "deleting"}


def test_a_target_that_is_not_mounted_is_not_taken_for_empty(house: House) -> None:
    withdraw(WHOLE, house.settings)
    library = Path(house.settings.target)
    library.rename(library.with_name("elsewhere"))
    with pytest.raises(PublishFailed, match="not there"):
        delete(WHOLE, house.settings)
    library.with_name("elsewhere").rename(library)
    delete(WHOLE, house.settings)
    assert (house.states, house.objects()) == ({}, {})


def test_a_stop_between_two_versions_is_continued(house: House) -> None:
    house.publish(SECOND, age=1)
    withdraw(WHOLE, house.settings)
    cancel = threading.Event()

    class Stops(Recorder):
        def emit(self, event: object) -> None:
            if getattr(event, "event", "") == "deleted":
                cancel.set()

    with pytest.raises(Interrupted):
        delete(WHOLE, house.settings, Stops(), cancel)
    assert house.states == {FIRST: "deleting"}
    delete(WHOLE, house.settings)
    assert (house.states, house.objects(), house.keys.find()) == ({}, {}, ())


def test_two_processes_delete_at_once(house: House) -> None:
    """On two machines with one catalog and one target: neither sees the other's lock."""
    house.publish(SECOND, age=1)
    withdraw(WHOLE, house.settings)
    elsewhere = house.settings.model_copy(update={"home": house.settings.home / "elsewhere"})
    together = threading.Barrier(2)
    failures: list[Exception] = []

    def run(home: object) -> None:
        together.wait(20)
        try:
            delete(WHOLE, home)  # type: ignore[arg-type]
        except VidpipeError as error:
            if "no title" not in error.what:  # the other one was done before this one began
                failures.append(error)

    threads = [threading.Thread(target=run, args=(home,)) for home in (house.settings, elsewhere)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert (house.states, house.objects()) == ({}, {})


def test_at_s3_only_the_versions_that_go_lose_objects(tmp_path: Path, encoded_title: Encoded, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as running:
        try:
            s3 = running.enter_context(servers.rclone())
        except servers.Unavailable as problem:
            pytest.skip(str(problem))
        s3.use(monkeypatch, tmp_path)
        house = House(tmp_path, encoded_title, target=f"s3://{s3.bucket}/vod")
        house.publish(SECOND, age=1)
        (gone,) = prune(old(), house.settings).removed
        assert (gone.version, gone.objects) == (FIRST, len(house.inventory.entries) + 2)
        assert house.objects().keys() == {SECOND}
        with closing(house.open()) as storage:
            storage.put(f"{TITLE}x/foreign.txt", b"x", content_type="text/plain", cache_control="", sha256="")
        withdraw(WHOLE, house.settings)
        delete(WHOLE, house.settings)
        with closing(house.open()) as storage:
            assert [stored.path for stored in storage.list()] == [f"{TITLE}x/foreign.txt"]
        assert house.states == {}


def test_keys_go_before_the_line(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without a line would be forgotten; a line without its key is only finished."""
    withdraw(WHOLE, house.settings)
    seen: list[tuple[bool, bool]] = []
    from vidpipe.catalog.store import TitleRows

    forgotten = TitleRows.remove

    def look(self: TitleRows, version: str) -> None:
        seen.append((house.keys.holds(KEY.key_id), house.file(FIRST, "").exists()))
        forgotten(self, version)

    monkeypatch.setattr(TitleRows, "remove", look)
    delete(WHOLE, house.settings)
    assert seen == [(False, False)]
    with house.catalog() as catalog:
        assert list(remove((), catalog, house.settings, None, Recorder(), threading.Event())) == []
