"""Cores and memory are filled by chunks, and the last ones get threads where they are few."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.encode_support import clip, rung, tiny_plan
from vidpipe.encode.parallelism import Parallelism, chunks_in, memory_of, parallelism


@pytest.mark.parametrize(
    ("cores", "chunks", "workers", "threads", "expected"),
    [
        pytest.param(2, 10, None, None, Parallelism(2, (1,) * 10), id="a chunk for each core, to the end"),
        pytest.param(2, 3, None, None, Parallelism(2, (1, 1, 3)), id="a last one alone gets threads"),
        pytest.param(2, 2, None, None, Parallelism(2, (1, 1)), id="two chunks on two cores"),
        pytest.param(2, 1, None, None, Parallelism(1, (3,)), id="one chunk takes all cores as threads"),
        pytest.param(8, 3, None, None, Parallelism(3, (4,) * 3), id="fewer chunks than cores share them"),
        pytest.param(64, 64, None, None, Parallelism(64, (1,) * 64), id="as many chunks as cores"),
        pytest.param(64, 128, None, None, Parallelism(64, (1,) * 128), id="two waves on many cores"),
        pytest.param(8, 13, None, None, Parallelism(8, (1,) * 8 + (2,) * 5), id="the last wave shares the cores"),
        pytest.param(8, 9, None, None, Parallelism(8, (1,) * 8 + (12,)), id="one more than the cores"),
        pytest.param(64, 1, None, None, Parallelism(1, (16,)), id="threads end where they gain nothing"),
        pytest.param(8, 2, 4, None, Parallelism(4, (6, 6)), id="more workers than chunks"),
        pytest.param(1, 5, None, None, Parallelism(1, (1,) * 5), id="one core"),
        pytest.param(8, 20, 2, None, Parallelism(2, (6,) * 20), id="workers given"),
        pytest.param(2, 10, 8, None, Parallelism(8, (1,) * 8 + (1, 1)), id="more workers than cores"),
        pytest.param(8, 20, None, 4, Parallelism(2, (4,) * 20), id="threads given"),
        pytest.param(2, 20, None, 4, Parallelism(1, (4,) * 20), id="more threads than cores"),
        pytest.param(8, 20, 3, 5, Parallelism(3, (5,) * 20), id="both given"),
        pytest.param(2, 3, None, (1, 1, 3), Parallelism(2, (1, 1, 3)), id="threads of each chunk, as they once were"),
        pytest.param(8, 9, None, (1,) * 8 + (12,), Parallelism(8, (1,) * 8 + (12,)), id="one more than the cores, as it once was"),
        pytest.param(2, 3, None, (4,) * 3, Parallelism(1, (4,) * 3), id="as they once were on a larger machine"),
    ],
)
def test_workers_and_threads(
    cores: int, chunks: int, workers: int | None, threads: int | tuple[int, ...] | None, expected: Parallelism
) -> None:
    assert parallelism(chunks, cores=cores, fitting=chunks, workers=workers, threads=threads) == expected


THREADS_OF_22 = (1,) * 16 + (2,) * 6


@pytest.mark.parametrize(
    ("fitting", "workers", "expected"),
    [
        pytest.param(3, None, 3, id="as many chunks as fit"),
        pytest.param(0, None, 1, id="not even one fits: one, and ffmpeg says so if it fails"),
        pytest.param(0, 8, 8, id="the user knows better"),
    ],
)
def test_parallel_chunks_fit_into_memory(fitting: int, workers: int | None, expected: int) -> None:
    """Their threads, which are a part of the key, stay: less memory or one rung more makes no chunk anew."""
    assert parallelism(22, cores=8, fitting=fitting, workers=workers) == Parallelism(expected, THREADS_OF_22)


def test_every_rung_and_the_source_take_memory(tmp_path: Path) -> None:
    small = tiny_plan(clip(tmp_path / "source.mp4", "25", 10), rung("a", 90))
    large = tiny_plan(tmp_path / "source.mp4", rung("a", 90), rung("b", 48))
    each = 100_000_000 + 150 * 90 * 200 + 160 * 96 * 60
    assert [chunks_in(memory, small) for memory in (each, int(each / 0.8) + 1, each * 5)] == [0, 1, 4]
    assert chunks_in(each * 5, large) == 3, "one rung more"
    hevc, deep = (tiny_plan(tmp_path / "source.mp4", rung("a", 90, codec="hevc", profile=profile)) for profile in ("main", "main10"))
    assert memory_of(deep.video, (0, 0)) - memory_of(hevc.video, (0, 0)) == 150 * 90 * 120, "10 bits take two bytes"
