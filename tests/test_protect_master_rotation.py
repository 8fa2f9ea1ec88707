"""A new master key: every content key opens at each moment, whatever is killed."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vidpipe import durable
from vidpipe.errors import UsageError
from vidpipe.protect.key_store import LOCK_FILE, RETIRED, ContentKey, KeyStore
from vidpipe.protect.master_key import FILE, NEXT, create_next, finish_next, load_master_key, next_master_key
from vidpipe.protect.master_rotation import rotate_master
from vidpipe.protect.master_source import GivenMaster, LocalMaster

OLD, NEW, THIRD = bytes(32), bytes(range(32)), b"x" * 32
NUMBER = 5


def made(folder: Path, master: bytes | None = None) -> dict[str, ContentKey]:
    store = KeyStore(folder, master)
    return {key.key_id: key for key in (store.create(f"title-{number}") for number in range(NUMBER))}


def opened(folder: Path, keys: dict[str, ContentKey], master: bytes | None = None) -> bool:
    return {key_id: KeyStore(folder, master).get(key_id) for key_id in keys} == keys


def test_a_fresh_master_key_takes_the_place_of_the_file(tmp_path: Path) -> None:
    keys, before = made(tmp_path), load_master_key(tmp_path)
    times = {info.key_id: info.created_at for info in KeyStore(tmp_path).find()}
    done = rotate_master(tmp_path, LocalMaster(tmp_path))
    assert (done.keys, done.already, done.foreign, done.file) == (NUMBER, 0, (), str(tmp_path / FILE))
    assert load_master_key(tmp_path) != before
    files = [file for file in tmp_path.iterdir() if file.name != LOCK_FILE]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}, "only the owner may look"
    assert opened(tmp_path, keys)
    assert not (tmp_path / NEXT).exists()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert {info.key_id: info.created_at for info in KeyStore(tmp_path).find()} == times
    with pytest.raises(UsageError, match="another master key"):
        KeyStore(tmp_path, before).get(next(iter(keys)))
    assert rotate_master(tmp_path, LocalMaster(tmp_path)).keys == NUMBER, "each time anew"
    assert opened(tmp_path, keys)


def test_a_master_key_that_is_given_takes_the_place_of_another(tmp_path: Path) -> None:
    keys = made(tmp_path, OLD)
    assert rotate_master(tmp_path, GivenMaster(OLD), NEW).file is None
    assert opened(tmp_path, keys, NEW)
    assert not (tmp_path / FILE).exists()
    again = rotate_master(tmp_path, GivenMaster(OLD), NEW)
    assert (again.keys, again.already) == (0, NUMBER)


def test_a_master_key_that_is_given_takes_the_place_of_the_file(tmp_path: Path) -> None:
    keys = made(tmp_path)
    rotate_master(tmp_path, LocalMaster(tmp_path), NEW)
    assert opened(tmp_path, keys, NEW)
    assert not (tmp_path / FILE).exists(), "it would wrap the next key"
    with pytest.raises(UsageError, match="the master key is missing"):
        KeyStore(tmp_path).create("another")


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    made(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    done = rotate_master(tmp_path, LocalMaster(tmp_path), dry_run=True)
    assert (done.keys, done.dry_run) == (NUMBER, True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


DIES = """
import os, signal, sys
from pathlib import Path
from vidpipe import durable
from vidpipe.protect.master_rotation import rotate_master
from vidpipe.protect.master_source import GivenMaster, LocalMaster
left, wrote, moved = int(sys.argv[2]), durable.write, durable.move
def counted(function):
    def call(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **options)
    return call
durable.write, durable.move = counted(wrote), counted(moved)
folder = Path(sys.argv[1])
if len(sys.argv) > 3:
    rotate_master(folder, GivenMaster(bytes(32)), bytes(range(32)))
else:
    rotate_master(folder, LocalMaster(folder))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("after", [0, 3, NUMBER], ids=["first key", "half-way", "all but the name"])
def test_it_is_killed_and_goes_on(after: int, tmp_path: Path) -> None:
    keys, before = made(tmp_path), load_master_key(tmp_path)
    killed = subprocess.run([sys.executable, "-c", DIES, str(tmp_path), str(after)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert load_master_key(tmp_path) == before
    assert opened(tmp_path, keys), "both master keys open keys"
    assert KeyStore(tmp_path).foreign() == ()
    late = KeyStore(tmp_path).create("made between the two runs")
    planned = rotate_master(tmp_path, LocalMaster(tmp_path), dry_run=True)
    done = rotate_master(tmp_path, LocalMaster(tmp_path))
    assert (planned.keys, planned.already) == (done.keys, done.already)
    assert (done.keys, done.already) == (NUMBER - after + 1, after)
    assert opened(tmp_path, {**keys, late.key_id: late})
    assert load_master_key(tmp_path) != before


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_with_a_key_that_is_given_it_goes_on_too(tmp_path: Path) -> None:
    keys = made(tmp_path, OLD)
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path), "3", "given"], timeout=60)  # the list, and two keys
    assert len(KeyStore(tmp_path, OLD).foreign()) == 2
    planned = rotate_master(tmp_path, GivenMaster(OLD), NEW, dry_run=True)
    assert (planned.keys, planned.already) == (NUMBER - 2, 2)
    done = rotate_master(tmp_path, GivenMaster(OLD), NEW)
    assert (done.keys, done.already) == (NUMBER - 2, 2)
    assert opened(tmp_path, keys, NEW)


def test_keys_of_a_third_master_key_stay_as_they_are(tmp_path: Path) -> None:
    keys, other = made(tmp_path, OLD), KeyStore(tmp_path, THIRD).create("theirs")
    planned = rotate_master(tmp_path, GivenMaster(OLD), NEW, dry_run=True)
    done = rotate_master(tmp_path, GivenMaster(OLD), NEW)
    assert [info.key_id for info in done.foreign] == [info.key_id for info in planned.foreign] == [other.key_id]
    assert opened(tmp_path, keys, NEW)
    assert KeyStore(tmp_path, THIRD).get(other.key_id) == other


def test_a_damaged_key_stops_it_before_anything_is_changed(tmp_path: Path) -> None:
    """Restored from a backup later, it would need the master key that is given up."""
    keys = made(tmp_path)
    damaged = tmp_path / f"{sorted(keys)[-1]}.json"
    damaged.write_text(damaged.read_text().replace('"title-', '"other-'))
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.json")}
    with pytest.raises(UsageError, match="altered or damaged") as refused:
        rotate_master(tmp_path, LocalMaster(tmp_path))
    assert refused.value.where == str(damaged)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.json")} == before


@pytest.mark.parametrize("step", [next_master_key, create_next, finish_next])
def test_the_file_of_a_new_master_key_that_cannot_be_used_is_named(step: Callable[[Path], object], tmp_path: Path) -> None:
    if step is not finish_next:  # which finds nothing to move
        (tmp_path / NEXT).mkdir()
    with pytest.raises(UsageError, match="the master key cannot be read or created") as failure:
        step(tmp_path)
    assert failure.value.where == str(tmp_path / NEXT)


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no keys"):
        rotate_master(tmp_path / "nothing", LocalMaster(tmp_path))
    made(tmp_path, OLD)
    with pytest.raises(UsageError, match="not one of the") as refused:
        rotate_master(tmp_path, GivenMaster(NEW), bytes(range(1, 33)))
    assert refused.value.where == str(tmp_path)
    with pytest.raises(UsageError, match="has to be given, too"):
        rotate_master(tmp_path, GivenMaster(OLD))
    with pytest.raises(UsageError, match="is the present one"):
        rotate_master(tmp_path, GivenMaster(OLD), OLD)
    with pytest.raises(UsageError, match="the master key is missing"):
        rotate_master(tmp_path, LocalMaster(tmp_path))


def test_another_rotation_is_finished_first(tmp_path: Path) -> None:
    made(tmp_path)
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path), "1"], timeout=60)
    with pytest.raises(UsageError, match="is not finished") as refused:
        rotate_master(tmp_path, LocalMaster(tmp_path), NEW)
    assert refused.value.where == str(tmp_path / NEXT)


def test_keys_that_are_made_meanwhile_are_not_lost(tmp_path: Path) -> None:
    """A key is never wrapped with a master key that has just been given up."""
    keys, store, stop = made(tmp_path), KeyStore(tmp_path), threading.Event()

    def make() -> None:
        while not stop.wait(0.02):  # a lock that is taken again at once is never seen free
            key = store.create("meanwhile")
            keys[key.key_id] = key

    thread = threading.Thread(target=make)
    thread.start()
    try:
        until = time.monotonic() + 30
        while len(keys) < NUMBER + 2 and time.monotonic() < until:
            rotate_master(tmp_path, LocalMaster(tmp_path))
            assert all(KeyStore(tmp_path).get(key_id) == key for key_id, key in list(keys.items()))
    finally:
        stop.set()
        thread.join()
    assert opened(tmp_path, keys)
    assert len(keys) >= NUMBER + 2


def test_a_master_key_is_in_no_answer(tmp_path: Path) -> None:
    keys = made(tmp_path, OLD)
    said = repr(rotate_master(tmp_path, GivenMaster(OLD), NEW)) + rotate_master(tmp_path, GivenMaster(OLD), NEW).model_dump_json()
    assert NEW.hex() not in said
    assert not any(key.key.hex() in said for key in keys.values())


def test_a_master_key_that_was_replaced_wraps_no_new_key(tmp_path: Path) -> None:
    """A process that was started before the rotation would lose its titles with the old key."""
    keys, late = made(tmp_path, OLD), KeyStore(tmp_path, OLD)
    rotate_master(tmp_path, GivenMaster(OLD), NEW)
    with pytest.raises(UsageError, match="was replaced by another one") as refused:
        late.create("late")
    assert refused.value.where == str(tmp_path / RETIRED)
    assert "VIDPIPE_MASTER_KEY" in str(refused.value.fix)
    assert {info.key_id for info in late.find()} == set(keys)
    assert not {OLD.hex(), NEW.hex()} & set((tmp_path / RETIRED).read_text().split())
    KeyStore(tmp_path, NEW).create("with the new one")
    rotate_master(tmp_path, GivenMaster(NEW), OLD)
    late.create("it is the present one again")
    rotate_master(tmp_path, GivenMaster(OLD), bytes(range(1, 33)))
    listed = (tmp_path / RETIRED).read_bytes()
    (tmp_path / RETIRED).write_bytes(b"\xff\n" + listed)  # a damaged line hides none of the others
    for master in (NEW, OLD):
        with pytest.raises(UsageError, match="was replaced"):
            KeyStore(tmp_path, master).create("late")


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_nor_does_it_before_a_killed_rotation_goes_on(tmp_path: Path) -> None:
    made(tmp_path, OLD)
    subprocess.run([sys.executable, "-c", DIES, str(tmp_path), "2", "given"], timeout=60)
    with pytest.raises(UsageError, match="was replaced"):
        KeyStore(tmp_path, OLD).create("late")
    KeyStore(tmp_path, NEW).create("with the new one")


def test_the_text_of_a_file_that_was_replaced_wraps_no_new_key_elsewhere(tmp_path: Path) -> None:
    made(tmp_path)
    elsewhere = KeyStore(tmp_path, load_master_key(tmp_path))
    rotate_master(tmp_path, LocalMaster(tmp_path))
    with pytest.raises(UsageError, match="was replaced"):
        elsewhere.create("late")


def test_a_key_that_is_removed_meanwhile_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, threads = made(tmp_path), list[threading.Thread]()
    doomed, write = sorted(keys)[0], durable.write

    def removed_first(file: Path, data: bytes | Path, *, private: bool = False) -> None:
        if not threads:
            threads.append(threading.Thread(target=KeyStore(tmp_path).remove, args=(doomed,)))
            threads[0].start()
            threads[0].join(0.3)  # it waits for the rotation
        write(file, data, private=private)

    monkeypatch.setattr(durable, "write", removed_first)
    rotate_master(tmp_path, LocalMaster(tmp_path))
    threads[0].join()
    assert doomed not in KeyStore(tmp_path).ids()


def test_nothing_is_begun_that_cannot_go_on(tmp_path: Path) -> None:
    """With a master key that is lost or another one, or a key file that is damaged."""
    made(tmp_path)
    before = {file.name for file in tmp_path.iterdir()}
    (tmp_path / FILE).rename(tmp_path.parent / "away")
    with pytest.raises(UsageError, match="the master key is missing"):
        rotate_master(tmp_path, LocalMaster(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == before - {FILE}
    (tmp_path / FILE).write_text(THIRD.hex())
    (tmp_path / FILE).chmod(0o600)
    for source, new in ((LocalMaster(tmp_path), None), (GivenMaster(THIRD), NEW)):
        for dry_run in (True, False):
            with pytest.raises(UsageError, match=f"not one of the {NUMBER} keys"):
                rotate_master(tmp_path, source, new, dry_run=dry_run)
    assert {file.name for file in tmp_path.iterdir()} == before
    (tmp_path.parent / "away").replace(tmp_path / FILE)
    next(tmp_path.glob("*.json")).write_text("half")
    with pytest.raises(UsageError, match="altered or damaged"):
        rotate_master(tmp_path, LocalMaster(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == before


def test_a_key_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / LOCK_FILE).mkdir()  # nobody can lock it, root neither
    with pytest.raises(UsageError, match="the key store cannot be written") as refused:
        rotate_master(tmp_path, LocalMaster(tmp_path))
    assert refused.value.where == str(tmp_path / LOCK_FILE)
    assert not (tmp_path / NEXT).exists()
