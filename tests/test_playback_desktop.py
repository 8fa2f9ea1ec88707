"""What the players without a browser share: what is wrong with a run, manifests of one variant; and FFmpeg, which is there, plays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, key_of, run, settings, version
from tests.playback import ffmpeg
from tests.playback.cells import Cell
from tests.playback.desktop import Choice, Judged, Seen, Site, with_one
from tests.playback.titles import Rendition, Title, Track
from vidpipe.inventory.model import Inventory

LEVELS = tuple(Rendition(f"{height}p", "h264", height, height, Fraction(30), 30, f"video/{height}p") for height in (90, 180))
TITLE = Title(Path(), {}, 1, LEVELS, (Track("Audio", "Audio", "", 2, "audio/und"),), ())
CELL = Cell("FFmpeg", "hls", "fast", "none", "one audio")
RIGHT = Seen(frames=tuple(range(30)), audio={"2 channels": 1.02})
CHOSEN = Choice(level=1, audio=0)


def judged(seen: Seen, choice: Choice = CHOSEN, *, asked: str = "video/180p", missed: str = "", may_miss: bool = False) -> list[str]:
    found = Judged(CELL, TITLE)
    with Site(TITLE, None) as site:
        site.asked = [f"{folder}/{segment}.m4s" for folder in (asked, "audio/und") for segment in (1, 2)]
        site.missed = [missed] if missed else []
        found.run(choice, seen, site, last_may_miss=may_miss)
    return found.faults


def test_a_run_in_which_all_was_right() -> None:
    assert judged(RIGHT) == []
    assert judged(replace(RIGHT, frames=tuple(range(29))), may_miss=True) == []


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        pytest.param(replace(RIGHT, frames=tuple(range(29))), "29 pictures, 0 to 28, and not 30", id="the last picture is missing"),
        pytest.param(replace(RIGHT, frames=(*range(9), *range(10, 30))), "1 gaps, the first before 10", id="a picture is missing"),
        pytest.param(replace(RIGHT, frames=(0, 0, *range(1, 30))), "31 pictures", id="one is shown twice"),
        pytest.param(replace(RIGHT, frames=()), "no picture", id="none"),
        pytest.param(replace(RIGHT, audio={"2 channels": 0.8}), "0.800 s of audio", id="short audio"),
        pytest.param(replace(RIGHT, audio={}), "no audio", id="no audio"),
        pytest.param(replace(RIGHT, errors=("broken",)), "broken", id="an error"),
        pytest.param(replace(RIGHT, ended=False), "does not end", id="no end"),
        pytest.param(replace(RIGHT, stalls=2), "stalled 2 times", id="stalls"),
    ],
)
def test_what_is_wrong_with_a_run(seen: Seen, fault: str) -> None:
    (found,) = judged(seen)
    assert found.startswith("level 1 audio 0: ")
    assert fault in found


def test_what_is_asked_for_in_vain_or_never() -> None:
    assert "video/180p/3.m4s, which is not there" in judged(RIGHT, missed="video/180p/3.m4s")[0]
    found = Judged(CELL, TITLE, played={"video/180p", "audio/und"})
    found.all_played((TITLE.renditions, TITLE.audio))
    assert found.faults == ["never played: 90p"]


def test_a_seek_shows_the_picture_of_its_time() -> None:
    places = (0.1, 0.5, 0.9)
    right = tuple((place, round(place * 30)) for place in places)
    assert judged(Seen(sought=right), Choice(seeks=places)) == []
    assert judged(Seen(sought=right[:2]), Choice(seeks=places)) == ["seeks: 2 of 3 were shown"]
    assert judged(Seen(sought=((0.1, 6), *right[1:])), Choice(seeks=places)) == ["seeks: frame 6 at 0.1 s, and not 3"]


def test_a_manifest_of_one_variant() -> None:
    variants = [f"#EXT-X-STREAM-INF:BANDWIDTH={rate}\nvideo-{rate}.m3u8\n" for rate in (1, 2, 3)]
    assert with_one("#EXTM3U\n" + "".join(variants), 1) == "#EXTM3U\n" + variants[1]
    one = '<AdaptationSet id="{0}">\n <Representation id="{0}">\n </Representation>\n</AdaptationSet>\n'
    sets = [one.format(name) for name in ("video-a", "video-b", "x")]
    assert with_one("".join(sets), 1) == sets[1] + sets[2]


def test_ffmpeg_plays_encrypted_samples_from_both_manifests(tmp_path: Path) -> None:
    configured = settings(tmp_path, encrypt="cbcs")
    folder = version(run(FIXTURES / "one-second.mp4", configured))
    inventory = Inventory.model_validate_json((folder / "inventory.json").read_bytes())
    keys = {key_id: key_of(configured)(key_id) for key_id in inventory.keys}
    title = replace(TITLE, folder=folder, keys=keys, audio=(Track("Audio", "Audio", "", 2, inventory.audio[0].init.rpartition("/")[0]),))
    for manifest in ("hls", "dash"):
        (tmp_path / manifest).mkdir()
        assert ffmpeg.play(replace(CELL, manifest=manifest, protection="cbcs"), title, tmp_path / manifest) == []
