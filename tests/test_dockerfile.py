"""The steps of the Dockerfile, performed without Docker: a new virtual environment is the base image, a folder its file system."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSIDE = re.compile(r"(?<![\w.-])/(?=(?:src|var/lib/vidpipe|srv/titles|media)\b)")
"""The slash that begins a path of the image."""


def steps() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile and their arguments, in order."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    return [(name, rest) for line in lines if line and not line.startswith("#") for name, _, rest in [line.partition(" ")]]


def copied() -> list[str]:
    """Return what COPY takes from the checkout."""
    return [source for name, rest in steps() if name == "COPY" for source in shlex.split(rest)[:-1]]


def test_the_build_context_holds_what_is_copied_and_the_state_is_a_volume() -> None:
    first, *admitted = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if not line.startswith("**/")]
    assert first == "*"
    assert sorted(admitted) == sorted(f"!{source}" for source in copied())
    assert all((ROOT / source).exists() for source in copied())
    said = dict(steps())
    variables = dict(pair.split("=", 1) for pair in shlex.split(said["ENV"]))
    assert json.loads(said["VOLUME"]) == [variables["VIDPIPE_HOME"], variables["VIDPIPE_TARGET"]]
    assert json.loads(said["ENTRYPOINT"]) == ["vidpipe"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", said["USER"])  # not root, and a number: Kubernetes' runAsNonRoot wants to see one


@pytest.fixture
def image() -> Iterator[Path]:
    """The folder that stands for the file system of the image. Others may enter it, unlike a tmp_path."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.nightly
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="the image is built as root, and run as another user")
def test_the_steps_make_an_image_that_does_the_main_job(image: Path) -> None:
    """Installs from the package index."""
    said = dict(steps())
    user = int(said["USER"].partition(":")[0])
    base = next((python for python in (sys.executable, "/usr/bin/python3") if runs(python, user, said["FROM"])), None)
    if base is None:
        pytest.skip(f"there is no {said['FROM']} here that another user may run")
    programs = image / "python" / "bin"
    subprocess.run([base, "-m", "venv", "--without-pip", str(programs.parent)], check=True)
    subprocess.run([sys.executable, "-m", "pip", "--python", str(programs / "python"), "install", "-q", "pip"], check=True)
    environ = {"PATH": f"{programs}{os.pathsep}{os.defpath}", "LANG": "C.UTF-8"}

    def inside(text: str) -> str:
        return INSIDE.sub(f"{image}/", text)

    folder = image
    for name, rest in steps():
        match name:
            case "COPY":
                *sources, target = shlex.split(inside(rest))
                for source in sources:
                    copy(ROOT / source, Path(target), into=target.endswith("/"))
            case "RUN":
                subprocess.run(["/bin/sh", "-c", inside(rest)], env=environ, cwd=image, check=True)
            case "ENV":
                environ |= dict(pair.split("=", 1) for pair in shlex.split(inside(rest)))
            case "WORKDIR":
                folder = Path(inside(rest))
                folder.mkdir()
            case _:
                assert name in ("FROM", "VOLUME", "USER", "ENTRYPOINT", "CMD")
    assert not (image / "src").exists()
    shutil.copy(ROOT / "fixtures" / "one-second.mp4", folder / "film.mp4")  # as a folder that is mounted, read-only for the user

    def run(*words: str) -> str:
        argv = [str(programs / json.loads(said["ENTRYPOINT"])[0]), *words]
        as_user = {"user": user, "group": user, "extra_groups": []}
        done = subprocess.run(argv, env=environ, cwd=folder, capture_output=True, text=True, check=False, **as_user)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("doctor")
    made = json.loads(run("ingest", "film.mp4", "--ladder", "fast", "--json"))
    assert Path(made["manifest"]).is_relative_to(image / "srv" / "titles")
    assert "film" in run("catalog", "list")
    assert (image / "var/lib/vidpipe/keys/master.key").stat().st_uid == user


def runs(python: str, user: int, image: str) -> bool:
    """Return whether a user may run this interpreter, and it is of the version of the image."""
    asked = f"import sys; sys.exit(not {image!r}.startswith(f'python:{{sys.version_info[0]}}.{{sys.version_info[1]}}-'))"
    try:
        return subprocess.run([python, "-c", asked], user=user, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def copy(source: Path, target: Path, *, into: bool) -> None:
    """Do what COPY does: a folder's content goes into the target, a file below it or, without a slash at its end, to that name."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        (target if into else target.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
