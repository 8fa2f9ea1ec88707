"""SCORE: a player of a title in two codecs gets the better picture, not the one with more bits."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.test_manifest import LADDER, UHD, variant
from vidpipe.errors import VerificationFailed
from vidpipe.manifest.master import write_master
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.storage import open_storage
from vidpipe.verify.readback import Readback
from vidpipe.verify.variants import check_scores

HEVC = variant("hevc-1080p", 1920, 1080, 4_000_000, 3_500_000, "hvc1.1.6.L120.90")
WEAK = variant("hevc-weak", 1920, 1080, 2_500_000, 2_000_000, "hvc1.1.6.L120.90")


def parsed(text: str) -> MasterPlaylist:
    master = parse(text.encode())
    assert isinstance(master, MasterPlaylist)
    return master


def check(tmp_path: Path, text: str) -> None:
    check_scores(Readback(open_storage(str(tmp_path)), "x", threading.Event()), "master.m3u8", parsed(text))


def test_scores_rise_with_the_picture_and_with_what_a_codec_makes_of_its_bits(tmp_path: Path) -> None:
    text = write_master([*LADDER, UHD, HEVC, WEAK])
    scores = {item.uri: item.score for item in parsed(text).variants}
    rising = sorted(scores, key=lambda uri: scores[uri] or 0)
    assert rising == [f"video-{name}.m3u8" for name in ("360p", "720p", "hevc-weak", "1080p", "hevc-1080p", "2160p")]
    check(tmp_path, text)


def test_a_title_in_one_codec_has_none(tmp_path: Path) -> None:
    text = write_master(LADDER)
    assert "SCORE" not in text
    check(tmp_path, text)


@pytest.mark.parametrize(
    ("pattern", "replacement", "what"),
    [
        (r",SCORE=4", "", "which variants have a SCORE"),
        (r",SCORE=\d+", "", "which variants have a SCORE"),
        (r",SCORE=1", ",SCORE=9", "the sizes in the order of SCORE"),
    ],
    ids=["one is missing", "all are missing", "the smallest is the best"],
)
def test_wrong_scores_are_found(tmp_path: Path, pattern: str, replacement: str, what: str) -> None:
    text = re.sub(pattern, replacement, write_master([*LADDER, UHD, HEVC, WEAK]))
    with pytest.raises(VerificationFailed) as failed:
        check(tmp_path, text)
    assert what in failed.value.what


def test_scores_of_one_codec_alone_are_found(tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed, match="which variants have a SCORE"):
        check(tmp_path, write_master(LADDER).replace("FRAME-RATE", "SCORE=1,FRAME-RATE"))
