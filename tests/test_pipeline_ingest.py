"""ingest, the order of things: what is refused or stopped is so before any work, and a result says the same however it came about."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, Recorder, ladder, published, run, settings
from vidpipe.catalog.store import Catalog
from vidpipe.errors import Interrupted, SourceRefused, UsageError
from vidpipe.media.ffmpeg import ANSWER_SECONDS, find
from vidpipe.pipeline.ingest import IngestRequest, ingest, prepare
from vidpipe.progress import Event
from vidpipe.storage.local import LocalStorage
from vidpipe.work.jobs import Claim, claim
from vidpipe.work.tree import JOBS, SOURCES

CLIP = FIXTURES / "one-second.mp4"
SILENT = FIXTURES / "silent-video.mp4"


def program(folder: Path, script: str) -> str:
    """Write a program that stands for ffmpeg."""
    file = folder / "ffmpeg"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize("begin", [prepare, ingest], ids=["plan", "ingest"])
def test_a_stopped_run_measures_nothing(begin: Callable[..., object], tmp_path: Path) -> None:
    configured, cancel = settings(tmp_path, 90), threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        begin(IngestRequest(source=str(CLIP)), configured, None, cancel)
    assert published(configured.work / SOURCES) == []


def test_an_ffmpeg_that_hangs_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    cancel = threading.Event()

    class Stops:
        def emit(self, event: Event) -> None:
            if event.event == "stage_finished":
                cancel.set()

    begun = time.monotonic()
    with pytest.raises(Interrupted):
        ingest(IngestRequest(source=str(CLIP)), settings(tmp_path, 90, ffmpeg=program(tmp_path, "exec sleep 100")), Stops(), cancel)
    assert time.monotonic() - begun < ANSWER_SECONDS / 2


def test_what_an_ffmpeg_can_do_is_asked_once(tmp_path: Path) -> None:
    script = f'echo "$2" >>{tmp_path}/asked; exec {find().path} "$@"'
    configured = settings(tmp_path, 90, ffmpeg=program(tmp_path, script))
    run(CLIP, configured)
    assert run(CLIP, configured).unchanged
    asked = (tmp_path / "asked").read_text().split()
    assert (asked.count("-version"), asked.count("-encoders"), asked.count("-filters")) == (2, 1, 1)


DASH_WHOLE = {"formats": "hls,dash", "encrypt": "aes-128"}
WRONG = {
    "an id": ({"content_id": "a/b"}, {}, "content id"),
    "formats": ({"content_id": "film"}, DASH_WHOLE, "DASH cannot carry aes-128"),
}


@pytest.mark.parametrize("begin", [prepare, ingest], ids=["plan", "ingest"])
@pytest.mark.parametrize(("given", "changes", "what"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_refused_before_the_source_is_touched(
    given: dict[str, str], changes: dict[str, str], what: str, begin: Callable[..., object], tmp_path: Path
) -> None:
    """A source may be hours of download."""
    with pytest.raises(UsageError, match=what):
        begin(IngestRequest(source=str(tmp_path / "missing.mp4"), **given), settings(tmp_path, 90, **changes))


def test_words_that_no_record_can_hold_are_refused_before_the_source_is_touched(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8"):
        run(tmp_path / "missing.mp4", settings(tmp_path, 90), title="\udcfc")


def test_codecs_that_a_scheme_cannot_protect_are_refused_by_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidpipe.mp4.subsamples.CODECS", frozenset({"hevc"}))  # as of an encoder that is yet to come
    with pytest.raises(UsageError, match="cbcs cannot encrypt h264"):
        prepare(IngestRequest(source=str(CLIP)), settings(tmp_path, 90, encrypt="cbcs"))


def policy(folder: Path, severity: str) -> str:
    """Write a policy for sources without audio, which the first look shows."""
    file = folder / f"{severity}.yaml"
    file.write_text(f"no_audio:\n  severity: {severity}\n")
    return str(file)


def test_what_the_first_look_shows_is_refused_before_the_encode(tmp_path: Path) -> None:
    heard = Recorder()
    strict = settings(tmp_path, 90, policy=policy(tmp_path, "error"))
    for begin in (prepare, ingest):
        with pytest.raises(SourceRefused, match="fails quality control"):
            begin(IngestRequest(source=str(SILENT), content_id="film"), strict, heard)
    assert {event.content_id for event in heard.events} == {"film"}
    assert [event.stage for event in heard.named("stage_started")] == ["validate", "validate"]


def test_findings_and_warnings_do_not_depend_on_how_much_was_done(tmp_path: Path) -> None:
    hevc = ladder(tmp_path, 90, codec="hevc")
    configured = settings(tmp_path, 90, policy=policy(tmp_path, "warning")).model_copy(update={"ladder": hevc})
    first = run(SILENT, configured)
    assert first.warnings
    copied = run(SILENT, configured, title="New")
    unchanged = run(SILENT, configured)
    (Path(unchanged.manifest).parent / "record.json").unlink()
    restored = run(SILENT, configured)
    assert (copied.artifacts, unchanged.unchanged, restored.restored) == (0, True, 1)
    for result in (first, copied, unchanged, restored):
        assert "no-audio" in {finding.id for finding in result.findings}
        assert result.warnings == first.warnings
        assert (result.manifest, result.run != "", "total" in result.timings) == (result.record.playback.hls, True, True)
        assert result.address == str(Path(result.manifest).parents[1] / "master.m3u8")


def test_no_note_is_left_of_a_version_that_is_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine died after the catalog was written: the next run finds the version live, and has nothing to continue."""
    configured = settings(tmp_path, 90)
    with monkeypatch.context() as patch:
        patch.setattr(Claim, "finish", lambda _: None)
        first = run(CLIP, configured, content_id="film")
    assert "film.json" in published(configured.work / JOBS)
    note = (configured.work / JOBS / "film.json").read_bytes()
    again = run(CLIP, configured, content_id="film")
    assert (again.unchanged, again.record) == (True, first.record)
    assert "film.json" not in published(configured.work / JOBS)
    (configured.work / JOBS / "film.json").write_bytes(note)
    (Path(first.manifest).parent / "record.json").unlink()
    assert run(CLIP, configured, content_id="film").restored == 1
    assert "film.json" not in published(configured.work / JOBS)


NAMELESS = {
    "of a pipe": ("-", "standard input has no file name", "-"),
    "of an address": ("https://films.example.com/?token=secret", "no content id can be made from the name", "https://films.example.com/"),
    "of a folder": ("/", "no content id can be made from the name", "/"),
}


@pytest.mark.parametrize(("source", "what", "where"), NAMELESS.values(), ids=NAMELESS.keys())
def test_a_source_without_a_name_needs_an_id(source: str, what: str, where: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=what) as refused:
        run(source, settings(tmp_path, 90))
    assert refused.value.where == where
    assert "--id" in str(refused.value.fix)
    assert not (tmp_path / "home").exists()


NAMES = {
    "of an address": ("http://127.0.0.1:1/a/What%20now.mp4?x=/y.mp4", "What-now"),
    "of a file": ("/films/What?%20now.mp4", "What-20now"),
}


@pytest.mark.parametrize(("source", "name"), NAMES.values(), ids=NAMES.keys())
def test_an_address_has_another_name_than_a_file(source: str, name: str, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    with claim(configured.work, name), pytest.raises(UsageError, match=f"another ingest of '{name}'"):
        run(source, configured)


def test_standard_input_is_called_as_its_title(tmp_path: Path) -> None:
    configured, kept = settings(tmp_path, 90), os.dup(0)
    try:
        for step in ("plan", "ingest"):
            with CLIP.open("rb") as clip:
                os.dup2(clip.fileno(), 0)
                if step == "plan":
                    made = prepare(IngestRequest(source="-"), configured)
                    assert made.notes[0].startswith("read from standard input")
                else:
                    assert run("-", configured, content_id="clip").record.source.name == "clip"
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_target_and_catalog_are_closed_however_a_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    for kind in (LocalStorage, Catalog):
        monkeypatch.setattr(kind, "close", lambda self, close=kind.close: (closed.append(type(self).__name__), close(self)))
    monkeypatch.setattr("vidpipe.encode.cluster.connect.preload", lambda: pytest.fail("without a cluster, Dask costs start-up time"))
    configured = settings(tmp_path, 90)
    run(CLIP, configured, content_id="film")
    assert sorted(closed) == ["Catalog", "LocalStorage"]
    assert not [name for name in published(configured.work / JOBS) if name.endswith(".json")], "no note is left of a run that ends well"
    with pytest.raises(UsageError, match="another source"):
        run(SILENT, configured, content_id="film")
    assert sorted(closed) == ["Catalog", "Catalog", "LocalStorage", "LocalStorage"]
