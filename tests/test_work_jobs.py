"""job: an unfinished ingest is remembered, and two runs never make one title at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vidpipe.errors import UsageError
from vidpipe.work.jobs import JobNote, claim, no_ingest, running

JOB = JobNote(content_id="film", fingerprint="f", version="v1", target="/library", key_ids=("a" * 32,))


def test_a_note_survives_the_run_until_it_is_finished(tmp_path: Path) -> None:
    with claim(tmp_path, "film") as first:
        assert first.unfinished is None
        first.save(JOB)
    with claim(tmp_path, "film") as second:
        assert second.unfinished == JOB
        second.finish()
    with claim(tmp_path, "film") as third:
        assert third.unfinished is None


def test_one_title_is_made_by_one_run(tmp_path: Path) -> None:
    with claim(tmp_path, "film"):
        with claim(tmp_path, "other"):
            pass
        with pytest.raises(UsageError, match="another ingest of 'film'"), claim(tmp_path, "film"):
            pass


def test_what_ran_leaves_no_lock(tmp_path: Path) -> None:
    with claim(tmp_path, "film"):
        assert [file.name for file in (tmp_path / "jobs").iterdir()] == ["film.lock"]
        with pytest.raises(UsageError), claim(tmp_path, "film"):
            pass
        assert running(tmp_path) == ("film",)
    assert list((tmp_path / "jobs").iterdir()) == []
    (tmp_path / "jobs" / "film.lock").touch()  # of a process that was killed, or of an older vidpipe
    assert running(tmp_path) == ()


def test_no_ingest_begins_while_the_work_space_is_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with claim(tmp_path, "film") as first:
        first.save(JOB)
    order: list[str] = []

    def begin() -> None:
        with claim(tmp_path, "other"):
            order.append("begun")

    with no_ingest(tmp_path):
        thread = threading.Thread(target=begin)
        thread.start()
        time.sleep(0.2)
        order.append("cleaned")
    thread.join()
    assert order == ["cleaned", "begun"]
    monkeypatch.setattr("vidpipe.work.jobs.GATE_SECONDS", 0.1)
    with no_ingest(tmp_path), pytest.raises(UsageError, match="is being cleaned"), claim(tmp_path, "film"):
        pass


def test_the_right_to_a_title_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from vidpipe.work.jobs import claim\n"
        "with claim(Path(sys.argv[1]), 'film'):\n    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(UsageError, match="another ingest"), claim(tmp_path, "film"):
            pass
        child.kill()
    with claim(tmp_path, "film") as held:
        assert held.unfinished is None


WRONG: dict[str, bytes | dict[str, str]] = {
    "empty": b"",
    "cut": b"{",
    "wrong": b'{"content_id": 1}',
    "not UTF-8": b"\xff",
    "another title": {"content_id": "other"},
    "way up": {"content_id": "../film"},
    "version up": {"version": "../../other/v1"},
    "version with a folder": {"version": "a/b"},
    "no version": {"version": ""},
    "key up": {"key_ids": ["../master"]},
    "line break": {"version": "v1\n"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_broken_note_is_no_note(tmp_path: Path, name: str) -> None:
    change = WRONG[name]
    text = change if isinstance(change, bytes) else json.dumps(JOB.model_dump() | change).encode()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "film.json").write_bytes(text)
    with claim(tmp_path, "film") as held:
        assert held.unfinished is None
