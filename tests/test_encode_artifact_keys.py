"""A key names what a command makes: the same for as long as the command is the same, and no other command has it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encode_support import chunks_of, clip, tiny_plan
from tests.encode_support import rung as quick_rung
from tests.test_plan import audio, rung, source
from vidpipe.encode.artifact_keys import Keys
from vidpipe.encode.command import QualityChains, chunk_arguments, chunk_command
from vidpipe.encode.scheduler import encode
from vidpipe.errors import EncodeFailed
from vidpipe.ladder import AudioRung, Ladder
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.mp4.boxes import read_movie
from vidpipe.mp4.codecs import video
from vidpipe.plan import Plan, plan
from vidpipe.source.facts import Colour, Source, SubtitleStream
from vidpipe.work.artifacts import Store

GOLDEN = Path(__file__).parent / "golden" / "artifact-keys.json"
CHAINS = QualityChains(
    fields="idet,metadata=mode=print:file=f.txt",
    fields_file="f.txt",
    picture="blackdetect=d=0.1,metadata=mode=add:key=lavfi.picture:value=1,metadata=mode=print:file=p.txt",
    picture_file="p.txt",
    audio="ebur128=metadata=1,ametadata=mode=print:file=s.txt",
    audio_file="s.txt",
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
    "plain": source(rate="60", duration="30", audio=(audio(1), audio(2, 6))).model_copy(update={"subtitles": SUBTITLES}),
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


# What a key means, whatever else is encoded beside it


def paths(arguments: list[str]) -> dict[str, tuple[str, ...]]:
    """Return for each output what its frames go through, from the source on, and its options; the splits on the way are left out."""
    filters = {}
    for text in arguments[arguments.index("-filter_complex") + 1].split(";"):
        inputs, chain, names = re.fullmatch(r"((?:\[[^\]]*\])+)(.*?)((?:\[[^\]]*\])+)", text).groups()  # type: ignore[union-attr]
        for name in re.findall(r"\[[^\]]*\]", names):
            filters[name] = (re.findall(r"\[[^\]]*\]", inputs)[0], () if chain.startswith("split") else (chain,))
    found = {}
    rest = arguments[arguments.index("-map") :]
    for at in [number for number, word in enumerate(rest) if word == "-map"]:
        end = rest.index("-map", at + 1) if "-map" in rest[at + 1 :] else len(rest)
        label, options = rest[at + 1], tuple(rest[at + 2 : end])
        way: tuple[str, ...] = ()
        while label in filters:
            label, chain = filters[label]
            way = chain + way
        found[options[-1]] = (*way, *options)
    return found


SHAPES = st.builds(
    lambda height, codec, half: {"height": height, "max_frame_rate": Fraction(30) if half else None, **codec},
    st.sampled_from([240, 480]),
    st.sampled_from(
        [
            {"codec": "h264"},
            {"codec": "h264", "profile": "main"},
            {"codec": "hevc"},
            {"codec": "hevc", "profile": "main"},
            {"codec": "hevc", "profile": "main10"},
            {"codec": "av1", "preset": "8"},
        ]
    ),
    st.booleans(),
)


@given(shapes=st.lists(SHAPES, min_size=1, max_size=6), measured=st.booleans())
def test_a_piece_is_the_same_whatever_is_made_beside_it(shapes: list[dict[str, Any]], measured: bool) -> None:
    """What an output gets in a command of many is what it gets in its own, of which the key is taken."""
    rungs = tuple(rung(name=f"r{number}", **shape) for number, shape in enumerate(shapes))
    made = planned(SOURCES["plain"], LADDER.model_copy(update={"rungs": rungs}))
    chunk = made.chunks[1]
    quality = CHAINS if measured else None
    nothing: dict[str, Any] = {"threads": 2, "renditions": (), "pictures": False, "posters": (), "quality": None}
    wanted = nothing | {"renditions": made.video, "pictures": True, "posters": (900,), "quality": quality}
    together = paths(chunk_arguments(chunk_command(made, chunk, **wanted)))
    pieces: list[dict[str, Any]] = [{"renditions": (rendition,)} for rendition in made.video]
    pieces += [{"pictures": True}, {"posters": (900,)}, *([{"quality": quality}] if quality else [])]
    alone = [paths(chunk_arguments(chunk_command(made, chunk, **(nothing | piece)))) for piece in pieces]
    assert len(together) == len(pieces)
    for each in alone:
        ((name, expected),) = each.items()
        assert tuple(word for word in together[name] if word != "idet") == tuple(word for word in expected if word != "idet")


def test_pieces_that_differ_have_different_keys() -> None:
    profiles = ({}, {"profile": "main"}, {"profile": "main10"})
    rungs = tuple(rung(240, name=f"r{number}", codec="hevc", **profile) for number, profile in enumerate(profiles))
    keys = keys_of(planned(SOURCES["plain"], LADDER.model_copy(update={"rungs": rungs})))
    assert len({keys["r0.mp4"], keys["r1.mp4"], keys["r2.mp4"]}) == 3


@pytest.fixture(scope="module")
def clip_24(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("mixes") / "source.mp4", "24", 24)


MIXES: dict[str, tuple[dict[str, Any], ...]] = {
    "the same codec in 8 and 10 bits": ({"codec": "hevc", "profile": "main"}, {"codec": "hevc", "profile": "main10"}),
    "another codec of one size": ({}, {"codec": "hevc", "profile": "main10"}),
    "the smallest, which is measured": ({"height": 96}, {"codec": "hevc", "profile": "main10"}),
    "two of 10 bits and one of 8": (
        {"codec": "hevc", "profile": "main10"},
        {"codec": "hevc", "profile": "main10", "bitrate": 100_000},
        {"codec": "av1", "preset": "13"},
    ),
}


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES.keys())
def test_rungs_of_different_depths_keep_theirs(mix: tuple[dict[str, Any], ...], clip_24: Path, tmp_path: Path, program: FFmpeg) -> None:
    """They shared frames of 8 bits, and what was kept under the key of the Main 10 rung was not Main 10."""
    rungs = [quick_rung(f"r{number}", **facts) for number, facts in enumerate(mix)]
    made = tiny_plan(clip_24, *rungs)
    (done,) = chunks_of(list(encode(made, Store(tmp_path / "work"), ffmpeg=program, workers=1, threads=1, quality=CHAINS)))
    for rendition in made.video:
        coded = video(read_movie(done.video[rendition.id].path).tracks[0].entry)
        ten = rendition.make.profile == "main10"
        assert (coded.bit_depth, coded.width, coded.height) == (10 if ten else 8, rendition.width, rendition.height)
        assert not ten or coded.codecs.startswith("hvc1.2.")


def test_a_piece_of_another_depth_is_not_kept(clip_24: Path, tmp_path: Path, program: FFmpeg) -> None:
    """An ffmpeg that gives an encoder other pixels than it was asked for."""
    made = tiny_plan(clip_24, quick_rung("a", codec="hevc", profile="main10"))
    path = tmp_path / "ffmpeg"
    path.write_text(
        f"#!{sys.executable}\nimport os, sys\nwords = [word.replace('main10', 'main').replace('yuv420p10le', 'yuv420p') "
        f"for word in sys.argv[1:]]\nos.execv({program.path!r}, [{program.path!r}, *words])\n"
    )
    path.chmod(0o755)
    with pytest.raises(EncodeFailed) as failed:
        list(encode(made, Store(tmp_path / "work"), ffmpeg=replace(program, path=str(path)), workers=1, threads=1))
    assert "it has 8 bits, not 10" in str(failed.value)
