"""The playlists, whole, against golden files; and the numbers in them as properties."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidpipe.errors import UsageError
from vidpipe.inventory.measure import Bitrate, average, measure, peak, target_duration
from vidpipe.inventory.model import AudioTrack, IFrames, SubtitleTrack, VideoTrack
from vidpipe.inventory.times import extinf, whole_seconds
from vidpipe.manifest.grammar import quoted, uri
from vidpipe.manifest.key_uri import check_key_url, key_uri
from vidpipe.manifest.master import frame_rate, ordered, write_master
from vidpipe.manifest.media import write_media
from vidpipe.manifest.parse import MasterPlaylist, parse
from vidpipe.package.result import IFrame, TrackFacts
from vidpipe.publish.result import PublishedSegment

GOLDEN = Path(__file__).parent / "golden"
NTSC = Fraction(30000, 1001)


def segments(*durations: Fraction | int, sizes: tuple[int, ...] = (), key: str | None = None) -> list[PublishedSegment]:
    times = itertools.accumulate(durations, initial=Fraction(0))
    return [
        PublishedSegment(
            rendition="720p",
            index=index,
            uri=f"video/720p/{index + 1:05d}.m4s",
            start=start,
            duration=Fraction(duration),
            samples=1,
            size=size,
            sha256="0" * 64,
            iv=f"{index:031x}c" if key else None,
            key_id=key,
        )
        for index, (start, duration, size) in enumerate(zip(times, durations, sizes or (1000,) * len(durations), strict=False))
    ]


def track(name: str, playlist: str, rates: Bitrate) -> dict[str, Any]:
    """What every track of an inventory has."""
    return {"id": name, "media": "m", "scheme": "none", "playlist": playlist, "bitrate": rates, "segments": tuple(segments(6))}


def words(name: str, title: str, peak: int, average: int, **flags: Any) -> SubtitleTrack:
    return SubtitleTrack(**track(name, f"subtitle-{name}.m3u8", Bitrate(peak=peak, average=average)), stream=2, name=title, **flags)


def variant(
    name: str,
    width: int,
    height: int,
    peak: int,
    average: int,
    codecs: str = "avc1.640028",
    video_range: Literal["SDR", "PQ"] = "SDR",
) -> VideoTrack:
    facts = TrackFacts(
        id=name,
        type="video",
        codecs=codecs,
        timescale=30000,
        width=width,
        height=height,
        frame_rate=NTSC,
        video_range=video_range,
    )
    rates = Bitrate(peak=peak, average=average)
    return VideoTrack(**track(name, f"video-{name}.m3u8", rates), facts=facts, init=f"video/{name}/init.mp4", frames=1)


def with_i_frames(rung: VideoTrack) -> VideoTrack:
    rates = Bitrate(peak=rung.bitrate.peak // 10, average=rung.bitrate.average // 10)
    return rung.model_copy(update={"i_frames": IFrames(playlist=f"i-frames-{rung.id}.m3u8", bitrate=rates)})


def audio(name: str, title: str, language: str | None, channels: int = 2, peak: int = 130_000, default: bool = False) -> AudioTrack:
    facts = TrackFacts(id=name, type="audio", codecs="mp4a.40.2", timescale=48000, channels=channels, sample_rate=48000)
    rates = Bitrate(peak=peak, average=peak - 2000)
    return AudioTrack(
        **track(name, f"audio-{name}.m3u8", rates),
        facts=facts,
        init=f"audio/{name}/init.mp4",
        frames=1,
        stream=1,
        name=title,
        label=title,
        language=language,
        default=default,
        cut=Fraction(0),
    )


WORDS = [
    words("en-sub", "English", 800, 300, language="en", default=True),
    words("en-sub-2", "English 2", 900, 200, language="en"),
    words("en-forced", "Signs", 90, 20, language="en", forced=True),
    words("und-sdh", "?", 90, 20, hearing_impaired=True),
]
LADDER = [
    variant("1080p", 1920, 1080, 5_400_000, 4_900_000),
    variant("720p", 1280, 720, 2_700_000, 2_300_000, "avc1.64001F"),
    variant("360p", 640, 360, 540_000, 480_000, "avc1.64001E"),
]
UHD = variant("2160p", 3840, 2160, 16_000_000, 14_000_000, "hvc1.1.6.L150.90")
HDR = variant("2160p", 3840, 2160, 16_000_000, 14_000_000, "hvc1.2.4.L150.90", video_range="PQ")
LANGUAGES = [
    audio("en", "English", "en", default=True),
    audio("en-51", "English", "en", channels=6, peak=330_000),
    audio("fr", "Fran\u0063\u0327ais", "fr"),
    audio("xx", 'Track "4"\n', None),
]


def test_outputs_that_drm_licenses_ask_for_are_said_of_what_they_are_for() -> None:
    def keyed(track: VideoTrack, key_id: str) -> VideoTrack:
        return track.model_copy(update={"segments": tuple(segments(2, key=key_id))})

    tracks = [keyed(LADDER[2], "sd"), keyed(LADDER[0], "hd"), keyed(UHD, "uhd")]
    said = re.findall(r"RESOLUTION=(\d+x\d+).*?HDCP-LEVEL=([^,]*)", write_master(tracks, drm_keys={"sd", "hd", "uhd"}))
    assert dict(said) == {"640x360": "NONE", "1920x1080": "TYPE-0", "3840x2160": "TYPE-1"}
    assert "HDCP" not in write_master(tracks)



@pytest.mark.parametrize(
    ("name", "write"),
    [
        pytest.param(
            "media-encrypted",
            lambda: write_media(
                segments(*[Fraction(180 * 1001, 30000)] * 3, Fraction(11 * 1001, 30000), key="9f2c1a"),
                inits={0: "video/720p/init.mp4"},
                method="AES-128",
                key_uri=lambda key: key_uri(None, "title", key),
                target_duration=6,
            ),
            id="encrypted",
        ),
        pytest.param(
            "media-key-url",
            lambda: write_media(
                segments(6, 6, key="9f2c1a"),
                inits={0: "video/720p/init.mp4"},
                method="AES-128",
                key_uri=lambda key: key_uri("https://keys.example.com/{content_id}?k={key_id}", "big title", key),
                target_duration=6,
            ),
            id="key-url",
        ),
        pytest.param(
            "media-clear",
            lambda: write_media(segments(6, Fraction(1, 3)), inits={0: "video/720p/init.mp4"}, key_uri=None, target_duration=6),
            id="clear",
        ),
        pytest.param(
            "media-subtitles",
            lambda: write_media(
                segments(6, Fraction(7, 2), key="9f2c1a"),
                inits={},
                method="AES-128",
                key_uri=lambda key: key_uri(None, "title", key),
                target_duration=6,
            ),
            id="subtitles",
        ),
        pytest.param(
            "media-i-frames",
            lambda: write_media(
                [replace(one, i_frame=IFrame(24, 900 + one.index)) for one in segments(6, 6, key="9f2c1a")],
                inits={0: "video/720p/init.mp4"},
                method="SAMPLE-AES",
                key_uri=lambda key: key_uri(None, "title", key),
                target_duration=6,
                i_frames=True,
            ),
            id="i-frames",
        ),
        pytest.param("master-i-frames", lambda: write_master([with_i_frames(rung) for rung in (*LADDER, HDR)]), id="master-i-frames"),
        pytest.param("master-subtitles", lambda: write_master(LADDER, LANGUAGES[:1], WORDS), id="master-subtitles"),
        pytest.param("master-ladder", lambda: write_master(LADDER, LANGUAGES[:1]), id="ladder"),
        pytest.param("master-no-audio", lambda: write_master(LADDER), id="no-audio"),
        pytest.param("master-one-rung", lambda: write_master(LADDER[1:2], LANGUAGES[:1]), id="one-rung"),
        pytest.param("master-hevc-and-languages", lambda: write_master([UHD, *LADDER], LANGUAGES), id="hevc-and-languages"),
        pytest.param("master-hdr", lambda: write_master([HDR, *LADDER[:1]], LANGUAGES[:1]), id="hdr"),
    ],
)
def test_playlists_are_exactly_these(name: str, write: Callable[[], str]) -> None:
    golden = GOLDEN / f"{name}.m3u8"
    assert write() == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("duration", "target", "needed"),
    [
        pytest.param(Fraction(6), 6, 3, id="whole"),
        pytest.param(Fraction(59, 10), 6, 3, id="below"),
        pytest.param(Fraction(6006, 1000), 6, 6, id="a little above: before version 6 the target was the true maximum"),
    ],
)
def test_subtitles_declare_no_higher_version_than_they_need(duration: Fraction, target: int, needed: int) -> None:
    text = write_media(segments(duration, 1), inits={}, key_uri=None, target_duration=target)
    assert f"#EXT-X-VERSION:{needed}\n" in text
    assert "EXT-X-MAP" not in text


def test_every_forced_and_sdh_track_is_an_automatic_choice() -> None:
    kinds: list[dict[str, bool]] = [{}, {}, {"forced": True}, {"forced": True}, {"hearing_impaired": True}, {"hearing_impaired": True}]
    tracks = [
        words(str(number), str(number), 90, 20, language="en", **kind)
        for number, kind in enumerate(kinds)
    ]
    master = parse(write_master(LADDER, LANGUAGES, tracks).encode())
    assert isinstance(master, MasterPlaylist)
    automatic = [member.autoselect for member in master.renditions if member.type == "SUBTITLES"]
    assert automatic == [True, False, True, True, True, True]


def test_two_subtitle_tracks_of_one_name_cannot_be_listed() -> None:
    with pytest.raises(ValueError, match="unique"):
        write_master(LADDER, (), [WORDS[0], WORDS[0]])


# --- media playlists ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=60),
    st.sampled_from(
        [Fraction(24000, 1001), Fraction(24), Fraction(25), NTSC, Fraction(60000, 1001), Fraction(48000, 1024), Fraction(44100, 1024)]
    ),
)
def test_extinf_never_drifts(frames: list[int], rate: Fraction) -> None:
    exact = [count / rate for count in frames]
    written = extinf(segments(*exact))
    for first in range(len(written)):
        for last in range(first, len(written)):
            assert abs(Fraction(sum(written[first : last + 1])) - sum(exact[first : last + 1])) <= Fraction(1, 1_000_000)
    target = target_duration([segments(*exact)])
    assert all(whole_seconds(Fraction(duration)) <= target for duration in written)
    text = write_media(segments(*exact), inits={0: "i.mp4"}, key_uri=None, target_duration=target)
    assert [Decimal(line[8:-1]) for line in text.splitlines() if line.startswith("#EXTINF:")] == written


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        pytest.param([[Fraction(13, 2)], [6]], 7, id="half-goes-up"),
        pytest.param([[Fraction(6_499_999, 1_000_000)]], 6, id="just-under-half"),
        pytest.param([[Fraction(1, 24)]], 1, id="never-below-1"),
        pytest.param([[Fraction(6006, 1000)] * 9, [Fraction(6016, 1000)]], 6, id="ntsc-with-audio"),
    ],
)
def test_target_duration(durations: list[list[Fraction]], expected: int) -> None:
    assert target_duration([segments(*playlist) for playlist in durations]) == expected


@pytest.mark.parametrize(
    ("bad", "options", "what"),
    [
        pytest.param([], {}, "needs a segment", id="empty"),
        pytest.param(segments(7), {}, "lasts 7", id="longer-than-the-target"),
        pytest.param(segments(6, 6)[1:], {}, "stands at position 0", id="gap"),
        pytest.param(segments(6, key="k"), {}, "key URI or IV is missing", id="encrypted-without-uri"),
        pytest.param(segments(6), {"key_uri": lambda key: key}, "has no key", id="clear-in-an-encrypted-playlist"),
        pytest.param(segments(6), {"i_frames": True}, "no picture that can be shown by itself", id="nothing-to-show-by-itself"),
        pytest.param(segments(6), {"inits": {0: "init 1.mp4"}}, "not a URI", id="blank-in-uri"),
        pytest.param(segments(6, key="k"), {"method": "AES-128", "key_uri": lambda key: 'k"x'}, "not a URI", id="quote-in-key-uri"),
    ],
)
def test_segments_that_do_not_fit_are_bugs(bad: list[PublishedSegment], options: dict[str, object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        write_media(bad, **{"inits": {0: "init.mp4"}, "key_uri": None, "target_duration": 6} | options)  # type: ignore[arg-type]


# --- rates ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "durations", "target", "expected"),
    [
        pytest.param([1000], [Fraction(2)], 6, 4000, id="shorter-than-any-window"),
        pytest.param([600, 900], [Fraction(6)] * 2, 6, 1200, id="largest-segment"),
        pytest.param([600, 600, 100], [Fraction(6), Fraction(6), Fraction(1, 10)], 6, 919, id="short-tail-counts-only-with-its-neighbour"),
        pytest.param([100, 900, 100], [Fraction(1)] * 3, 4, 4000, id="short-segments-are-averaged"),
        pytest.param([1], [Fraction(3)], 3, 3, id="rounded-up"),
        pytest.param([10_000, 100], [Fraction("2.9"), Fraction("6.5")], 6, 8596, id="window-of-1.5-targets-and-half-a-second"),
        pytest.param([10_000, 100], [Fraction("2.9"), Fraction("6.7")], 6, 120, id="wider-than-every-window"),
    ],
)
def test_peak(sizes: list[int], durations: list[Fraction], target: int, expected: int) -> None:
    assert peak(sizes, durations, target) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 10_000_000), st.fractions(Fraction(1, 50), Fraction(6))), min_size=1, max_size=25))
def test_the_peak_is_that_of_every_window(rows: list[tuple[int, Fraction]]) -> None:
    target = 6
    sizes, durations = [size for size, _ in rows], [duration for _, duration in rows]
    rates = [Fraction(8 * sum(sizes)) / sum(durations)] if sum(durations) < 3 else []
    for first, last in itertools.combinations(range(len(rows) + 1), 2):
        if 3 <= (length := sum(durations[first:last])) <= Fraction(19, 2):
            rates.append(Fraction(8 * sum(sizes[first:last])) / length)
    assert 0 <= peak(sizes, durations, target) - max(rates) < 1
    assert 0 <= average(sizes, durations) - Fraction(8 * sum(sizes)) / sum(durations) < 1


@pytest.mark.timeout(120)
def test_the_peak_is_found_in_a_time_linear_in_the_segments() -> None:
    """Here every window holds all that follow: adding up each would be a thousand million sums, which take longer than this may."""
    sizes = [1000 + number % 977 for number in range(50_000)]
    durations = [Fraction(999_983 + number % 31, 1_000_000) for number in range(50_000)]
    assert peak(sizes, durations, 60_000) >= average(sizes, durations)



def test_rates_are_measured_from_what_the_playlist_states() -> None:
    tail = segments(Fraction(1, 3), Fraction(1, 3), sizes=(1000, 1000))
    assert extinf(tail) == [Decimal("0.333333"), Decimal("0.333334")]
    assert measure(tail, 1) == Bitrate(peak=24000, average=24000)  # 16000 bits / 0.666667 s = 23999.99


# --- the master -----------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(100_000, 20_000_000), min_size=1, max_size=6), st.lists(st.integers(30_000, 500_000), max_size=3))
def test_no_playable_combination_exceeds_what_is_declared(video: list[int], rates: list[int]) -> None:
    tracks = [variant(str(number), 640, 360, rate, rate // 2) for number, rate in enumerate(video)]
    group = [audio(str(number), f"Audio {number}", None, peak=rate) for number, rate in enumerate(rates)]
    lines = [line for line in write_master(tracks, group).splitlines() if line.startswith("#EXT-X-STREAM-INF")]
    declared = [int(line.split(",BANDWIDTH=")[1].split(",")[0]) for line in lines]
    for track, bandwidth in zip(ordered(tracks), declared, strict=True):
        assert bandwidth == track.bitrate.peak + max(rates, default=0)


def test_the_first_variant_is_a_sensible_start() -> None:
    assert [track.facts.id for track in ordered([UHD, *LADDER])] == ["720p", "360p", "1080p", "2160p"]


@pytest.mark.parametrize(
    ("rate", "text"),
    [("24000/1001", "23.976"), ("30000/1001", "29.970"), ("60000/1001", "59.940"), ("25", "25.000"), ("120000/1001", "119.880")],
)
def test_frame_rate(rate: str, text: str) -> None:
    assert frame_rate(Fraction(rate)) == text


@pytest.mark.parametrize("names", [("Audio", "Audio"), ("A b", "A\nb"), ('"', "'"), ("\t", "x")])
def test_audio_names_that_cannot_be_distinguished_are_bugs(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="unique and not empty"):
        write_master(LADDER, [audio(str(number), name, None) for number, name in enumerate(names)])


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_a_name_cannot_leave_its_quotes(name: str) -> None:
    clean = quoted(name)
    assert clean.splitlines() in ([], [clean])
    assert '"' not in clean
    assert all(ord(char) >= 32 and not 0x7F <= ord(char) <= 0x9F for char in clean)


# --- keys -----------------------------------------------------------------------------------------------------------


def test_key_uris() -> None:
    assert key_uri(None, "title", "9f2c") == "keys/9f2c"
    assert key_uri("https://k.example/{content_id}/{key_id}.key", "a/b c", "9f2c") == "https://k.example/a%2Fb%20c/9f2c.key"


@pytest.mark.parametrize(
    ("template", "what"),
    [
        pytest.param("https://k.example/{title}", "unknown placeholder {title}", id="unknown"),
        pytest.param("https://k.example/{0}", "unknown placeholder {0}", id="positional"),
        pytest.param("https://k.example/{key_id.__class__}", "unknown placeholder", id="attribute"),
        pytest.param("https://k.example/{key_id!r}", "unknown placeholder", id="conversion"),
        pytest.param("https://k.example/{key_id:>9}", "unknown placeholder", id="format"),
        pytest.param("https://k.example/{key_id", "unmatched brace", id="brace"),
        pytest.param("https://k.example/key", "the same for every title", id="constant"),
        pytest.param("keys/{key_id}", "not an absolute URL", id="relative"),
        pytest.param("//k.example/{key_id}", "not an absolute URL", id="no-scheme"),
        pytest.param("https:///{key_id}", "not an absolute URL", id="no-host"),
        pytest.param('https://k.example/{key_id}"', "is not a URL", id="quote"),
        pytest.param("https://k.example/{key_id}\n#EXT-X-ENDLIST", "is not a URL", id="newline"),
        pytest.param("https://[::1/{key_id}", "is not a URL", id="broken-host"),
        pytest.param("", "the same for every title", id="empty"),
    ],
)
def test_a_bad_key_url_is_refused_before_any_work(template: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        check_key_url(template)
    assert caught.value.fix


@pytest.mark.parametrize("text", ["", "a b", 'a"b', "a\nb", "é", "#x", "50%", "a\\b"])
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(ValueError, match="not a URI"):
        uri(text)
