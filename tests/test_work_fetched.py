"""fetched: what a run needs stays, what nobody needs goes. Whole runs stand in test_source_access and test_encode_cluster_staging."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from vidpipe.errors import SourceRefused
from vidpipe.work.fetched import PARTIAL, contents, copy_of, drop_unread, folders, shared


def names(work: Path) -> list[str]:
    return sorted(file.name for folder in folders(work) for file in contents(folder))


def use(
    work: Path, *, version: str = "v1", looking: bool = False, files: tuple[str, ...] = ("film.mp4",), fails: Exception | None = None
) -> None:
    """Write files into the folder of a copy, as a run that ends well or not."""
    with copy_of(work, "address", version, looking=looking) as folder:
        assert folder is not None
        for name in files:
            (folder / name).write_bytes(b"film")
        if fails:
            raise fails


def test_a_copy_stays_until_a_run_ends_well(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        use(tmp_path, fails=KeyError())
    assert names(tmp_path) == ["film.mp4"]
    use(tmp_path, looking=True, files=())
    assert names(tmp_path) == ["film.mp4"], "for the run that makes the title"
    use(tmp_path)
    assert folders(tmp_path) == []


def test_a_refused_source_leaves_only_what_can_be_continued(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused):
        use(tmp_path, files=("film.mp4", PARTIAL), fails=SourceRefused("no video"))
    assert names(tmp_path) == [PARTIAL]
    with pytest.raises(SourceRefused):
        use(tmp_path, version="v2", fails=SourceRefused("no video"))
    assert folders(tmp_path) == [], "that of the older version went, too"


def test_a_copy_in_use_is_not_shared_by_runs(tmp_path: Path) -> None:
    with copy_of(tmp_path, "address", "v1", looking=False) as first:
        with copy_of(tmp_path, "address", "v1", looking=False) as second:
            assert second is None
        with copy_of(tmp_path, "address", "v2", looking=False):
            assert first is not None
            assert first.exists(), "of an older version, but in use"


def test_a_shared_copy_is_filled_once_and_stays_while_it_is_read(tmp_path: Path) -> None:
    filled: list[Path] = []

    def fill(file: Path) -> None:
        filled.append(file)
        file.write_bytes(b"film")

    with shared(tmp_path, "key", fill) as first, shared(tmp_path, "key", fill) as second:
        assert (first, filled) == (second, [first])
        drop_unread(tmp_path)
        assert names(tmp_path) == ["source"]
    drop_unread(tmp_path)
    assert folders(tmp_path) == []


def test_the_wait_for_a_shared_copy_can_be_cancelled(tmp_path: Path) -> None:
    cancel, seen = threading.Event(), []

    def second() -> None:
        with shared(tmp_path, "key", Path.touch, cancel.is_set) as file:
            seen.append(file)

    def fill(file: Path) -> None:
        thread = threading.Thread(target=second)
        thread.start()
        cancel.set()
        thread.join(10)
        assert seen == [None]
        file.touch()

    with shared(tmp_path, "key", fill) as first:
        assert first
        assert first.exists()
