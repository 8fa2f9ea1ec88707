"""A run that is refused, fails early or has nothing to do leaves no lock and no note in the work space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ingest_support import FIXTURES, run, settings
from vidpipe.errors import VidpipeError
from vidpipe.work.tree import is_lock
from vidpipe.work.usage import usage

CLIP = FIXTURES / "one-second.mp4"


def left(configured: Any) -> list[str]:
    """Return the locks and notes that are there."""
    files = [file for file in configured.work.rglob("*") if file.is_file()]
    return [str(file.relative_to(configured.work)) for file in files if is_lock(file) or file.parent.name == "jobs"]


FAILURES: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "no such file": ("no-such.mp4", {}, None),
    "no video": (__file__, {}, None),
    "no such ladder": (str(CLIP), {"ladder": "none"}, None),
    "refused by its facts": (str(CLIP), {}, "low_resolution: {lowest: 4000, severity: error}\n"),
    "refused during the encode": (str(CLIP), {}, "true_peak: {highest: -90, severity: error}\n"),
    "no such program": (str(CLIP), {"ffmpeg": "no-such-program"}, None),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_run_that_fails(kind: str, tmp_path: Path) -> None:
    source, changes, policy = FAILURES[kind]
    if policy:
        (tmp_path / "policy.yaml").write_text(policy)
        changes = {**changes, "policy": str(tmp_path / "policy.yaml")}
    configured = settings(tmp_path, 90, **changes)
    with pytest.raises(VidpipeError):
        run(source, configured, content_id="film")
    assert left(configured) == []
    assert (usage(configured.work).unfinished, usage(configured.work).running) == ((), ())


def test_a_run_that_has_nothing_to_do(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    run(CLIP, configured, content_id="film")
    assert left(configured) == []
    assert run(CLIP, configured, content_id="film").unchanged
    assert left(configured) == []
