"""Closed captions are extracted in one go beside the chunks and kept like every other piece, unless the source changes meanwhile."""

from __future__ import annotations

import os
import pickle
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.caption_support import Line21, captioned
from tests.encode_support import tiny_plan
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.result import Encoded, EncodedSubtitles
from vidpipe.encode.scheduler import encode, needs
from vidpipe.encode.subtitles import caption_request, subtitle_file
from vidpipe.encode.tasks import captions as extraction
from vidpipe.encode.tasks.captions import CaptionJob
from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.task import Task, Watch
from vidpipe.errors import Interrupted, SourceRefused
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import Plan
from vidpipe.source.limits import SourceLimits
from vidpipe.work.artifacts import Store


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    sent = Line21(Fraction(30))
    sent.pop_on(0.5, 1, "one")
    sent.pop_on(0.5, 1, "three", channel="CC3")
    return tiny_plan(captioned(tmp_path_factory.mktemp("captions") / "film.mp4", sent, frames=45), chunk=1000)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "work")


def tracks(results: list[Encoded]) -> dict[str, EncodedSubtitles]:
    return {result.rendition.id: result for result in results if isinstance(result, EncodedSubtitles)}


def task_of(plan: Plan, store: Store, limits: SourceLimits | None = None, **changes: Any) -> Task:
    keys = Keys(plan, threads=1, version="1", quality=None)
    names = {name: key for rendition in plan.subtitles for name, key in keys.subtitles(rendition).items()}
    channels = tuple((rendition.stream.stream, str(rendition.channel)) for rendition in plan.subtitles)
    request = caption_request(plan, channels).model_copy(update=changes)
    job = CaptionJob.of(request, plan, names, reading=limits or SourceLimits())
    return Task(job=job, ffmpeg="none", store=store.root)


def test_one_pass_gives_all_channels_and_what_is_there_is_not_made_again(
    plan: Plan, store: Store, program: FFmpeg, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []
    really = extraction.child
    monkeypatch.setattr(extraction, "child", lambda *words: (questions.append(words[0]), really(*words))[1])
    assert needs(plan)[2] == {"mp4", "mjpeg", "null"}, "ffmpeg writes none of it"
    one = plan.model_copy(update={"subtitles": plan.subtitles[:1]})
    assert list(tracks(list(encode(one, store, ffmpeg=program)))) == ["cc1"]
    both = tracks(list(encode(plan, store, ffmpeg=program)))
    assert {id_: track.artifact.reused for id_, track in both.items() if track.artifact} == {"cc1": True, "cc3": False}
    assert questions == ["captions", "captions"]
    artifact = both["cc3"].artifact
    assert artifact is not None
    assert artifact.path.read_text() == "WEBVTT\n\n24:00:00.500 --> 24:00:01.000\nthree\n"


def test_a_channel_with_more_text_than_can_be_meant_is_left_out(plan: Plan, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "LARGEST", len("WEBVTT\n\n24:00:00.500 --> 24:00:01.000\none\n"))
    made = run_task(task_of(plan, store))
    assert list(made.files) == [subtitle_file(0, "CC1")]
    assert "of text" in made.problems[subtitle_file(0, "CC3")]


def test_a_source_that_changes_meanwhile_is_refused(plan: Plan, store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "film.mp4"
    copy.write_bytes(Path(plan.source.location).read_bytes())
    os.utime(copy, ns=(1, 1))
    with pytest.raises(SourceRefused, match="changed while it was being encoded"):
        run_task(task_of(plan, store, location=str(copy)))
    copy.write_bytes(b"nothing")
    with pytest.raises(SourceRefused):
        run_task(task_of(plan, store, location=str(copy)))
    assert not list(store.chunks.rglob("*.vtt"))


def test_a_stop_is_heard(plan: Plan, store: Store) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        run_task(task_of(plan, store), Watch(cancel=stop, progress=lambda frames: None))


def test_the_child_has_the_limits_of_the_settings(plan: Plan, store: Store, program: FFmpeg) -> None:
    """It had the defaults whatever ``[limits]`` said: a film that needed more could be examined, and not read."""
    small = SourceLimits(memory_bytes=32 * 1024**2)
    with pytest.raises(SourceRefused, match="needs more than 32 MiB of memory"):
        run_task(pickle.loads(pickle.dumps(task_of(plan, store, small))))
    with pytest.raises(SourceRefused, match="needs more than 32 MiB of memory"):
        list(encode(plan, store, ffmpeg=program, limits=small))
