"""Events: each names its run, its title and its time, whichever stage emits it."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, Recorder, settings
from vidpipe.errors import SourceRefused
from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest, prepare
from vidpipe.progress import DecodeProgress, Event, FileStarted, Note, RunReporter, Silent, Stages
from vidpipe.validation import validate_files

CLIP = str(FIXTURES / "one-second.mp4")


def test_a_run_adds_what_a_stage_does_not_know() -> None:
    heard = Recorder()
    run = RunReporter(heard, "film")
    before = datetime.now(UTC)
    Stages(run).reporter.emit(Note(text="hello"))
    (event,) = heard.events
    assert event == Note(text="hello", run=run.id, content_id="film", at=event.at)
    assert event.at
    assert before <= event.at <= datetime.now(UTC)
    assert event.at.utcoffset() == timedelta(0)
    assert uuid.UUID(run.id).version == 4
    assert RunReporter(Silent()).id != run.id


def test_ingests_at_once_through_one_reporter_can_be_distinguished(tmp_path: Path) -> None:
    heard, results = Recorder(), dict[str, IngestResult]()

    def one(content_id: str) -> None:
        request = IngestRequest(source=CLIP, content_id=content_id)
        results[content_id] = ingest(request, settings(tmp_path / content_id, 90, encrypt="none"), heard)

    threads = [threading.Thread(target=one, args=(content_id,)) for content_id in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert {(event.run, event.content_id) for event in heard.events} == {(result.run, id_) for id_, result in results.items()}
    assert len({result.run for result in results.values()}) == 2
    kinds = {event.event for event in heard.events}
    assert kinds >= {"stage_started", "stage_finished", "encode_planned", "chunk_finished", "uploaded", "note"}
    assert all(event.at for event in heard.events)


def test_a_refused_ingest_names_its_run_too(tmp_path: Path) -> None:
    heard = Recorder()
    (tmp_path / "film.mp4").write_text("text")
    with pytest.raises(SourceRefused):
        ingest(IngestRequest(source=str(tmp_path / "film.mp4")), settings(tmp_path), heard)
    assert {event.content_id for event in heard.events} == {"film"}
    assert len({event.run for event in heard.events}) == 1
    assert heard.events[0].run


def test_validate_shows_which_file_and_how_much_of_it_is_decoded(tmp_path: Path) -> None:
    heard = Recorder()
    list(validate_files([CLIP, CLIP], settings(tmp_path), cancel=threading.Event(), reporter=heard))
    started = [event for event in heard.events if isinstance(event, FileStarted)]
    assert [(event.file, event.number, event.files) for event in started] == [(CLIP, 1, 2), (CLIP, 2, 2)]
    last = [event for event in heard.events if isinstance(event, DecodeProgress)][-1]
    assert (last.frames, last.frames_total) == (30, 30)
    quick = Recorder()
    list(validate_files([CLIP], settings(tmp_path), quick=True, cancel=threading.Event(), reporter=quick))
    assert not any(isinstance(event, DecodeProgress) for event in quick.events)


def test_what_makes_no_title_is_a_run_without_one(tmp_path: Path) -> None:
    heard = Recorder()
    prepare(IngestRequest(source=CLIP), settings(tmp_path), heard)
    planned: list[Event] = list(heard.events)
    assert planned
    assert {event.content_id for event in planned} == {None}
    list(validate_files([CLIP], settings(tmp_path), quick=True, cancel=threading.Event(), reporter=heard))
    assert all(event.run and event.at for event in heard.events)
