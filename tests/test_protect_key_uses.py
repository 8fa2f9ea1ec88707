"""Which key protects what: classes of tracks by size, periods on the grid, settings that do not go together."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.encode_support import FIXTURES, rung, tiny_plan
from tests.inventory_support import inventory
from tests.package_support import audio_rendition, grid
from tests.title_support import SPOKEN
from vidpipe.errors import UsageError
from vidpipe.inventory.key_usage import kept_keys, uses_in
from vidpipe.inventory.model import UsedKey
from vidpipe.plan import Grid, Plan
from vidpipe.protect.key_uses import (
    KeyClasses,
    KeyUse,
    check_key_rotation,
    check_key_settings,
    planned_uses,
    read_rotation,
    video_class,
)
from vidpipe.protect.schemes import SCHEMES
from vidpipe.settings import Settings, resolve


@pytest.fixture(scope="module")
def made() -> Plan:
    """Four rungs, audio and subtitles; a dozen segments."""
    plan = tiny_plan(FIXTURES / "landscape-24.mp4", rung("low", 90))
    sizes = {"low": (256, 144), "sd": (1024, 576), "hd": (1920, 1080), "uhd": (3840, 2160)}
    video = tuple(plan.video[0].model_copy(update={"id": id_, "width": w, "height": h}) for id_, (w, h) in sizes.items())
    return plan.model_copy(update={"video": video, "audio": (audio_rendition("en"),), "subtitles": (SPOKEN,)})


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 576), "SD"),
        ((576, 1024), "SD"),  # portrait
        ((1024, 578), "HD"),
        ((1280, 720), "HD"),
        ((1920, 1080), "HD"),
        ((1080, 1920), "HD"),
        ((1920, 1082), "UHD"),
        ((3840, 2160), "UHD"),
    ],
)
def test_the_size_of_a_picture_is_its_class(size: tuple[int, int], expected: str) -> None:
    assert video_class(*size) == expected


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("all", {"ALL": None}),
        ("audio-video", {"AUDIO": {"en", SPOKEN.id}, "VIDEO": {"low", "sd", "hd", "uhd"}}),
        ("audio-sd-hd-uhd", {"AUDIO": {"en", SPOKEN.id}, "SD": {"low", "sd"}, "HD": {"hd"}, "UHD": {"uhd"}}),
    ],
)
def test_each_class_of_tracks_has_a_key(made: Plan, classes: KeyClasses, expected: dict[str, Any]) -> None:
    uses = planned_uses(made, "aes-128", classes)
    assert {use.track_type: use.tracks for use in uses} == expected
    assert {use.first for use in uses} == {0}
    assert planned_uses(made, "none", classes) == ()


def test_a_class_without_tracks_needs_no_key(made: Plan) -> None:
    silent = made.model_copy(update={"audio": (), "subtitles": (), "video": made.video[:1]})
    assert [use.track_type for use in planned_uses(silent, "aes-128", "audio-sd-hd-uhd")] == ["SD"]
    read = made.model_copy(update={"audio": ()})
    assert planned_uses(read, "aes-128", "audio-video")[0] == KeyUse(frozenset({SPOKEN.id}), track_type="AUDIO")


ON = grid(frames=240)  # ten segments of a second
NTSC = Grid(frame_rate=Fraction(30000, 1001), frames=30 * 60, gop_frames=60, segment_frames=180, chunk_frames=900)
MERGED = grid(frames=241).model_copy(update={"borrowed": 24})


@pytest.mark.parametrize(
    ("on", "rotation", "firsts"),
    [
        (ON, "3 segments", [0, 3, 6, 9]),
        (ON, "1 segment", list(range(10))),
        (ON, "10 segments", [0]),
        (ON, "3", [0, 3, 6, 9]),
        (ON, "2.5s", [0, 3, 5, 8]),
        (ON, "0.1", list(range(10))),
        (ON, "3600", [0]),
        (NTSC, "12", [0, 2, 4, 6, 8]),  # a segment lasts 6.006 s
        (NTSC, "18.01", [0, 3, 6, 9]),
        (NTSC, "18.018", [0, 3, 6, 9]),
        (NTSC, "18.02", [0, 4, 7]),
        (MERGED, "5 segments", [0, 5]),
    ],
)
def test_a_period_begins_with_a_segment(on: Grid, rotation: str, firsts: list[int]) -> None:
    assert list(read_rotation(rotation).firsts(on)) == firsts


def test_periods_begin_in_all_classes_at_once(made: Plan) -> None:
    uses = planned_uses(made, "aes-128", "audio-video", "6 segments")
    assert [(use.first, use.track_type) for use in uses[:4]] == [(0, "AUDIO"), (0, "VIDEO"), (6, "AUDIO"), (6, "VIDEO")]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("3600", "3600s"),
        ("3600 s", "3600s"),
        ("0.50s", "0.5s"),
        ("18.018001", "18.018001s"),
        (" 10 Segments ", "10 segments"),
        ("1segment", "1 segment"),
        ("2 segments", "2 segments"),
    ],
)
def test_a_rotation_is_kept_in_one_way(text: str, kept: str) -> None:
    assert check_key_rotation(text, "") == kept == check_key_rotation(kept, "")


@pytest.mark.parametrize("text", ["", "0", "0 segments", "-1", "1.5 segments", "an hour", "1h", "1e3", "9" * 10])
def test_what_says_no_rotation_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="neither a time") as refused:
        check_key_rotation(text, "--key-rotation")
    assert refused.value.where == "--key-rotation"
    assert refused.value.fix
    assert "100 segments" in refused.value.fix
    with pytest.raises(UsageError) as refused:
        read_rotation(text)
    assert refused.value.where == "key_rotation"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_keys_change_under_every_scheme(scheme: str) -> None:
    check_key_settings(scheme, "audio-video", "3600s", None)


@pytest.mark.parametrize("changes", [{"key_classes": "audio-video"}, {"key_rotation": "3600"}])
def test_several_keys_need_several_addresses(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same for all keys") as refused:
        Settings(home=tmp_path, key_url="https://keys.example.com/{content_id}", **changes)
    assert refused.value.where == "key_url"
    Settings(home=tmp_path, key_url="https://keys.example.com/{content_id}/{key_id}", **changes)
    Settings(home=tmp_path, key_url="https://keys.example.com/{content_id}")


def test_the_settings_are_read(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "vidpipe.toml").write_text('key_rotation = "90 s"\nsession_keys = true\n')
    found = resolve({"home": str(tmp_path / "home"), "key_classes": "audio-video"}, {}, tmp_path)
    assert (found.key_classes, found.key_rotation, found.session_keys) == ("audio-video", "90s", True)
    with pytest.raises(UsageError, match="not allowed"):
        resolve({"home": str(tmp_path / "home"), "key_classes": "sd"}, {}, tmp_path)


# --- in an inventory --------------------------------------------------------------------------------------------------

SOME = tuple(UsedKey(key_id=c * 32, track_type=t, first=first) for c, t, first in (("a", "AUDIO", 0), ("b", "SD", 0), ("c", "SD", 2)))


def test_a_key_is_kept_for_the_same_use_and_no_other() -> None:
    known = inventory(keys=tuple(used.key_id for used in SOME), key_uses=SOME)
    wanted = [
        KeyUse(first=2, track_type="SD"),
        KeyUse(track_type="AUDIO"),
        KeyUse(first=2, track_type="AUDIO"),
        KeyUse(track_type="HD"),
        KeyUse(),
        KeyUse(track_type="SD"),
    ]
    assert kept_keys(known, wanted) == ("c" * 32, "a" * 32, None, None, None, "b" * 32)


def test_a_version_from_before_there_were_several_has_one_for_everything() -> None:
    known = inventory()
    assert uses_in(known) == (KeyUse(),)
    assert kept_keys(known, (KeyUse(),)) == known.keys
    assert kept_keys(known, (KeyUse(frozenset({"90p"}), 0, "VIDEO"),)) == (None,)
    assert uses_in(inventory(keys=())) == ()
