"""Cues on the title's time line, cut on its grid; and nothing that a stranger writes into them means anything to a player."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.package_support import subtitle_segments
from vidpipe.encode.subtitles import TIME_OFFSET
from vidpipe.manifest.cues import read_subtitles
from vidpipe.package.containers.webvtt import HEADER
from vidpipe.package.cut import Cue
from vidpipe.package.subtitles import LONGEST, Unusable, clean_text, title_cues
from vidpipe.plan import Grid
from vidpipe.work.artifacts import Artifact

GRID = Grid(frame_rate=Fraction(25), frames=95, gop_frames=25, segment_frames=50, chunk_frames=100)  # 2 s and 1.8 s
NTSC = Grid(frame_rate=Fraction(30000, 1001), frames=150, gop_frames=30, segment_frames=60, chunk_frames=120)


def artifact(folder: Path, *cues: tuple[float, float, str]) -> Artifact:
    """Write cues as ffmpeg does. Times in seconds of the source."""

    def clock(seconds: float) -> str:
        thousandths = round((seconds + TIME_OFFSET) * 1000)
        return f"{thousandths // 3_600_000:02}:{thousandths // 60_000 % 60:02}:{thousandths // 1000 % 60:02}.{thousandths % 1000:03}"

    path = folder / "raw.vtt"
    path.write_text("WEBVTT\n" + "".join(f"\n{clock(start)} --> {clock(end)}\n{text}\n" for start, end, text in cues), encoding="utf-8")
    return Artifact(key="k", path=path, size=path.stat().st_size, sha256="0" * 64)


def read(folder: Path, *cues: tuple[float, float, str], start: Fraction = Fraction(0), grid: Grid = GRID) -> list[tuple[float, float, str]]:
    found = title_cues(artifact(folder, *cues), start, grid, codec="subrip")
    return [(float(cue.start), float(cue.end), cue.text) for cue in found]


@pytest.mark.parametrize("start", ["0", "1/15", "5", "38604648/1000", "-1/2"])
def test_times_count_from_the_first_frame(start: str, tmp_path: Path) -> None:
    zero = Fraction(start)
    assert read(tmp_path, (float(zero) + 0.5, float(zero) + 1.25, "one"), start=zero) == [
        (pytest.approx(0.5, abs=0.0005), pytest.approx(1.25, abs=0.0005), "one")
    ]


def test_what_is_not_shown_while_the_picture_runs_is_cut_or_left_out(tmp_path: Path) -> None:
    cues = [(8.0, 9.0, "before"), (9.5, 10.5, "across the start"), (13.0, 14.5, "across the end"), (13.8, 15.0, "after"), (11, 11, "never")]
    assert read(tmp_path, *cues, start=Fraction(10)) == [(0.0, 0.5, "across the start"), (3.0, 3.8, "across the end")]


def test_an_end_that_is_no_whole_millisecond_is_not_passed(tmp_path: Path) -> None:
    ((_, end, _),) = read(tmp_path, (1.0, 9.0, "long"), grid=NTSC)
    assert NTSC.duration - Fraction(1, 1000) < Fraction(str(end)) <= NTSC.duration


def test_cues_come_in_order_and_the_same_one_once(tmp_path: Path) -> None:
    cues = [(2.0, 3.0, "late"), (1.0, 2.0, "layer"), (1.0, 2.0, "layer"), (1.0, 2.0, "shadow")]
    assert read(tmp_path, *cues) == [(1.0, 2.0, "layer"), (1.0, 2.0, "shadow"), (2.0, 3.0, "late")]


def test_a_blank_line_in_a_cue_is_not_its_end(tmp_path: Path) -> None:
    assert read(tmp_path, (1.0, 2.0, "one\n\ntwo\n \n\nthree")) == [(1.0, 2.0, "one\ntwo\nthree")]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain", "plain"),
        ("<i>italic</i> <b><u>both</u></b>", "<i>italic</i> <b><u>both</u></b>"),
        ("<b><i>crossed</b></i>", "<b><i>crossed</i></b>"),
        ("never <i>closed", "never <i>closed</i>"),
        ("never opened</i>", "never opened"),
        ("<i><i>twice</i></i>", "<i>twice</i>"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<00:00:01.000><c.red>", "&lt;00:00:01.000&gt;&lt;c.red&gt;"),
        ("Tom & Jerry &amp; a < b", "Tom &amp; Jerry &amp; a &lt; b"),
        ("&lt;i&gt; &nbsp; &copy;", "&lt;i&gt; &nbsp; &amp;copy;"),
        ("00:00:01.000 --> 00:00:02.000", "00:00:01.000 --&gt; 00:00:02.000"),
        ("one\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\ntwo", "one\ntwo"),
        ("x-timestamp-map=MPEGTS:1", ""),
        ("X-TIME</b>STAMP-MAP=LOCAL:00:00:00.000\nx", "x"),
        ("<b>X-TIMESTAMP-MAP=1\nX-TIME</b>STAMP-MAP=LOCAL:00:00:00.000\nx", "x"),
        ("\x00a\x1b[31m\x07b\x7f\x85c\u2028d\ufeffe\tf", "a[31mb\nc\nde f"),
        ("\ue000\ufdd0\U000e0001x", "\U000e0001x"),
        ("  one  \r\n\r\n\ttwo\v", "one\ntwo"),
        ("<i> \u200b</i>\n</b>", ""),
        ("", ""),
        ("مرحبا\u200c بالعالم \u202bשלום\u202c", "مرحبا\u200c بالعالم \u202bשלום\u202c"),
    ],
)
def test_text_is_cleaned(raw: str, clean: str) -> None:
    assert clean_text(raw.split("\n"), codec="subrip") == clean


def test_codes_of_ass_are_taken_out_only_of_ass() -> None:
    assert clean_text(["a\\hb"], codec="ass") == "a b"
    assert clean_text(["C:\\home"], codec="subrip") == "C:\\home"
    assert clean_text(["m 0 0 l 100 0 100.5 -100 0 100 "], codec="ass") == ""
    assert clean_text(["m 0 0 l 100 0"], codec="subrip") == "m 0 0 l 100 0"


@pytest.mark.parametrize(
    ("codec", "raw", "clean"),
    [
        ("eia_608", "\\h\\hHello\\hthere", "Hello there"),
        ("webvtt", "one\\htwo \\{{}three} \\\u2060home", "one two {three} \\home"),
        ("webvtt", "\\{older\\}", "{older}"),
        ("dvb_teletext", "\\{{}a} C:\\\u2060home", "{a} C:\\home"),
        ("text", "\\{{}\\{{}}} \\h", "{{}} \\h"),
        ("mov_text", "C:\\home \\{a\\}", "C:\\home \\{a\\}"),
    ],
)
def test_what_decoders_escape_is_taken_back(codec: str, raw: str, clean: str) -> None:
    assert clean_text([raw], codec=codec) == clean


TEXT = st.text(st.one_of(st.characters(), st.sampled_from("<>/&iub;-\n\r\\ \tX"))) | st.lists(
    st.sampled_from(["<i>", "</i>", "<b>", "</b>", "&lt;", "&", "\n", "x", " --> ", "WEBVTT", "X-TIME", "x-time", "STAMP-MAP="])
).map("".join)


@given(st.lists(TEXT, max_size=4), st.sampled_from(["subrip", "ass", "webvtt"]))
@example(["X-TIME</b>STAMP-MAP=LOCAL"], "subrip")
@example(["<b>X-TIMESTAMP-MAP\nx-time</b>stamp-map"], "subrip")
def test_whatever_is_in_a_cue_a_strict_reader_finds_one_cue(texts: list[str], codec: str) -> None:
    cues = [Cue(Fraction(1), Fraction(3), text) for raw in texts if (text := clean_text(raw.split("\n"), codec=codec))]
    segments = list(subtitle_segments(cues, "x", GRID))
    assert [read_subtitles(segment.data) for segment in segments] == [cues, cues]


def test_a_long_cue_is_cut() -> None:
    assert len(clean_text(["x" * 5000], codec="subrip")) == LONGEST


def test_segments_lie_on_the_grid_and_repeat_what_crosses_a_border() -> None:
    one, border, last = (
        Cue(Fraction(1, 2), Fraction(1), "one"),
        Cue(Fraction(3, 2), Fraction(5, 2), "border"),
        Cue(Fraction(3), Fraction(19, 5), "last"),
    )
    first, second = subtitle_segments([one, border, last], "en-sub", GRID)
    assert [(s.index, s.start, s.duration, s.samples) for s in (first, second)] == [(0, 0, 2, 2), (1, 2, Fraction(9, 5), 2)]
    assert first.data.decode() == (
        "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"
        "00:00:00.500 --> 00:00:01.000\none\n\n00:00:01.500 --> 00:00:02.500\nborder\n\n"
    )  # the blank line at the end: for players that parse the segments as one text
    assert read_subtitles(first.data) == read_subtitles(first.data.removesuffix(b"\n")) == [one, border], "and as it was before"
    assert read_subtitles(second.data) == [border, last]


def test_a_cue_that_ends_at_a_border_is_not_repeated_and_an_empty_segment_is_a_header() -> None:
    first, second = subtitle_segments([Cue(Fraction(1), Fraction(2), "one")], "x", GRID)
    assert first.samples == 1
    assert second.data.decode() == HEADER
    assert read_subtitles(second.data) == []


def test_segments_of_a_fractional_rate_have_exact_borders() -> None:
    segments = list(subtitle_segments([], "x", NTSC))
    assert [segment.start for segment in segments] == [0, Fraction(1001, 500), Fraction(1001, 250)]
    assert sum(segment.duration for segment in segments) == NTSC.duration


@pytest.mark.parametrize(
    ("cues", "reason"),
    [
        pytest.param([], "no text", id="none"),
        pytest.param([(1.0, 2.0, " \u200b "), (2.0, 3.0, "<i></i>")], "no text", id="blank"),
        pytest.param([(50.0, 60.0, "late")], "no text", id="after the end"),
        pytest.param([(0.0, 3.0, f"{n} " + "x" * 1500) for n in range(60)], "more text at once", id="too much at once"),
        pytest.param([(1.0, 1.1, "x")] * 50_001, "more than 50000 cues", id="too many"),
    ],
)
def test_a_track_that_cannot_be_shown_is_left_out_with_a_reason(cues: list[tuple[float, float, str]], reason: str, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=reason):
        read(tmp_path, *cues)


def test_garbage_is_no_track(tmp_path: Path) -> None:
    path = tmp_path / "garbage.vtt"
    path.write_bytes(bytes(range(256)) * 50 + b"\n\n99:99.999 --> x\n\n-1:00.000 --> 00:01.000\nx\n")
    with pytest.raises(Unusable, match="no text"):
        title_cues(Artifact(key="k", path=path, size=1, sha256="0" * 64), Fraction(0), GRID, codec="ass")
