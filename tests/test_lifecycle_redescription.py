"""redescribe (vidpipe catalog set): other words for the same media, without the source."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, run
from tests.ingest_support import settings as quick
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import KEY, Encoded
from vidpipe.catalog.record import Record
from vidpipe.errors import CatalogFailed, Interrupted, PublishFailed, UsageError, VerificationFailed
from vidpipe.inventory import Inventory
from vidpipe.lifecycle import redescription
from vidpipe.lifecycle.redescription import RedescribeRequest, redescribe
from vidpipe.lifecycle.rekeying import RekeyRequest, rekey
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.transfer import TransferRequest, transfer
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.pipeline.sealing import inventory_at, loss
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import unfinished


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    return House(tmp_path, encoded_title)


def words(title: str | None = None, dry_run: bool = False, **metadata: str) -> RedescribeRequest:
    return RedescribeRequest(content_id=TITLE, title=title, metadata=metadata, dry_run=dry_run)


def test_a_title_gets_other_words_without_its_source(house: House) -> None:
    recorder = Recorder()
    done = redescribe(words("Der Film", season="", genre="drama"), house.settings, recorder)
    new = done.record
    assert new
    assert (new.title, new.metadata, done.replaced.version) == ("Der Film", {"genre": "drama"}, FIRST)
    assert done.copied == len(house.inventory.entries)
    assert house.states == {new.version: "live", FIRST: "superseded"}
    assert (house.live, house.shown) == (new, new.version)
    kept = {"version", "title", "metadata", "created_at", "playback", "renditions", "thumbnails"}
    assert new.model_dump(exclude=kept) == house.record.model_dump(exclude=kept), "source, tracks and keys are those of before"
    with closing(house.open()) as storage:
        found = loss(storage, new)
        inventory = inventory_at(storage, new)
    assert found
    assert found.paths == frozenset()
    assert isinstance(inventory, Inventory)
    assert inventory.model_copy(update={"version": FIRST}) == house.inventory
    assert [event.stage for event in recorder.named("stage_started")] == ["copy", "verify", "catalog"]
    assert {event.content_id for event in recorder.events} == {TITLE}
    assert any("what was proven before" in note.text for note in recorder.named("note")), "copies are not read whole again"
    assert unfinished(house.settings.work, TITLE) is None
    assert [info.key_id for info in house.keys.find()] == [KEY.key_id]
    assert rollback(RollbackRequest(content_id=TITLE), house.settings).record.title == "Film"


def test_the_urls_of_the_record_are_kept_whatever_is_set_today(house: House) -> None:
    base = "https://media.example.com/v%C3%B6d"
    url = f"{base}/{TITLE}/{FIRST}/master.m3u8"
    playback = house.record.playback.model_copy(update={"url": url, "title_url": f"{base}/{TITLE}/master.m3u8"})
    record = house.record.model_copy(update={"playback": playback, "version": "v2"})
    with house.catalog() as catalog:
        catalog.publish(record, "f")
    assert redescription.public_url_of(record.model_copy(update={"version": FIRST})) == base
    assert redescription.public_url_of(house.record) is None


def test_what_is_said_already_changes_nothing(house: House) -> None:
    done = redescribe(words("Film", season="1"), house.settings)
    assert (done.unchanged, done.record) == (True, None)
    assert house.states == {FIRST: "live"}


def test_a_dry_run_says_what_would_be_said(house: House) -> None:
    before = sorted(house.settings.home.rglob("*"))
    done = redescribe(words("", dry_run=True, season="2"), house.settings)
    assert (done.title, done.metadata, done.dry_run, done.record) == ("film", {"season": "2"}, True, None)
    assert sorted(house.settings.home.rglob("*")) == before


@pytest.mark.parametrize(
    ("request_", "says"),
    [(words(), "nothing is to be changed"), (words("\udcff"), "not UTF-8"), (RedescribeRequest(content_id="t", title="x"), "no title 't'")],
    ids=["nothing", "text", "unknown"],
)
def test_what_cannot_be_set_is_refused_before_any_work(house: House, request_: RedescribeRequest, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        redescribe(request_, house.settings)
    assert house.states == {FIRST: "live"}


def test_a_withdrawn_title_is_not_published_by_other_words(house: House) -> None:
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    with pytest.raises(UsageError, match="no live version"):
        redescribe(words("x"), house.settings)


def test_without_its_key_nothing_is_begun(house: House) -> None:
    house.keys.remove(KEY.key_id)
    with pytest.raises(UsageError, match="no key"):
        redescribe(words("x"), house.settings)
    assert (house.objects().keys(), unfinished(house.settings.work, TITLE)) == ({FIRST}, None)


def test_an_unfinished_ingest_is_not_thrown_away(house: House) -> None:
    note = house.note()
    with pytest.raises(UsageError, match="unfinished") as failure:
        redescribe(words("x"), house.settings)
    assert failure.value.fix == "run that ingest again (with --title and --meta), or give it up: vidpipe work clean --unfinished"
    with pytest.raises(UsageError, match="unfinished") as failure:
        rekey(RekeyRequest(content_id=TITLE), house.settings)
    assert failure.value.fix == "run that ingest again with --new-key instead, or give it up: vidpipe work clean --unfinished"
    assert unfinished(house.settings.work, TITLE) == note


@pytest.mark.parametrize("copy_of", [FIRST, "20261119T000000Z-000000"], ids=["of what is live", "of what was live"])
def test_a_copy_that_another_machine_has_overtaken_goes_when_its_words_are_found_live(copy_of: str, house: House) -> None:
    left = house.note(version="20261201T000000Z-111111", copy_of=copy_of)
    file = house.file(left.version, "video/90p/00001.m4s")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"copied")
    assert redescribe(RedescribeRequest(content_id=TITLE, title="Film"), house.settings).unchanged
    assert file.exists() == (unfinished(house.settings.work, TITLE) is not None) == (copy_of == FIRST)


def test_a_note_that_a_run_left_whose_version_is_live_goes_when_its_words_are_set_again(house: House) -> None:
    """It was killed between the catalog and the note."""
    house.note(version=FIRST, copy_of="20261119T000000Z-000000")
    assert redescribe(RedescribeRequest(content_id=TITLE, title="Film"), house.settings).unchanged
    assert unfinished(house.settings.work, TITLE) is None
    assert house.objects()[FIRST] >= house.inventory.entries.keys()


def test_lost_objects_are_not_copied_into_a_new_version(house: House) -> None:
    house.file(FIRST, "video/low/00002.m4s").unlink()
    with pytest.raises(PublishFailed, match="lost or damaged") as failure:
        redescribe(words("x"), house.settings)
    assert "ingest the source again" in str(failure.value.fix)
    assert failure.value.where == str(house.file(FIRST, "video/low/00002.m4s"))
    assert house.live == house.record


def test_damaged_objects_are_not_either(house: House) -> None:
    file = house.file(FIRST, "video/low/00002.m4s")
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(bytes(len(data)))
    with pytest.raises(PublishFailed, match="lost or damaged"):
        redescribe(words("x"), house.settings)
    assert house.live == house.record


def test_a_version_without_inventory_needs_its_source(house: House) -> None:
    house.file(FIRST, "inventory.json").unlink()
    with pytest.raises(VerificationFailed, match="the inventory of version") as lost:
        redescribe(words("x"), house.settings)
    assert lost.value.where == str(house.file(FIRST, "inventory.json"))
    with closing(sqlite3.connect(house.settings.home / "catalog.db")) as database, database:
        database.execute("UPDATE vidpipe_versions SET record = json_remove(record, '$.left_out')")  # as of vidpipe 0.1.0, which made none
    elsewhere = house.settings.model_copy(update={"target": str(house.settings.home / "elsewhere")})
    for option, command in {
        "--title and --meta": lambda: redescribe(words("x"), house.settings),
        "--new-key": lambda: rekey(RekeyRequest(content_id=TITLE), house.settings),
        "--to": lambda: transfer(TransferRequest(content_id=TITLE), elsewhere),
    }.items():
        with pytest.raises(UsageError, match="no inventory") as failure:
            command()
        assert failure.value.fix == f"ingest its source again, with {option}"
        assert failure.value.where == str(house.file(FIRST, ""))


def test_what_failed_is_continued_by_the_same_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target fails when nearly all is copied; the next run makes the same version, not another one beside it."""
    copied = LocalStorage.copy

    def fails(self: LocalStorage, source: str, path: str, *, size: int) -> bool:
        if path.endswith("video/low/00003.m4s"):
            raise PublishFailed("the disk is full")
        return copied(self, source, path, size=size)

    monkeypatch.setattr(LocalStorage, "copy", fails)
    with pytest.raises(PublishFailed):
        redescribe(words("x"), house.settings.model_copy(update={"target": str(house.settings.home / "elsewhere")}))
    note = unfinished(house.settings.work, TITLE)
    assert note
    assert (note.copy_of, note.key_ids, note.keys_kept) == (FIRST, (KEY.key_id,), (KEY.key_id,))
    assert note.target == house.settings.target, "where the title lies, whatever is set today"
    monkeypatch.undo()
    done = redescribe(words("x"), house.settings).record
    assert done
    assert done.version == note.version
    assert house.objects().keys() == {FIRST, done.version}


def test_other_words_discard_what_a_failed_run_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: object, **options: object) -> None:
        raise CatalogFailed("the catalog is away")

    monkeypatch.setattr("vidpipe.catalog.store.Catalog.publish", fails)
    with pytest.raises(CatalogFailed):
        redescribe(words("x"), house.settings)
    assert len(house.objects()) == 2
    monkeypatch.undo()
    done = redescribe(words("y"), house.settings).record
    assert done
    assert house.objects().keys() == {FIRST, done.version}


def test_a_stop_leaves_nothing(house: House) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        redescribe(words("x"), house.settings, cancel=cancel)
    assert (house.objects().keys(), unfinished(house.settings.work, TITLE)) == ({FIRST}, None)
    assert house.keys.holds(KEY.key_id)


def test_words_of_a_version_that_is_live_no_longer_are_not_published(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    verify, other = redescription.verify, "20261124T000000Z-aaaaaa"

    def meanwhile(*args: object, **options: object) -> object:
        house.publish(other, age=0)
        return verify(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(redescription, "verify", meanwhile)
    with pytest.raises(CatalogFailed, match="has changed title meanwhile"):
        redescribe(words("x"), house.settings)
    assert house.states == {other: "live", FIRST: "superseded"}


def test_the_same_ingest_afterwards_has_nothing_to_do(tmp_path: Path) -> None:
    base, recorder = "https://media.example.com", Recorder()
    configured = quick(tmp_path, 90, public_url=base, key_url="https://keys.example.com/{key_id}")
    first = run(FIXTURES / "one-second.mp4", configured, title="A", metadata={"season": "1"}).record
    request = RedescribeRequest(content_id=first.content_id, title="B", metadata={"season": "2"})
    done = redescribe(request, configured.model_copy(update={"public_url": None, "key_url": None}), recorder).record
    assert done
    urls = (f"{base}/{done.content_id}/{done.version}/master.m3u8", f"{base}/{done.content_id}/master.m3u8")
    assert [(event.url, event.title_url) for event in recorder.named("live")] == [urls] == [(done.playback.url, done.playback.title_url)]
    assert not recorder.warnings, "the copies are proven, with the addresses of their keys"
    again = run(FIXTURES / "one-second.mp4", configured)
    assert (again.unchanged, again.record.version) == (True, done.version)
    other = run(FIXTURES / "one-second.mp4", configured, title="A")
    assert (other.record.metadata, other.copied > 0, other.artifacts) == ({"season": "2"}, True, 0)


def test_at_s3_the_server_copies_and_headers_are_those_of_today(
    tmp_path: Path, encoded_title: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def headers(house: House, record: Record) -> set[str | None]:
        with closing(house.open()) as storage:
            found = [storage.head(stored.path) for stored in storage.list(f"{TITLE}/{record.version}/video")]
        return {stored.cache_control for stored in found if stored}

    with ExitStack() as running:
        try:
            s3 = running.enter_context(servers.rclone())
        except servers.Unavailable as problem:
            pytest.skip(str(problem))
        s3.use(monkeypatch, tmp_path)
        house = House(tmp_path, encoded_title, target=f"s3://{s3.bucket}/vod")
        done = redescribe(words("x"), house.settings)
        assert done.record
        assert done.copied == len(house.inventory.entries)
        assert headers(house, done.record) == {"public, max-age=604800, immutable"}
        monkeypatch.setattr("vidpipe.publish.delivery.CACHE_SECONDS", {"video": 1, "thumbnails": 1, "metadata": 1})
        recorder = Recorder()
        done = redescribe(words("y"), house.settings, recorder)
        assert done.record
        assert (done.copied, headers(house, done.record)) == (0, {"public, max-age=1, immutable"})
        assert any("sent again" in note.text for note in recorder.named("note"))


def test_copies_that_are_not_what_was_copied_are_sent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = LocalStorage.copy

    def garbles(self: LocalStorage, source: str, path: str, *, size: int) -> bool:
        done = copied(self, source, path, size=size)
        if path.endswith("video/low/00002.m4s"):
            file = self.root / path
            file.unlink()
            file.write_bytes(bytes(size))
        return done

    monkeypatch.setattr(LocalStorage, "copy", garbles)
    recorder = Recorder()
    done = redescribe(words("x"), house.settings, recorder)
    assert done.record
    assert done.copied == 0
    assert ["sent again" in warning for warning in recorder.warnings] == [True]
    assert [event.stage for event in recorder.named("stage_started")] == ["copy", "verify", "publish", "verify", "catalog"]
    with closing(house.open()) as storage:
        found = loss(storage, done.record)
    assert found
    assert found.paths == frozenset()
    assert house.file(done.record.version, "video/low/00002.m4s").read_bytes() == house.file(FIRST, "video/low/00002.m4s").read_bytes()


def test_what_is_sent_again_is_proven_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    put = LocalStorage.put

    def garbles(self: LocalStorage, path: str, data: object, **options: object) -> None:
        put(self, path, bytes(len(data)) if path.endswith("low/00002.m4s") else data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStorage, "copy", lambda *_, **__: False)
    monkeypatch.setattr(LocalStorage, "put", garbles)
    with pytest.raises(VerificationFailed):
        redescribe(words("x"), house.settings)
    assert house.objects().keys() == {FIRST}
