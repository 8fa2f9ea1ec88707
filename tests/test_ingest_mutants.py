"""Damaged files through the whole ingest: each is refused with a sentence, or becomes a title that lasts as long as its record says."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.ingest_support import joined, run, settings
from tests.playback import barcodes
from tests.source_support import make
from tests.test_hostile import CALM, CONTAINERS, MUTATION, mutated
from vidpipe.errors import EncodeFailed, SourceRefused

LAX = """\
truncated: {severity: warning}
read_error: {severity: warning}
decode_errors: {severity: warning}
missing_pictures: {severity: warning}
undecodable_audio: {severity: warning}
"""
"""A policy that lets damage pass, so that the later stages meet it."""

MUTANT = st.tuples(st.sampled_from(CONTAINERS), st.booleans(), st.lists(MUTATION, min_size=1, max_size=3))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return {name: make(name, folder).read_bytes() for name in CONTAINERS}


def outcome(data: bytes, *, lax: bool, folder: Path) -> str:
    """Ingest ``data``; return the sentence of the refusal, or "" for a title that keeps its word."""
    source, policy = folder / "mutant.bin", folder / "lax.yaml"
    source.write_bytes(data)
    policy.write_text(LAX)
    limits = {"wall_seconds": 20, "max_duration": 600}
    configured = settings(folder, 90, encrypt="none", policy=str(policy) if lax else None, limits=limits)
    error: SourceRefused | EncodeFailed | None = None
    try:
        result = run(source, configured)
    except (SourceRefused, EncodeFailed) as refused:
        error = refused
    if error is not None:
        assert error.what
        assert error.fix
        assert not list((folder / "home" / "library").rglob("*.m3u8")), "something is visible"
        return f"{type(error).__name__}: {error}"
    (video,) = [rendition for rendition in result.record.renditions if rendition.type == "video"]
    times = barcodes.read_times(joined(result, configured, f"video-{video.id}.m3u8", folder), "v:0")
    rate = Fraction(video.frame_rate or 0).limit_denominator(1001)
    assert times == [n / rate for n in range(len(times))]
    assert float(len(times) / rate) == pytest.approx(result.record.duration, abs=1e-3)
    for track in result.record.audio:
        samples = barcodes.read_samples(joined(result, configured, f"audio-{track.id}.m3u8", folder))
        assert len(samples) / 2 / 48000 == pytest.approx(result.record.duration, abs=0.05)
    return ""


def check(mutant: tuple[str, bool, list[tuple[Any, ...]]], originals: dict[str, bytes]) -> None:
    name, lax, mutations = mutant
    with tempfile.TemporaryDirectory() as folder:
        outcome(mutated(originals[name], mutations), lax=lax, folder=Path(folder))


@hypothesis_settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=CALM, database=None)
@given(mutant=MUTANT)
@example(mutant=("mkv-29.97", True, [("cut", 0.6)]))
@example(mutant=("plain-mp4", True, [("zero", 0.5, 2000), ("zero", 0.6, 2000)]))
def test_a_few_mutants_through_the_ingest(mutant: tuple[str, bool, list[tuple[Any, ...]]], originals: dict[str, bytes]) -> None:
    check(mutant, originals)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@hypothesis_settings(max_examples=200, deadline=None, suppress_health_check=CALM, print_blob=True)
@given(mutant=MUTANT)
def test_two_hundred_mutants_through_the_ingest(mutant: tuple[str, bool, list[tuple[Any, ...]]], originals: dict[str, bytes]) -> None:
    check(mutant, originals)
