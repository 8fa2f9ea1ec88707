"""batch/watch and batch/inbox: what arrives is made, moved away, and never made twice."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests import servers
from tests.ingest_support import FIXTURES, Recorder, live, settings
from vidpipe.batch.inbox import open_inbox
from vidpipe.batch.queue import TitleResult
from vidpipe.batch.watch import is_refused, watch
from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import UsageError
from vidpipe.settings import Settings
from vidpipe.storage import open_storage

CLIP = FIXTURES / "one-second.mp4"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


class Watcher:
    """A watch in a thread of its own. results: so far."""

    def __init__(self, where: str, configured: Settings, **options: float | bool) -> None:
        self.results: list[TitleResult] = []
        self.recorder, self.cancel = Recorder(), threading.Event()
        self._configured = configured
        self._thread = threading.Thread(target=self._run, args=(where, options))

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _settings(self, changes: Mapping[str, str]) -> Settings:
        return self._configured

    def _run(self, where: str, options: dict[str, float | bool]) -> None:
        quick: dict[str, float | bool] = {"settle": 0.3, "period": 0.1, **options}
        for result in watch(where, self._settings, self.recorder, self.cancel, **quick):  # type: ignore[arg-type]
            self.results.append(result)


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_arrives_is_made_and_moved_away(inbox: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none")
    shutil.copy(CLIP, inbox / "first.mp4")
    (inbox / "notes.txt").touch()
    with Watcher(str(inbox), configured) as watcher:
        until(lambda: len(watcher.results) == 1)
        shutil.copy(CLIP, inbox / "second.mp4")
        (inbox / "broken.mov").write_bytes(b"no film")
        until(lambda: len(watcher.results) == 3)
    assert {result.content_id: (result.state, result.exit_code) for result in watcher.results} == {
        "first": ("live", 0), "second": ("live", 0), "broken": ("failed", 3)
    }  # fmt: skip
    assert names(inbox) == ["done/first.mp4", "done/second.mp4", "failed/broken.mov", "failed/broken.mov.error.txt", "notes.txt"]
    assert "fix:" in (inbox / "failed" / "broken.mov.error.txt").read_text()
    assert live(configured, "second")


def test_a_file_that_still_grows_is_left_alone(inbox: Path) -> None:
    clock = [0.0]
    looked = open_inbox(str(inbox), 10, lambda: clock[0])
    file = inbox / "film.mov"
    file.write_bytes(b"1")
    assert list(looked.whole()) == []
    clock[0] = 9.9
    assert list(looked.whole()) == []
    file.write_bytes(b"12")  # one byte more: it begins anew
    for clock[0] in (10.5, 20.0):
        assert list(looked.whole()) == []
    clock[0] = 20.5
    assert [arrival.source for arrival in looked.whole()] == [str(file)]


def test_a_second_source_of_a_name_gets_a_name_of_its_own(inbox: Path) -> None:
    looked = open_inbox(str(inbox), 0)
    for expected in ("film.mov", "film-2.mov", "film-3.mov"):
        (inbox / "film.mov").touch()
        (arrival,) = looked.whole()
        assert looked.put_away(arrival, well=True) == str(inbox / "done" / expected)


def test_what_takes_the_place_of_a_source_is_not_moved_with_it(inbox: Path) -> None:
    looked = open_inbox(str(inbox), 0)
    (inbox / "film.mov").write_bytes(b"1")
    (arrival,) = looked.whole()
    assert looked.is_still(arrival)
    (inbox / "film.mov").write_bytes(b"22")
    assert not looked.is_still(arrival)
    assert looked.put_away(arrival, well=True) is None
    assert (inbox / "film.mov").read_bytes() == b"22"
    assert not list((inbox / "done").glob("*"))


BLAME: dict[str, tuple[int, tuple[str, ...], int, bool]] = {
    "no film": (3, ("unknown-container",), 0, True),
    "a download that broke off": (3, ("fetch-failed",), 5, False),
    "another source of a live title": (2, ("other-source",), 0, True),
    "a withdrawn title": (2, ("withdrawn-title",), 0, True),
    "another ingest of the same id": (2, ("usage",), 9, False),
    "a full disk": (4, ("encode-failed",), 0, False),
    "a full disk for the third time": (4, ("encode-failed",), 2, True),
    "a target that fails": (5, ("publish-failed",), 99, False),
    "a target that lies": (6, ("verification-failed",), 99, False),
    "a catalog that fails": (7, ("catalog-failed",), 99, False),
    "a bug": (70, (), 0, False),
    "a bug that stays": (70, (), 2, True),
}


@pytest.mark.parametrize("what", BLAME)
def test_the_source_is_blamed_for_its_own_faults_alone(what: str) -> None:
    code, ids, attempts, blamed = BLAME[what]
    found = tuple(Diagnostic(id=id_, severity="error", message="m") for id_ in ids)
    result = TitleResult(number=1, source="x", content_id="x", state="failed", exit_code=code, diagnostics=found)
    assert is_refused(result, attempts) is blamed


def test_a_watcher_that_was_killed_before_it_moved_the_source_moves_it(inbox: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none")
    shutil.copy(CLIP, inbox / "film.mp4")
    with Watcher(str(inbox), configured) as first:
        until(lambda: first.results)
    (inbox / "done" / "film.mp4").rename(inbox / "film.mp4")
    with Watcher(str(inbox), configured) as second:
        until(lambda: second.results)
    assert second.results[0].state == "unchanged"
    assert names(inbox) == ["done/film.mp4"]


def test_a_source_that_is_stopped_stays_where_it_is(inbox: Path, tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "landscape-24.mp4", inbox / "film.mp4")
    configured = settings(tmp_path, 90, encrypt="none")
    with Watcher(str(inbox), configured) as watcher:
        until(lambda: watcher.recorder.named("encode_planned"))
        watcher.cancel.set()
    assert names(inbox) == ["film.mp4"]
    assert [result.state for result in watcher.results] in (["stopped"], [])


def test_a_target_that_fails_is_not_the_fault_of_the_source(inbox: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none", target=str(tmp_path / "target"))
    (tmp_path / "target").write_text("a file where the target should be")
    shutil.copy(CLIP, inbox / "film.mp4")
    with Watcher(str(inbox), configured, pause=0.5) as watcher:
        until(lambda: watcher.results)
        assert (watcher.results[0].exit_code, names(inbox)) == (5, ["film.mp4"])
        (tmp_path / "target").unlink()
        until(lambda: watcher.results[-1].is_well)
    assert names(inbox) == ["done/film.mp4"]
    assert any("tried again in" in note.text for note in watcher.recorder.named("note"))


def test_two_watchers_of_one_inbox_are_one_too_many(inbox: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, 90, encrypt="none")
    with Watcher(str(inbox), configured):
        until(lambda: list((configured.work / "watched").glob("*.lock")))
        with pytest.raises(UsageError, match="another process watches this inbox"):
            next(watch(str(inbox / ".." / "inbox"), lambda changes: configured, Recorder(), threading.Event()))
    assert not list((configured.work / "watched").glob("*.lock"))


def test_a_source_in_failed_has_its_reason_beside_it_whenever_the_watcher_dies(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inbox / "broken.mov").write_bytes(b"no film")
    opened = open_inbox(str(inbox), 0)
    (arrival,) = opened.whole()

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        opened.put_away(arrival, well=False, why="it is no film")
    assert names(inbox) == ["broken.mov", "failed/broken.mov.error.txt"]


def test_an_inbox_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        open_inbox(str(tmp_path / "none"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with servers.moto() as running:
        running.use(monkeypatch, tmp_path)
        yield f"s3://{running.bucket}/in"


def test_objects_of_a_prefix_are_made_and_moved_by_the_server(bucket: str, tmp_path: Path) -> None:
    with closing(open_storage(bucket)) as storage:
        for name, data in (("film.mp4", CLIP.read_bytes()), ("broken.mov", b"no film"), ("deep/other.mp4", b"x")):
            storage.put(name, data, content_type="video/mp4", cache_control="", sha256="")
        with Watcher(bucket, settings(tmp_path, 90, encrypt="none")) as watcher:
            until(lambda: len(watcher.results) == 2)
        assert [stored.path for stored in storage.list()] == [
            "deep/other.mp4", "done/film.mp4", "failed/broken.mov", "failed/broken.mov.error.txt"
        ]  # fmt: skip
        assert storage.get("done/film.mp4") == CLIP.read_bytes()


def test_an_object_in_failed_has_its_reason_beside_it_whenever_the_watcher_dies(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidpipe.storage.s3 import S3Storage

    prefix = f"{bucket}-killed"  # other tests use the bucket, too
    with closing(open_storage(prefix)) as storage:
        storage.put("broken.mov", b"no film", content_type="video/quicktime", cache_control="", sha256="")
        (arrival,) = (opened := open_inbox(prefix)).whole()

        def killed(self: S3Storage, source: str, path: str, *, size: int) -> bool:
            raise KeyboardInterrupt

        monkeypatch.setattr(S3Storage, "copy", killed)
        with pytest.raises(KeyboardInterrupt):
            opened.put_away(arrival, well=False, why="it is no film")
        assert [stored.path for stored in storage.list()] == ["broken.mov", "failed/broken.mov.error.txt"]
