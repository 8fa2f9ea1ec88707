"""docs/recipes.md: its scripts are good shell, and the ones that do their work unattended do it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("text", SCRIPTS, ids=range(len(SCRIPTS)))
def test_every_script_is_good_shell(text: str) -> None:
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@installed
def test_the_cron_job_prints_failures_only(tmp_path: Path, environ: dict[str, str]) -> None:
    masters = tmp_path / "masters"
    masters.mkdir()
    shutil.copy(FIXTURES / "one-second.mp4", masters / "good.mov")
    (job,) = re.findall(r"^    17 2 \* \* \*  (flock .*)$", RECIPES, re.M)
    job = job.replace("/srv/masters", str(masters)).replace("/tmp/masters", str(tmp_path / "masters"))

    def said() -> str:
        argv = ["sh", "-c", job]
        return subprocess.run(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout

    first, warning, *_ = said().splitlines()
    assert (first.split()[:3], warning.split()[0]) == (["+", "good", "live"], "warning:"), "when it is new"
    assert said() == ""
    (masters / "bad.mov").write_text("no video")
    first, *lines = said().splitlines()
    assert first.startswith("x bad ")
    assert any(line.startswith("    fix: ") for line in lines)
