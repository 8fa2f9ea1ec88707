"""The matrix of players: what it holds, what its page says, a few cells of it, and all of them at night.

At night every cell is a test of its own; ``python -m tests.playback`` plays the same ones and writes what docs/players.md shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.playback import page
from tests.playback.cells import AUDIO, CLIPS, MANIFESTS, PLAYERS, PROTECTIONS, Cell, cells, frames, refusal, rungs, undecodable
from tests.playback.chromium import THEATRES, Theatres, only
from tests.playback.outcome import Outcome, Run, read, write
from tests.playback.picture import draw
from tests.playback.players import IMPLEMENTATIONS, outcome_of
from tests.playback.titles import Titles
from vidpipe.ladder import shipped

EVERY = [cell for player in PLAYERS for cell in cells(player)]


def test_the_matrix_is_whole() -> None:
    assert sorted(CLIPS) == shipped()
    assert {player.name for player in PLAYERS} == set(IMPLEMENTATIONS)
    assert {manifest for player in PLAYERS for manifest in player.manifests} == set(MANIFESTS)
    columns = sum(len(player.manifests) for player in PLAYERS)
    assert len(set(EVERY)) == columns * len(CLIPS) * len(PROTECTIONS) * len(AUDIO)


def test_what_is_not_possible_has_a_sentence() -> None:
    assert "HLS only" in str(refusal(Cell("Shaka Player", "dash", "fast", "aes-128", "one audio")))
    assert "no SAMPLE-AES" in str(refusal(Cell("Chromium", "hls", "fast", "cbcs", "one audio")))
    assert "H.265" in str(refusal(Cell("hls.js", "hls", "apple-hevc", "none", "one audio"))), "the whole ladder"
    lone = Cell("hls.js", "hls", "premium", "none", "one audio")
    assert refusal(lone) is None, "a lone rung that cannot be decoded is left out, and the others are played"
    assert undecodable(lone, "hevc")
    assert not undecodable(lone, "h264")
    assert all(reason.endswith(".") for cell in EVERY if (reason := refusal(cell)))


def test_clips_are_large_enough_to_tell_ladders_apart() -> None:
    made = {ladder: tuple((rung.name, rung.codec, frames(ladder, rung)) for rung in rungs(ladder)) for ladder in CLIPS}
    assert len(set(made.values())) == len(CLIPS)
    assert [name for name, _, _ in made["streaming"]] == ["240p", "360p", "480p", "720p", "1080p", "2160p"]
    assert {count for _, _, count in made["apple-avc"]} == {150, 300}, "half the rate, too"


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    one, other = sorted(EVERY)[:2]
    first = Outcome(one, "passed", left_out=("2160p",))
    run = Run({"hls.js": "1.7.4"}, (first, Outcome(other, "failed", "stalled")))
    write(run, tmp_path / "run.json")
    assert read(tmp_path / "run.json") == run
    newer = run.with_outcomes({}, [Outcome(other, "passed")])
    assert {outcome.result for outcome in newer.outcomes} == {"passed"}
    assert newer.outcomes[0] == first
    absent = Run({one.player: "", other.player: "2"}, (Outcome(one, "absent", "not installed"), Outcome(other, "passed")))
    assert run.with_run(absent).outcomes == newer.outcomes, "what was absent elsewhere stays as it was"


def test_the_page_and_the_picture_are_those_of_the_recorded_run(tmp_path: Path) -> None:
    run = read(page.RECORD)
    assert {outcome.cell for outcome in run.outcomes} <= set(EVERY), "what is no longer in the matrix has no outcome"
    for outcome in run.outcomes:
        assert (outcome.result == "not possible") == bool(refusal(outcome.cell)), outcome.cell
    shown = page.PAGE.read_text(encoding="utf-8")
    assert page.updated(shown, run) == shown
    draw(run, tmp_path / "players.svg")
    assert (tmp_path / "players.svg").read_bytes() == page.PICTURE.read_bytes()


def test_one_variant_and_one_audio_are_chosen_for_a_player_that_cannot() -> None:
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{0}ch",NAME="English",DEFAULT=NO,URI="audio-en-{0}.m3u8"'
    variant = '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="{0}ch"\nvideo-{1}.m3u8'
    lines = ["#EXTM3U", media.format(2), media.format(6), *(variant.format(ch, rung) for ch in (2, 6) for rung in ("a", "b")), ""]
    chosen = ["#EXTM3U", media.format(6).replace("DEFAULT=NO", "DEFAULT=YES"), variant.format(6, "b")]
    assert only("\n".join(lines), video="b", audio="en-6").split("\n") == "\n".join([*chosen, ""]).split("\n")


@pytest.fixture(scope="session")
def titles(tmp_path_factory: pytest.TempPathFactory) -> Titles:
    return Titles(tmp_path_factory.mktemp("titles"))


@pytest.fixture(scope="module")
def theatres() -> Iterator[Theatres]:
    yield THEATRES
    THEATRES.close()


@pytest.mark.nightly
@pytest.mark.parametrize("cell", [pytest.param(cell, id=cell.id) for cell in EVERY if not refusal(cell)])
def test_every_cell(cell: Cell, titles: Titles, theatres: Theatres, tmp_path: Path) -> None:
    outcome = outcome_of(cell, titles, tmp_path)
    if outcome.result == "absent":
        pytest.skip(outcome.why)
    assert outcome.result == "passed", outcome.why
