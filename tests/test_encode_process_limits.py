"""limits: an encode may use a few times what its plan needs, and no more."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, ladder
from vidpipe.encode.audio import audio_command
from vidpipe.encode.command import ChunkCommand, chunk_command
from vidpipe.encode.parallelism import memory_of
from vidpipe.encode.process_limits import audio_limits, chunk_limits
from vidpipe.ladder import load
from vidpipe.media.process import Limits
from vidpipe.plan import Plan, plan
from vidpipe.source.probe import probe

GB = 1024**3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("plan")
    source = probe(str(FIXTURES / "landscape-24.mp4"))
    times = {"gop_seconds": Fraction(1), "segment_seconds": Fraction(2), "chunk_seconds": Fraction(4)}
    return plan(source, load(ladder(folder, 90, 180)), **times)


def job(made: Plan, threads: int = 1) -> ChunkCommand:
    wanted = {"renditions": made.video, "pictures": True, "posters": (), "quality": None}
    return chunk_command(made, made.chunks[0], threads=threads, **wanted)


def scaled(given: ChunkCommand, times: int) -> ChunkCommand:
    """The same job with rungs so many times as wide and high, and as many bits."""
    rungs = tuple(
        rung.model_copy(
            update={
                "width": rung.width * times,
                "height": rung.height * times,
                "make": rung.make.model_copy(update={"max_bitrate": rung.make.max_bitrate * times}),
            }
        )
        for rung in given.renditions
    )
    return given.model_copy(update={"renditions": rungs})


def numbers(limits: Limits) -> tuple[int, int, int]:
    assert limits.memory_bytes is not None
    assert limits.cpu_seconds is not None
    assert limits.output_bytes is not None
    return limits.memory_bytes, limits.cpu_seconds, limits.output_bytes


def test_a_small_chunk_gets_little(made: Plan) -> None:
    memory, spent, written = numbers(chunk_limits(job(made)))
    assert memory < 4 * GB
    assert 600 <= spent < 700
    assert written < 300_000_000


@pytest.mark.parametrize("threads", [1, 16])
def test_what_a_plan_needs_fits_a_few_times(threads: int, made: Plan) -> None:
    large = scaled(job(made, threads), 12)  # 2160p and 1080p
    video = large.video
    memory, spent, written = numbers(chunk_limits(large))
    assert memory > 4 * memory_of(large.renditions, (video.width, video.height))
    pixels = sum(rung.width * rung.height for rung in large.renditions) * large.chunk.frames
    assert spent > 10 * 4e-7 * pixels, "ten times what the slowest encoder was measured to take"
    assert written > 4 * sum(rung.make.max_bitrate for rung in large.renditions) * 4 / 8


def test_more_needs_more(made: Plan) -> None:
    little, much = (numbers(chunk_limits(each)) for each in (job(made), scaled(job(made, 4), 6)))
    assert all(more > less for less, more in zip(little, much, strict=True))


def test_a_chunk_that_is_decoded_from_the_start_may_take_longer(made: Plan) -> None:
    late = job(made).model_copy(update={"chunk": made.chunks[-1].model_copy(update={"start": 10_000_000}), "seek": None})
    assert numbers(chunk_limits(late))[1] > 10_000_000 * late.video.width * late.video.height * 2e-7


def test_audio_may_take_what_its_length_needs(made: Plan, tmp_path: Path) -> None:
    short = audio_command(made, made.audio, None)
    day = short.model_copy(update={"duration": Fraction(24 * 3600)})
    assert numbers(audio_limits(short))[1] < 1000
    _, spent, written = numbers(audio_limits(day))
    assert spent > 24 * 3600
    assert written > 24 * 3600 * made.audio[0].make.bitrate / 8 * 4
