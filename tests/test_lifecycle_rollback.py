"""rollback, withdraw and restore: one version is live, or none, and what becomes live was proven just before."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, live, run, settings
from tests.lifecycle_support import FIRST, TITLE, House
from tests.title_support import KEY, Encoded
from vidpipe.catalog.published_at import target_of
from vidpipe.catalog.record import Record
from vidpipe.catalog.states import make_live
from vidpipe.errors import CatalogFailed, Interrupted, PublishFailed, UsageError, VerificationFailed, VidpipeError
from vidpipe.lifecycle import proving
from vidpipe.lifecycle.history import history
from vidpipe.lifecycle.restoration import restore
from vidpipe.lifecycle.rollback import RollbackRequest, rollback
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.pipeline.sealing import loss
from vidpipe.progress import Silent
from vidpipe.storage.base import Stored
from vidpipe.storage.local import LocalStorage

SECOND, THIRD = "20261121T000000Z-222222", "20261122T000000Z-333333"


@pytest.fixture
def house(tmp_path: Path, encoded_title: Encoded) -> House:
    made = House(tmp_path, encoded_title)
    made.publish(SECOND, age=10)
    return made


def back(house: House, version: str | None = None, **options: bool) -> RollbackRequest:
    return RollbackRequest(content_id=TITLE, version=version, **options)


def test_a_rollback_makes_the_version_before_live(house: House) -> None:
    recorder = Recorder()
    done = rollback(back(house), house.settings, recorder)
    assert house.states == {SECOND: "superseded", FIRST: "live"}
    assert (done.record.version, done.record.status) == (FIRST, "live")
    assert done.replaced
    assert (done.replaced.version, done.replaced.status) == (SECOND, "superseded")
    assert done.replaced.status_since
    assert done.proof
    assert (done.proof.by, done.proof.objects) == ("inventory", len(house.inventory.entries))
    assert done.proof.bytes is not None
    assert done.proof.bytes < sum(entry.size for entry in house.inventory.entries.values()), "what was read whole once is not again"
    assert not done.unchanged
    assert [event.stage for event in recorder.named("stage_started")] == ["verify", "catalog"]
    assert [event.version for event in recorder.named("live")] == [FIRST]
    assert {event.content_id for event in recorder.events} == {TITLE}
    assert house.shown == FIRST
    assert [(record.version, record.status) for record in history(TITLE, house.settings)] == list(house.states.items())
    with closing(house.open()) as storage:
        lost = loss(storage, done.record)
    assert lost
    assert lost.paths == frozenset(), "its record.json, which keeps its first status, is that of the catalog"


def test_a_rollback_goes_to_any_version_that_is_named_and_forward_again(house: House) -> None:
    house.publish(THIRD, age=1)
    assert rollback(back(house, FIRST), house.settings).record.version == FIRST
    with pytest.raises(UsageError, match="no older version") as failure:
        rollback(back(house), house.settings)
    assert failure.value.fix == f"see vidpipe catalog versions {TITLE}"
    assert rollback(back(house, THIRD), house.settings).record.version == THIRD
    assert rollback(back(house, THIRD), house.settings).unchanged
    assert rollback(back(house), house.settings).record.version == SECOND
    assert house.states == {THIRD: "superseded", SECOND: "live", FIRST: "superseded"}


def test_a_dry_run_does_nothing(house: House) -> None:
    before = house.states, sorted(house.settings.home.rglob("*"))
    done = rollback(back(house, dry_run=True), house.settings)
    assert (done.record.version, done.replaced and done.replaced.version, done.proof, done.dry_run) == (FIRST, SECOND, None, True)
    planned = withdraw(TitleRequest(content_id=TITLE, dry_run=True), house.settings)
    assert (planned.dry_run, planned.unchanged) == (True, False)
    assert (house.states, sorted(house.settings.home.rglob("*"))) == before


@pytest.mark.parametrize("path", ["video/low/00002.m4s", "master.m3u8", "audio/en/init.mp4", "thumbnails/sprite-001.jpg", "inventory.json"])
@pytest.mark.parametrize("how", ["lost", "flipped"])
def test_what_does_not_prove_to_play_does_not_become_live(house: House, path: str, how: str) -> None:
    file = house.file(FIRST, path)
    data = file.read_bytes()
    file.unlink()
    if how == "flipped":
        file.write_bytes(data[:-3] + bytes(byte ^ 1 for byte in data[-3:]))
    if (path, how) == ("inventory.json", "lost"):  # then everything that the playlists name is looked up, at least
        house.file(FIRST, "video/low/00002.m4s").unlink()
    with pytest.raises(VerificationFailed):
        rollback(back(house), house.settings)
    assert house.states == {SECOND: "live", FIRST: "superseded"}


def test_without_its_key_a_version_does_not_become_live(house: House) -> None:
    house.keys.remove(KEY.key_id)
    with pytest.raises(UsageError, match="no key"):
        rollback(back(house), house.settings)
    assert house.states[SECOND] == "live"


def test_a_version_without_inventory_has_a_weaker_proof_that_is_named(house: House) -> None:
    """As those of vidpipe 0.1.0, whose records did not say what was left out."""
    house.file(FIRST, "inventory.json").unlink()
    with pytest.raises(VerificationFailed, match="the inventory of the version is lost"):
        rollback(back(house), house.settings)
    with closing(sqlite3.connect(house.settings.home / "catalog.db")) as database, database:
        database.execute("UPDATE vidpipe_versions SET record = json_remove(record, '$.left_out') WHERE version = ?", (FIRST,))
    recorder = Recorder()
    done = rollback(back(house), house.settings, recorder)
    assert done.proof
    tracks = house.inventory.tracks
    named = 1 + len(tracks) + sum(len(track.segments) for track in tracks)  # the playlists and what they name
    assert (done.proof.by, done.proof.objects) == ("playlists", named)
    (note,) = recorder.warnings
    assert "no hash was compared" in note
    assert house.states[FIRST] == "live"


@pytest.mark.parametrize("template", ["https://keys.example.com/{content_id}/{key_id}", "https://title.example.com/{content_id}"])
def test_the_keys_may_be_named_by_another_template_today(tmp_path: Path, encoded_title: Encoded, template: str) -> None:
    from tests.title_support import publish_title
    from vidpipe.manifest.key_uri import key_uri
    from vidpipe.storage.local import LocalStorage

    uri, relative = key_uri(template, TITLE, KEY.key_id), key_uri(None, TITLE, KEY.key_id)
    storage = LocalStorage(tmp_path)
    made = publish_title(encoded_title, storage, alter=lambda _, text: text.replace(f'URI="{relative}"', f'URI="{uri}"'))
    found = proving.key_url_of(made, storage)
    assert found in (template, template.format(content_id=TITLE, key_id="{key_id}")), "a host that is called as the title is none"
    assert key_uri(found, TITLE, KEY.key_id) == uri


@pytest.mark.parametrize("other", ["of another kind", "of no segments", "of no keys"])
def test_a_playlist_that_names_no_key_proves_nothing(house: House, other: str) -> None:
    file = house.file(FIRST, house.inventory.video[0].playlist)
    text = {
        "of another kind": house.file(FIRST, "master.m3u8").read_text(),
        "of no segments": "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-ENDLIST\n",
        "of no keys": "".join(line for line in file.read_text().splitlines(True) if not line.startswith("#EXT-X-KEY")),
    }[other]
    file.unlink()  # versions share files
    file.write_text(text)
    with pytest.raises(VerificationFailed):
        rollback(back(house), house.settings)
    assert house.states[SECOND] == "live"


def test_headers_of_another_time_do_not_keep_a_version_from_becoming_live(house: House) -> None:
    """A later vidpipe may send other ones; players play it as they did."""

    class Keeps(LocalStorage):
        keeps_headers = True

        def head(self, path: str) -> Stored | None:
            found = super().head(path)
            return found.model_copy(update={"content_type": "video/mp4", "cache_control": "max-age=60"}) if found else None

    storage = Keeps(Path(house.settings.target))
    assert proving.prove(house.record, storage, house.keys, reporter=Silent(), cancel=threading.Event()).by == "inventory"


def test_a_stop_leaves_the_live_version(house: House) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        rollback(back(house), house.settings, cancel=cancel)
    assert house.states[SECOND] == "live"


@pytest.mark.parametrize(
    ("request_", "says", "fix"),
    [
        (RollbackRequest(content_id="titel"), "there is no title 'titel'", "did you mean title?"),
        (RollbackRequest(content_id="../x"), "there is no title", "catalog list"),
        (RollbackRequest(content_id=TITLE, version="v9"), "no version 'v9'", "catalog versions title"),
    ],
    ids=["near", "no id", "version"],
)
def test_what_is_not_there_is_a_sentence(house: House, request_: RollbackRequest, says: str, fix: str) -> None:
    with pytest.raises(UsageError, match=says) as failure:
        rollback(request_, house.settings)
    assert fix in str(failure.value.fix)


def test_a_title_is_withdrawn_and_restored(house: House) -> None:
    gone = withdraw(TitleRequest(content_id=TITLE), house.settings)
    assert (gone.record.version, gone.record.status, gone.unchanged) == (SECOND, "withdrawn", False)
    assert (house.live, house.shown) == (None, None)
    assert withdraw(TitleRequest(content_id=TITLE), house.settings).unchanged
    assert house.objects().keys() == {FIRST, SECOND}, "nothing is deleted"
    with pytest.raises(UsageError, match="is withdrawn") as failure:
        rollback(back(house), house.settings)
    assert "catalog restore title" in str(failure.value.fix)
    recorder, cancel = Recorder(), threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        restore(TitleRequest(content_id=TITLE), house.settings, cancel=cancel)
    done = restore(TitleRequest(content_id=TITLE), house.settings, recorder)
    assert (done.record.version, done.replaced) == (SECOND, None)
    assert done.proof
    assert [event.version for event in recorder.named("live")] == [SECOND]
    assert house.states == {SECOND: "live", FIRST: "superseded"}
    assert house.shown == SECOND
    (Path(house.settings.target) / TITLE / "master.m3u8").unlink()
    assert restore(TitleRequest(content_id=TITLE), house.settings, recorder).unchanged
    assert ["did not play version" in warning for warning in recorder.warnings] == [True]


def test_a_withdrawn_title_can_come_back_as_a_version_that_is_named(house: House) -> None:
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    assert withdraw(TitleRequest(content_id=TITLE, dry_run=True), house.settings).unchanged
    assert rollback(back(house, SECOND, dry_run=True), house.settings).replaced is None
    done = rollback(back(house, FIRST), house.settings)
    assert done.replaced
    assert done.replaced.version == SECOND
    assert house.states == {SECOND: "superseded", FIRST: "live"}


def test_a_restore_is_proven(house: House) -> None:
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    house.file(SECOND, "video/high/00001.m4s").unlink()
    with pytest.raises(VerificationFailed):
        restore(TitleRequest(content_id=TITLE), house.settings)
    assert house.states[SECOND] == "withdrawn"


def test_what_another_command_did_meanwhile_is_not_undone(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version becomes live while the old one is being proven."""
    prove = proving.prove

    def slow(*args: object, **options: object) -> object:
        house.publish(THIRD, age=0)
        return prove(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("vidpipe.lifecycle.revival.prove", slow)
    with pytest.raises(CatalogFailed, match="has changed title meanwhile") as failure:
        rollback(back(house), house.settings)
    assert THIRD in failure.value.what
    assert house.states == {THIRD: "live", SECOND: "superseded", FIRST: "superseded"}


def test_an_address_that_could_not_be_written_is_put_right_by_the_command_that_is_named(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the same one: without a version it would go back once more."""
    put = LocalStorage.put

    def fails(self: LocalStorage, path: str, data: object, **options: object) -> None:
        if path == f"{TITLE}/master.m3u8":
            raise PublishFailed("cannot write: the disk is full")
        put(self, path, data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalStorage, "put", fails)
    with pytest.raises(PublishFailed, match="address does not play") as failure:
        rollback(back(house), house.settings)
    assert f"vidpipe catalog rollback {TITLE} {FIRST}" in str(failure.value.fix)
    assert (house.live and house.live.version, house.shown) == (FIRST, SECOND)
    monkeypatch.undo()
    recorder = Recorder()
    planned = rollback(back(house, FIRST, dry_run=True), house.settings)
    assert (planned.unchanged, planned.dry_run) == (True, True)
    assert house.shown == SECOND
    assert rollback(back(house, FIRST), house.settings, recorder).unchanged
    assert house.shown == FIRST
    assert any("did not play version" in note.text and note.content_id == TITLE for note in recorder.named("note"))


def test_an_address_that_stays_is_removed_by_the_same_command(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: LocalStorage, path: str) -> None:
        raise PublishFailed("cannot delete: permission denied")

    monkeypatch.setattr(LocalStorage, "delete", fails)
    with pytest.raises(PublishFailed, match="still plays it"):
        withdraw(TitleRequest(content_id=TITLE), house.settings)
    assert (house.live, house.shown) == (None, SECOND)
    monkeypatch.undo()
    assert withdraw(TitleRequest(content_id=TITLE), house.settings).unchanged
    assert house.shown is None


def test_a_cdn_forgets_the_address_or_the_whole_title(house: House, tmp_path: Path) -> None:
    program, log = tmp_path / "purge", tmp_path / "log"
    program.write_text(f"#!/bin/sh\ncat >> {log}\n")
    program.chmod(0o755)
    configured = house.settings.model_copy(update={"cdn": f"command:{program}", "public_url": "https://m.example.com"})
    rollback(back(house), configured)
    withdraw(TitleRequest(content_id=TITLE), configured)
    assert log.read_text().splitlines() == ["https://m.example.com/title/master.m3u8", "https://m.example.com/title/*"]
    program.write_text("#!/bin/sh\nexit 1\n")
    recorder = Recorder()
    withdraw(TitleRequest(content_id=TITLE), configured, recorder)
    (note,) = recorder.named("note")
    assert (note.level, note.content_id) == ("warning", TITLE)
    assert "purge title/* by hand" in note.text


def test_a_target_that_is_nowhere_in_the_record_is_refused(house: House) -> None:
    odd = house.record.model_copy(update={"playback": house.record.playback.model_copy(update={"hls": "/elsewhere/master.m3u8"})})
    with pytest.raises(CatalogFailed, match="does not say where the version lies"):
        target_of(odd)


def test_a_rollback_at_s3(tmp_path: Path, encoded_title: Encoded, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as running:
        try:
            s3 = running.enter_context(servers.rclone())
        except servers.Unavailable as problem:
            pytest.skip(str(problem))
        s3.use(monkeypatch, tmp_path)
        house = House(tmp_path, encoded_title, target=f"s3://{s3.bucket}/vod")
        house.publish(SECOND, age=1)
        monkeypatch.setattr("vidpipe.publish.delivery.CACHE_SECONDS", {"video": 1, "thumbnails": 1, "metadata": 1})
        assert rollback(back(house), house.settings).record.version == FIRST, "with the headers of its time"
        house.publish(THIRD, age=0)
        with closing(house.open()) as storage:
            storage.delete_prefix(f"{TITLE}/{FIRST}/video/low")
        with pytest.raises(VerificationFailed):
            rollback(back(house, FIRST), house.settings)
        assert house.states == {THIRD: "live", SECOND: "superseded", FIRST: "superseded"}


@pytest.mark.parametrize("catalog", ["sqlite", "postgresql"])
def test_rollback_against_publish_at_once(catalog: str, tmp_path: Path, encoded_title: Encoded) -> None:
    """Whoever comes second sees what the first did: there is one live version at every moment, and no update is lost."""
    with ExitStack() as running:
        changes = {}
        if catalog == "postgresql":
            try:
                changes = {"catalog_url": running.enter_context(servers.postgresql())}
            except servers.Unavailable as problem:
                pytest.skip(str(problem))
        house = House(tmp_path, encoded_title, **changes)
        house.publish(SECOND, age=1)
        standing = house.live
        together = threading.Barrier(4)
        outcomes: list[str] = []

        def attempt(version: str) -> None:
            together.wait(20)
            try:
                with house.catalog() as opened:
                    opened.change(TITLE, make_live(version, instead_of=standing))
                outcomes.append("live")
            except CatalogFailed:
                outcomes.append("overtaken")

        def publish(record: Record) -> None:
            together.wait(20)
            with house.catalog() as opened:
                opened.publish(record, "f")
            outcomes.append("published")

        new = [house.record.model_copy(update={"version": f"2026113{n}T000000Z-{n * 6}"}) for n in "01"]
        threads = [threading.Thread(target=attempt, args=(FIRST,)) for _ in range(2)]
        threads += [threading.Thread(target=publish, args=(record,)) for record in new]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(outcomes)[-2:] == ["published", "published"]
        assert len(outcomes) == 4
        assert list(house.states.values()).count("live") == 1


# -- with ingests ------------------------------------------------------------------------------------------------------------------------


def test_a_withdrawn_title_does_not_come_back_by_an_ingest_that_a_script_repeats(tmp_path: Path, encoded_title: Encoded) -> None:
    house = House(tmp_path, encoded_title)
    withdraw(TitleRequest(content_id=TITLE), house.settings)
    with pytest.raises(UsageError, match="was withdrawn") as failure:
        run(FIXTURES / "one-second.mp4", house.settings, content_id=TITLE)
    assert failure.value.id == "withdrawn-title", "an inbox leaves it to a person"
    assert "catalog restore title" in str(failure.value.fix)
    assert "--replace" in str(failure.value.fix)
    assert house.objects().keys() == {FIRST}
    done = run(FIXTURES / "one-second.mp4", house.settings, content_id=TITLE, replace=True).record
    assert (done.title, done.metadata) == ("Film", {"season": "1"}), "what was not named is kept"
    assert house.states == {done.version: "live", FIRST: "superseded"}


def test_what_was_withdrawn_is_published_anew_on_request_even_if_nothing_changed(tmp_path: Path) -> None:
    configured, source = settings(tmp_path, 90), FIXTURES / "one-second.mp4"
    first = run(source, configured, content_id="film").record
    withdraw(TitleRequest(content_id="film"), configured)
    again = run(source, configured, content_id="film", replace=True)
    assert live(configured, "film") == again.record
    assert (again.unchanged, again.record.version == first.version) == (False, False)
    assert Path(again.address).is_file()


@pytest.mark.parametrize("what", ["withdrawn", "replaced"])
def test_an_ingest_publishes_only_what_it_began_with(
    what: str, tmp_path: Path, encoded_title: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes hours; meanwhile the title is withdrawn, or another machine publishes another source under its id."""
    house = House(tmp_path, encoded_title)
    from vidpipe.pipeline import ingest as module

    make = module.make_sharing

    def meanwhile(*args: object) -> object:
        if what == "withdrawn":
            withdraw(TitleRequest(content_id=TITLE), house.settings)
        else:
            house.publish(SECOND, age=0)
        return make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "make_sharing", meanwhile)
    with pytest.raises(VidpipeError, match="has changed title meanwhile") as failure:
        run(FIXTURES / "one-second.mp4", house.settings, content_id=TITLE, replace=True)
    assert not isinstance(failure.value, PublishFailed)
    assert failure.value.exit_code == 7
    monkeypatch.undo()
    assert house.states == ({FIRST: "withdrawn"} if what == "withdrawn" else {SECOND: "live", FIRST: "superseded"})
    done = run(FIXTURES / "one-second.mp4", house.settings, content_id=TITLE, replace=True)
    assert done.artifacts_reused == done.artifacts > 0
    assert next(iter(house.states.items())) == (done.record.version, "live")
    assert house.objects().keys() == house.states.keys(), "the version that was refused is the one that was continued"
