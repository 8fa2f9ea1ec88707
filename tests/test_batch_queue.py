"""batch/queue: many titles side by side; what is wrong with one is its own affair."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from tests.ingest_support import FIXTURES, Recorder, live, settings
from vidpipe.batch.junit import junit
from vidpipe.batch.queue import TitleResult, exit_code, run_batch
from vidpipe.batch.requests import BatchTitle, from_sources
from vidpipe.encode.worker_pool import WorkerPool
from vidpipe.errors import UsageError
from vidpipe.progress import Event
from vidpipe.settings import Settings

GOOD = ("portrait-25", "one-second", "surround-51")
LONG = "landscape-24"


class Shop:
    """Settings for every title of a batch: one home, one target."""

    def __init__(self, folder: Path) -> None:
        self.home = settings(folder, 90, encrypt="none")

    def __call__(self, changes: Mapping[str, str]) -> Settings:
        if "wrong" in changes.values():
            raise UsageError("there is no ladder 'wrong'", fix="see vidpipe ladders list")
        return self.home.model_copy(update=dict(changes))


def titles(*names: str) -> tuple[BatchTitle, ...]:
    return from_sources([str(FIXTURES / f"{name}.mp4") for name in names])


def by_id(results: list[TitleResult]) -> dict[str, TitleResult]:
    return {result.content_id: result for result in results}


def test_a_broken_source_does_not_stop_the_others_and_the_same_again_continues(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    batch = (*titles(GOOD[0]), *from_sources([str(broken)]), *titles(*GOOD[1:]))
    shop, recorder = Shop(tmp_path), Recorder()
    results = by_id(list(run_batch(batch, shop, recorder, pool=WorkerPool(2))))
    assert {name: (result.state, result.exit_code) for name, result in results.items()} == {
        **dict.fromkeys(GOOD, ("live", 0)), "broken": ("failed", 3)
    }  # fmt: skip
    assert [results[name].number for name in (GOOD[0], "broken", *GOOD[1:])] == [1, 2, 3, 4]
    assert results["broken"].diagnostics
    assert any("fix:" in line for line in results["broken"].message)
    assert exit_code(list(results.values())) == 3
    assert all(live(shop.home, name) for name in GOOD)
    ended = {event.content_id: event for event in recorder.named("title_finished")}
    assert {(name, event.state) for name, event in ended.items()} == {(name, result.state) for name, result in results.items()}
    assert {event.content_id for event in recorder.events} == set(results), "every event names its title"
    again = by_id(list(run_batch(titles(*GOOD), shop)))
    assert {result.state for result in again.values()} == {"unchanged"}
    assert exit_code(list(again.values())) == 0


def test_settings_of_a_title_are_its_own(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    first, second = titles(*GOOD[:2])
    batch = [
        first.model_copy(update={"settings": {"target": str(tmp_path / "elsewhere")}}),
        second.model_copy(update={"settings": {"ladder": "wrong"}}),
    ]
    results = by_id(list(run_batch(batch, shop)))
    assert (tmp_path / "elsewhere" / GOOD[0] / "master.m3u8").is_file()
    assert (results[GOOD[1]].state, results[GOOD[1]].exit_code) == ("failed", 2)


def test_fail_fast_starts_no_other_title(tmp_path: Path) -> None:
    wrong = [title.model_copy(update={"settings": {"ladder": "wrong"}}) for title in titles(GOOD[0])]
    many = [
        title.model_copy(update={"request": title.request.model_copy(update={"content_id": f"copy-{number}"})})
        for number in range(8)
        for title in titles(LONG)
    ]
    results = list(run_batch([*wrong, *many], Shop(tmp_path), pool=WorkerPool(1), fail_fast=True))
    assert sorted(result.number for result in results) == list(range(1, 10))
    states = [result.state for result in sorted(results, key=lambda each: each.number)]
    assert states[0] == "failed"
    assert states.count("not-started") >= 6, states
    assert exit_code(results) == 2


class CancelAt:
    """Sets the cancel event when the first chunk is encoded."""

    def __init__(self, cancel: threading.Event) -> None:
        self.cancel = cancel

    def emit(self, event: Event) -> None:
        if event.event == "chunk_finished":
            self.cancel.set()


def test_a_cancelled_batch_stops_soon_and_says_of_every_title_how_far_it_came(tmp_path: Path) -> None:
    cancel, shop = threading.Event(), Shop(tmp_path)
    results = list(run_batch(titles(LONG, *GOOD[:2]), shop, CancelAt(cancel), cancel, pool=WorkerPool(1)))
    assert len(results) == 3
    assert {result.state for result in results} <= {"live", "stopped", "not-started"}
    assert any(result.state == "stopped" for result in results)
    assert exit_code(results) == 130
    again = list(run_batch(titles(LONG, *GOOD[:2]), shop))
    assert all(result.is_well for result in again)


def test_a_bug_that_one_source_shows_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidpipe.batch import queue

    def odd(request: object, *others: object, **named: object) -> object:
        if "one-second" in str(request):
            raise ZeroDivisionError("odd")
        return real(request, *others, **named)  # type: ignore[arg-type]

    real = queue.ingest
    monkeypatch.setattr(queue, "ingest", odd)
    results = by_id(list(run_batch(titles(*GOOD[:2]), Shop(tmp_path))))
    assert (results["one-second"].exit_code, results["portrait-25"].state) == (70, "live")
    assert "ZeroDivisionError: odd" in results["one-second"].message[0]
    assert "odd" in str(results["one-second"].traceback)


def test_a_cluster_is_offered_more_titles_than_this_machine_has_cores_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidpipe.batch import queue

    together = threading.Barrier(8)

    def waits(*_: object, **named: object) -> object:
        together.wait(10)
        raise UsageError("seen")

    monkeypatch.setattr(queue, "ingest", waits)
    many = [titles("one-second")[0]] * 8
    results = list(run_batch(many, Shop(tmp_path), pool=WorkerPool(1), elsewhere=True))
    assert [result.message[0] for result in results] == ["seen"] * 8


def test_junit_shows_a_test_for_each_title() -> None:
    why = ("no \x00 picture", "fix: none")
    results = [
        TitleResult(number=2, source="b.mov", content_id="b", state="failed", exit_code=3, seconds=1.5, message=why),
        TitleResult(number=1, source="a.mov", content_id="a", state="unchanged", exit_code=0, seconds=1),
        TitleResult(number=3, source="c.mov", content_id="c", state="not-started", exit_code=130),
        TitleResult(number=4, source="d.mov", content_id="d", state="failed", exit_code=70, message=("a bug",), traceback="…"),
    ]
    suite = xml.fromstring(junit(results)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1", "time": "2.500"
    }  # fmt: skip
    assert [(case.get("name"), [child.tag for child in case]) for case in suite] == [
        ("a", []), ("b", ["failure"]), ("c", ["skipped"]), ("d", ["error"])
    ]  # fmt: skip
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("no \ufffd picture", "no \ufffd picture\nfix: none")
