"""plan: rungs kept and dropped with reasons, sizes, the common grid, chunks. Pure: no file, no ffmpeg."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidpipe.data import report
from vidpipe.errors import UsageError
from vidpipe.ladder import AudioRung, Ladder, Rung
from vidpipe.plan import Plan, fit, plan
from vidpipe.source.asset import Asset
from vidpipe.source.facts import AudioFormat, AudioFormatChange, AudioStream, Colour, Source, SubtitleStream, VideoStream


def rung(height: int, **changes: Any) -> Rung:
    base: dict[str, Any] = {"name": f"{height}p", "height": height, "codec": "h264", "bitrate": height * 3000, "preset": "fast"}
    base |= {"max_bitrate": height * 3300, "buffer": height * 6000}
    return Rung(**base | changes)


LADDER = Ladder(name="test", description="", rungs=tuple(rung(height) for height in (240, 360, 720, 1080, 2160)))


def source(width: int = 1920, height: int = 1080, rate: str = "24", duration: str = "60", **changes: Any) -> Source:
    video: dict[str, Any] = {"index": 0, "codec": "h264", "pixel_format": "yuv420p", "bit_depth": 8, "width": width, "height": height}
    video |= {"frame_rate": Fraction(rate), "time_base": Fraction(1, 90000), "start_pts": 0, "start": Fraction(0)}
    video |= {"duration": Fraction(duration), "frames": 0}
    audio = changes.pop("audio", ())
    facts: dict[str, Any] = {"location": "/s.mp4", "name": "s.mp4", "size": 1, "mtime_ns": 1, "sha256": "0" * 64}
    facts |= {"container": "mov", "demuxer": "mov", "duration": Fraction(duration)}
    return Source(**facts, video=VideoStream(**video | changes), audio=audio)


def audio(index: int, channels: int = 2, **changes: Any) -> AudioStream:
    facts: dict[str, Any] = {"index": index, "codec": "aac", "sample_rate": 48000, "channels": channels, "layout": f"{channels} channels"}
    return AudioStream(**facts | {"start": Fraction(0), "duration": Fraction(60), "packets": 1} | changes)


def planned(facts: Source, ladder: Ladder = LADDER, gop: str = "2", segment: str = "6", chunk: str = "30") -> Plan:
    return plan(facts, ladder, gop_seconds=Fraction(gop), segment_seconds=Fraction(segment), chunk_seconds=Fraction(chunk))


SIZES = {
    "1080p": (source(1920, 1080), {"240p": (426, 240), "360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}),
    "scope in a 1080p frame": (source(1920, 804), {"240p": (426, 178), "360p": (640, 268), "720p": (1280, 536), "1080p": (1920, 804)}),
    "4:3": (source(1440, 1080), {"240p": (320, 240), "360p": (480, 360), "720p": (960, 720), "1080p": (1440, 1080)}),
    "portrait": (source(1080, 1920), {"240p": (240, 426), "360p": (360, 640), "720p": (720, 1280), "1080p": (1080, 1920)}),
    "rotated": (source(1280, 720, rotation=90), {"240p": (240, 426), "360p": (360, 640), "720p": (720, 1280)}),
    "PAL wide pixels": (source(720, 576, sample_aspect=Fraction(64, 45)), {"240p": (426, 240), "360p": (640, 360)}),
    "narrow pixels": (
        source(1920, 540, sample_aspect=Fraction(1, 2)),
        {"240p": (426, 240), "360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)},
    ),
    "a few lines short of 1080": (source(1918, 1078), {"240p": (426, 240), "360p": (640, 360), "720p": (1280, 720), "1080p": (1918, 1078)}),
    "smaller than every rung": (source(160, 120), {"240p": (160, 120)}),
    "smaller and odd": (source(161, 121), {"240p": (160, 120)}),
    "2x2": (source(2, 2), {"240p": (2, 2)}),
    "square": (source(720, 720), {"240p": (240, 240), "360p": (360, 360), "720p": (720, 720)}),
}


@pytest.mark.parametrize(("facts", "sizes"), SIZES.values(), ids=SIZES.keys())
def test_sizes(facts: Source, sizes: dict[str, tuple[int, int]]) -> None:
    made = planned(facts)
    assert {r.id: (r.width, r.height) for r in made.video} == sizes
    assert [d.rung for d in made.decisions] == [r.name for r in LADDER.rungs]
    assert {d.rung for d in made.decisions if d.kept} == set(sizes)
    assert all(d.reason for d in made.decisions)


@given(st.integers(2, 8000), st.integers(2, 8000), st.integers(2, 2200))
def test_fit_is_even_never_enlarges_and_keeps_the_aspect(width: int, height: int, lines: int) -> None:
    size = (Fraction(width), Fraction(height))
    w, h = fit(size, (Fraction(16, 9) * lines, lines))
    assert w % 2 == h % 2 == 0
    assert 2 <= w <= max(2, width)
    assert 2 <= h <= max(2, height)
    factor = min(Fraction(16 * lines, 9) / max(size), Fraction(lines) / min(size), Fraction(1))
    assert abs(w - max(2, width * factor)) <= 2
    assert abs(h - max(2, height * factor)) <= 2


RATES = ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60", "25/2", "120", "1"]


@pytest.mark.parametrize("rate", RATES)
def test_grid_is_whole_and_common(rate: str) -> None:
    ladder = Ladder(name="t", description="", rungs=(rung(240, max_frame_rate=Fraction(30)), rung(720)))
    made = planned(source(rate=rate, duration="3600"), ladder)
    grid = made.grid
    assert grid.frame_rate <= 60
    assert grid.segment_frames % grid.gop_frames == 0
    assert grid.chunk_frames % grid.segment_frames == 0
    assert abs(grid.time(grid.gop_frames) - 2) <= Fraction(1, 10)
    assert abs(grid.duration - 3600) <= 1 / grid.frame_rate
    for rendition in made.video:
        assert grid.gop_frames % rendition.frame_step == 0
    assert grid.frame_rate / made.video[0].frame_step <= 30
    assert made.chunks[0].start == 0
    assert all(a.start + a.frames == b.start and b.start % grid.segment_frames == 0 for a, b in pairwise(made.chunks))
    assert sum(chunk.frames for chunk in made.chunks) == grid.frames


@pytest.mark.parametrize(("rate", "fps"), [("30", 30), ("3002/100", 30.02), ("60", 30), ("6005/100", 30.025), ("25", 25), ("50", 25)])
def test_a_rate_limit_is_not_missed_by_a_hair(rate: str, fps: float) -> None:
    ladder = Ladder(name="t", description="", rungs=(rung(240, max_frame_rate=Fraction(30)),))
    made = planned(source(rate=rate), ladder)
    assert float(made.grid.frame_rate / made.video[0].frame_step) == pytest.approx(fps)


def test_a_source_of_one_frame_is_one_segment() -> None:
    grid = planned(source(duration="1/24")).grid
    assert (grid.frames, grid.segments) == (1, 1)


def whole(seconds: Fraction) -> int:
    """As EXT-X-TARGETDURATION rounds."""
    return int(seconds + Fraction(1, 2))


TAILS = {
    # rate, GOP, segment, frames of the source, half-rate rung -> frames of the segments
    "joined": ("30", "2", "6", 363, False, [180, 183]),
    "long enough": ("30", "2", "6", 370, False, [180, 180, 10]),
    "joined, because the rung of half the rate delays twice as long": ("30", "2", "6", 371, True, [180, 191]),
    "long enough at half the rate": ("30", "2", "6", 372, True, [180, 180, 12]),
    "12.5 fps": ("25/2", "2", "6", 377, False, [75, 75, 75, 75, 77]),
    "29.97 fps": ("30000/1001", "2", "6", 361, False, [180, 181]),
    "the first segment of two": ("25", "2", "6", 151, False, [151]),
    "no room before the next whole second: a GOP goes over": ("2", "2", "6", 25, False, [12, 8, 5]),
    "no room and no second GOP: joined all the same": ("10", "12/5", "12/5", 25, False, [25]),
    "a slide show": ("1", "2", "6", 13, False, [6, 4, 3]),
    "shorter than a segment": ("25", "2", "6", 3, False, [3]),
}


@pytest.mark.parametrize(("rate", "gop", "segment", "frames", "half", "segments"), TAILS.values(), ids=TAILS.keys())
def test_the_last_segment_is_no_short_tail(rate: str, gop: str, segment: str, frames: int, half: bool, segments: list[int]) -> None:
    rungs = (rung(240, max_frame_rate=Fraction(rate) / 2), rung(720)) if half else (rung(240),)
    made = planned(source(rate=rate, duration=str(frames / Fraction(rate))), Ladder(name="t", description="", rungs=rungs), gop, segment)
    grid = made.grid
    assert [grid.start(index + 1) - grid.start(index) for index in range(grid.segments)] == segments
    assert float(grid.longest_segment) == pytest.approx(max(segments) / Fraction(rate))


@given(
    st.sampled_from(RATES),
    st.integers(1, 3000),
    st.sampled_from(["1/2", "1", "2", "12/5", "4"]),
    st.sampled_from(["1", "2", "6", "13/2", "10"]),
    st.booleans(),
)
def test_every_grid_of_segments(rate: str, frames: int, gop: str, segment: str, half: bool) -> None:
    rungs = (rung(240, max_frame_rate=Fraction(30 if half else 60)), rung(720))
    ladder = Ladder(name="t", description="", rungs=rungs)
    made = planned(source(rate=rate, duration=str(frames / Fraction(rate))), ladder, gop, segment, "12")
    grid = made.grid
    starts = [grid.start(index) for index in range(grid.segments)]
    lengths = [b - a for a, b in pairwise([*starts, grid.frames])]
    assert starts[0] == 0
    assert all(start % grid.gop_frames == 0 for start in starts)
    assert set(lengths[:-2]) <= {grid.segment_frames}
    assert all(length > 0 for length in lengths)
    slowest = max(rendition.frame_step for rendition in made.video)
    assert grid.segments == 1 or lengths[-1] / grid.frame_rate >= 2 * slowest / grid.frame_rate + Fraction(1, 4)
    if 0 < grid.borrowed < grid.segment_frames:  # only segments of so few GOPs that all of them must go over are joined at any length
        assert whole(lengths[-1] / grid.frame_rate) <= whole(grid.segment_duration)
    assert [made.chunks[0].start, *(chunk.start + chunk.frames for chunk in made.chunks)][-1] == grid.frames
    assert all(a.start + a.frames == b.start for a, b in pairwise(made.chunks))
    assert all(chunk.start in starts and chunk.frames > 0 for chunk in made.chunks)
    assert [index for chunk in made.chunks for index in grid.segments_of(chunk)] == list(range(grid.segments))
    assert all(starts[grid.segment_of(frame)] <= frame < grid.start(grid.segment_of(frame) + 1) for frame in range(grid.frames))


def test_an_unseekable_source_is_one_chunk_and_the_plan_says_so() -> None:
    made = planned(source(duration="600", exact_seek=False, seek_problem="the container has no index"))
    assert len(made.chunks) == 1
    assert any("one chunk: the container has no index" in note for note in made.notes)


NOTES = {
    "interlaced": ({"interlaced": True}, "bwdif"),
    "HDR10": ({"colour": Colour(dynamic_range="HDR10")}, "tone-mapped"),
    "VFR": ({"variable_frame_rate": True}, "converted to a constant"),
    "120 fps": ({"rate": "120"}, "every 2nd frame"),
    "no audio": ({}, "no audio"),
    "5.1": ({"audio": (audio(1, 6),)}, "downmixed"),
}


@pytest.mark.parametrize(("changes", "words"), NOTES.values(), ids=NOTES.keys())
def test_what_is_done_to_the_picture_is_said(changes: dict[str, Any], words: str) -> None:
    assert any(words in note for note in planned(source(**changes)).notes)


def test_a_codec_that_many_players_never_get_to_is_named() -> None:
    def notes(*rungs: tuple[str, str, int]) -> list[str]:
        made = (rung(240 + 2 * place, name=name, codec=codec, bitrate=bitrate) for place, (name, codec, bitrate) in enumerate(rungs))
        ladder = LADDER.model_copy(update={"rungs": tuple(made)})
        return [note for note in planned(source(1920, 1080), ladder).notes if "keep to one codec" in note]

    (note,) = notes(("low", "h264", 500_000), ("high", "h264", 900_000), ("best", "hevc", 800_000))
    assert note.startswith("HEVC begins at best: players")
    assert "play H.264 alone unless told otherwise; a rung of it as low as low " in note
    assert notes(("low", "h264", 500_000), ("small", "hevc", 300_000), ("best", "hevc", 800_000)) == [
        "H.264 begins at low: players that keep to one codec, such as hls.js and Shaka Player, play HEVC alone unless told otherwise; "
        "a rung of it as low as small would change that"
    ]
    assert notes(("low", "h264", 500_000), ("same", "hevc", 500_000)) == []
    assert notes(("low", "h264", 500_000), ("high", "h264", 900_000)) == []


def test_audio_tracks_have_unique_names_and_one_default() -> None:
    ladder = LADDER.model_copy(update={"audio": (AudioRung(), AudioRung(channels=6, bitrate=320_000))})
    tracks = (audio(1, language="en"), audio(2, 6, language="fr", default=True), audio(3, language="en"), audio(4, 1))
    made = planned(source(audio=tracks), ladder).audio
    assert [r.id for r in made] == ["en", "fr", "fr-6ch", "en-2", "track4"]
    assert [r.channels for r in made] == [2, 2, 6, 2, 2]
    assert len({r.name for r in made}) == 5
    assert [r.id for r in made if r.default] == ["fr"]


def test_audio_that_is_over_before_the_picture_begins_is_left_out() -> None:
    early, empty = audio(1, duration=Fraction(1), start=Fraction(-2)), audio(2, packets=0)
    made = planned(source(audio=(early, empty, audio(3))))
    assert [r.stream.stream for r in made.audio] == [3]
    assert made.audio[0].default
    assert [(each.stream, each.kind, each.reason) for each in made.left_out] == [
        (1, "audio", "it ends before the video starts"),
        (2, "audio", "it is empty"),
    ]


def words(index: int, **changes: Any) -> SubtitleStream:
    facts: dict[str, Any] = {"index": index, "codec": "subrip", "text": True, "start": Fraction(1), "duration": Fraction(50), "packets": 9}
    return SubtitleStream(**facts | changes)


def test_text_subtitles_become_renditions_with_names_and_ids_of_their_own() -> None:
    streams = (
        words(2, language="en"),
        words(3, language="en", default=True, title='Director "says"'),
        words(4, language="en", forced=True, default=True),
        words(5, language="fr", hearing_impaired=True, codec="ass"),
        words(6, codec="mov_text"),
        words(7, language="fr", hearing_impaired=True, title="Pour sourds (sdh)"),
    )
    made = planned(source(audio=(audio(1, language="en"),)).model_copy(update={"subtitles": streams, "demuxer": "matroska"}))
    assert [(r.stream.stream, r.id, r.name) for r in made.subtitles] == [
        (2, "en-sub", "English"),
        (3, "en-sub-2", "Director 'says'"),
        (4, "en-forced", "English (forced)"),
        (5, "fr-sdh", "French (SDH)"),
        (6, "track5-sub", "Subtitles 5"),
        (7, "fr-sdh-2", "Pour sourds (sdh)"),
    ]
    assert [r.stream.stream for r in made.subtitles if r.default] == [3], "one at most"
    assert [r.stream.stream for r in made.subtitles if r.forced] == [4]
    assert [r.stream.stream for r in made.subtitles if r.hearing_impaired] == [5, 7]
    assert [(r.stream.stream, r.codec) for r in made.subtitles if r.codec != "subrip"] == [(5, "ass"), (6, "mov_text")]
    assert sum("becomes WebVTT" in note for note in made.notes) == 6


@pytest.mark.parametrize(
    ("demuxer", "flags", "shown"),
    [
        pytest.param("matroska", [False, True], [2], id="chosen"),
        pytest.param("matroska", [True, True], [], id="Matroska, where a track without the element has the flag"),
        pytest.param("matroska", [True], [], id="the only one"),
        pytest.param("mov", [True, False], [], id="MP4, where it means enabled"),
    ],
)
def test_subtitles_are_shown_unasked_only_if_somebody_chose_them(demuxer: str, flags: list[bool], shown: list[int]) -> None:
    streams = tuple(words(number, default=flag) for number, flag in enumerate(flags, 1))
    made = planned(source().model_copy(update={"subtitles": streams, "demuxer": demuxer}))
    assert [r.stream.stream for r in made.subtitles if r.default] == shown


def test_names_that_look_the_same_are_distinguished() -> None:
    twice = ("Fran\u00e7ais", "Franc\u0327ais")
    made = planned(source(audio=tuple(audio(n, title=title) for n, title in enumerate(twice, 1))))
    assert [r.name for r in made.audio] == ["Fran\u00e7ais", "Fran\u00e7ais 2"]
    made = planned(source().model_copy(update={"subtitles": tuple(words(n, title=title) for n, title in enumerate(twice, 1))}))
    assert [r.name for r in made.subtitles] == ["Fran\u00e7ais", "Fran\u00e7ais 2"]


def test_audio_that_is_surround_only_later_has_a_surround_rendition() -> None:
    before, after = AudioFormat(sample_rate=48000, channels=2, layout="stereo"), AudioFormat(sample_rate=48000, channels=6, layout="5.1")
    stream = audio(1, layout="stereo", changes=(AudioFormatChange(at=Fraction(5), before=before, after=after),))
    ladder = LADDER.model_copy(update={"audio": (AudioRung(), AudioRung(channels=6, bitrate=320_000))})
    made = planned(source(audio=(stream,)), ladder)
    assert [r.channels for r in made.audio] == [2, 6]
    assert any("(5.1) is downmixed" in note for note in made.notes)


def test_no_subtitles_are_shown_unless_the_source_asks() -> None:
    made = planned(source().model_copy(update={"subtitles": (words(1),)}))
    assert [(r.id, r.name, r.default) for r in made.subtitles] == [("und-sub", "Subtitles", False)]


def test_each_channel_of_closed_captions_is_a_track_and_what_cannot_be_kept_is_named() -> None:
    def captions(channel: str, **changes: Any) -> SubtitleStream:
        facts = {"codec": "eia_608", "channel": channel, "hearing_impaired": True, "text": channel.startswith("CC")}
        return words(0, **facts | changes)

    streams = (
        words(2, language="en", default=True),
        captions("CC1", language="en"),
        captions("CC3"),
        captions("CC4", start=Fraction(60)),
        captions("CC2", text=False),
        captions("T1"),
        captions("SERVICE1", codec="eia_708"),
        captions("SERVICE2", codec="eia_708"),
        captions("SERVICE3", codec="eia_708"),
    )
    made = planned(source().model_copy(update={"subtitles": streams, "demuxer": "matroska"}))
    assert [(r.stream.stream, r.channel, r.id, r.name, r.default, r.hearing_impaired) for r in made.subtitles] == [
        (2, None, "en-sub", "English", False, False),  # nobody chose it: in Matroska, a lone track has that flag by default
        (0, "CC1", "en-cc1", "English (CC)", False, True),
        (0, "CC3", "cc3", "CC3", False, True),
    ]
    kept = "text and italics are kept, positions and colours are not"
    assert [note for note in made.notes if "captions" in note] == [
        f"closed captions CC1, en (CEA-608, in stream 0) become WebVTT 'English (CC)': {kept}",
        f"closed captions CC3 (CEA-608, in stream 0) become WebVTT 'CC3': {kept}",
        "closed captions SERVICE1 (CEA-708, in stream 0) have the words of CC1",
        "closed captions SERVICE2 (CEA-708, in stream 0) have the words of CC3",
    ]
    assert [str(track) for track in made.left_out] == [
        "subtitles stream 0 (CC4, eia_608): it shows nothing during the video",
        "subtitles stream 0 (CC2, eia_608): the container does not declare the display order of the frames that carry it",
        "subtitles stream 0 (T1, eia_608): only the channels CC1 to CC4 of CEA-608 can be published",
        "subtitles stream 0 (SERVICE3, eia_708): only the channels CC1 to CC4 of CEA-608 can be published",
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        pytest.param({"codec": "dvb_subtitle", "text": False}, "only text can become WebVTT; this is bitmap or unknown", id="pictures"),
        pytest.param({"start": None, "duration": None, "packets": 0}, "it is empty", id="empty"),
        pytest.param({"start": Fraction(60)}, "shows nothing during the video", id="after the end"),
        pytest.param({"start": Fraction(-9), "duration": Fraction(8)}, "shows nothing during the video", id="before the start"),
    ],
)
def test_subtitles_that_are_not_published_are_named(changes: dict[str, Any], reason: str) -> None:
    made = planned(source().model_copy(update={"subtitles": (words(1, **changes), words(2))}))
    assert [r.stream.stream for r in made.subtitles] == [2]
    (left,) = made.left_out
    assert str(left).startswith(f"subtitles stream 1 ({left.codec}): ")
    assert left.reason.endswith(reason)


def test_a_ladder_without_rungs_is_refused() -> None:
    with pytest.raises(UsageError, match="no rungs"):
        planned(source(), Ladder(name="empty", description="", rungs=()))


def test_side_files_give_tracks_of_their_own() -> None:
    """What lies outside the picture's time is judged by the zero of each file; only what a viewer could choose is missed."""
    dub = audio(0, language="de", default=True, start=Fraction(100), duration=Fraction(10))
    early = audio(1, language="fr", start=Fraction(10), duration=Fraction(5))
    words = SubtitleStream(index=2, codec="subrip", language="de", text=True, start=Fraction(101), duration=Fraction(1), packets=1)
    side = source(start=Fraction(100), audio=(dub, early)).model_copy(update={"subtitles": (words,)})
    made = plan(
        Asset(inputs=(source(audio=(audio(1, language="en"),)), side)),
        LADDER,
        gop_seconds=Fraction(2),
        segment_seconds=Fraction(6),
        chunk_seconds=Fraction(30),
    )
    assert made.source == made.asset.main
    assert [(str(r.stream), r.id, r.default) for r in made.audio] == [("1", "en", True), ("1:0", "de", False)]
    assert [(str(r.stream), r.id) for r in made.subtitles] == [("1:2", "de-sub")]
    assert [str(each) for each in made.left_out] == ["audio stream 1:1 (fr, aac): it ends before the video starts"]
    assert any("subtitle stream 1:2 (de, subrip) becomes WebVTT" in note for note in made.notes)


def test_json_names_inputs_and_streams_by_numbers() -> None:
    made = planned(source(audio=(audio(1),)))
    written = report(made)
    assert (written["source"]["name"], written["side_files"], "asset" in written) == ("s.mp4", [], False)
    rung_, track = written["video"][0], written["audio"][0]
    assert {name: rung_[name] for name in ("input", "stream", "make", "codec", "preset")} == {
        "input": 0, "stream": 0, "make": "encode", "codec": "h264", "preset": "fast",
    }  # fmt: skip
    assert rung_["picture"] == written["picture"]
    assert (track["input"], track["stream"], track["make"], track["codec"], track["bitrate"]) == (0, 1, "encode", "aac", 128_000)
