"""locks: one holder at a time, in threads as in processes, and none after a death."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vidpipe.work.locks import FOREVER, held

HOLD = (
    "import sys, time; from pathlib import Path; from vidpipe.work.locks import held\n"
    "with held(Path(sys.argv[1])) as mine:\n    print(mine, flush=True); time.sleep(60)"
)


def test_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    with held(path) as first:
        assert first
        with held(path) as second:
            assert not second
    with held(path) as third:
        assert third
    assert path.exists()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with held(tmp_path / "lock") as mine:
            assert not mine
        child.kill()
    with held(tmp_path / "lock") as mine:
        assert mine


def test_a_program_that_was_started_holds_nothing(tmp_path: Path) -> None:
    with held(tmp_path / "lock"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    try:
        with held(tmp_path / "lock") as mine:
            assert mine
    finally:
        child.kill()
        child.wait()


def test_a_wait_ends_with_the_holder_or_on_request(tmp_path: Path) -> None:
    path, cancel, seen = tmp_path / "lock", threading.Event(), []

    def wait() -> None:
        with held(path, seconds=FOREVER, cancelled=cancel.is_set) as mine:
            seen.append(mine)

    with held(path):
        with held(path, seconds=0.2) as mine:
            assert not mine
        first = threading.Thread(target=wait)
        first.start()
        cancel.set()
        first.join(10)
        cancel.clear()
        second = threading.Thread(target=wait)
        second.start()
        time.sleep(0.1)
        assert seen == [False]
    second.join(10)
    assert seen == [False, True]


@pytest.mark.parametrize("passing", [True, False])
def test_holders_that_remove_what_they_hold_are_alone_all_the_same(passing: bool, tmp_path: Path) -> None:
    """Many threads take a lock whose file, or whose folder, goes with each holder: no two may think that they hold it."""
    inside, most, taken = 0, 0, 0
    counting = threading.Lock()
    folder = tmp_path / "copy"
    end = time.monotonic() + 1.0

    def work() -> None:
        nonlocal inside, most, taken
        while time.monotonic() < end:
            with held(folder / ".lock", passing=passing) as mine:
                if not mine:
                    continue
                with counting:
                    inside += 1
                    most, taken = max(most, inside), taken + 1
                time.sleep(0.0005)
                with counting:
                    inside -= 1
                if not passing:
                    shutil.rmtree(folder, ignore_errors=True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert taken > 3


COUNT = (
    "import sys; from pathlib import Path; from vidpipe.work.locks import FOREVER, held\n"
    "lock, counter, times = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])\n"
    "for _ in range(times):\n"
    "    with held(lock, seconds=FOREVER, passing=True) as mine:\n"
    "        counter.write_text(str(int(counter.read_text()) + 1)) if mine else sys.exit('not held')"
)


def test_processes_that_wait_for_a_lock_that_goes_with_its_holder_are_alone_all_the_same(tmp_path: Path) -> None:
    """Each reads a number and writes the next: two that hold the lock at once, one on the file that went, would lose some."""
    counter = tmp_path / "counter"
    counter.write_text("0")
    argv = [sys.executable, "-c", COUNT, str(tmp_path / "lock"), str(counter), "100"]
    children = [subprocess.Popen(argv) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert counter.read_text() == "300"
    assert [file.name for file in tmp_path.iterdir()] == ["counter"]


def test_a_file_where_a_folder_is_needed_is_no_race(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file")
    for path in (tmp_path / "work" / "lock", tmp_path / "work" / "jobs" / "lock"):
        with pytest.raises(OSError, match="work"), held(path):
            pass
