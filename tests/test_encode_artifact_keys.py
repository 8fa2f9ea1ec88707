"""A key names what a command makes: the same for as long as the command is the same, and no other command has it."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.test_plan import rung, sound, source
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.command import QualityChains
from vidpipe.ladder import AudioRung, Ladder
from vidpipe.plan import Plan, plan
from vidpipe.source.facts import Colour, Source, SubtitleStream

GOLDEN = Path(__file__).parent / "golden" / "artifact-keys.json"
CHAINS = QualityChains(
    source="idet",
    picture="blackdetect=d=0.1,metadata=mode=print:file=p.txt",
    picture_file="p.txt",
    sound="ebur128=metadata=1,ametadata=mode=print:file=s.txt",
    sound_file="s.txt",
)
LADDER = Ladder(
    name="all",
    description="Every encoder, with every way to say what is wanted.",
    rungs=(
        rung(240, max_frame_rate=Fraction(30)),
        rung(360, crf=23, profile="main"),
        rung(480, codec="hevc"),
        rung(540, codec="hevc", crf=28, profile="main", preset="slow"),
        rung(720, codec="av1", preset="8"),
        rung(900, codec="av1", preset="10", crf=35, profile="main"),
        rung(1080, profile="high"),
    ),
    audio=(AudioRung(), AudioRung(channels=6, bitrate=384_000)),
)
SHOWN: dict[str, Any] = {"text": True, "start": Fraction(0), "duration": Fraction(30), "packets": 5}
SUBTITLES = (SubtitleStream(index=3, codec="subrip", **SHOWN), SubtitleStream(index=0, codec="eia_608", channel="CC1", **SHOWN))
HLG = Colour(primaries="bt2020", transfer="arib-std-b67", matrix="bt2020nc", range="tv", dynamic_range="HLG")
SOURCES = {
    "plain": source(rate="60", duration="30", audio=(sound(1), sound(2, 6))).model_copy(update={"subtitles": SUBTITLES}),
    "hlg": source(3840, 2160, rate="30000/1001", duration="30", colour=HLG, rotation=90, pixel_format="yuv420p10le", bit_depth=10),
}


def planned(facts: Source, ladder: Ladder = LADDER) -> Plan:
    return plan(facts, ladder, gop_seconds=Fraction(2), segment_seconds=Fraction(6), chunk_seconds=Fraction(12))


def keys_of(made: Plan, threads: int = 1, quality: QualityChains | None = CHAINS) -> dict[str, str]:
    """Return every key of a plan's second chunk and of its tracks, by the name of the file."""
    keys = Keys(made, threads=threads, version="n9.0", quality=quality)
    found = keys.chunk(made.chunks[1])
    for number, rendition in enumerate(made.audio):
        found |= keys.audio(number, rendition)
    for track in made.subtitles:
        found |= keys.subtitles(track)
    return found


def test_keys_stay_while_the_commands_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or every user's work is made again. If a command changes on purpose, write what is found into the golden file."""
    monkeypatch.setattr("vidpipe.encode.artifact_keys.metadata.version", lambda package: f"{package} 1.0")
    found = {
        f"{name}, {threads} threads": keys_of(planned(facts), threads, quality)
        for name, facts in SOURCES.items()
        for threads, quality in ((1, CHAINS), (4, None))
    }
    assert found == json.loads(GOLDEN.read_text())
