"""The work folder: measured and freed, never under a running ingest."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vidpipe.errors import UsageError
from vidpipe.work.artifacts import Store
from vidpipe.work.jobs import JobNote, claim
from vidpipe.work.usage import clean, usage


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder with three kinds of files, one of them old, and the note of an unfinished ingest."""
    folder = tmp_path / "work"
    for name, size in {"chunks/aa/one.mp4": 1000, "chunks/bb/two.mp4": 500, "sources/film.mov": 30, "tmp/x": 4}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"." * size)
    old = time.time() - 10 * 86_400
    os.utime(folder / "chunks/aa/one.mp4", (old, old))
    with claim(folder, "film") as held:
        held.save(JobNote(content_id="film", fingerprint="f", version="v", target="t"))
    return folder


def test_usage(work: Path) -> None:
    found = usage(work)
    assert {share.kind: (share.files, share.bytes) for share in found.shares if share.kind != "jobs"} == {
        "chunks": (2, 1500),
        "sources": (1, 30),
        "tmp": (1, 4),
    }
    assert (found.unfinished, found.running) == (("film",), ())


def test_locks_are_not_counted(work: Path) -> None:
    for name in ("jobs/killed.lock", "fetched/aa-bb/.lock", "fetched/aa-bb/.reader-0123", "tmp/host-1/.lock"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).touch()
    before = {share.kind: share.files for share in usage(work).shares}
    assert before == {"chunks": 2, "fetched": 0, "jobs": 1, "sources": 1, "tmp": 1}
    assert not (work / "jobs/killed.lock").exists(), "what nobody holds goes when somebody looks"
    with claim(work, "other"):
        found = usage(work)
        assert {share.kind: share.files for share in found.shares} == before
        assert (found.running, found.unfinished) == (("other",), ("film",))
    assert {share.kind: share.files for share in clean(work)} == {"chunks": 2, "fetched": 0, "sources": 1, "tmp": 1}


def test_chunks_are_listed_by_source(tmp_path: Path) -> None:
    store = Store(tmp_path / "work")
    with store.temporary() as folder:
        (folder / "made.mp4").write_bytes(b"x" * 10)
        store.add("k" * 64, folder / "made.mp4", samples=1, source="s" * 64, title="film.mov")
    (held,) = usage(tmp_path / "work").sources
    assert (held.title, held.artifacts, held.bytes) == ("film.mov", 1, 10)


def test_a_running_ingest_is_seen_and_left_alone(work: Path) -> None:
    with claim(work, "film"):
        assert usage(work).running == ("film",)
        assert usage(work).unfinished == ()
        with pytest.raises(UsageError, match="an ingest is running: film"):
            clean(work)
    assert (work / "chunks/aa/one.mp4").exists()


def test_clean_keeps_the_notes(work: Path) -> None:
    removed = clean(work)
    assert sum(share.bytes for share in removed) == 1534
    assert [path.name for path in work.rglob("*") if path.is_file()] == [path.name for path in (work / "jobs").iterdir()]
    assert not list((work / "chunks").iterdir())
    assert usage(work).unfinished == ("film",)


def test_clean_by_age(work: Path) -> None:
    assert sum(share.bytes for share in clean(work, older_than_days=5, dry_run=True)) == 1000
    assert (work / "chunks/aa/one.mp4").exists()
    clean(work, older_than_days=5)
    assert not (work / "chunks/aa").exists()
    assert (work / "chunks/bb/two.mp4").exists()


def test_links_are_removed_not_followed(work: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "film.mov").write_bytes(b"film")
    (work / "tmp" / "link").symlink_to(precious)
    (work / "linked").symlink_to(precious)
    clean(work)
    assert (precious / "film.mov").read_bytes() == b"film"
    assert not (work / "tmp" / "link").is_symlink()
    assert (work / "linked").is_symlink()


def test_no_work_yet(tmp_path: Path) -> None:
    assert usage(tmp_path / "none").shares == ()
    assert clean(tmp_path / "none") == ()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do everything")
def test_a_folder_that_cannot_be_read(work: Path) -> None:
    (work / "chunks").chmod(0)
    with pytest.raises(UsageError, match="the work folder cannot be used"):
        clean(work)
    (work / "chunks").chmod(0o700)
