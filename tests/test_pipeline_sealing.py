"""sealing: inventory and record finish a version and are read back; what a target loses of it later is noticed."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import Recorder
from tests.inventory_support import inventory
from vidpipe import layout
from vidpipe.catalog.compose import record_of
from vidpipe.catalog.record import Record, SourceFile
from vidpipe.errors import EncodeFailed, Interrupted, PublishFailed, VerificationFailed
from vidpipe.inventory import Inventory, read_inventory
from vidpipe.inventory.model import Objects
from vidpipe.pipeline.sealing import check_all_there, inventory_at, loss, seal
from vidpipe.progress import Silent
from vidpipe.storage.base import Damaged
from vidpipe.storage.local import LocalStorage

PREFIX = "film/20261120T221500Z-3fa9c1"


def record(storage: LocalStorage, made: Inventory) -> Record:
    source = SourceFile(name="film.mkv", sha256="ab" * 32, size=123)
    return record_of(made, source, title="Film", metadata={}, location=lambda path: storage.location(f"{PREFIX}/{path}"))


def sealed(storage: LocalStorage, reporter: Any = None, cancel: threading.Event | None = None) -> tuple[Inventory, Record]:
    made = inventory()
    about = record(storage, made)
    work = storage.root / "work"
    seal(storage, PREFIX, about, made, work=work, reporter=reporter or Silent(), cancel=cancel or threading.Event())
    return made, about


@pytest.fixture
def version(tmp_path: Path) -> tuple[LocalStorage, Path, Inventory, Record]:
    """A whole version: its storage, its folder, its inventory and its record. Its other objects are as long as they have to be."""
    storage = LocalStorage(tmp_path)
    made, about = sealed(storage)
    for path, entry in made.entries.items():
        file = tmp_path / PREFIX / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes(entry.size))
    return storage, tmp_path / PREFIX, made, about


class Forgets(LocalStorage):
    """Answers that it has an object, and has it not, a few times."""

    def __init__(self, root: Path, name: str, times: int) -> None:
        super().__init__(root)
        self.name, self.times = name, times

    def put(self, path: str, data: bytes | Path, **headers: Any) -> None:
        if path == f"{PREFIX}/{self.name}" and self.times:
            self.times -= 1
            return
        super().put(path, data, **headers)


def test_what_finishes_a_version_is_written_for_people_and_programs_the_record_last(tmp_path: Path) -> None:
    storage, recorder = LocalStorage(tmp_path), Recorder()
    made, about = sealed(storage, recorder)
    assert [event.path for event in recorder.named("uploaded")] == [layout.INVENTORY, layout.RECORD]
    written, said = storage.get(f"{PREFIX}/{layout.INVENTORY}"), storage.get(f"{PREFIX}/{layout.RECORD}")
    assert (read_inventory(written), Record.model_validate_json(said)) == (made, about)
    assert written.startswith(b'{\n "')
    assert b"null" not in written
    assert said.startswith(b'{\n  "')
    assert b"null" in said, "a reader finds every field"


@pytest.mark.parametrize("name", [layout.INVENTORY, layout.RECORD])
def test_a_target_that_forgets_is_asked_three_times(name: str, tmp_path: Path) -> None:
    made, about = sealed(Forgets(tmp_path, name, 2))
    assert inventory_at(LocalStorage(tmp_path), about) == made
    assert loss(LocalStorage(tmp_path), about) is not None
    with pytest.raises(VerificationFailed, match=name):
        sealed(Forgets(tmp_path / "other", name, 3))


def test_a_cancelled_run_seals_nothing(tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        sealed(LocalStorage(tmp_path), cancel=cancel)
    assert not (tmp_path / PREFIX / layout.RECORD).exists()


def test_a_full_disk_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> Iterator[bytes]:
        yield b"{"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vidpipe.pipeline.sealing.inventory_json", full)
    with pytest.raises(EncodeFailed, match="the disk is full") as failed:
        sealed(LocalStorage(tmp_path))
    assert Path(str(failed.value.where)).is_relative_to(tmp_path / "work" / "tmp")
    assert not list(tmp_path.rglob("*.json"))


def test_what_is_written_to_be_sent_lies_in_the_work_space(tmp_path: Path) -> None:
    """There it goes with the next ingest if this one is killed."""

    class Looks(LocalStorage):
        files: list[Path] = []

        def put(self, path: str, data: bytes | Path, **headers: Any) -> None:
            self.files += [data] if isinstance(data, Path) else []
            super().put(path, data, **headers)

    storage = Looks(tmp_path)
    sealed(storage)
    assert [file.is_relative_to(tmp_path / "work" / "tmp") for file in storage.files] == [True]
    assert not any((tmp_path / "work" / "tmp").iterdir())


@pytest.mark.parametrize("path", [layout.MASTER, layout.INVENTORY, "video/90p/00001.m4s"])
def test_what_is_removed_after_the_proof_is_noticed_before_the_version_is_live(
    path: str, version: tuple[LocalStorage, Path, Inventory, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, folder, made, _ = version
    with monkeypatch.context() as patch:
        patch.delattr(LocalStorage, "head")
        check_all_there(storage, PREFIX, made)  # a listing says so; asking for each of thousands would take minutes
    (folder / path).unlink()
    with pytest.raises(PublishFailed, match="was removed after it had been read back") as failure:
        check_all_there(storage, PREFIX, made)
    assert str(failure.value.where).endswith(path)


def test_a_listing_that_is_late_loses_nothing(
    version: tuple[LocalStorage, Path, Inventory, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, _, made, _ = version
    monkeypatch.setattr(storage, "list", lambda prefix: iter(()))
    check_all_there(storage, PREFIX, made)


def test_a_whole_version_has_lost_nothing(version: tuple[LocalStorage, Path, Inventory, Record]) -> None:
    storage, _, made, about = version
    assert inventory_at(storage, about) == made
    found = loss(storage, about)
    assert found is not None
    assert (found.inventory, found.paths) == (made, frozenset())


def test_a_superseded_version_has_the_record_that_it_was_made_with(version: tuple[LocalStorage, Path, Inventory, Record]) -> None:
    storage, _, _, about = version
    found = loss(storage, about.model_copy(update={"status": "superseded"}))
    assert found is not None
    assert not found.paths


def test_what_is_missing_cut_or_altered_is_lost(version: tuple[LocalStorage, Path, Inventory, Record]) -> None:
    storage, folder, made, about = version
    (folder / "video/90p/00002.m4s").unlink()
    (folder / "audio/de-2/00001.m4s").write_bytes(bytes(999))
    (folder / layout.RECORD).write_bytes((folder / layout.RECORD).read_bytes()[:-1])
    found = loss(storage, about)
    assert found is not None
    assert (found.inventory, found.paths) == (made, frozenset({"video/90p/00002.m4s", "audio/de-2/00001.m4s", layout.RECORD}))


@pytest.mark.parametrize("how", ["gone", "of another title"])
def test_the_record_is_compared_with_that_of_the_catalog(how: str, version: tuple[LocalStorage, Path, Inventory, Record]) -> None:
    storage, folder, _, about = version
    if how == "gone":
        (folder / layout.RECORD).unlink()
    else:
        (folder / layout.RECORD).write_text(about.model_copy(update={"title": "Other"}).model_dump_json())
    found = loss(storage, about)
    assert found is not None
    assert found.paths == {layout.RECORD}


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_without_its_inventory_nobody_knows_what_a_version_had(how: str, version: tuple[LocalStorage, Path, Inventory, Record]) -> None:
    storage, folder, _, about = version
    if how == "gone":
        (folder / layout.INVENTORY).unlink()
    else:
        (folder / layout.INVENTORY).write_text("{")
    assert loss(storage, about) is None
    assert inventory_at(storage, about) is None


def test_a_target_that_fails_is_not_taken_for_one_without_an_inventory(
    version: tuple[LocalStorage, Path, Inventory, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything would be encoded again, and ``set`` would say that the version is none of today's."""
    storage, _, _, about = version

    def fails(*_: object, **__: object) -> bytes:
        raise problem

    monkeypatch.setattr(storage, "get", fails)
    problem = PublishFailed("cannot read: the server failed")
    with pytest.raises(PublishFailed, match="the server failed"):
        inventory_at(storage, about)
    with pytest.raises(PublishFailed, match="the server failed"):
        loss(storage, about)
    problem = Damaged.of(b"{", "inventory.json")
    assert inventory_at(storage, about) is None
    assert loss(storage, about) is None


def test_an_inventory_of_objects_alone_is_one(version: tuple[LocalStorage, Path, Inventory, Record]) -> None:
    storage, folder, made, about = version
    (folder / layout.INVENTORY).write_text(Objects(objects=dict(made.entries)).model_dump_json())
    assert inventory_at(storage, about) == Objects(objects=dict(made.entries))
    found = loss(storage, about)
    assert found is not None
    assert not found.paths


def test_a_version_at_another_target_has_no_inventory_here(
    version: tuple[LocalStorage, Path, Inventory, Record], tmp_path_factory: pytest.TempPathFactory
) -> None:
    storage, _, _, about = version
    other = LocalStorage(tmp_path_factory.mktemp("other"))
    assert inventory_at(storage, record(other, inventory())) is None
    assert inventory_at(other, about) is None
