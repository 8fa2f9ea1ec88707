"""The address of a title, {content_id}/master.m3u8: it plays the live version, and it is the last thing that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, live, run, settings, tree, version
from tests.playback import barcodes
from vidpipe.catalog.record import Record
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.pipeline.address import NotFlipped, flip, is_flipped, show
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.base import Damaged
from vidpipe.storage.local import LocalStorage

CLIP = FIXTURES / "portrait-25.mp4"
BASE = "https://media.example.com/vod"


@pytest.fixture
def title(tmp_path: Path) -> tuple[Settings, IngestResult]:
    """A title that plays without a key."""
    configured = settings(tmp_path, 90, encrypt="none")
    return configured, run(CLIP, configured, content_id="film")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[servers.S3Server]:
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        yield running


def address(configured: Settings) -> Path:
    return Path(configured.target) / "film" / "master.m3u8"


def frames_of(playlist: Path) -> int:
    return len(barcodes.read_barcodes(playlist))


def test_the_address_plays_what_the_version_plays(title: tuple[Settings, IngestResult]) -> None:
    configured, made = title
    assert made.address == str(address(configured))
    assert frames_of(address(configured)) == frames_of(Path(made.manifest)) == 75
    assert inspect(made.address).problems == ()
    assert inspect(str(address(configured).parent)).inventory == inspect(made.manifest).inventory


def test_it_moves_on_to_the_next_version(title: tuple[Settings, IngestResult]) -> None:
    configured, first = title
    second = run(CLIP, configured, content_id="film", title="Another")
    text = address(configured).read_text()
    assert second.record.version in text
    assert first.record.version not in text


@pytest.mark.parametrize("loss", ["gone", "another", "empty"])
def test_the_same_again_puts_the_address_right(loss: str, title: tuple[Settings, IngestResult]) -> None:
    configured, made = title
    right = address(configured).read_bytes()
    address(configured).unlink()
    if loss != "gone":
        other = right.replace(made.record.version.encode(), b"20200101T000000Z-000000")
        address(configured).write_bytes(other if loss == "another" else b"")
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, recorder)
    assert (again.unchanged, address(configured).read_bytes()) == (True, right)
    assert recorder.warnings == [f"{made.address} did not play version {made.record.version} of film, and does now"]
    quiet = Recorder()
    ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, quiet)
    assert not quiet.named("note")


def test_a_restored_title_has_its_address_again(title: tuple[Settings, IngestResult]) -> None:
    configured, made = title
    right = address(configured).read_bytes()
    address(configured).unlink()
    (version(made) / "video/90p/00001.m4s").unlink()
    again = run(CLIP, configured, content_id="film")
    assert (again.restored, address(configured).read_bytes()) == (1, right)


def test_a_target_that_does_not_take_it_is_a_failure_of_a_live_title(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none")
    address(configured).mkdir(parents=True)
    with pytest.raises(NotFlipped, match=r"film is live as version .*, but its address does not play that version yet") as failed:
        run(CLIP, configured, content_id="film")
    assert (failed.value.exit_code, failed.value.where) == (5, str(address(configured)))
    record = live(configured, "film")
    assert record
    address(configured).rmdir()
    again = run(CLIP, configured, content_id="film")
    assert (again.unchanged, again.record.version) == (True, record.version)
    assert record.version in address(configured).read_text()


class Fickle(LocalStorage):
    """Gives the address back wrong a few times. times: how often."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.times = times

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        data = super().get(path, sha256, size=size)
        if path == "film/master.m3u8" and self.times:
            self.times -= 1
            raise Damaged.of(data[:-1], path)
        return data


@pytest.mark.parametrize(("times", "well"), [(2, True), (3, False)])
def test_what_was_written_is_read_back(times: int, well: bool, title: tuple[Settings, IngestResult]) -> None:
    configured, _ = title
    right = address(configured).read_bytes()
    address(configured).unlink()
    with closing(Catalog(configured.catalog_url)) as catalog:
        if well:
            flip(Fickle(Path(configured.target), times), catalog, "film")
            assert address(configured).read_bytes() == right
        else:
            with pytest.raises(NotFlipped, match="other bytes than were sent"):
                flip(Fickle(Path(configured.target), times), catalog, "film")


class Overtaken:
    """A catalog in which another version becomes live while the address is written."""

    def __init__(self, *records: Record | None) -> None:
        self.answers: Iterator[Record | None] = iter(records)

    def live(self, content_id: str) -> Any:
        found = next(self.answers)
        return (found, "fingerprint") if found else None


def test_who_was_overtaken_writes_the_later_version(title: tuple[Settings, IngestResult]) -> None:
    configured, first = title
    second = run(CLIP, configured, content_id="film", title="Another").record
    storage = LocalStorage(Path(configured.target))
    flip(storage, Overtaken(first.record, second, second, second), "film")  # type: ignore[arg-type]
    assert is_flipped(storage, second)
    assert not is_flipped(storage, first.record)
    flip(storage, Overtaken(second, None, None, None), "film")  # type: ignore[arg-type]
    assert not address(configured).exists()


def test_a_fight_that_nobody_wins_is_given_up(title: tuple[Settings, IngestResult]) -> None:
    configured, first = title
    second = run(CLIP, configured, content_id="film", title="Another")
    endless = Overtaken(*[first.record, second.record] * 20)
    with pytest.raises(NotFlipped, match="again and again") as failed:
        flip(LocalStorage(Path(configured.target)), endless, "film")  # type: ignore[arg-type]
    assert (failed.value.where, failed.value.fix) == (str(address(configured)), "run: vidpipe repair film")


def test_a_catalog_that_cannot_be_asked_leaves_the_address_as_it_is(title: tuple[Settings, IngestResult]) -> None:
    class Gone(Overtaken):
        def live(self, content_id: str) -> Any:
            raise CatalogFailed(f"the catalog cannot be reached for {content_id}")

    configured, _ = title
    before = address(configured).read_bytes()
    with pytest.raises(NotFlipped, match="cannot be reached for film") as failed:
        flip(LocalStorage(Path(configured.target)), Gone(), "film")  # type: ignore[arg-type]
    assert (failed.value.where, failed.value.exit_code) == (str(address(configured)), 5)
    assert address(configured).read_bytes() == before


def test_an_address_of_no_live_title_is_removed(title: tuple[Settings, IngestResult]) -> None:
    configured, _ = title
    with closing(Catalog(configured.home / "another.db")) as empty:
        flip(LocalStorage(Path(configured.target)), empty, "film")
    assert not address(configured).exists()


def test_an_address_that_is_not_removed_is_not_taken_for_gone(
    title: tuple[Settings, IngestResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured, _ = title
    monkeypatch.setattr(LocalStorage, "delete", lambda *_: None)  # a server that answers 204 and keeps it
    with pytest.raises(NotFlipped, match="no longer live, but its address still plays it: the object was deleted, and is still there"):
        withdraw(TitleRequest(content_id="film"), configured)
    monkeypatch.undo()
    assert withdraw(TitleRequest(content_id="film"), configured).unchanged
    assert not address(configured).exists()


def test_a_title_that_was_published_elsewhere_is_left_alone(title: tuple[Settings, IngestResult], tmp_path: Path) -> None:
    configured, made = title
    before = tree(tmp_path)
    other = LocalStorage(tmp_path / "other")
    with closing(Catalog(configured.catalog_url)) as catalog:
        flip(other, catalog, "film")
    assert is_flipped(other, made.record)
    assert {path: data for path, data in tree(tmp_path).items() if "catalog.db" not in path} == {
        path: data for path, data in before.items() if "catalog.db" not in path
    }


def test_public_urls_stand_in_record_result_and_events(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none", public_url=BASE)
    recorder = Recorder()
    made = ingest(IngestRequest(source=str(CLIP), content_id="film"), configured, recorder)
    playback_ = made.record.playback
    assert playback_.title_url == f"{BASE}/film/master.m3u8"
    assert playback_.url == f"{BASE}/film/{made.record.version}/master.m3u8"
    (event,) = recorder.named("live")
    assert (event.version, event.manifest, event.url, event.title_url) == (
        made.record.version, made.manifest, playback_.url, playback_.title_url
    )  # fmt: skip
    assert recorder.events[-1] is event
    again = run(CLIP, configured, content_id="film")
    assert again.unchanged
    moved = run(CLIP, configured.model_copy(update={"public_url": "https://other.example"}), content_id="film")
    assert (moved.record.playback.title_url, moved.artifacts) == ("https://other.example/film/master.m3u8", 0)


def test_at_s3_it_is_short_lived_and_plain(server: servers.S3Server, tmp_path: Path) -> None:
    target = f"s3://{server.bucket}/vod"
    configured = settings(tmp_path, 90, target=target, gzip_playlists=True)
    made = run(CLIP, configured, content_id="film")
    with closing(open_storage(target)) as storage:
        stored = storage.head("film/master.m3u8")
        text = storage.get("film/master.m3u8")
        assert stored
        assert (stored.cache_control, stored.content_type) == ("public, max-age=60", "application/vnd.apple.mpegurl")
        assert (stored.content_encoding, stored.sha256) == (None, hashlib.sha256(text).hexdigest())
        assert text.startswith(b"#EXTM3U\n")
        assert f"\n{made.record.version}/video-90p.m3u8\n".encode() in text
        assert is_flipped(storage, made.record)
    assert inspect(f"{target}/film/master.m3u8").problems == ()


def test_inspect_sees_an_address_that_does_not_play_its_version(title: tuple[Settings, IngestResult]) -> None:
    configured, _ = title
    address(configured).write_bytes(address(configured).read_bytes().replace(b"BANDWIDTH=", b"BANDWIDTH=1", 1))
    assert any("does not say what the master playlist" in problem for problem in inspect(str(address(configured))).problems)


def test_the_cdn_forgets_what_was_removed_although_the_rest_failed(title: tuple[Settings, IngestResult]) -> None:
    configured, made = title
    dash = address(configured).with_name("manifest.mpd")
    program = configured.home / "purge"
    program.write_text(f"#!/bin/sh\ncat >> {configured.home}/purged\n")
    program.chmod(0o755)
    configured = configured.model_copy(update={"cdn": f"command:{program}"})
    address(configured).unlink()
    address(configured).mkdir()  # it is not taken
    playback_ = made.record.playback.model_copy(update={"dash": None})
    live_ = Overtaken(made.record.model_copy(update={"playback": playback_}))
    with pytest.raises(NotFlipped):
        show(LocalStorage(Path(configured.target)), live_, "film", configured, Recorder())  # type: ignore[arg-type]
    assert not dash.exists()
    assert (configured.home / "purged").read_text().split() == ["film/manifest.mpd"]
