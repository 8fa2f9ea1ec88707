"""The store gives back only what is whole, and never half of anything."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vidpipe.errors import EncodeFailed
from vidpipe.work.artifacts import Artifact, Store, disk_full, key_of, writing

KEY = key_of(kind="test", frames=[0, 10])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work")


def put(store: Store, data: bytes = b"some bytes", key: str = KEY, source: str = "5" * 64) -> Artifact:
    with store.temporary() as folder:
        made = folder / "out.mp4"
        made.write_bytes(data)
        return store.add(key, made, samples=7, source=source, title="clip.mp4")


def test_what_was_added_is_found(store: Store) -> None:
    added = put(store)
    found = store.lookup(KEY)
    assert found == added.model_copy(update={"reused": True})
    assert found is not None
    assert (found.path.read_bytes(), found.size, found.samples) == (b"some bytes", 10, 7)


def test_nothing_else_is_found(store: Store) -> None:
    put(store)
    assert store.lookup(key_of(kind="test", frames=[0, 11])) is None


def test_keys_do_not_depend_on_the_order_of_settings() -> None:
    assert key_of(a=1, b={"c": 2, "d": 3}) == key_of(b={"d": 3, "c": 2}, a=1)
    assert key_of(a=1) != key_of(a="1")


@pytest.mark.parametrize("damage", ["altered", "short", "long", "missing", "empty", "other sidecar", "broken sidecar", "no sidecar"])
def test_a_damaged_artifact_is_dropped_and_can_be_made_again(damage: str, store: Store) -> None:
    added = put(store)
    sidecar = added.path.parent / f"{KEY}.json"
    match damage:
        case "altered":
            added.path.write_bytes(b"same bytes")
        case "short":
            added.path.write_bytes(b"some")
        case "long":
            added.path.write_bytes(b"some bytes and more")
        case "empty":
            added.path.write_bytes(b"")
        case "missing":
            added.path.unlink()
        case "other sidecar":
            sidecar.write_text(sidecar.read_text().replace(KEY, "0" * 64))
        case "broken sidecar":
            sidecar.write_text("{")
        case "no sidecar":
            sidecar.unlink()
    assert store.lookup(KEY) is None
    assert not sidecar.exists()
    put(store)
    assert store.lookup(KEY) is not None


def test_two_makers_of_one_key_do_not_mix(store: Store) -> None:
    put(store, b"first")
    put(store, b"second")
    found = store.lookup(KEY)
    assert found is not None
    assert found.path.read_bytes() == b"second"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_clear_error(code: int, tmp_path: Path) -> None:
    with pytest.raises(EncodeFailed, match="the disk is full") as caught, writing(tmp_path / "not" / "yet"):
        raise OSError(code, "no room")
    assert "vidpipe work clean" in (caught.value.fix or "")
    assert "B free" in str(disk_full(tmp_path))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_no_half_artifact(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full(handle: int) -> None:
        real(handle)
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EncodeFailed, match="the disk is full"):
        put(store)
    monkeypatch.setattr(os, "fsync", real)
    assert store.lookup(KEY) is None
    assert [path for path in store.chunks.rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    with pytest.raises(EncodeFailed, match="cannot write"), Store(tmp_path / "work").temporary():
        pass


def test_what_is_held(store: Store) -> None:
    put(store, b"x" * 100, key_of(n=1), source="a" * 64)
    put(store, b"x" * 50, key_of(n=2), source="a" * 64)
    put(store, b"x" * 10, key_of(n=3), source="b" * 64)
    assert {entry.source[0]: (entry.artifacts, entry.bytes, entry.title) for entry in store.held()} == {
        "a": (2, 150, "clip.mp4"),
        "b": (1, 10, "clip.mp4"),
    }
