"""Closed captions arrive: whole ingests, what a player then reads, and that nothing of them strays into the rungs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests.caption_support import Line21, by_ffmpeg, captioned
from tests.ingest_support import Recorder, joined, key_of, ladder, run, settings, version
from tests.subtitle_support import cues, texts
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.pipeline.ingest import IngestRequest, ingest, prepare

MARKER = b"GA94"


def film(rate: str = "30") -> Line21:
    sent = Line21(Fraction(rate))
    sent.pop_on(1.5, 2.5, "Hello ♪", "<& you>")
    sent.pop_on(3.5, 4.5, "in italics", italics=True)
    sent.pop_on(1.5, 3, "Hola", channel="CC3")
    return sent


@pytest.mark.parametrize(("file", "codec"), [("film.ts", "h264"), ("film.mpg", "mpeg2video")])
def test_they_become_webvtt_on_the_time_line_of_the_title(file: str, codec: str, tmp_path: Path) -> None:
    source = captioned(tmp_path / file, film(), codec=codec)
    configured = settings(tmp_path, 90)
    notes = [note for note in prepare(IngestRequest(source=str(source)), configured).notes if "captions" in note]
    assert notes == [
        "closed captions CC1 (CEA-608, in stream 0) become WebVTT 'CC1': text and italics are kept, positions and colours are not",
        "closed captions CC3 (CEA-608, in stream 0) become WebVTT 'CC3': text and italics are kept, positions and colours are not",
    ]
    result = run(source, configured)
    folder = version(result)
    assert [(t.id, t.name, t.language, t.default, t.hearing_impaired) for t in result.record.subtitles] == [
        ("cc1", "CC1", None, False, True),
        ("cc3", "CC3", None, False, True),
    ]
    first, second, third = texts(folder, "subtitle-cc1.m3u8", key_of(configured))
    border = ("00:00:01.500 --> 00:00:02.500", "Hello ♪\n&lt;&amp; you&gt;")
    assert cues(first) == [border]
    assert cues(second) == [border, ("00:00:03.500 --> 00:00:04.500", "<i>in italics</i>")]
    assert cues(third) == [("00:00:03.500 --> 00:00:04.500", "<i>in italics</i>")]
    assert cues(texts(folder, "subtitle-cc3.m3u8", key_of(configured))[1]) == [("00:00:01.500 --> 00:00:03.000", "Hola")]
    zero = 1.5 - by_ffmpeg(source)[0][0]  # an independent reader agrees on all times
    assert [(round(start + zero, 2), round(end + zero, 2)) for start, end, _ in by_ffmpeg(source)] == [(1.5, 2.5), (3.5, 4.5)]

    master = parse((folder / "master.m3u8").read_bytes())
    assert isinstance(master, MasterPlaylist)
    sdh = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound"
    assert [(m.name, m.language, m.autoselect, m.characteristics) for m in master.renditions if m.type == "SUBTITLES"] == [
        ("CC1", "und", True, sdh),
        ("CC3", "und", True, sdh),
    ]
    again = run(source, configured)
    assert again.unchanged


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_no_rung_carries_captions_so_that_none_is_what_the_playlist_says(codec: str, tmp_path: Path) -> None:
    """Every other picture of a slower rung would carry every other pair of bytes."""
    source = captioned(tmp_path / "film.mp4", film("60"), rate="60", frames=300)
    made = Path(ladder(tmp_path, 64, 90, codec=codec, extra=", max_frame_rate: 30"))
    made.write_text(made.read_text().replace("ultrafast", "10" if codec == "av1" else "ultrafast"))
    configured = settings(tmp_path, ladder=str(made))
    result = run(source, configured)
    assert [track.id for track in result.record.subtitles] == ["cc1", "cc3"]
    for rung in ("64p", "90p"):
        assert MARKER not in joined(result, configured, f"video-{rung}.m3u8", tmp_path).read_bytes()
    assert (version(result) / "master.m3u8").read_text().count("CLOSED-CAPTIONS=NONE") == 2


def test_captions_that_cannot_be_kept_are_a_warning(tmp_path: Path) -> None:
    service = bytes([0xFF, 0x03, 0x23, 0xFE]) + b"Hi" + bytes([0xFE, 0x03, 0x00])  # one packet: service 1 says "Hi"
    source = captioned(tmp_path / "digital.mp4", {30: service}, frames=90)
    result = run(source, settings(tmp_path, 90))
    assert result.record.subtitles == ()
    assert [finding.id for finding in result.findings if "captions" in finding.id] == ["captions-left-out"]
    reason = "only the channels CC1 to CC4 of CEA-608 can be published"
    assert [(track.stream, track.channel, track.reason) for track in result.record.left_out] == [(0, "SERVICE1", reason)]


def test_another_version_extracts_nothing_again(tmp_path: Path) -> None:
    source = captioned(tmp_path / "film.mp4", film())
    configured, events = settings(tmp_path, 90), Recorder()
    first = run(source, configured)
    second = ingest(IngestRequest(source=str(source), new_key=True), configured, events)
    assert first.artifacts == second.artifacts == second.artifacts_reused
    assert [track.id for track in second.record.subtitles] == ["cc1", "cc3"]


def test_a_stream_with_text_that_never_shows_is_left_out(tmp_path: Path) -> None:
    sent = Line21(Fraction(30))
    sent.send(0.5, [(0x14, 0x20), (0x14, 0x20), (0x14, 0x70), *[(0x41, 0x42)] * 3])  # loaded, and never put on the screen
    configured, events = settings(tmp_path, 90), Recorder()
    result = ingest(IngestRequest(source=str(captioned(tmp_path / "film.mp4", sent, frames=60))), configured, events)
    assert result.record.subtitles == ()
    assert any("stream 0 (CC1) is not published" in note.text for note in events.named("note"))
    assert [(track.stream, track.channel) for track in result.record.left_out] == [(0, "CC1")]
