"""docs/recipes.md: its scripts are good shell, and the ones that do their work unattended do it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, ladder

RECIPES = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"```sh\n(.*?)```", RECIPES, re.DOTALL)
PROGRAM = Path(sys.executable).parent / "vidpipe"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a shell")
installed = pytest.mark.skipif(not PROGRAM.exists(), reason="vidpipe is not installed in this environment")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who uses vidpipe: a home, a quick ladder, the program on the path."""
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "VIDPIPE_HOME": str(tmp_path / "home"), "VIDPIPE_LADDER": ladder(tmp_path, 90)}


def script(name: str, folder: Path, **changes: str) -> Path:
    """Write the script that names itself below its first line. changes: what stands there, and what instead."""
    (text,) = [text for text in SCRIPTS if text.startswith("#!") and name in text]
    for old, new in changes.items():
        text, count = re.subn(old, new, text)
        assert count, old
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("text", SCRIPTS, ids=range(len(SCRIPTS)))
def test_every_script_is_good_shell(text: str) -> None:
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@installed
def test_watch_folder_publishes_what_is_complete(tmp_path: Path, environ: dict[str, str]) -> None:
    inbox = tmp_path / "in box"
    inbox.mkdir()
    for name in ("good.mp4", "arriving.mp4"):
        shutil.copy(FIXTURES / "one-second.mp4", inbox / name)
    (inbox / "bad.mov").write_text("no video")
    for name in ("good.mp4", "bad.mov"):
        os.utime(inbox / name, (time.time() - 120,) * 2)
    watch = script("watch-folder", tmp_path)
    with subprocess.Popen(["sh", watch, inbox], env=environ, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not ((inbox / "done" / "good.mp4").exists() and (inbox / "failed" / "bad.mov").exists()):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.1)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert (inbox / "arriving.mp4").exists()


@installed
def test_the_cron_job_prints_what_is_wrong_only(tmp_path: Path, environ: dict[str, str]) -> None:
    masters = tmp_path / "masters"
    masters.mkdir()
    shutil.copy(FIXTURES / "one-second.mp4", masters / "good.mov")
    job = script("publish-masters", tmp_path, **{"/srv/vidpipe": environ["VIDPIPE_HOME"], "/srv/masters": str(masters)})

    def said() -> str:
        return subprocess.run(["sh", job], env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    assert said() == "warning: good: the picture is only 320x180 [low-resolution]\n", "when it is new"
    assert said() == ""
    (masters / "bad.mov").write_text("no video")
    assert re.search(rf"^error: (?s:.*)\n{re.escape(str(masters))}/bad\.mov: exit code 3\n$", said())
