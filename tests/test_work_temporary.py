"""temporary: a working folder lives as long as its process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from vidpipe.work.locks import held
from vidpipe.work.temporary import in_use, is_over, sweep, temporary


def test_working_folders_go_away(tmp_path: Path) -> None:
    def fail() -> None:
        with temporary(tmp_path) as folder:
            (folder / "half").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_folders_of_killed_processes_are_swept_and_of_living_ones_not(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from vidpipe.work.temporary import temporary\n"
        "with temporary(Path(sys.argv[1])) as folder:\n    print(folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        assert sweep(tmp_path) == 0
        assert folder.is_dir()
        child.kill()
    assert sweep(tmp_path) == 1
    assert not folder.exists()


def test_a_folder_between_making_and_locking_is_left_alone(tmp_path: Path) -> None:
    with temporary(tmp_path) as mine:
        young = mine.with_name(mine.name + "x")
        young.mkdir()
        assert sweep(tmp_path) == 0
        old = time.time() - 2 * 24 * 3600
        os.utime(young, (old, old))
        assert sweep(tmp_path) == 1


def test_nobody_takes_a_folder_while_it_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A maker that was slow to lock its folder must not be given one that is on its way out."""
    rmtree, free = shutil.rmtree, []

    def watched(folder: Path, **options: Any) -> None:
        with held(folder / ".lock") as mine:
            free.append(mine)
        rmtree(folder, **options)

    with temporary(tmp_path) as mine:
        left = mine.with_name(mine.name + "x")
        left.mkdir()
        (left / ".lock").touch()
        monkeypatch.setattr(shutil, "rmtree", watched)
        assert sweep(tmp_path) == 1
        assert (free, left.exists()) == ([False], False)


def test_whose_process_lives(tmp_path: Path) -> None:
    with temporary(tmp_path) as mine:
        left = mine.with_name("host-killed")
        left.mkdir()
        (left / ".lock").touch()
        assert in_use(tmp_path) == [mine]
        assert [is_over(tmp_path, name) for name in (mine.name, left.name, "host-none")] == [False, True, True]
        assert (left / ".lock").exists(), "looking takes nothing away"
    assert is_over(tmp_path, mine.name)
