"""A real browser chooses among audio groups: hls.js plays stereo and 5.1 of one title to the end, and never description by itself.

Needs what ``tests/playback/chromium.py`` says; of several hls.js, the newest is taken.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest_support import run, settings, version
from tests.playback.chromium import Show, watch, with_player
from tests.test_audio_groups import film, surround

__all__ = ["film"]  # the fixture

pytestmark = with_player("hls.js")


@pytest.mark.parametrize(
    "only", [pytest.param(None, id="both groups"), pytest.param("audio-6ch", marks=pytest.mark.nightly, id="surround alone")]
)
def test_hls_js_plays_a_title_with_two_groups(only: str | None, film: Path, tmp_path: Path) -> None:
    configured = settings(tmp_path, encrypt="none").model_copy(update={"ladder": surround(tmp_path, 90, 180)})
    title = version(run(film, configured))
    if only:  # a player that takes no other
        lines = (title / "master.m3u8").read_text().splitlines()
        other = [n for n, line in enumerate(lines) if line.startswith("#EXT-X-STREAM-INF") and f'AUDIO="{only}"' not in line]
        (title / "master.m3u8").write_text("\n".join(line for n, line in enumerate(lines) if n not in other and n - 1 not in other) + "\n")
    (seen,) = watch([Show(title, "hls.js", "hls")])
    assert seen.report["errors"] == []
    assert seen.report["ended"]
    assert seen.report["time"] == pytest.approx(4.0, abs=0.1)
    assert {name for _, name in seen.report["switches"]} == {"English"}, "the default track, in whatever layout"
    assert {group for group, _ in seen.report["switches"]} <= ({only} if only else {"audio-2ch", "audio-6ch"})
