"""Quality control while the encode runs: changes of the audio format that only the encode noticed."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import FAST, chunks_of, ffmpeg, tiny_plan
from tests.test_plan import audio, planned, source
from vidpipe.encode import quality_gate as judging
from vidpipe.encode.quality_gate import QualityGate, chains
from vidpipe.encode.result import EncodedAudio, EncodedChunk
from vidpipe.encode.scheduler import encode
from vidpipe.encode.tasks.remarks import CHANGING
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Chunk
from vidpipe.source.facts import AudioFormat, AudioFormatChange, AudioStream
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.quality import read_measurements
from vidpipe.source.quality_report import QualityReport
from vidpipe.work.artifacts import Artifact, Store

STEREO, SURROUND = AudioFormat(sample_rate=48000, channels=2, layout="stereo"), AudioFormat(sample_rate=48000, channels=6, layout="5.1")
CHANGE = (AudioFormatChange(at=Fraction(5), before=STEREO, after=SURROUND),)


@pytest.mark.parametrize(
    ("located", "severity", "decodes", "streams"),
    [
        pytest.param(CHANGE, "warning", 1, [1], id="found"),
        pytest.param((), "warning", 1, [], id="not found again"),
        pytest.param(CHANGE, "off", 0, [], id="nobody asks"),
    ],
)
def test_changes_are_located_once_and_reported_once(
    located: tuple[AudioFormatChange, ...], severity: str, decodes: int, streams: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second stream changes too, but its packets said so: the facts have it."""
    made = planned(source(audio=(audio(1), audio(2, changes=CHANGE))))
    calls: list[str] = []

    def locate(*_: object, **__: object) -> tuple[AudioStream, ...]:
        calls.append("decode")
        return (audio(1, changes=located), audio(2, changes=CHANGE))

    monkeypatch.setattr(judging, "locate_changes", locate)
    policy = load_policy()
    policy = policy.model_copy(update={"changing_audio": policy.changing_audio.model_copy(update={"severity": severity})})
    judge = QualityGate(made, policy, QualityReport(), limits=SourceLimits(), cancel=threading.Event())
    (tmp_path / "quality.txt").write_text(f"{CHANGING}\n")
    artifact = Artifact(key="k", path=tmp_path / "quality.txt", size=1, sha256="0" * 64)
    for rendition in made.audio:
        judge.add(EncodedAudio(rendition=rendition, artifact=artifact, quality=artifact))
    assert calls == ["decode"] * decodes
    assert [finding.at.stream for finding in judge.report().findings if finding.id == "changing-audio"] == streams


def test_a_chunk_costs_the_same_however_many_came_before(tmp_path: Path) -> None:
    """All were joined anew after each: 1,000 chunks took 13 times as long as 250."""
    made = planned(source(audio=()))
    file = tmp_path / "quality.txt"
    file.write_text("frame:0 pts:0 pts_time:0\n")
    artifact = Artifact(key="k", path=file, size=1, sha256="0" * 64)

    def seconds(count: int) -> float:
        gate = QualityGate(made, load_policy(), QualityReport(), limits=SourceLimits(), cancel=threading.Event())
        started = time.thread_time()
        for number in range(count):
            chunk = Chunk(index=number, start=number * 48, frames=48)
            gate.add(EncodedChunk(chunk=chunk, threads=1, video={}, quality=artifact))
        return time.thread_time() - started

    assert seconds(1000) < 8 * seconds(250)


def test_chunks_without_a_frame_of_their_own_are_measured(tmp_path: Path, program: FFmpeg) -> None:
    """The second and third show the last picture of the first one."""
    file = tmp_path / "gap.mkv"
    graph = "testsrc2=s=160x96:r=50:d=10,interlace=scan=tff,setfield=prog,select='lt(t,1)+gt(t,8)'"
    ffmpeg("-f", "lavfi", "-i", graph, "-fps_mode", "passthrough", *FAST, "-g", "25", file)
    chunks = chunks_of(list(encode(tiny_plan(file), Store(tmp_path), ffmpeg=program, quality=chains(load_policy()))))
    measured = [read_measurements(chunk.quality.path.read_text()) for chunk in chunks if chunk.quality]
    assert [each.pictures for each in measured] == [chunk.chunk.frames for chunk in chunks]
    assert [(each.interlacing.top_first > 10, each.interlacing.bottom_first) for each in measured] == [(True, 0)] * len(chunks)
