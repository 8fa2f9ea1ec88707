"""The wheel alone, in an environment that has not the checkout, does the main job. Builds it here, without the network."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend itself from a copy of what it is made of: a build writes nothing into the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("vidpipe", "ladders"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], source)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a new environment that holds the wheel, and sees the other packages of this one but not the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    run([sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q", "--no-deps", "--no-index", str(wheel)], folder)
    (packages,) = [Path(path) for path in site.getsitepackages([str(folder)]) if Path(path).is_dir()]
    # Behind the wheel on the path. The .pth files of those folders are not run, so an editable vidpipe stays out.
    (packages / "others.pth").write_text(
        "\n".join(path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")) + "\n"
    )
    return programs


def run(argv: list[str], folder: Path) -> str:
    """Run a program in ``folder`` and return its standard output."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("VIDPIPE", "PYTHON", "PIP_CONSTRAINT"))}
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_what_it_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    checkout = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vidpipe").rglob("*.*") if "__pycache__" not in path.parts}
    ladders = {f"vidpipe/ladders/{path.name}" for path in (ROOT / "ladders").glob("*.yaml")}
    assert {name for name in names if name.startswith("vidpipe/")} == checkout | ladders
    assert {"vidpipe/py.typed", "vidpipe/ladders/streaming.yaml"} <= names
    (licence,) = [name for name in names if name.endswith("/LICENSE")]
    assert ".dist-info/" in licence
    assert all(name.startswith(("vidpipe/", "vidpipe-")) for name in names)


def test_the_installed_wheel_does_the_main_job(installed: Path, tmp_path: Path) -> None:
    where = run([str(installed / "python"), "-c", "import vidpipe; print(vidpipe.__file__)"], tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)
    program = str(installed / "vidpipe")
    assert "apple-hevc" in run([program, "ladders", "list"], tmp_path)
    clip = shutil.copy(ROOT / "fixtures" / "one-second.mp4", tmp_path)
    argv = [program, "ingest", str(clip), "--home", "home", "--ladder", "fast", "--json", "--workers", "1"]
    result = json.loads(run(argv, tmp_path))
    assert Path(result["manifest"]).is_relative_to(tmp_path / "home" / "library")
    assert Path(result["manifest"]).read_text().startswith("#EXTM3U")
    run([program, "inspect", result["manifest"]], tmp_path)
