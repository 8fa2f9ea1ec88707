"""durable: a file is there whole and after a power cut, or it is not there at all."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vidpipe import durable
from vidpipe.protect.key_store import KeyStore
from vidpipe.protect.master_key import load_master_key
from vidpipe.storage.local import LocalStorage
from vidpipe.work.artifacts import Store
from vidpipe.work.jobs import JobNote, claim

pytestmark = pytest.mark.skipif(os.name != "posix", reason="folders cannot be synced")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """What the system is asked for, in order: ("sync", file or folder), ("name", the name that a file gets)."""
    seen: list[tuple[str, Path]] = []
    fsync, replace, link = os.fsync, Path.replace, os.link

    def synced(handle: int) -> None:
        seen.append(("sync", Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def replaced(self: Path, target: Path) -> Path:
        seen.append(("name", Path(target)))
        return replace(self, target)

    def linked(source: Path, target: Path) -> None:
        seen.append(("name", Path(target)))
        link(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(os, "link", linked)
    return seen


def note(folder: Path) -> Path:
    with claim(folder, "film") as held:
        held.save(JobNote(content_id="film", fingerprint="f", version="v", target="t"))
    return folder / "jobs" / "film.json"


def artifact(folder: Path) -> Path:
    store = Store(folder)
    with store.temporary() as temporary:
        (temporary / "made.mp4").write_bytes(b"made")
        return store.add("a" * 64, temporary / "made.mp4", samples=1, source="5" * 64, title="t").path


def sidecar(folder: Path) -> Path:
    return artifact(folder).with_name(f"{'a' * 64}.json")


def key(folder: Path) -> Path:
    return folder / f"{KeyStore(folder, b'm' * 32).create('film').key_id}.json"


def master_key(folder: Path) -> Path:
    load_master_key(folder)
    return folder / "master.key"


def stored(folder: Path) -> Path:
    LocalStorage(folder).put("film/v/master.m3u8", b"#EXTM3U", content_type="text/plain", cache_control="no-store", sha256="0" * 64)
    return folder / "film" / "v" / "master.m3u8"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks in /proc for what is synced")
@pytest.mark.parametrize("write", [note, artifact, sidecar, key, master_key, stored])
def test_the_bytes_come_before_the_name_and_the_name_before_the_end(
    write: Callable[[Path], Path], calls: list[tuple[str, Path]], tmp_path: Path
) -> None:
    file = write(tmp_path / "home")
    at = calls.index(("name", file))
    what, before = calls[at - 1]
    assert (what, before.suffix) in {("sync", ".tmp"), ("sync", file.suffix)}, "its own bytes, under another name"
    assert before != file
    assert ("sync", file.parent) in calls[at + 1 :]


def test_others_may_read_what_is_not_private(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        durable.write(tmp_path / "public", b"1")
        durable.write(tmp_path / "private", b"2", private=True)
        durable.create(tmp_path / "created", b"3", private=True)
    finally:
        os.umask(old)
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {
        "public": 0o644,
        "private": 0o600,
        "created": 0o600,
    }


def test_only_the_first_creates(tmp_path: Path) -> None:
    assert durable.create(tmp_path / "x", b"first")
    assert not durable.create(tmp_path / "x", b"second")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"x": b"first"}


@pytest.mark.parametrize("write", [durable.write, durable.create])
def test_what_fails_leaves_nothing(write: Callable[[Path, bytes], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(28, "no room")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no room"):
            write(tmp_path / "x", b"data")
    assert list(tmp_path.iterdir()) == []


def test_what_killed_writers_left_is_swept_away_a_day_later(tmp_path: Path) -> None:
    old, young, other = tmp_path / ".vidpipe-01.tmp", tmp_path / ".vidpipe-02.tmp", tmp_path / "notes.tmp"
    for file in (old, young, other):
        file.write_bytes(b"half")
    for file in (old, other):
        os.utime(file, (time.time() - 86_500,) * 2)
    durable.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == [young, other]
    os.utime(young, (time.time() - 86_500,) * 2)
    KeyStore(tmp_path, b"m" * 32).create("film")
    assert not young.exists()
    durable.sweep(tmp_path / "none")


def test_a_file_system_that_cannot_sync_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", cannot)
    durable.write(tmp_path / "x", b"data")
    assert (tmp_path / "x").read_bytes() == b"data"


def test_a_key_that_a_killed_run_was_writing_can_be_made_again(tmp_path: Path) -> None:
    store, name = KeyStore(tmp_path, b"m" * 32), "a" * 32
    (tmp_path / f"{name}.tmp").write_text("{")  # by an older vidpipe
    (tmp_path / f"{durable.TEMPORARY}0123.tmp").write_text("{")
    store.create("film", name)
    assert store.get(name).content_id == "film"
