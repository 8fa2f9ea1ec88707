"""Damaged files have a budget: memory, processor time and length of the title by the bytes of the file; and validate and ingest agree."""

from __future__ import annotations

import resource
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.ingest_support import Recorder, settings
from tests.source_support import make
from tests.test_hostile import CALM, CONTAINERS, MUTATION, mutated
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import find
from vidpipe.pipeline.ingest import IngestRequest, ingest
from vidpipe.source.policy import load_policy
from vidpipe.source.probe import probe
from vidpipe.source.validate import validate

MOST_MEMORY = 1_200_000_000
"""Bytes of the largest child, whatever the file: the rung has 90 lines."""
MOST_SECONDS, SECONDS_A_BYTE = 60.0, 60 / 100_000
"""Of processor time for validate and ingest together."""
LENGTH_A_BYTE = 8 / 1000
"""Seconds of a title for each byte of its file: what the policy allows."""
TS_PACKET = 188


@dataclass(frozen=True)
class Ended:
    """What became of a file. validated, ingested: "" if it was accepted, else the sentence.  seconds: of the title."""

    validated: str
    ingested: str
    seconds: float
    planned: bool


def ended(data: bytes) -> Ended:
    """Validate and ingest a file, and see how much of the machine it took."""
    before = _spent()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "mutant.bin"
        source.write_bytes(data)
        configured = settings(Path(folder), 90, encrypt="none", limits={"wall_seconds": 30})
        validated, ingested, seconds, recorder = "", "", 0.0, Recorder()
        try:
            found = validate(probe(str(source), limits=configured.limits), load_policy(), find(), limits=configured.limits)
            validated = "; ".join(finding.message for finding in found.findings if finding.severity == "error")
        except SourceRefused as refused:
            validated = str(refused)
        try:
            seconds = ingest(IngestRequest(source=str(source)), configured, recorder).record.duration
        except SourceRefused as refused:
            ingested = str(refused)
    spent = _spent() - before
    assert spent <= MOST_SECONDS + SECONDS_A_BYTE * len(data), f"{spent:.0f} s for {len(data)} bytes"
    assert seconds <= 1 + LENGTH_A_BYTE * len(data)
    unit = 1 if sys.platform == "darwin" else 1024
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit <= MOST_MEMORY
    return Ended(validated, ingested, seconds, bool(recorder.named("encode_planned")))


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(name: str, data: bytes) -> None:
    found = ended(data)
    assert bool(found.validated) == bool(found.ingested), (name, found)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    return {name: make(name, folder).read_bytes() for name in CONTAINERS}


def with_times(data: bytes, *, every: int, shift: int) -> bytes:
    """Return a transport stream in which only each ``every``-th picture has a time, and the last one is ``shift`` ticks late."""
    changed = bytearray(data)
    heads = []
    for at in range(0, len(data), TS_PACKET):
        start = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)  # after the adaptation field
        if data[at + 1] & 0x40 and data[start : start + 4] == b"\0\0\1\xe0":  # PES of the picture
            heads.append(start)
    for number, start in enumerate(heads):
        if number == len(heads) - 1:
            _move(changed, start + 9, shift)
            if changed[start + 7] & 0x40:
                _move(changed, start + 14, shift)
        elif number % every:
            changed[start + 7] &= 0x3F  # neither PTS nor DTS; their bytes become stuffing
            changed[start + 9 : start + 9 + changed[start + 8]] = b"\xff" * changed[start + 8]
    return bytes(changed)


def _move(data: bytearray, at: int, shift: int) -> None:
    """Add ticks to a time of five bytes (ISO/IEC 13818-1, 2.4.3.6)."""
    first, *rest = data[at : at + 5]
    ticks = (first >> 1 & 7) << 30 | rest[0] << 22 | rest[1] >> 1 << 15 | rest[2] << 7 | rest[3] >> 1
    ticks = (ticks + shift) % 2**33
    data[at : at + 5] = bytes(
        [first & 0xF1 | ticks >> 30 << 1, ticks >> 22 & 0xFF, (ticks >> 15 & 0x7F) << 1 | 1, ticks >> 7 & 0xFF, (ticks & 0x7F) << 1 | 1]
    )


@pytest.mark.parametrize("every", [1, 4], ids=["all have times", "most have none"])
def test_a_clock_that_leaps_makes_no_hours_of_picture(every: int, originals: dict[str, bytes]) -> None:
    """Either its times are made continuous, or it is refused, by both and before anything is encoded."""
    data = with_times(originals["ts-offset"], every=every, shift=90_000 * 8762)
    found = ended(data)
    assert bool(found.validated) == bool(found.ingested)
    assert found.seconds < 60
    assert not (found.ingested and found.planned), "refused before the encode"


MUTANT = st.tuples(st.sampled_from(CONTAINERS), st.lists(MUTATION, min_size=1, max_size=3))


@hypothesis_settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=CALM, database=None)
@given(mutant=MUTANT)
@example(mutant=("ts-offset", [("zero", 0.5, 300)]))
def test_a_few_mutants_keep_to_their_budget(mutant: tuple[str, list[tuple[object, ...]]], originals: dict[str, bytes]) -> None:
    name, mutations = mutant
    check(repr(mutant), mutated(originals[name], mutations) or b"\0")


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=CALM, print_blob=True)
@given(mutant=MUTANT)
def test_three_hundred_mutants_keep_to_their_budget(mutant: tuple[str, list[tuple[object, ...]]], originals: dict[str, bytes]) -> None:
    name, mutations = mutant
    check(repr(mutant), mutated(originals[name], mutations) or b"\0")
