"""A container uses what it was given, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidpipe.encode import machine
from vidpipe.encode.machine import cores_here, memory_here


def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, files: dict[str, str]) -> None:
    (tmp_path / "mine").write_text(lines)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    monkeypatch.setattr(machine, "MY_CGROUPS", tmp_path / "mine")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        pytest.param("0::/", {"memory.max": "50000000\n", "cpu.max": "250000 100000\n"}, id="a container, version 2"),
        pytest.param(
            "0::/job.slice/step",
            {
                "job.slice/step/memory.max": "max\n",
                "job.slice/memory.max": "50000000\n",
                "job.slice/step/cpu.max": "max 100000\n",
                "job.slice/cpu.max": "250000 100000\n",
            },
            id="a batch system limits a group above",
        ),
        pytest.param(
            "5:cpu,cpuacct:/box\n4:memory:/box\n3:devices:/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/box/memory.limit_in_bytes": "50000000\n",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/box/cpu.cfs_quota_us": "250000\n",
                "cpu/box/cpu.cfs_period_us": "100000\n",
            },
            id="version 1",
        ),
        pytest.param("0::/outside", {"memory.max": "50000000\n", "cpu.max": "250000 100000\n"}, id="a path that is not there"),
    ],
)
def test_a_container_uses_what_it_was_given(lines: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group(tmp_path, monkeypatch, lines, files)
    assert memory_here() == 50_000_000
    assert cores_here() == 2


@pytest.mark.parametrize("files", [{}, {"memory.max": "max\n", "cpu.max": "max 100000\n"}, {"cpu.max": "20000 100000\n"}])
def test_without_a_limit_there_is_the_machine(files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory_here()
    group(tmp_path, monkeypatch, "0::/", files)
    assert memory_here() >= whole > 100_000_000
    assert cores_here() == (1 if files.get("cpu.max", "").startswith("2") else 64)
