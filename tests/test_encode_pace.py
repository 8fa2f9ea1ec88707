"""Cores and memory are filled by chunks, and the last ones get threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.encode_support import clip, rung, tiny_plan
from vidpipe.encode import pace as module
from vidpipe.encode.pace import Pace, cores_here, memory_here, memory_of_a_chunk, pace

PLENTY = 1 << 50
CHUNK = 3_000_000_000  # bytes


@pytest.mark.parametrize(
    ("cores", "chunks", "workers", "threads", "expected"),
    [
        pytest.param(2, 10, None, None, Pace(2, (1,) * 8 + (3, 3)), id="a chunk for each core, and threads for those that may end alone"),
        pytest.param(2, 3, None, None, Pace(2, (1, 3, 3)), id="three chunks on two cores"),
        pytest.param(2, 2, None, None, Pace(2, (3, 3)), id="two unlike chunks: the longer one takes both cores in the end"),
        pytest.param(2, 1, None, None, Pace(1, (3,)), id="one chunk takes all cores as threads"),
        pytest.param(8, 3, None, None, Pace(3, (4,) * 3), id="fewer chunks than cores share them"),
        pytest.param(64, 64, None, None, Pace(64, (3,) * 64), id="as many chunks as cores"),
        pytest.param(64, 128, None, None, Pace(64, (1,) * 64 + tuple(max(3, min(16, 96 // n)) for n in range(64, 0, -1))), id="many cores"),
        pytest.param(8, 13, None, None, Pace(8, (1,) * 5 + (3, 3, 3, 3, 3, 4, 6, 12)), id="the later it begins, the less is beside it"),
        pytest.param(64, 1, None, None, Pace(1, (16,)), id="threads end where they gain nothing"),
        pytest.param(8, 2, 4, None, Pace(4, (6, 6)), id="more workers than chunks"),
        pytest.param(1, 5, None, None, Pace(1, (1,) * 5), id="one core"),
        pytest.param(8, 20, 2, None, Pace(2, (6,) * 19 + (12,)), id="workers given"),
        pytest.param(2, 10, 8, None, Pace(8, (1,) * 2 + (3,) * 8), id="more workers than cores"),
        pytest.param(8, 20, None, 4, Pace(2, (4,) * 20), id="threads given"),
        pytest.param(2, 20, None, 4, Pace(1, (4,) * 20), id="more threads than cores"),
        pytest.param(8, 20, 3, 5, Pace(3, (5,) * 20), id="both given"),
    ],
)
def test_workers_and_threads(cores: int, chunks: int, workers: int | None, threads: int | None, expected: Pace) -> None:
    assert pace(chunks, workers=workers, threads=threads, cores=cores, memory=PLENTY, bytes_each=CHUNK) == expected


THREADS_OF_22 = (1,) * 14 + (3, 3, 3, 3, 3, 4, 6, 12)


@pytest.mark.parametrize(
    ("memory", "workers", "expected"),
    [
        pytest.param(CHUNK * 4, None, 3, id="as many chunks as have room, and some left"),
        pytest.param(CHUNK // 2, None, 1, id="no room for one: one, and ffmpeg says so if it fails"),
        pytest.param(CHUNK // 2, 8, 8, id="the user knows better"),
    ],
)
def test_chunks_side_by_side_fit_into_memory(memory: int, workers: int | None, expected: int) -> None:
    """Their threads, which are a part of the key, stay: less memory or one rung more makes no chunk anew."""
    assert pace(22, workers=workers, cores=8, memory=memory, bytes_each=CHUNK) == Pace(expected, THREADS_OF_22)


def test_every_rung_and_the_source_take_memory(tmp_path: Path) -> None:
    small = tiny_plan(clip(tmp_path / "source.mp4", "25", 10), rung("a", 90))
    large = tiny_plan(tmp_path / "source.mp4", rung("a", 90), rung("b", 48))
    assert memory_of_a_chunk(small) == 100_000_000 + 150 * 90 * 200 + 160 * 96 * 60
    assert memory_of_a_chunk(large) - memory_of_a_chunk(small) == 80 * 48 * 200


def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, files: dict[str, str]) -> None:
    (tmp_path / "mine").write_text(lines)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    monkeypatch.setattr(module, "MY_CGROUPS", tmp_path / "mine")
    monkeypatch.setattr(module, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


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
