"""The oracle itself: it finds each fault in a title that is good but for it, and its judgement of fixtures and a few traps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.oracle import audio, picture
from tests.oracle.__main__ import main
from tests.oracle.decode import AUDIO_RATE, Audio, Pictures, decode, listing, place
from tests.oracle.traps import TRAPS, check
from tests.oracle.traps.trap import AAC, X264, audio_input, run
from tests.oracle.traps.trap import picture as moving
from tests.oracle.verdict import Options, verdict_on

FIXTURES = Path(__file__).parent.parent / "fixtures"
MEDIA = Path(__file__).parent.parent.parent / "shared" / "media"
CLIPS = sorted(path for path in MEDIA.glob("*.*") if path.suffix not in (".txt", ".tsv"))
QUICK = ["joined-same-base", "audio-uneven-packets", "wide-pixels"]
"""Traps of the ordinary run: a clock, a track, a shape."""

MENDING: dict[str, str] = {}
"""Traps that vidpipe does not pass yet, and why. Each has to be struck off as soon as it does."""

ALL = [pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=MENDING[name])) if name in MENDING else name for name in TRAPS]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pictures, Audio]:
    """A decoded clip: the source, and the title that it should become."""
    file = tmp_path_factory.mktemp("good") / "good.mp4"
    run(*moving(), *audio_input(), *X264, *AAC, file)
    found = listing(file)
    shown = found.shown()
    assert shown
    decoded = decode(file, shown, found.of("audio"))
    return decoded.pictures, decoded.audio[1]


def pictures_with(pictures: Pictures, change: Callable[[np.ndarray], np.ndarray]) -> Pictures:
    """Change the pixels, with more room than a byte has."""
    rgb = change(pictures.rgb.astype(np.float32)).clip(0, 255).round().astype(np.uint8)
    return replace(pictures, rgb=rgb, times=pictures.times[: len(rgb)], lengths=pictures.lengths[: len(rgb)])


def noisy(rgb: np.ndarray) -> np.ndarray:
    """What an encoder does."""
    return rgb + np.random.default_rng(1).normal(0, 2, rgb.shape)


def swapped(rgb: np.ndarray) -> np.ndarray:
    """Exchange U and V."""
    luma = rgb @ np.array([0.2126, 0.7152, 0.0722])
    blue, red = (rgb[..., 2] - luma) / 1.8556, (rgb[..., 0] - luma) / 1.5748
    return np.stack([luma + 1.5748 * blue, luma - 0.1873 * red - 0.4681 * blue, luma + 1.8556 * red], axis=-1)


def other_matrix(rgb: np.ndarray) -> np.ndarray:
    """Take BT.601 for BT.709."""
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    blue, red = (rgb[..., 2] - luma) / 1.772, (rgb[..., 0] - luma) / 1.402
    return np.stack([luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue], axis=-1)


def bluish(rgb: np.ndarray) -> np.ndarray:
    return rgb + np.array([0, 0, 2.5])


def frozen(rgb: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb[:30], np.repeat(rgb[30:31], 25, axis=0), rgb[55:]])


def test_a_good_picture_is_right(good: tuple[Pictures, Audio]) -> None:
    seen = picture.compare(good[0], pictures_with(good[0], noisy), 0.0)
    assert (seen.faults, seen.wrong) == ([], 0)
    assert seen.timed > 0.9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rgb: np.delete(rgb, 40, axis=0), "40 ms early"),
        (lambda rgb: np.insert(rgb, 40, rgb[40], axis=0)[:-1], "40 ms late"),
        (lambda rgb: np.concatenate([rgb[:50], rgb[51:52], rgb[50:51], rgb[52:]]), "2 pictures from 2.00 s"),
        (frozen, "from 1.24 s: frozen"),
        (lambda rgb: rgb - 2, "1.9 levels too dark"),
        (lambda rgb: rgb - 1, "1.0 levels too dark"),
        (lambda rgb: (rgb - 16) * 255 / 219, "in a systematic way"),
        (swapped, "in a systematic way"),
        (other_matrix, "in a systematic way"),
        (lambda rgb: rgb[:, :, ::-1], "mirrored"),
        (lambda rgb: rgb[:, ::-1, ::-1], "turned by 180 degrees"),
        (lambda rgb: rgb[:-2], "0.08 s missing at the end (2 pictures)"),
        (lambda rgb: rgb[2:], "80 ms early"),
        (lambda rgb: np.concatenate([rgb[:60], np.zeros_like(rgb[60:80]), rgb[80:]]), "not in the source"),
    ],
    ids=lambda value: value if isinstance(value, str) else "change",  # str() of a function differs from process to process
)
def test_a_fault_of_the_picture_is_found(good: tuple[Pictures, Audio], change: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    seen = picture.compare(good[0], pictures_with(good[0], lambda rgb: noisy(change(rgb))), 0.0)
    assert any(said in fault for fault in seen.faults), seen.faults


def test_edges_of_colour_in_a_tiny_picture_are_forgiven_and_another_matrix_is_not(good: tuple[Pictures, Audio]) -> None:
    tiny = replace(good[0], width=64, height=36)
    assert picture.compare(tiny, pictures_with(tiny, bluish), 0.0).faults == []
    assert any("in a systematic way" in fault for fault in picture.compare(tiny, pictures_with(tiny, other_matrix), 0.0).faults)
    assert any("tinted" in fault for fault in picture.compare(good[0], pictures_with(good[0], bluish), 0.0).faults)


def test_a_stretched_picture_is_found(good: tuple[Pictures, Audio]) -> None:
    seen = picture.compare(good[0], replace(good[0], width=good[0].width * 3 / 4), 0.0)
    assert seen.faults == ["aspect 1.333 (240x180), not 1.778"]


def test_pictures_at_other_times_are_found(good: tuple[Pictures, Audio]) -> None:
    assert picture.compare(good[0], replace(good[0], times=good[0].times * 1.02), 0.0).wrong > 40
    assert picture.compare(good[0], replace(good[0], times=good[0].times + 0.015), 0.0).wrong == 0


def test_what_does_not_move_has_no_time(good: tuple[Pictures, Audio]) -> None:
    still = pictures_with(good[0], lambda rgb: np.repeat(rgb[:1], len(rgb), axis=0))
    assert picture.compare(still, still, 0.0).remarks == ["the pictures' times do not show: they do not move"]


def heard(good: tuple[Pictures, Audio], change: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """Compare the audio with a changed copy."""
    samples = good[1].samples
    copy = change(samples + np.random.default_rng(1).normal(0, 0.002, len(samples)).astype(np.float32))
    return audio.compare(good[1], Audio(good[1].start, copy.astype(np.float32)), 0.0, 4.0).faults


MS = AUDIO_RATE // 1000


def test_good_audio_is_right(good: tuple[Pictures, Audio]) -> None:
    assert heard(good, lambda samples: samples) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: np.concatenate([np.zeros(20 * MS), s[: -20 * MS]]), "audio 20 ms late"),
        (lambda s: np.concatenate([s[20 * MS :], np.zeros(20 * MS)]), "audio 20 ms early"),
        (lambda s: np.concatenate([s[: 2000 * MS], np.zeros(20 * MS), s[2000 * MS : -20 * MS]]), "1 silence of 20 ms inserted"),
        (lambda s: np.concatenate([s[: 2000 * MS], np.zeros(20 * MS), s[2020 * MS :]]), "1 silence of 20 ms inserted"),
        (lambda s: np.concatenate([s[: 3000 * MS], np.zeros(len(s) - 3000 * MS)]), "audio missing for 1.0"),
        (lambda s: s[: 3500 * MS], "audio ends at 3.5"),
        (lambda s: np.concatenate([np.zeros(1500 * MS), s[: -1500 * MS]]), "audio 1.50 s late"),
        (lambda s: np.interp(np.arange(len(s)) * 1.02, np.arange(len(s)), s), "ms off in"),
        (lambda s: s * 0.5, "dB too quiet"),
        (lambda s: np.random.default_rng(2).normal(0, 0.1, len(s)), "another one"),
    ],
    ids=lambda value: value if isinstance(value, str) else "change",  # str() of a function differs from process to process
)
def test_a_fault_of_the_audio_is_found(good: tuple[Pictures, Audio], change: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    faults = heard(good, change)
    assert any(said in fault for fault in faults), faults


def test_audio_outside_the_picture_is_found(good: tuple[Pictures, Audio]) -> None:
    assert audio.cut(good[1], 0.3, 4.0) == [("before the first picture", pytest.approx(0.3, abs=0.001))]
    assert audio.cut(good[1], 0.0, 3.0) == [("after the last picture", pytest.approx(1.0, abs=0.03))]
    assert audio.cut(good[1], 0.0, 4.0) == []


def test_audio_that_plays_beside_the_picture_is_missed_and_other_audio_is_not(good: tuple[Pictures, Audio]) -> None:
    assert audio.plays(good[1], 0.0, 4.0) == pytest.approx(4, abs=0.05)
    assert audio.plays(good[1], 3.5, 4.0) == pytest.approx(0.5, abs=0.05)
    assert audio.plays(good[1], 4.5, 4.0) == audio.plays(good[1], -5.0, 4.0) == 0
    assert audio.plays(Audio(0.0, np.zeros(4000 * MS, np.float32)), 0.0, 4.0) == 0


def test_audio_added_where_the_source_is_silent_is_found(good: tuple[Pictures, Audio]) -> None:
    quiet = np.concatenate([good[1].samples[: 2000 * MS], np.zeros(len(good[1].samples) - 2000 * MS)])
    faults = audio.compare(Audio(0.0, quiet.astype(np.float32)), good[1], 0.0, 4.0).faults
    assert any(fault.startswith("audio added for 1.9") or fault.startswith("audio added for 2.0") for fault in faults), faults


def test_packets_that_wander_leave_no_gap_but_real_gaps_do() -> None:
    raw = np.ones(8000, np.float32)
    wandering = place([n * 0.1 + 0.02 * (n % 2) for n in range(10)], [800] * 10, raw)
    assert (len(wandering.samples), float(wandering.samples.min())) == (8000, 1.0)
    assert wandering.jitter == pytest.approx(0.02)
    gap = place([n * 0.1 + 0.5 * (n > 4) for n in range(10)], [800] * 10, raw)
    assert (len(gap.samples), int((gap.samples == 0).sum())) == (12000, 4000)


@pytest.mark.parametrize("name", ["rotated-90.mp4"])
def test_a_fixture_becomes_what_it_shows(name: str) -> None:
    verdict = verdict_on(FIXTURES / name)
    assert verdict.word == "same", verdict.sentence


@pytest.mark.parametrize("name", QUICK)
def test_a_trap_becomes_what_is_expected(name: str) -> None:
    verdict = check(TRAPS[name])
    assert verdict.word in ("same", "refused"), verdict.sentence


def test_the_command_says_a_line_a_file_and_fails_for_what_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.mp4").write_text("no film\n" * 100)
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--must-accept", "--json"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert "text.mp4: refused (3): " in first
    assert '"word": "refused"' in second


@pytest.mark.nightly
@pytest.mark.parametrize("name", ALL)
def test_every_trap_becomes_what_is_expected(name: str) -> None:
    verdict = check(TRAPS[name])
    assert verdict.word in ("same", "refused"), verdict.sentence


@pytest.mark.nightly
@pytest.mark.parametrize("file", [*sorted(FIXTURES.glob("*.mp4")), *CLIPS], ids=lambda file: file.name)
def test_every_clip_becomes_what_it_shows(file: Path) -> None:
    verdict = verdict_on(file, Options(seconds=30))
    assert verdict.word == "same", verdict.sentence
