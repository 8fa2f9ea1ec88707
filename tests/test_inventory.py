"""inventory: what finishes a version is read back before it is live, and what a target loses of it later is noticed and put back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import boto3
import pytest

from tests import playback, servers
from tests.fault_proxy import Proxy, faulty
from tests.ingest_support import FIXTURES, Recorder, joined, run, settings, version
from vidpipe.catalog.record import Record
from vidpipe.catalog.store import Catalog
from vidpipe.errors import VerificationFailed
from vidpipe.inventory import Inventory, loss
from vidpipe.pipeline import IngestRequest, IngestResult, ingest
from vidpipe.settings import Settings
from vidpipe.storage import open_storage

CLIP = FIXTURES / "one-second.mp4"


def live(configured: Settings, content_id: str) -> Record | None:
    with closing(Catalog(configured.catalog_url)) as catalog:
        found = catalog.live(content_id)
    return found[0] if found else None


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[servers.S3Server, Proxy]]:
    with servers.moto() as server, faulty(server) as (reached, between):
        reached.use(monkeypatch, tmp_path)
        yield reached, between


@pytest.mark.parametrize(
    ("name", "fault", "times"),
    [
        ("record.json", "lost", 99),
        ("record.json", "cut", 99),
        ("record.json", "cut", 1),
        ("inventory.json", "lost", 1),
        ("inventory.json", "cut", 99),
    ],
)
def test_a_put_that_is_answered_and_not_done_is_never_live(
    name: str, fault: str, times: int, proxy: tuple[servers.S3Server, Proxy], tmp_path: Path
) -> None:
    server, between = proxy
    left = [times]

    def once(method: str, path: str) -> str:
        if method == "PUT" and path.endswith(name) and left[0]:
            left[0] -= 1
            return fault
        return "pass"

    between.fault = once
    configured = settings(tmp_path, 90, target=f"s3://{server.bucket}/vod", encrypt="none")
    if times > 1:
        with pytest.raises(VerificationFailed) as refused:
            run(CLIP, configured, content_id="film")
        assert name in str(refused.value)
        assert live(configured, "film") is None
        return
    result = run(CLIP, configured, content_id="film")
    with closing(open_storage(configured.target)) as storage:
        found = loss(storage, result.record)
        assert found is not None
        assert not found.paths
        assert Record.model_validate_json(storage.get(f"film/{result.record.version}/record.json")) == result.record
    assert left == [0]


def test_the_inventory_names_every_object(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(CLIP, configured)
    names = set(tree(version(result)))
    inventory = Inventory.model_validate_json((version(result) / "inventory.json").read_bytes())
    assert set(inventory.objects) == names - {"inventory.json", "record.json"}
    assert all((version(result) / name).stat().st_size == entry.size for name, entry in inventory.objects.items())


def _remove(*names: str) -> Callable[[Path], int]:
    def lose(folder: Path) -> int:
        for name in names:
            (folder / name).unlink()
        return len(names)

    return lose


def _cut(name: str) -> Callable[[Path], int]:
    def lose(folder: Path) -> int:
        (folder / name).write_bytes((folder / name).read_bytes()[:-16])
        return 1

    return lose


LOSSES = {
    "a segment": _remove("video/90p/00002.m4s"),
    "a cut segment": _cut("video/90p/00001.m4s"),
    "an init section": _remove("audio/und/init.mp4"),
    "playlists": _remove("master.m3u8", "video-90p.m3u8"),
    "thumbnails": _remove("thumbnails/poster.jpg", "thumbnails/sprite-001.jpg"),
    "the record": _remove("record.json"),
    "a cut record": _cut("record.json"),
    "a segment and the record": _remove("audio/und/00001.m4s", "record.json"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, IngestResult]:
    """A title of two chunks that was published once; each test takes a copy of nothing and leaves it whole."""
    folder = tmp_path_factory.mktemp("original")
    configured = settings(folder, 90, threads=1)
    return configured, run(FIXTURES / "portrait-25.mp4", configured, content_id="film")


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES.keys())
def test_what_a_target_has_lost_is_put_back(lose: Callable[[Path], int], original: tuple[Settings, IngestResult]) -> None:
    configured, first = original
    before = tree(version(first))
    lost = lose(version(first))
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(FIXTURES / "portrait-25.mp4"), content_id="film"), configured, recorder)
    assert again.restored == lost
    assert not again.unchanged
    assert again.record == first.record == live(configured, "film")
    assert tree(version(first)) == before, "the same version, byte for byte"
    assert any("lost or damaged" in note.text for note in recorder.named("note"))
    assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged


def test_what_lies_beside_a_version_is_no_loss(original: tuple[Settings, IngestResult]) -> None:
    configured, first = original
    (version(first) / ".DS_Store").write_bytes(b"a file manager was here")
    assert run(FIXTURES / "portrait-25.mp4", configured, content_id="film").unchanged
    (version(first) / ".DS_Store").unlink()


def test_what_is_lost_is_encoded_again_if_its_chunks_are_gone(original: tuple[Settings, IngestResult]) -> None:
    """One thread gives the same bytes each time, so the version stays the same."""
    configured, first = original
    before = tree(version(first))
    shutil.rmtree(configured.work / "chunks")
    (version(first) / "video/90p/00002.m4s").unlink()
    again = run(FIXTURES / "portrait-25.mp4", configured, content_id="film")
    assert (again.restored, again.artifacts_reused) == (1, 0)
    assert tree(version(first)) == before


@pytest.mark.parametrize("why", ["other bytes", "no inventory", "no key"])
def test_what_cannot_become_whole_is_replaced_and_never_changed(why: str, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, threads=1)
    source = FIXTURES / "portrait-25.mp4"
    first = run(source, configured, content_id="film")
    lost = version(first) / "video/90p/00001.m4s"
    lost.unlink()
    if why == "other bytes":  # as of an encoder with several threads, whose chunks were cleaned away: it need not give the same again
        inventory = Inventory.model_validate_json((version(first) / "inventory.json").read_bytes())
        entry = inventory.objects["video/90p/00001.m4s"].model_copy(update={"sha256": "0" * 64})
        changed = Inventory(objects=inventory.objects | {"video/90p/00001.m4s": entry})
        (version(first) / "inventory.json").write_text(changed.model_dump_json())
    elif why == "no inventory":
        (version(first) / "inventory.json").write_text("{")
    else:
        shutil.rmtree(configured.keys)
    before = tree(version(first))
    recorder = Recorder()
    again = ingest(IngestRequest(source=str(source), content_id="film"), configured, recorder)
    assert again.record.version != first.record.version
    assert live(configured, "film") == again.record
    assert tree(version(first)) == before, "nothing of a version that players may hold is changed"
    assert any("a new version takes its place" in note.text for note in recorder.named("note"))
    assert playback.read_barcodes(joined(again, configured, "video-90p.m3u8", tmp_path)) == list(range(75))


def test_damage_that_a_listing_does_not_show_beside_a_loss_gives_a_new_version(tmp_path: Path) -> None:
    configured, source = settings(tmp_path, 90, threads=1), FIXTURES / "portrait-25.mp4"
    first = run(source, configured, content_id="film")
    damaged = version(first) / "video/90p/00002.m4s"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    (version(first) / "thumbnails/poster.jpg").unlink()
    again = run(source, configured, content_id="film")
    assert live(configured, "film") == again.record != first.record
    assert run(source, configured, content_id="film").unchanged


def test_an_unchanged_title_on_s3_costs_three_requests(proxy: tuple[servers.S3Server, Proxy], tmp_path: Path) -> None:
    server, between = proxy
    configured = settings(tmp_path, 90, target=f"s3://{server.bucket}/vod")
    first = run(CLIP, configured, content_id="film")
    between.asked.clear()
    assert run(CLIP, configured, content_id="film").unchanged
    assert [method for method, _ in between.asked] == ["GET", "GET", "GET"], "a listing, the inventory, the record"
    with closing(boto3.session.Session().client("s3")) as client:
        client.delete_object(Bucket=server.bucket, Key=f"vod/film/{first.record.version}/video/90p/00001.m4s")
    between.asked.clear()
    again = run(CLIP, configured, content_id="film")
    assert (again.restored, again.record) == (1, first.record)
    assert [path for method, path in between.asked if method == "PUT"] == [
        f"/{server.bucket}/vod/film/{first.record.version}/video/90p/00001.m4s"
    ]
