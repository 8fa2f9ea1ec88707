"""One place compares spellings; what it offers is near, whatever the capitals and hyphens."""

from __future__ import annotations

import pytest

from vidpipe.near import nearest, suggestion


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("bitrat", ["bitrate", "max_bitrate"], "bitrate"),
        ("black-video", ["black_video", "frozen_video"], "black_video"),
        ("LADER", ["ladder", "limits"], "ladder"),
        ("film", ["Film-1", "other"], "Film-1"),
        ("zzz", ["ladder"], None),
        ("x", [], None),
    ],
)
def test_the_nearest(word: str, known: list[str], near: str | None) -> None:
    assert nearest(word, known) == near


def test_what_is_offered() -> None:
    assert suggestion("lader", ["ladder", "policy"]) == "did you mean ladder?"
    assert suggestion("zzz", iter(["ladder", "policy"])) == "use one of: ladder, policy"
