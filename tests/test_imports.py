"""The direction of the imports, the single doors, and a light start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = (
    "av",
    "boto3",
    "botocore",
    "cryptography",
    "distributed",
    "dask",
    "ffmpeg",
    "imageio_ffmpeg",
    "m3u8",
    "sqlalchemy",
    "vidpipe.pipeline",
)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["ingest", "--help"], ["ladders", "list"], ["catalog", "--help"], ["nonsense"], ["ingest", "--workers"]],
    ids=" ".join,
)
def test_the_command_line_starts_light(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from vidpipe.cli import main\n"
        f"sys.argv = ['vidpipe', *{arguments!r}]\n"
        "try:\n    main()\n"
        f"finally:\n    print('LOADED', sorted(name for name in {HEAVY!r} if name in sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 2), done.stderr
    assert done.stderr.splitlines()[-1] == "LOADED []"


def test_the_contracts_of_the_design_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_launcher_of_the_checkout_runs() -> None:
    done = subprocess.run([sys.executable, "cli.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("vidpipe ")
