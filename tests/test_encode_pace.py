"""Cores and memory are filled by chunks, and the last ones get threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidpipe.encode import pace as module
from vidpipe.encode.pace import BYTES_A_PIXEL, Pace, memory_here, pace

PLENTY = 1 << 50
LADDER = 12_000_000  # pixels of all rungs up to 2160p
CHUNK = LADDER * BYTES_A_PIXEL


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
    assert pace(chunks, workers=workers, threads=threads, cores=cores, memory=PLENTY, pixels=LADDER) == expected


@pytest.mark.parametrize(
    ("memory", "workers", "expected"),
    [
        pytest.param(CHUNK * 3 + 1, None, Pace(3, (4,) * 20 + (6, 12)), id="as many chunks as have room, and threads for the cores"),
        pytest.param(CHUNK // 2, None, Pace(1, (12,) * 22), id="no room for one: one, and ffmpeg says so if it fails"),
        pytest.param(CHUNK // 2, 8, Pace(8, (1,) * 14 + (3, 3, 3, 3, 3, 4, 6, 12)), id="the user knows better"),
    ],
)
def test_chunks_side_by_side_fit_into_memory(memory: int, workers: int | None, expected: Pace) -> None:
    assert pace(22, workers=workers, cores=8, memory=memory, pixels=LADDER) == expected


def test_a_container_may_use_what_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory_here()
    limit, none = tmp_path / "limit", tmp_path / "none"
    none.write_text("max\n")
    monkeypatch.setattr(module, "CGROUP_LIMITS", (tmp_path / "absent", none))
    assert memory_here() >= whole > 100_000_000
    limit.write_text("50000000\n")
    monkeypatch.setattr(module, "CGROUP_LIMITS", (none, limit))
    assert memory_here() == 50_000_000
