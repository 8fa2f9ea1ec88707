"""segmenter: what the encode has finished becomes segments, one at a time, and whoever stops asking stops the encode."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.encode_support import Seen, clip, tiny_plan
from vidpipe.encode.quality_gate import QualityGate
from vidpipe.encode.result import Encoded, EncodedAudio, EncodedChunk, EncodedSubtitles
from vidpipe.encode.scheduler import encode
from vidpipe.encode.subtitles import TIME_OFFSET
from vidpipe.encode.tasks.remarks import mark
from vidpipe.errors import EncodeFailed
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.pipeline.segmenter import Segmenter, Tally
from vidpipe.plan import Chunk, Plan, SubtitleRendition
from vidpipe.progress import Note, Stages
from vidpipe.protect.protection import Protection
from vidpipe.protect.schemes import scheme_of
from vidpipe.source.asset import StreamRef
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import load_policy
from vidpipe.source.quality_report import QualityReport
from vidpipe.work.artifacts import Artifact, Store

WORDS = SubtitleRendition(id="sub-und", stream=StreamRef(stream=2), name="Subtitles", codec="subrip")


@pytest.fixture(scope="module")
def encoded(program: FFmpeg, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, list[Encoded]]:
    """60 frames of 24 fps in chunks of 48 and segments of 24, with audio."""
    folder = tmp_path_factory.mktemp("segmenter")
    made = tiny_plan(clip(folder / "source.mp4", "24", 60, beeps=2))
    with closing(encode(made, Store(folder / "work"), ffmpeg=program)) as results:
        return made.model_copy(update={"subtitles": (WORDS,)}), list(results)


class Judge(QualityGate):
    """Quality control that remembers what it was given."""

    def __init__(self, made: Plan) -> None:
        super().__init__(made, load_policy(), QualityReport(), limits=SourceLimits(), cancel=threading.Event())
        self.judged: list[Encoded] = []

    def add(self, result: EncodedChunk | EncodedAudio) -> None:
        self.judged.append(result)
        super().add(result)


def segmenter(made: Plan, seen: Seen, judge: Judge | None = None, stages: Stages | None = None) -> Segmenter:
    return Segmenter(made, judge or Judge(made), Protection(scheme_of("none")).seal, stages or Stages(seen))


def coming(results: Sequence[Encoded], given: list[int], over: list[bool]) -> Generator[Encoded, None, None]:
    try:
        for number, result in enumerate(results):
            given.append(number)
            yield result
    finally:
        over.append(True)


def test_every_result_becomes_the_segments_of_the_grid(encoded: tuple[Plan, list[Encoded]]) -> None:
    made, results = encoded
    judge, stages = Judge(made), Stages(Seen())
    cutting = segmenter(made, Seen(), judge, stages)
    found = {cutting.path(segment.rendition, segment.index) for segment in cutting.segments(coming(results, [], []))}
    assert found == {f"{folder}/0000{n}.m4s" for folder in ("video/90p", "audio/und") for n in (1, 2, 3)}
    assert cutting.path(WORDS.id, 0) == "subtitles/sub-und/00001.vtt"
    chunks = [result for result in results if isinstance(result, EncodedChunk)]
    assert [(kept.chunk, kept.pictures, kept.posters) for kept in cutting.chunks] == [(c.chunk, c.pictures, c.posters) for c in chunks]
    assert not any(kept.video for kept in cutting.chunks), "a title of hours has thousands"
    assert cutting.tally == Tally(chunks=1, artifacts=2)
    assert judge.judged == results, "quality control has its say before anything is cut"
    assert all(cutting.packaged.sizes.rates(rendition.id).average > 0 for rendition in made.renditions)
    assert cutting.packaged.inits.keys() == {"90p", "und"}
    assert cutting.packaged.frames == {"und": next(result.artifact.samples for result in results if isinstance(result, EncodedAudio))}
    assert stages.seconds.keys() == {"package", "protect"}
    assert all(0 <= seconds < 60 for seconds in stages.seconds.values())


def test_nothing_is_asked_of_the_encode_before_it_is_needed(encoded: tuple[Plan, list[Encoded]]) -> None:
    made, results = encoded
    given: list[int] = []
    over: list[bool] = []
    segments = segmenter(made, Seen()).segments(coming(results, given, over))
    next(segments)
    assert (given, over) == ([0], [])
    segments.close()
    assert over == [True], "an encode that nobody listens to is stopped"


def test_subtitles_that_cannot_be_used_are_left_out_with_a_warning(encoded: tuple[Plan, list[Encoded]]) -> None:
    made, _ = encoded
    seen = Seen()
    cutting = segmenter(made, seen)
    broken = EncodedSubtitles(rendition=WORDS, problem="ffmpeg does not understand it: line 7: what?")
    assert list(cutting.segments(coming([broken], [], []))) == []
    assert cutting.tally == Tally()
    (note,) = [event for event in seen.events if isinstance(event, Note)]
    assert (note.level, note.text.partition(": ")[0]) == ("warning", "subtitle stream 2 (Subtitles) is not published")
    assert "does not understand" in note.text
    assert cutting.packaged.unusable == {WORDS.id: "ffmpeg does not understand it"}


@pytest.mark.parametrize("lacking", [False, True])
def test_subtitles_become_segments_and_what_they_lack_is_said(encoded: tuple[Plan, list[Encoded]], lacking: bool, tmp_path: Path) -> None:
    made, _ = encoded
    seconds = TIME_OFFSET + made.asset.source(WORDS.stream).zero
    (tmp_path / "words.vtt").write_text(f"WEBVTT\n\n{int(seconds) // 3600}:00:00.200 --> {int(seconds) // 3600}:00:01.200\nOne\n")
    if lacking:
        mark(tmp_path / "words.vtt")
    seen = Seen()
    cutting = segmenter(made, seen)
    text = EncodedSubtitles(rendition=WORDS, artifact=Artifact(key="k", path=tmp_path / "words.vtt", size=1, sha256="0" * 64))
    found = list(cutting.segments(coming([text], [], [])))
    assert [(cutting.path(segment.rendition, segment.index), segment.samples) for segment in found] == [
        ("subtitles/sub-und/00001.vtt", 1),
        ("subtitles/sub-und/00002.vtt", 1),
        ("subtitles/sub-und/00003.vtt", 0),
    ]
    assert [cue.text for cue in cutting.packaged.cues[WORDS.id]] == ["One"]
    notes = [(event.level, event.text) for event in seen.events if isinstance(event, Note)]
    lacks = ("warning", "subtitle stream 2 (Subtitles) is missing some cues, which cannot be decoded")
    assert notes == [lacks] * lacking


def test_a_later_chunk_with_another_init_section_is_refused(encoded: tuple[Plan, list[Encoded]], tmp_path: Path) -> None:
    """As of a worker whose encoder is another one: players are given the init section of the first chunk alone."""
    made, results = encoded
    first = next(result for result in results if isinstance(result, EncodedChunk))
    (artifact,) = first.video.values()
    data = bytearray(artifact.path.read_bytes())
    data[data.index(b"avcC") + 6] ^= 1  # profile_compatibility
    (tmp_path / "other.mp4").write_bytes(data)
    other = artifact.model_copy(update={"path": tmp_path / "other.mp4"})
    later = first.model_copy(update={"video": {made.video[0].id: other}})
    with pytest.raises(EncodeFailed, match="differs from the first chunk's"):
        list(segmenter(made, Seen()).segments(coming([first, later], [], [])))


def test_what_is_counted_of_an_encode(tmp_path: Path) -> None:
    """The summary of an ingest: a chunk was reused only if it was in every rung, and subtitles of which nothing came are no artifact."""
    new = Artifact(key="k", path=tmp_path / "k", size=1, sha256="0" * 64)
    kept = new.model_copy(update={"reused": True})
    tally = Tally()
    for index, video in enumerate([{"90p": kept, "180p": kept}, {"90p": kept, "180p": new}, {"90p": new, "180p": new}]):
        tally.add(EncodedChunk(chunk=Chunk(index=index, start=index * 48, frames=48), threads=1, video=video))
    assert tally == Tally(chunks=3, chunks_reused=1, artifacts=6, artifacts_reused=3)
    for artifact in (new, kept, None):
        tally.add(EncodedSubtitles(rendition=WORDS, artifact=artifact))
    assert tally == Tally(chunks=3, chunks_reused=1, artifacts=8, artifacts_reused=4)
