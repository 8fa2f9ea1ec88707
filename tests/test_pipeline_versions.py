"""versions, with whole ingests: what is live stays live, what was left unfinished is continued or removed, nothing is made twice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretBytes

from tests.ingest_support import FIXTURES, Recorder, published, run, settings, version
from tests.servers import S3Server
from vidpipe.catalog.store import Catalog
from vidpipe.doctor import examine
from vidpipe.errors import CatalogFailed, EncodeFailed, PublishFailed, UsageError
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.pipeline.succession import Description
from vidpipe.pipeline.versions import begin, give_up, redescribed
from vidpipe.progress import Event, Silent
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.key_uses import KeyUse
from vidpipe.settings import Settings
from vidpipe.work.jobs import Claim, JobNote, claim, unfinished

CLIP = FIXTURES / "one-second.mp4"

pytestmark = pytest.mark.usefixtures("encoded_before")


def live_version(configured: Settings, content_id: str) -> str | None:
    catalog = Catalog(configured.catalog_url)
    live = catalog.live(content_id)
    catalog.close()
    return live[0].version if live else None


def test_an_unfinished_ingest_is_given_up(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    job = JobNote(content_id="film", fingerprint="f", version="v1", target=configured.target)
    left = Path(configured.target) / "film" / "v1" / "video" / "90p" / "00001.m4s"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"uploaded before the machine died")
    with claim(configured.work, "film") as held:
        held.save(job)
        assert give_up(configured) == (), "it is running"
    assert give_up(configured) == ("film",)
    assert published(Path(configured.target)) == []
    assert give_up(configured) == ()


@pytest.mark.parametrize("kept", [True, False], ids=["says that it is kept", "of a vidpipe that did not know"])
def test_a_note_never_costs_a_version_in_the_catalog_its_key(kept: bool, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(CLIP, configured, content_id="film")
    note = JobNote(
        content_id="film",
        fingerprint="f",
        version="v2",
        target=configured.target,
        key_ids=result.record.encryption.key_ids,
        keys_kept=kept,
    )
    with claim(configured.work, "film") as held:
        held.save(note)
    assert give_up(configured) == ("film",)
    assert keys_of(configured) == used(configured) == set(result.record.encryption.key_ids)
    with claim(configured.work, "film") as held:
        held.save(note)
    run(CLIP, configured, content_id="film", title="New")
    assert keys_of(configured) == used(configured) == set(result.record.encryption.key_ids)


class Died(BaseException):
    """The machine."""


@pytest.fixture
def survivor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, str]:
    """A title whose run died after the catalog was written and before the note was removed."""
    configured = settings(tmp_path, 90)

    def die(self: Claim) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(Claim, "finish", die)
        with pytest.raises(Died):
            run(CLIP, configured, content_id="film")
    live = live_version(configured, "film")
    assert live is not None
    return configured, live


def test_a_live_version_is_never_given_up(survivor: tuple[Settings, str]) -> None:
    configured, live = survivor
    before = published(Path(configured.target))
    assert give_up(configured) == ()
    assert published(Path(configured.target)) == before
    assert run(CLIP, configured, content_id="film").unchanged
    assert live_version(configured, "film") == live


def test_a_live_version_survives_the_next_one_and_its_failure(survivor: tuple[Settings, str], monkeypatch: pytest.MonkeyPatch) -> None:
    configured, live = survivor
    before = published(Path(configured.target))

    def fail(*arguments: object, **options: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.making.verify", fail)
        with pytest.raises(Died):
            run(CLIP, configured, content_id="film", title="Another name")
    assert published(Path(configured.target)) == before
    assert live_version(configured, "film") == live


def test_what_fails_after_the_commit_removes_nothing(tmp_path: Path) -> None:
    class Fails:
        def emit(self, event: Event) -> None:
            if event.event == "stage_finished" and event.stage == "catalog":
                raise Died

    configured = settings(tmp_path, 90)
    with pytest.raises(Died):
        ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, Fails())
    live = live_version(configured, "film")
    assert live is not None
    assert f"film/{live}/master.m3u8" in published(Path(configured.target))


@pytest.mark.parametrize("problem", [PermissionError(13, "Permission denied"), EncodeFailed("the disk is full")], ids=["OS", "vidpipe"])
def test_what_cannot_be_tidied_up_after_the_commit_is_a_warning(
    problem: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Claim) -> None:
        raise problem

    configured, recorder = settings(tmp_path, 90), Recorder()
    monkeypatch.setattr(Claim, "finish", fail)
    result = ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, recorder)
    assert live_version(configured, "film") == result.record.version
    (warning,) = recorder.warnings
    assert warning.endswith(f"is live, but cleaning up failed: {problem}")


def test_an_unfinished_version_at_a_dead_target_does_not_block_the_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    S3Server("http://127.0.0.1:1", "test", "test-secret").use(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with claim(configured.work, "film") as held:
        held.save(JobNote(content_id="film", fingerprint="f", version="v1", target="s3://gone/titles"))
    with pytest.raises(PublishFailed):
        give_up(configured)
    recorder = Recorder()
    result = ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, recorder)
    assert version(result).is_dir()
    assert any("could not be removed" in note.text for note in recorder.named("note"))


class Killed:
    """A Reporter that kills the run when its playlists are to be written."""

    def emit(self, event: Event) -> None:
        if event.event == "stage_started" and event.stage == "manifest":
            raise Died


def keys_of(configured: Settings) -> set[str]:
    return {info.key_id for info in KeyStore(configured.keys).find()}


def used(configured: Settings) -> set[str]:
    with Catalog(configured.catalog_url) as catalog:
        return {key_id for title in catalog.list() for known in catalog.versions(title.content_id) for key_id in known.encryption.key_ids}


def killed(configured: Settings, monkeypatch: pytest.MonkeyPatch, **request: Any) -> None:
    """Run until the playlists, and die without any clean-up."""
    with monkeypatch.context() as patch:
        patch.setattr("vidpipe.pipeline.ingest.abandon", lambda *_: None)
        with pytest.raises(Died):
            ingest(IngestRequest(source=str(CLIP), **request), configured, Killed())


def test_killed_runs_leave_no_key_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    run(CLIP, configured, content_id="film")
    run(CLIP, configured, content_id="film", new_key=True)  # the older version is superseded: its key stays
    killed(configured, monkeypatch, content_id="film", title="New")
    killed(configured, monkeypatch, content_id="film", title="Newer")
    killed(configured, monkeypatch, content_id="film", title="Newer")
    killed(configured, monkeypatch, content_id="other")
    assert len(keys_of(configured)) == len(used(configured)) + 1, "what can be continued has its key: another's, or its own"
    run(CLIP, configured, content_id="film", title="Newer")
    assert give_up(configured) == ("other",)
    assert keys_of(configured) == used(configured)
    assert len(used(configured)) == 2


def test_a_version_that_another_machine_has_overtaken_leaves_nothing(tmp_path: Path) -> None:
    """Both make the same title; the slower one finds it live when it is run again, and its own version is in nobody's way."""
    shared = {"target": str(tmp_path / "library"), "catalog_url": f"sqlite:///{tmp_path / 'catalog.db'}"}
    slow, fast = (settings(tmp_path / name, 90, **shared) for name in ("slow", "fast"))

    class Overtaken:
        def emit(self, event: Event) -> None:
            if event.event == "stage_started" and event.stage == "catalog":
                run(CLIP, fast, content_id="film")

    with pytest.raises(CatalogFailed, match="another command has changed film"):
        ingest(IngestRequest(source=str(CLIP), content_id="film"), slow, Overtaken())
    assert len(published(slow.work / "jobs")) == len(keys_of(slow)) == 1, "it could be continued"
    result = run(CLIP, slow, content_id="film")
    assert result.unchanged
    assert (published(slow.work / "jobs"), keys_of(slow)) == ([], set())
    assert {path.split("/")[1] for path in published(tmp_path / "library")} == {result.record.version, "master.m3u8"}


def test_an_unfinished_version_of_other_words_stays_when_the_old_ones_are_ingested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = settings(tmp_path, 90)
    run(CLIP, configured, content_id="film", title="Old")
    killed(configured, monkeypatch, content_id="film", title="New")
    before = published(configured.work / "jobs")
    assert run(CLIP, configured, content_id="film", title="Old").unchanged
    assert published(configured.work / "jobs") == before != []


def test_a_run_that_is_killed_before_its_key_is_made_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(KeyStore, "create", die)
        with pytest.raises(Died):
            run(CLIP, configured, content_id="film")
    run(CLIP, configured, content_id="film")
    assert keys_of(configured) == used(configured) != set()


@pytest.mark.parametrize("then", ["the catalog does not answer", "the key cannot be removed"])
def test_what_fails_first_is_what_is_said(then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note stays, so that its keys can be forgotten later."""

    def failing(problem: Exception) -> Any:
        def fail(*_: object) -> None:
            raise problem

        return fail

    configured, keys = settings(tmp_path, 90), KeyStore(tmp_path / "keys", bytes(32))
    monkeypatch.setattr(KeyStore, "create", failing(UsageError("the disk is full")))
    if then == "the key cannot be removed":
        monkeypatch.setattr(KeyStore, "remove", failing(UsageError(then)))
    else:
        monkeypatch.setattr(Catalog, "versions", failing(CatalogFailed(then)))
    refused = pytest.raises(UsageError, match="the disk is full")
    with Catalog(configured.catalog_url) as catalog, claim(configured.work, "film") as held, refused:
        begin(held, catalog, configured, keys, "film", "f", Silent(), uses=(KeyUse(),), fresh=False)
    left = unfinished(configured.work, "film")
    assert left is not None
    assert left.catalog == catalog.where, "no other one has to do with it"


def test_notes_stay_while_the_catalog_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured = settings(tmp_path, 90)
    killed(configured, monkeypatch, content_id="film")
    before = published(configured.work / "jobs")
    (configured.home / "catalog.db").write_bytes(b"no database " * 100)
    with pytest.raises(CatalogFailed):
        give_up(configured)
    with pytest.raises(CatalogFailed):
        run(CLIP, configured, content_id="film")
    assert published(configured.work / "jobs") == before


def test_another_master_key_is_reported_before_the_encode(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    run(CLIP, configured, content_id="film")
    other = configured.model_copy(update={"master_key": SecretBytes(b"x" * 32)})
    recorder = Recorder()
    ingest(IngestRequest(source=str(CLIP), content_id="second"), other, recorder)
    names = [event.event for event in recorder.events]
    warned = [n for n, event in enumerate(recorder.events) if event.event == "note" and "another master key" in event.text]
    assert len(warned) == 1
    assert warned[0] < names.index("encode_planned")
    checks = {check.name: check for check in examine(other, {})}
    assert (checks["keys"].state, "1 of 2" in checks["keys"].detail, "film" in checks["keys"].detail) == ("warning", True, True)
    quiet = Recorder()
    ingest(IngestRequest(source=str(CLIP), content_id="third"), settings(tmp_path / "own", 90), quiet)
    assert not any("master key" in note.text for note in quiet.named("note"))


def test_how_the_work_is_cut_makes_no_new_version(tmp_path: Path) -> None:
    first = run(CLIP, settings(tmp_path, 90))
    again = run(CLIP, settings(tmp_path, 90, chunk_seconds=Fraction(60)))
    assert again.unchanged
    assert again.record == first.record
    words = {"a": "1", "b": "2"}
    kept, given = (Description(title="A", metadata=dict(pairs)) for pairs in (words.items(), reversed(words.items())))
    assert redescribed("media-before", kept) == redescribed("media-now", given) != "media-now", "a database may keep no order of keys"


def test_the_note_of_another_catalog_is_left_to_it(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    run(CLIP, configured, content_id="film")
    note = JobNote(content_id="film", fingerprint="f", version="v2", target=configured.target, catalog="postgresql://elsewhere/vod")
    with claim(configured.work, "film") as held:
        held.save(note)
    assert run(CLIP, configured, content_id="film").unchanged
    assert unfinished(configured.work, "film") == note
