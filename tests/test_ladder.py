"""Ladders: the shipped ones are what they promise; every broken one is refused with its file, line and key."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from vidpipe.errors import UsageError
from vidpipe.ladder import AudioRung, Rung, find, load, shipped

BROKEN = Path(__file__).parent.parent / "fixtures" / "ladders-broken"

RATE = "bitrate must be bits a second, such as 300k, 5000k or 15M (16k to 400M)"
PRESETS = "ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow, placebo"
MESSAGES: dict[str, tuple[int | None, str, str]] = {
    "audio-channels": (12, "channels of audio entry 1 is '3'", "channels must be 2 (stereo) or 6 (5.1)"),
    "audio-codec": (12, "codec of audio entry 1 is 'opus'", "use one of: aac"),
    "audio-not-a-list": (11, "audio of the ladder is not a list of 1 to 32 entries", "begin each entry with a dash"),
    "bad-unit": (7, "bitrate of rung '240p' is '300kbps'", RATE),
    "crf-too-high": (11, "crf of rung '240p' is '99'", "crf must be a number from 0 to 51"),
    "duplicate-key": (11, "the key 'height' is given twice in rung 1", "keep one of them"),
    "duplicate-rung": (11, "duplicate rung '240p'", "give every rung its own name"),
    "empty": (None, "is empty", "start from a shipped ladder: vidpipe ladders show streaming --yaml"),
    "list-for-number": (7, "bitrate of rung '240p' is a list or mapping", RATE),
    "max-below-bitrate": (
        8,
        "max_bitrate of rung '240p' is '290k'",
        "max_bitrate must be bits a second, such as 300k, 5000k or 15M, not below bitrate",
    ),
    "missing-preset": (4, "rung '240p' has no 'preset'", f"add preset: one of: {PRESETS}"),
    "negative-bitrate": (7, "bitrate of rung '240p' is '-300k'", RATE),
    "no-rungs": (3, "rungs of the ladder is not a list of 1 to 32 entries", "begin each entry with a dash"),
    "not-a-mapping": (1, "the ladder must be a mapping of keys", "write lines key: value, with the keys name, description, rungs, audio"),
    "not-yaml": (
        2,
        "is not YAML: mapping values are not allowed here",
        "check the indentation, colons and quotes of this line and the one before",
    ),
    "odd-height": (5, "height of rung '240p' is '241'", "height must be an even number of lines from 64 to 4320"),
    "other-codec-name": (6, "codec of rung '240p' is 'h265'", "did you mean hevc? (codec is one of: h264, hevc, av1)"),
    "repeated-rung": (11, "rung 'other' repeats '240p': same codec, height and bitrate", "remove one or change its bitrate"),
    "rungs-missing": (1, "the ladder has no 'rungs'", "add rungs: and below it one entry a line, each beginning with a dash"),
    "unknown-codec": (6, "codec of rung '240p' is 'vp9'", "use one of: h264, hevc, av1"),
    "unknown-key": (11, "unknown key 'bitrates' in rung 1", "did you mean bitrate?"),
    "unknown-preset": (10, "preset of rung '240p' is 'fsat'", f"did you mean fast? (preset is one of: {PRESETS})"),
    "unknown-top-key": (11, "unknown key 'video' in the ladder", "use one of: name, description, rungs, audio"),
    "unsafe-name": (4, "name of rung 1 is '../up'", "name must be letters, digits, - and _"),
    "wrong-profile": (11, "profile of rung '240p' is 'main10'", "did you mean main? (profile is one of: baseline, main, high)"),
    "zero-frame-rate": (
        11,
        "max_frame_rate of rung '240p' is '0'",
        "max_frame_rate must be frames a second from 1 to 300, such as 30 or 30000/1001",
    ),
}

RUNG = """name: mine
description: My own
rungs:
  - {{name: 720p, height: 720, codec: {codec}, bitrate: {bitrate}, max_bitrate: 4M, buffer: 4M, preset: {preset}{more}}}
"""


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_broken_ladder_is_refused_with_its_line(name: str) -> None:
    path = BROKEN / f"{name}.yaml"
    line, what, fix = MESSAGES[name]
    with pytest.raises(UsageError) as refused:
        load(str(path))
    assert (refused.value.what, refused.value.fix) == (what, fix)
    assert refused.value.place == (f"{path}:{line}" if line else str(path))


def test_every_broken_ladder_is_in_the_table() -> None:
    assert {path.stem for path in BROKEN.glob("*.yaml")} == set(MESSAGES)


EXPECTED = {
    "streaming": ["240p h264 300", "360p h264 500", "480p h264 1000", "720p h264 2500", "1080p h264 5000", "2160p hevc 15000"],
    "premium": ["480p h264 1000", "720p h264 2500", "1080p h264 5000", "2160p hevc 15000"],
    "mobile": ["240p h264 300", "360p h264 500", "480p h264 1000"],
    "fast": ["240p h264 300", "360p h264 500", "720p h264 2500"],
    "apple-avc": [
        "234p h264 145", "360p h264 365", "432p-730k h264 730", "432p-1100k h264 1100", "540p h264 2000", "720p-3000k h264 3000",
        "720p-4500k h264 4500", "1080p-6000k h264 6000", "1080p-7800k h264 7800",
    ],
    "apple-hevc": [
        "360p hevc 145", "432p hevc 300", "540p-600k hevc 600", "540p-900k hevc 900", "540p-1600k hevc 1600", "720p-2400k hevc 2400",
        "720p-3400k hevc 3400", "1080p-4500k hevc 4500", "1080p-5800k hevc 5800", "1440p hevc 8100", "2160p-11600k hevc 11600",
        "2160p-16800k hevc 16800",
    ],
}  # fmt: skip


def test_the_shipped_ladders_are_those_of_the_contract() -> None:
    assert {name: [f"{rung.name} {rung.codec} {rung.bitrate // 1000}" for rung in load(name).rungs] for name in shipped()} == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_ladder_is_sound(name: str) -> None:
    ladder = load(name)
    assert ladder.name == name
    assert ladder.audio == (AudioRung(),)
    for rung in ladder.rungs:
        assert rung.name.split("-")[0] == f"{rung.height}p"
        assert rung.profile is not None
        peak_over_three_seconds = rung.max_bitrate + rung.buffer / 3
        assert rung.bitrate < rung.max_bitrate < peak_over_three_seconds <= 2 * rung.bitrate  # rule HLS-BW-006


def test_apples_low_rungs_are_for_thirty_frames_a_second() -> None:
    slow = {
        name: [rung.name for rung in load(name).rungs if rung.max_frame_rate == 30] for name in ("apple-avc", "apple-hevc", "streaming")
    }
    assert slow == {
        "apple-avc": ["234p", "360p", "432p-730k", "432p-1100k"],
        "apple-hevc": ["360p", "432p", "540p-600k", "540p-900k"],
        "streaming": [],
    }


@pytest.mark.parametrize(
    ("written", "bits"),
    [("3000000", 3_000_000), ("3000k", 3_000_000), ("3M", 3_000_000), ("1.5M", 1_500_000), ("2500.5k", 2_500_500)],
)
def test_bitrates_have_units(tmp_path: Path, written: str, bits: int) -> None:
    assert _load(tmp_path, bitrate=written).bitrate == bits


@pytest.mark.parametrize("written", ["3K", "3 M", "3e6", "0x10", "1.23456k", "nan", "0", "٣M", "3_000k", "''"])
def test_other_ways_of_writing_a_bitrate_are_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(UsageError, match="bitrate of rung '720p'"):
        _load(tmp_path, bitrate=written)


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        (", crf: 23", "crf", 23.0),
        (", crf: 22.5", "crf", 22.5),
        (", max_frame_rate: 30000/1001", "max_frame_rate", Fraction(30000, 1001)),
        (", max_frame_rate: 29.97", "max_frame_rate", Fraction(2997, 100)),
        (", profile: high", "profile", "high"),
    ],
)
def test_optional_keys_are_read_exactly(tmp_path: Path, more: str, field: str, value: object) -> None:
    assert getattr(_load(tmp_path, more=more), field) == value


def test_av1_presets_are_numbers(tmp_path: Path) -> None:
    assert _load(tmp_path, codec="av1", preset="8").preset == "8"
    with pytest.raises(UsageError, match="preset of rung '720p' is 'slow'"):
        _load(tmp_path, codec="av1", preset="slow")


def test_rungs_are_ordered_by_height_and_bitrate(tmp_path: Path) -> None:
    lines = (find("mobile").read_text()).replace("height: 240", "height: 1000")
    path = tmp_path / "mine.yaml"
    path.write_text(lines)
    assert [rung.name for rung in load(str(path)).rungs] == ["360p", "480p", "240p"]


def test_a_name_is_looked_up_before_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fast").write_text("broken")
    (tmp_path / "mine").write_text(find("fast").read_text())
    assert load("fast").name == "fast"
    assert load("mine").name == "fast"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("steaming", "there is no ladder 'steaming' | did you mean streaming? Or give the path of a YAML file"),
        ("missing.yaml", "missing.yaml: there is no such ladder file"),
        ("./missing", "./missing: there is no such ladder file"),
        (".", ".: is a folder, not a ladder file"),
        ("folder/", "folder/: is a folder, not a ladder file"),
    ],
)
def test_a_missing_ladder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError) as refused:
        load(given)
    assert " | ".join([str(refused.value), str(refused.value.fix)]).startswith(message)


def _load(folder: Path, *, codec: str = "h264", bitrate: str = "3M", preset: str = "fast", more: str = "") -> Rung:
    path = folder / "mine.yaml"
    path.write_text(RUNG.format(codec=codec, bitrate=bitrate, preset=preset, more=more), encoding="utf-8")
    return load(str(path)).rungs[0]
