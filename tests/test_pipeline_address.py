"""The address of a title, {content_id}/master.m3u8: it plays the live version, and it is the last thing that changes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, live, run, settings, tree, version
from tests.inventory_support import inventory
from tests.playback import barcodes
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, SourceFile
from vidpipe.catalog.store import Catalog
from vidpipe.errors import CatalogFailed
from vidpipe.inspect.inspection import inspect
from vidpipe.inventory import Inventory
from vidpipe.lifecycle.titles import TitleRequest
from vidpipe.lifecycle.withdrawal import withdraw
from vidpipe.manifest.dash.mpd import from_above, write_mpd
from vidpipe.manifest.master import write_master
from vidpipe.manifest.relocated import relocated
from vidpipe.pipeline.address import NotFlipped, Unplayable, flip, is_flipped, show, take_down
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest
from vidpipe.publish.result import ObjectEntry
from vidpipe.settings import Settings
from vidpipe.storage import open_storage
from vidpipe.storage.local import LocalStorage

CLIP = FIXTURES / "portrait-25.mp4"
BASE = "https://media.example.com/vod"


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings, IngestResult]:
    """A folder with a title that plays without a key, and what was made there. Beside it lies a copy of all of it, as it was then."""
    folder = tmp_path_factory.mktemp("address") / "now"
    configured = settings(folder, 90, encrypt="none")
    made = run(CLIP, configured, content_id="film")
    shutil.copytree(folder, folder.with_name("then"))
    return folder, configured, made


@pytest.fixture
def title(published_once: tuple[Path, Settings, IngestResult]) -> tuple[Settings, IngestResult]:
    """That title, whatever tests have done to it: records name whole paths, so that it has to lie where it lay."""
    folder, configured, made = published_once
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("then"), folder)
    return configured, made


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
    """Spoils the address a few times after it was written. times: how often."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self.times = times

    def get(self, path: str, sha256: str | None = None, *, size: int | None = None) -> bytes:
        if path == "film/master.m3u8" and self.times:
            self.times -= 1
            (self.root / path).write_bytes(b"#EXTM3U\n")
        return super().get(path, sha256, size=size)


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
    before = tree(configured.home.parent)
    other = LocalStorage(tmp_path / "other")
    with closing(Catalog(configured.catalog_url)) as catalog:
        flip(other, catalog, "film")
    assert is_flipped(other, made.record)
    assert not other.root.exists()
    assert {path: data for path, data in tree(configured.home.parent).items() if "catalog.db" not in path} == {
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
    program.write_text(f"#!/bin/sh\n(echo $1; cat) >> {configured.home}/purged\nexit 1\n")
    program.chmod(0o755)
    configured, heard = configured.model_copy(update={"cdn": f"command:{program}"}), Recorder()
    address(configured).unlink()
    address(configured).mkdir()  # it is not taken
    playback_ = made.record.playback.model_copy(update={"dash": None})
    live_ = Overtaken(made.record.model_copy(update={"playback": playback_}))
    with pytest.raises(NotFlipped):
        show(LocalStorage(Path(configured.target)), live_, "film", configured, heard)  # type: ignore[arg-type]
    assert not dash.exists()
    assert [warning.endswith("; its caches forget it within 60 s") for warning in heard.warnings] == [True], "if it fails, too"
    assert (configured.home / "purged").read_text().split() == ["film", "film/manifest.mpd"]


# --- without an encode: a version whose manifests are text alone --------------------------------------------------------

PREFIX = "film/20261120T221500Z-3fa9c1"


def put(storage: LocalStorage, path: str, text: str) -> None:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    storage.put(path, text.encode(), content_type="text/plain", cache_control="no-store", sha256=sha256)


def clear(**changes: Any) -> Inventory:
    """Return an inventory of tracks that are not encrypted, which DASH can carry."""
    made = inventory(**changes)
    media = {
        kind: tuple(track.model_copy(update={"scheme": "none", "delay": 0}) for track in getattr(made, kind)) for kind in ("video", "audio")
    }
    return made.model_copy(update={**media, "subtitles": tuple(text.model_copy(update={"scheme": "none"}) for text in made.subtitles)})


def known(storage: LocalStorage, **texts: str) -> tuple[Inventory, Record]:
    """Return the inventory of a version with these manifests, as they were published, and its record."""
    formats = ("hls", "dash") if "mpd" in texts else ("hls",)
    names = {"m3u8": "master.m3u8", "mpd": "manifest.mpd"}
    objects = {
        names[kind]: ObjectEntry(size=len(text), sha256=hashlib.sha256(text.encode()).hexdigest()) for kind, text in texts.items()
    }
    made = clear(formats=formats, objects=objects)
    source = SourceFile(name="film.mp4", sha256="ab" * 32, size=1)
    return made, record_of(made, source, title="Film", metadata={}, location=lambda path: storage.location(f"{PREFIX}/{path}"))


@pytest.fixture
def vod(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "vod")


def test_what_the_address_has_to_say_follows_from_the_inventory(vod: LocalStorage) -> None:
    """An unchanged ingest reads no manifest; it only asks for the hash of what lies at each address."""
    blank = clear()
    text = write_master(blank.video, blank.audio, blank.subtitles)
    made, record = known(vod, m3u8=text)
    assert not is_flipped(vod, record, made), "there is no address"
    put(vod, "film/master.m3u8", relocated(text, made.version))
    assert is_flipped(vod, record, made)
    put(vod, "film/manifest.mpd", "of a version before it")
    assert not is_flipped(vod, record, made), "this version has no DASH"


def test_an_older_vidpipe_wrote_its_manifests_in_other_words(vod: LocalStorage) -> None:
    """What was published counts, not what would be written today: the address would be written again with every run."""
    older = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nvideo-90p.m3u8\n"
    made, record = known(vod, m3u8=older)
    put(vod, f"{PREFIX}/master.m3u8", older)
    put(vod, "film/master.m3u8", relocated(older, made.version))
    assert is_flipped(vod, record, made)
    assert is_flipped(vod, record)


def test_what_is_lost_of_one_address_hides_nothing_that_is_wrong_with_the_other(vod: LocalStorage) -> None:
    _, record = known(vod, m3u8="#EXTM3U\n", mpd="<MPD/>")
    put(vod, f"{PREFIX}/master.m3u8", "#EXTM3U\n")
    assert not is_flipped(vod, record), "the playlist is not there, whatever became of the manifest"
    put(vod, "film/master.m3u8", "#EXTM3U\n")
    with pytest.raises(Unplayable, match="its DASH manifest is lost"):
        is_flipped(vod, record)
    (vod.root / PREFIX / "manifest.mpd").write_bytes(b"\xff")
    with pytest.raises(Unplayable, match="its DASH manifest cannot be read"):
        is_flipped(vod, record)


def test_a_manifest_at_its_address_follows_from_the_inventory_too(vod: LocalStorage) -> None:
    blank = clear(formats=("hls", "dash"))
    texts = {"m3u8": write_master(blank.video, blank.audio, blank.subtitles), "mpd": write_mpd(blank)}
    made, record = known(vod, **texts)
    put(vod, "film/master.m3u8", relocated(texts["m3u8"], made.version))
    put(vod, "film/manifest.mpd", texts["mpd"])
    assert not is_flipped(vod, record, made), "its paths are those of a folder below"
    put(vod, "film/manifest.mpd", from_above(texts["mpd"], made.version))
    assert is_flipped(vod, record, made)


def test_whether_another_run_helps_is_said(vod: LocalStorage) -> None:
    """What the version has lost is Unplayable, and repair goes on with other things; a target that refuses may take it next time."""
    _, record = known(vod, m3u8="#EXTM3U\n", mpd="<MPD/>")
    put(vod, f"{PREFIX}/manifest.mpd", "<MPD/>")
    with pytest.raises(Unplayable, match="its master playlist is lost"):
        flip(vod, Overtaken(record), "film")  # type: ignore[arg-type]
    put(vod, f"{PREFIX}/master.m3u8", "#EXTM3U\n")
    (vod.root / PREFIX / "manifest.mpd").unlink()
    with pytest.raises(Unplayable, match="its DASH manifest is lost") as lost:
        flip(vod, Overtaken(record), "film")  # type: ignore[arg-type]
    assert lost.value.changed == {"film/master.m3u8"}, "one that is lost keeps no other from being put right"
    (vod.root / "film" / "master.m3u8").unlink()
    (vod.root / "film" / "master.m3u8").mkdir()
    put(vod, f"{PREFIX}/manifest.mpd", "<MPD/>")
    with pytest.raises(NotFlipped) as refused:
        flip(vod, Overtaken(record), "film")  # type: ignore[arg-type]
    assert not isinstance(refused.value, Unplayable)


def forgetting(folder: Path, *, fails: bool = False) -> Settings:
    """Settings with a CDN that writes down which paths it is asked to forget."""
    program = folder / "purge"
    program.write_text(f"#!/bin/sh\ncat >> {folder}/purged\nexit {int(fails)}\n")
    program.chmod(0o755)
    return settings(folder, 90, cdn=f"command:{program}")


@pytest.mark.parametrize("dash", [False, True])
def test_the_cdn_is_asked_to_forget_what_there_is(dash: bool, vod: LocalStorage, tmp_path: Path) -> None:
    texts = {"m3u8": "#EXTM3U\n"} | ({"mpd": "<MPD/>"} if dash else {})
    _, record = known(vod, **texts)
    for kind, text in texts.items():
        put(vod, f"{PREFIX}/{'manifest.mpd' if kind == 'mpd' else 'master.m3u8'}", text)
    heard = Recorder()
    show(vod, Overtaken(record, record), "film", forgetting(tmp_path), heard)  # type: ignore[arg-type]
    assert set((tmp_path / "purged").read_text().split()) == {"film/master.m3u8"} | ({"film/manifest.mpd"} if dash else set())
    assert heard.events == []


@pytest.mark.parametrize("fails", [False, True])
def test_of_a_title_that_is_taken_down_the_cdn_forgets_everything(fails: bool, vod: LocalStorage, tmp_path: Path) -> None:
    """Its segments may be cached for days: whoever takes it down has to know if they are."""
    put(vod, "film/master.m3u8", "#EXTM3U\n")
    heard = Recorder()
    take_down(vod, Overtaken(None, None), "film", forgetting(tmp_path, fails=fails), heard)  # type: ignore[arg-type]
    assert not (vod.root / "film" / "master.m3u8").exists()
    assert (tmp_path / "purged").read_text().split() == ["film/*"]
    assert [warning.endswith("purge film/* by hand: segments may be cached for days") for warning in heard.warnings] == [True] * fails
