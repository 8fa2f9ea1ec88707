"""What vidpipe itself keeps of a title does not grow with every frame and line that the title has: hours take little more than a minute.

The whole process is measured by ``tests/benchmarks/memory.py``; here are the parts that once grew.
"""

from __future__ import annotations

import threading
import tracemalloc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from tests.test_plan import audio, planned, source
from vidpipe.encode.quality_gate import QualityGate
from vidpipe.encode.result import EncodedAudio
from vidpipe.package.rates import FrameSizes
from vidpipe.publish.result import PublishedSegment
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.quality_report import QualityReport
from vidpipe.work.artifacts import Artifact

MEGABYTE = 1_000_000


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """Fail if what happens inside has more than so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_measurements_are_read_line_by_line(tmp_path: Path) -> None:
    """Those of the audio of one hour are 12 MB of text; read at once they took 50 MB."""
    made = planned(source(audio=(audio(1),)))
    file = tmp_path / "quality.txt"
    file.write_text("".join(f"frame:{number} pts:0 pts_time:{number / 10}\nlavfi.r128.I=-23.0\n" for number in range(30_000)))
    artifact = Artifact(key="k", path=file, size=1, sha256="0" * 64)
    gate = QualityGate(made, load_policy(), QualityReport(), limits=SourceLimits(), cancel=threading.Event())
    with at_most(MEGABYTE):
        gate.add(EncodedAudio(rendition=made.audio[0], artifact=artifact, quality=artifact))


def test_rates_need_no_list_of_all_frames() -> None:
    sizes = FrameSizes()
    sizes._sizes["a"] = {0: array("I", range(200_000))}
    sizes._seconds["a"] = Fraction(200_000, 24)
    with at_most(2 * MEGABYTE):
        assert sizes.rates("a").peak > 0


def test_a_published_segment_takes_little() -> None:
    """As a model of pydantic's it took 1,700 bytes; a title of four hours has 17,000."""

    def published(index: int) -> PublishedSegment:
        times = {"start": Fraction(6 * index, 1), "duration": Fraction(6)}
        words = {"uri": f"video/1080p/{index:05}.m4s", "sha256": f"{index:064x}", "iv": f"{index:032X}"}
        return PublishedSegment(rendition="1080p", index=index, samples=144, size=index, key_id="k", **times, **words)

    with at_most(700 * 1000):
        kept = [published(index) for index in range(1000)]
    assert len(kept) == 1000
