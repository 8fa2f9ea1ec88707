"""Embedded subtitles arrive: whole ingests of generated sources, and what a player then reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.encode_support import clip, remux
from tests.ingest_support import FIXTURES, Recorder, key_of, ladder, run, settings, version
from tests.subtitle_support import Words, cues, srt, subtitled, texts
from tests.teletext_support import teletext
from tests.test_encode_subtitles import ASS, broken
from vidpipe.inspect.inspection import inspect
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.pipeline.ingest import IngestRequest, ingest, prepare
from vidpipe.preview import playing

MEDIA = Path(__file__).parent.parent.parent / "shared" / "media"
ENGLISH = srt(("00:00:00,500", "00:00:01,000", "<i>Hello</i>"), ("00:00:01,500", "00:00:02,500", "over the border"))
GERMAN = srt(("00:00:02,100", "00:00:09,000", "bis zum Ende"))
HOSTILE = srt(
    ("00:00:00,500", "00:00:01,000", "one\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\na --> b"),
    ("00:00:01,200", "00:00:01,500", "WEBVTT\nSTYLE\n::cue { color: red }\x1b]0;title\x07"),
    ("00:00:01,600", "00:00:01,700", "<script src=//evil>&<b>bold"),
)
HEADER = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0"


def test_two_languages_forced_and_for_the_hard_of_hearing(tmp_path: Path) -> None:
    source = subtitled(
        tmp_path / "film.mkv",
        Words(ENGLISH, language="eng", disposition="default"),
        Words(GERMAN, language="deu", title='Deutsch "neu"'),
        Words(srt(("00:00:00,100", "00:00:00,200", "sign")), language="eng", disposition="forced"),
        Words(ENGLISH, language="eng", disposition="hearing_impaired"),
    )
    configured = settings(tmp_path)
    plan = prepare(IngestRequest(source=str(source)), configured)
    assert [note.partition(":")[0] for note in plan.notes] == [
        "subtitle stream 2 (en, subrip) becomes WebVTT 'English'",
        "subtitle stream 3 (de, subrip) becomes WebVTT \"Deutsch 'neu'\"",
        "subtitle stream 4 (en, subrip) becomes WebVTT 'English (forced)'",
        "subtitle stream 5 (en, subrip) becomes WebVTT 'English (SDH)'",
        "no DASH manifest",
    ]
    result = run(source, configured)
    folder = version(result)
    recorded = [(t.id, t.name, t.language, t.default, t.forced, t.hearing_impaired) for t in result.record.subtitles]
    assert recorded == [
        ("en-sub", "English", "en", True, False, False),
        ("de-sub", "Deutsch 'neu'", "de", False, False, False),
        ("en-forced", "English (forced)", "en", False, True, False),
        ("en-sdh", "English (SDH)", "en", False, False, True),
    ]
    assert [track.url for track in result.record.subtitles] == [str(folder / f"subtitle-{t[0]}.m3u8") for t in recorded]
    assert json.loads((folder / "record.json").read_text())["subtitles"][3]["hearing_impaired"] is True

    first, second = texts(folder, "subtitle-en-sub.m3u8", key_of(configured))
    border = ("00:00:01.500 --> 00:00:02.500", "over the border")
    assert first.startswith(f"{HEADER}\n\n00:")
    assert second.startswith(f"{HEADER}\n\n00:")
    assert cues(first) == [("00:00:00.500 --> 00:00:01.000", "<i>Hello</i>"), border]
    assert cues(second) == [border]
    first, second = texts(folder, "subtitle-de-sub.m3u8", key_of(configured))
    assert first == f"{HEADER}\n\n"
    assert cues(second) == [("00:00:02.100 --> 00:00:03.000", "bis zum Ende")]

    master = parse((folder / "master.m3u8").read_bytes())
    assert isinstance(master, MasterPlaylist)
    assert {variant.subtitles for variant in master.variants} == {"subtitles"}
    members = [member for member in master.renditions if member.type == "SUBTITLES"]
    assert [(m.name, m.language, m.default, m.autoselect, m.forced) for m in members] == [
        ("English", "en", True, True, False),
        ("Deutsch 'neu'", "de", False, True, False),
        ("English (forced)", "en", False, True, True),
        ("English (SDH)", "en", False, True, False),
    ]
    sdh = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
    assert [member.characteristics for member in members] == [None, None, None, sdh]
    assert not any("wvtt" in codec for variant in master.variants for codec in variant.codecs)

    found = inspect(str(folder))
    assert found.problems == ()
    assert [(v.measured and (v.measured.peak, v.measured.average)) for v in found.variants] == [
        (v.bandwidth, v.average_bandwidth) for v in found.variants
    ]
    shown = [playlist for playlist in found.playlists if playlist.kind == "subtitles"]
    assert [(p.segments, float(p.duration), p.clear_segments, p.init, p.version) for p in shown] == [(2, 3.0, 0, (), 3)] * 4


@pytest.mark.parametrize(
    ("file", "words", "options"),
    [
        pytest.param("a.mkv", Words(ENGLISH), ("-output_ts_offset", "5"), id="mkv at 5 s"),
        pytest.param("a.mkv", Words(ENGLISH), ("-output_ts_offset", "38604.648"), id="mkv at 38604 s"),
        pytest.param("a.mp4", Words(ENGLISH, codec="mov_text"), (), id="mov_text"),
        pytest.param("a.mov", Words(ENGLISH, codec="mov_text"), ("-output_ts_offset", "1.5"), id="mov_text, late"),
    ],
)
def test_cues_lie_on_the_time_line_of_the_title(file: str, words: Words, options: tuple[str, ...], tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(subtitled(tmp_path / file, words, options=options), configured)
    (track,) = result.record.subtitles
    first, second = texts(version(result), f"subtitle-{track.id}.m3u8", key_of(configured))
    border = ("00:00:01.500 --> 00:00:02.500", "over the border")
    assert cues(first) == [("00:00:00.500 --> 00:00:01.000", "<i>Hello</i>"), border]
    assert cues(second) == [border]


@pytest.mark.parametrize("start", [100, 38604])
def test_teletext_subtitles_arrive(start: int, tmp_path: Path) -> None:
    clip = remux(FIXTURES / "portrait-25.mp4", tmp_path / "clip.ts", "-output_ts_offset", str(start), "-muxdelay", "0", "-pcr_period", "20")
    pages = [(0.5, 1.0, ["Guten Tag", "Herr & Frau"]), (1.5, 2.5, ["ueber die Grenze"])]
    configured = settings(tmp_path, 90)
    result = run(teletext(clip, tmp_path / "tele.ts", pages, start), configured)
    (track,) = result.record.subtitles
    assert (track.id, track.language) == ("de-sub", "de")
    first, second = texts(version(result), "subtitle-de-sub.m3u8", key_of(configured))
    border = ("00:00:01.500 --> 00:00:02.500", "ueber die Grenze")
    assert cues(first) == [("00:00:00.500 --> 00:00:01.000", "Guten Tag\nHerr &amp; Frau"), border]
    assert cues(second) == [border]


def test_a_clear_title_has_clear_subtitles(tmp_path: Path) -> None:
    result = run(subtitled(tmp_path / "a.mkv", Words(ASS, "ass", "ass", language="deu")), settings(tmp_path, 90, encrypt="none"))
    first = (version(result) / "subtitles" / "de-sub" / "00001.vtt").read_text()
    assert first == f"{HEADER}\n\n00:00:00.500 --> 00:00:01.000\n<i>up</i>, and\ndown\n\n"
    assert "EXT-X-KEY" not in (version(result) / "subtitle-de-sub.m3u8").read_text()


def test_hostile_text_means_nothing(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(subtitled(tmp_path / "a.mkv", Words(HOSTILE)), configured)
    first, second = texts(version(result), "subtitle-und-sub.m3u8", key_of(configured))
    assert cues(first) == [
        ("00:00:00.500 --> 00:00:01.000", "one\na --&gt; b"),
        ("00:00:01.200 --> 00:00:01.500", "WEBVTT\nSTYLE\n::cue { color: red }]0;title"),
        ("00:00:01.600 --> 00:00:01.700", "&amp;<b>bold</b>"),
    ]
    assert second == f"{HEADER}\n\n"
    assert first.count("X-TIMESTAMP-MAP") == 1


def test_a_track_that_cannot_be_shown_breaks_nothing(tmp_path: Path) -> None:
    words = [Words(srt(("00:00:01,500", "00:00:02,000", "Hallo")), language="deu", disposition="default"), Words(ENGLISH, language="eng")]
    blank = Words(srt(("00:00:00,500", "00:00:01,000", "<i></i>")), language="fra")
    source = broken(subtitled(tmp_path / "a.mkv", *words, blank))
    configured, heard = settings(tmp_path, 90), Recorder()
    result = ingest(IngestRequest(source=str(source)), configured, heard)
    assert [track.id for track in result.record.subtitles] == ["en-sub"]
    warnings = sorted(heard.warnings)
    assert len(warnings) == 2
    assert "subtitle stream 2 (German) is not published: most of it cannot be decoded" in warnings[0]
    assert "subtitle stream 4 (French) is not published: it has no text" in warnings[1]
    assert [(track.stream, track.language, track.reason) for track in result.record.left_out] == [
        (2, "de", "most of it cannot be decoded"),  # without the words of ffmpeg, which hold addresses of its memory
        (4, "fr", "it has no text that is shown during the video"),
    ]
    assert not [path for path in version(result).rglob("*") if "de-sub" in path.name or "fr-sub" in path.name]
    assert inspect(str(version(result))).problems == ()
    assert run(source, configured).unchanged


def test_most_of_the_cues_are_published_with_a_warning(tmp_path: Path) -> None:
    cues_of_it = [(f"00:00:00,{n}00", f"00:00:00,{n}50", "Hallo" if n == 3 else f"cue {n}") for n in range(1, 6)]
    configured, heard = settings(tmp_path, 90), Recorder()
    source = broken(subtitled(tmp_path / "a.mkv", Words(srt(*cues_of_it), language="deu")))
    result = ingest(IngestRequest(source=str(source)), configured, heard)
    first, _ = texts(version(result), "subtitle-de-sub.m3u8", key_of(configured))
    assert [text for _, text in cues(first)] == ["cue 1", "cue 2", "cue 4", "cue 5"]
    (warning,) = heard.warnings
    assert warning == "subtitle stream 2 (German) is missing some cues, which cannot be decoded"


def test_an_odd_number_of_frames_at_half_the_rate(tmp_path: Path) -> None:
    """The last segment of the picture is a frame longer than the title; that of the subtitles is not."""
    film = clip(tmp_path / "film.mp4", "50", 125)
    source = subtitled(tmp_path / "a.mkv", Words(ENGLISH, language="eng"), video=str(film))
    configured = settings(tmp_path, ladder=ladder(tmp_path, 90, extra=", max_frame_rate: 30"))
    result = run(source, configured)
    assert prepare(IngestRequest(source=str(source)), configured).video[0].frame_step == 2
    _, second = texts(version(result), "subtitle-en-sub.m3u8", key_of(configured))
    assert cues(second) == [("00:00:01.500 --> 00:00:02.500", "over the border")]


def test_nothing_is_extracted_twice(tmp_path: Path) -> None:
    source = subtitled(tmp_path / "a.mkv", Words(ENGLISH, language="eng"))
    configured = settings(tmp_path, 90)
    first = run(source, configured)
    assert (first.artifacts, first.artifacts_reused) == (3, 0)
    assert run(source, configured).unchanged
    again = run(source, configured, title="Another")
    assert (again.artifacts, again.record.subtitles[0].id) == (0, "en-sub")
    rekeyed = run(source, configured, new_key=True)
    assert (rekeyed.artifacts, rekeyed.artifacts_reused) == (3, 3)
    assert texts(version(first), "subtitle-en-sub.m3u8", key_of(configured)) == texts(
        version(again), "subtitle-en-sub.m3u8", key_of(configured)
    )


def test_the_preview_gives_the_subtitles_decrypted(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(subtitled(tmp_path / "a.mkv", Words(ENGLISH, language="eng")), configured, content_id="film")
    with playing("film", configured) as server:
        folder = f"/clear/{server.prefix}"
        _, kind, playlist = server.answer(f"{folder}/subtitle-en-sub.m3u8")
        assert kind == "application/vnd.apple.mpegurl"
        assert b"EXT-X-KEY" not in playlist
        uri = next(line for line in playlist.decode().splitlines() if line.startswith("subtitles/"))
        status, kind, text = server.answer(f"{folder}/{uri}")
    assert (status, kind) == (200, "text/vtt")
    assert text.decode() == texts(version(result), "subtitle-en-sub.m3u8", key_of(configured))[0]


@pytest.mark.skipif(not (MEDIA / "srt-subs.mkv").is_file(), reason="srt-subs.mkv is not in ../shared/media")
def test_a_real_clip_with_overlapping_subtitles(tmp_path: Path) -> None:
    configured = settings(tmp_path, 90)
    result = run(MEDIA / "srt-subs.mkv", configured)
    (track,) = result.record.subtitles
    assert not track.default  # its only track has the flag that every track has unless it is taken away
    (text,) = texts(version(result), f"subtitle-{track.id}.m3u8", key_of(configured))
    assert cues(text) == [  # its first frame is shown at 0.067 s, its first cue at 0.100 s
        ("00:00:00.033 --> 00:00:00.263", "First subtitle - end overlaps second"),
        ("00:00:00.083 --> 00:00:00.483", "Third subtitle - fully encompasses second"),
        ("00:00:00.133 --> 00:00:00.383", "Second subtitle - beginning overlaps first"),
    ]
