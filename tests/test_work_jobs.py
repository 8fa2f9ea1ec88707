"""job: an unfinished ingest is remembered, and two runs never make one title at the same time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidpipe.errors import UsageError
from vidpipe.work.jobs import Job, claim

JOB = Job(content_id="film", fingerprint="f", version="v1", target="/library", key_ids=("a" * 32,))


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
    (tmp_path / "film.json").write_bytes(text)
    with claim(tmp_path, "film") as held:
        assert held.unfinished is None
