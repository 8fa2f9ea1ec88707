"""The direction of the imports, the single doors, and a light start."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.ingest_support import ladder
from tests.source_support import X264
from tests.source_support import run as ffmpeg
from vidpipe.source import probe

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
    "vidpipe.pipeline.ingest",
)
NOT_FOR_A_FOLDER = (
    *("boto3", "botocore", "urllib3"),  # S3
    *("httpcore", "h11", "anyio"),  # web servers
    *("sqlalchemy.dialects.postgresql", "psycopg"),  # a catalog on a server
    *("distributed", "dask", "vidpipe.encode.cluster"),
    *("langcodes", "language_data"),  # tracks with a language
    *("vidpipe.manifest.dash.mpd", "vidpipe.manifest.dash.read_mpd", "defusedxml"),  # DASH, which cannot carry AES-128
    "rich",  # a terminal
    "av",  # only the child process reads what a stranger sent
)
"""What an ingest of a local file without audio into a folder does without: each takes 10 to 400 ms to load."""
BROUGHT_ALONG = {"botocore": "boto3", "urllib3": "boto3"}
"""What a declared package is made of: imported package -> the distribution that brings it."""


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


@pytest.mark.parametrize("arguments", [["--help"], ["ingest", "--help"], ["catalog", "--help"], ["work", "list", "-h"]], ids=" ".join)
def test_help_loads_what_it_prints_and_no_more(arguments: list[str]) -> None:
    """``vidpipe --help`` takes at most twice the CPU of ``import typer``; it took six times as much with pydantic, rich and the settings.

    Of a single command Typer itself asks pydantic, where it is installed, for the types of the options.
    """
    program = (
        "import sys\n"
        "from vidpipe.cli import main\n"
        f"sys.argv = ['vidpipe', *{arguments!r}]\n"
        "try:\n    main()\n"
        "finally:\n    print(sorted({'rich', 'markdown_it', 'vidpipe.settings', 'vidpipe.data'} & set(sys.modules)), "
        "file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_the_end_of_a_process_looks_for_no_garbage() -> None:
    """Python looks through all objects again when it ends; an eighth of the CPU time of a short ingest."""
    program = (
        "import atexit, gc, sys\n"
        "from vidpipe.cli import main\n"
        "atexit.register(lambda: print(len(gc.get_objects()) < 1000, file=sys.stderr))\n"
        "sys.argv = ['vidpipe', '--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "True\n"


def test_an_ingest_into_a_folder_loads_only_what_it_needs(tmp_path: Path) -> None:
    source = tmp_path / "one.mp4"
    ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-frames:v", "1", *X264], source)
    program = (
        "import sys\n"
        "from vidpipe.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print('LOADED', sorted(name for name in {NOT_FOR_A_FOLDER!r} if name in sys.modules), file=sys.stderr)\n"
    )
    where = ["--home", str(tmp_path / "home"), "--to", str(tmp_path / "to"), "--ladder", ladder(tmp_path, 180)]
    argv = [sys.executable, "-c", program, "ingest", str(source), *where]
    environ = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "LOADED []"


def test_a_quick_look_loads_only_what_it_needs(tmp_path: Path) -> None:
    """``validate --quick`` takes less than a second, most of it the start of Python and its libraries."""
    unwanted = ("asyncio", "filelock", "ssl", "urllib.request", "cryptography", "sqlalchemy", "m3u8", "ffmpeg", "av", "vidpipe.encode")
    program = (
        "import sys\n"
        "from vidpipe.cli import main\n"
        "try:\n    main()\n"
        f"finally:\n    print('LOADED', sorted(name for name in {unwanted!r} if name in sys.modules), file=sys.stderr)\n"
    )
    file = ROOT / "fixtures" / "one-second.mp4"
    argv = [sys.executable, "-c", program, "validate", "--quick", str(file), "--home", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "LOADED []"


def test_the_child_that_opens_a_source_loads_only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    unwanted = ("site", "subprocess", "pydantic", "cryptography", "vidpipe.media", "vidpipe.protect", "vidpipe.storage", "vidpipe.settings")
    seen = f"print(sorted(name for name in {unwanted!r} if name in sys.modules), 'av' in sys.modules, gc.isenabled())"
    monkeypatch.setattr(probe, "CHILD", probe.CHILD.replace("main(sys.argv[1:])", seen))
    done = subprocess.run(probe.child("examine"), capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[] True True", ""]


def test_the_contracts_of_the_design_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_import_is_a_declared_dependency() -> None:
    """Tests see more packages than a user who installs vidpipe: one that is only imported would be missed there alone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["cluster"], *extras["postgres"]]
    declared = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-") for requirement in wanted}
    owners = packages_distributions()
    found = {name for path in (ROOT / "vidpipe").rglob("*.py") for name in imported(ast.parse(path.read_text()))}
    foreign = found - sys.stdlib_module_names - {"vidpipe"}
    assert {"av", "boto3", "distributed", "pydantic", "rich"} <= foreign, "the search finds plain, late and named imports"
    missing = {name for name in foreign if not {owner.lower().replace("_", "-") for owner in owners.get(name, [])} & declared}
    assert missing <= BROUGHT_ALONG.keys(), "declare it in pyproject.toml"
    assert set(BROUGHT_ALONG.values()) <= declared


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level packages that a module imports when it runs, wherever in it."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                continue
            case ast.Import(names):
                yield from (alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
                yield module.partition(".")[0]
        yield from imported(node)


def test_the_launcher_of_the_checkout_runs() -> None:
    done = subprocess.run([sys.executable, "cli.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("vidpipe ")
