"""Media profiles of CMAF by real profile, level, size, rate and colour."""

from __future__ import annotations

from fractions import Fraction

import pytest

from vidpipe.mp4.brands import audio_brands, video_brands
from vidpipe.mp4.codecs import Audio, Video

BT709, BT601, PQ, HLG, UNKNOWN = (1, 1, 1), (5, 6, 5), (9, 16, 9), (9, 18, 9), (2, 2, 2)


def avc(level: int, size: tuple[int, int], colour: tuple[int, int, int] = BT709, profile: int = 100) -> Video:
    config = bytes([1, profile, 0, level, 0xFF, 0xE1])
    return Video(f"avc1.{config[1:4].hex()}", *size, "SDR", 4, 2, colour, config)


def hevc(level: int, size: tuple[int, int], colour: tuple[int, int, int] = BT709, profile: int = 1, tier: int = 0) -> Video:
    """x265 says of Main that it is Main 10 as well."""
    flags = {1: 0x60000000, 2: 0x20000000, 4: 0x08000000}[profile]
    config = bytes([1, tier << 5 | profile]) + flags.to_bytes(4, "big") + bytes(6) + bytes([level])
    return Video(f"hvc1.{profile}", *size, "SDR", 4, 2, colour, config)


@pytest.mark.parametrize(
    ("picture", "rate", "brands"),
    [
        pytest.param(avc(21, (426, 240)), 24, ("cfsd", "cfhd", "chdf"), id="240p"),
        pytest.param(avc(30, (720, 576), BT601), 25, ("cfsd",), id="pal"),
        pytest.param(avc(31, (1280, 720)), 30, ("cfhd", "chdf"), id="720p"),
        pytest.param(avc(40, (1920, 1080)), 30, ("cfhd", "chdf"), id="1080p30"),
        pytest.param(avc(42, (1920, 1080)), 60, ("chdf",), id="1080p60"),
        pytest.param(avc(51, (3840, 2160)), 30, (), id="2160p"),
        pytest.param(avc(40, (1080, 1920)), 30, (), id="portrait"),
        pytest.param(avc(31, (426, 240), profile=77), 24, (), id="main-profile"),
        pytest.param(avc(21, (426, 240), UNKNOWN), 24, (), id="no-colour"),
        pytest.param(avc(42, (1920, 1080)), 61, (), id="too-fast"),
        pytest.param(hevc(93, (1280, 720)), 30, ("chhd", "chh1", "cud8", "cud1"), id="hevc-720p"),
        pytest.param(hevc(123, (1920, 1080), profile=2), 60, ("chh1", "cud1"), id="hevc-main10"),
        pytest.param(hevc(150, (3840, 2160)), 30, ("cud8", "cud1"), id="hevc-2160p"),
        pytest.param(hevc(153, (3840, 2160), HLG, 2), 60, ("clg1",), id="hlg"),
        pytest.param(hevc(153, (3840, 2160), PQ, 2), 60, ("chd1",), id="hdr10"),
        pytest.param(hevc(120, (1920, 1080), tier=1), 30, (), id="high-tier"),
        pytest.param(hevc(120, (1920, 1080), profile=4), 30, (), id="range-extensions"),
        pytest.param(Video("av01.0.08M.08", 1920, 1080, "SDR", 0, 0, BT709, b""), 30, ("av01",), id="av1"),
    ],
)
def test_video(picture: Video, rate: int, brands: tuple[str, ...]) -> None:
    assert video_brands(picture, Fraction(rate)) == brands


@pytest.mark.parametrize(
    ("coded", "brands"),
    [
        pytest.param(Audio("mp4a.40.2", 2, 48_000), ("caac",), id="stereo"),
        pytest.param(Audio("mp4a.40.2", 1, 44_100), ("caac",), id="mono"),
        pytest.param(Audio("mp4a.40.2", 6, 48_000), ("camc",), id="5.1"),
        pytest.param(Audio("mp4a.40.2", 2, 96_000), (), id="96-khz"),
        pytest.param(Audio("mp4a.40.42", 2, 48_000), (), id="xhe-aac"),
    ],
)
def test_audio(coded: Audio, brands: tuple[str, ...]) -> None:
    assert audio_brands(coded) == brands
