"""Quality control: what ffmpeg's filters print, joining chunks, judging, and whole decodes of real files."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.source_support import AAC, X264, make, run
from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import find
from vidpipe.source.decode_commands import decode_argv
from vidpipe.source.facts import AudioFormat, AudioFormatChange, Shift, Source, Stretch, SubtitleStream
from vidpipe.source.findings import IDS, fact_findings, findings, missing_pictures
from vidpipe.source.locate import has_errors
from vidpipe.source.picture_facts import IDET
from vidpipe.source.policy import QualityPolicy, key_of, load_policy
from vidpipe.source.probe import probe
from vidpipe.source.quality import (
    Interlacing,
    JoinedChunks,
    Measurements,
    audio_filters,
    field_filters,
    judged_fields,
    merge,
    picture_filters,
    read_measurements,
)
from vidpipe.source.validate import validate

FIXTURES = Path(__file__).parent.parent / "fixtures"


def strict(**changes: dict[str, Any]) -> QualityPolicy:
    """Return the shipped policy with short limits for stretches, and changes: check -> key -> value."""
    policy = load_policy()
    wanted: dict[str, dict[str, Any]] = {name: {"longest": 1.5} for name in ("black_video", "frozen_video", "silence")}
    updates = {name: getattr(policy, name).model_copy(update=values) for name, values in {**wanted, **changes}.items()}
    return policy.model_copy(update=updates)


def ids(found: Any) -> list[str]:
    return [each.id for each in found]


# Filters and what they print


def test_the_filter_chains_whole() -> None:
    policy = load_policy()
    assert field_filters() == (
        "select='isnan(prev_selected_t)+lt(t,4)+lt(mod(t,1),1/4)',idet=intl_thres=1.2,"
        "metadata=mode=print:file=fields.txt:key=lavfi.idet.single.current_frame"
    )
    assert (
        picture_filters(policy) == "blackdetect=d=0.1:pix_th=0.1:pic_th=0.98,freezedetect=n=0.001:d=0.2,"
        "metadata=mode=add:key=lavfi.picture:value=1,metadata=mode=print:file=picture.txt"
    )
    assert audio_filters(policy, "s1.txt") == (
        "ebur128=peak=true:metadata=1:framelog=quiet,silencedetect=noise=-60dB:d=0.2,"
        "astats=metadata=1:reset=0:measure_perchannel=Peak_level:measure_overall=none,ametadata=mode=print:file=s1.txt"
    )
    with pytest.raises(ValueError, match="bare file name"):
        picture_filters(policy, "/tmp/a:b")


def test_the_whole_command_of_a_decode() -> None:
    source = probe(str(FIXTURES / "one-second.mp4"))
    policy = load_policy()
    assert decode_argv(source, policy, "ffmpeg") == [
        *("ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-progress", "pipe:1"),
        *("-loglevel", "repeat+level+verbose", "-copyts"),
        *("-f", "mov", "-protocol_whitelist", "file", "-reinit_filter:v", "0"),
        *("-i", f"file:{source.location}", "-filter_complex"),
        "[0:0]setpts=PTS-0,trim=start=0,"
        "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709,scale,idet=intl_thres=1.2,"
        f"scale=w='min(320,iw)':h=-2:flags=area,{picture_filters(policy)}[v];"
        f"[0:1]asetpts=PTS-0.000000/TB,{audio_filters(policy, 'audio-1.txt')}[a1]",
        *("-map", "[v]", "-map", "[a1]", "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


PRINTED = """\
frame:0    pts:0       pts_time:0
lavfi.idet.single.current_frame=tff
lavfi.picture=1
frame:1    pts:1       pts_time:0.04
lavfi.idet.single.current_frame=progressive
lavfi.picture=1
lavfi.black_start=0.04
frame:2    pts:2       pts_time:0.08
lavfi.idet.single.current_frame=undetermined
lavfi.picture=1
lavfi.black_end=0.08
lavfi.freezedetect.freeze_start=0.04
nonsense
lavfi.black_start=what
frame:x pts_time:nan
lavfi.r128.I=-70.000
frame:3    pts:3       pts_time:0.12
lavfi.r128.I=-20.500
lavfi.r128.true_peaks_ch0=0.500
lavfi.r128.true_peaks_ch1=0.000
lavfi.astats.1.Peak_level=-6.02
lavfi.astats.2.Peak_level=-inf
lavfi.astats.Overall.Peak_level=-6.02
"""


def test_reading_what_was_printed() -> None:
    measured = read_measurements(PRINTED, offset=Fraction(10))
    assert measured == Measurements(
        start=Fraction(10),
        end=Fraction("10.16"),
        black=(Stretch(start=Fraction("10.04"), end=Fraction("10.08")),),
        frozen=(Stretch(start=Fraction("10.04"), end=Fraction("10.16")),),  # still open at the end
        interlacing=Interlacing(top_first=1, progressive=1),
        pictures=3,
        loudness=-20.5,
        true_peak=-6.02,
        true_peak_at=Fraction("10.12"),
        channel_peaks=(-6.02, -200.0),
    )
    assert Measurements.model_validate_json(measured.model_dump_json()) == measured
    assert read_measurements("", offset=Fraction(10)) == Measurements()
    assert read_measurements("", offset=Fraction(10), end=Fraction(12)).end == 12


def chunk(start: int, end: int, **stretches: list[tuple[float, float]]) -> Measurements:
    spans = {kind: tuple(Stretch(start=Fraction(str(a)), end=Fraction(str(b))) for a, b in pairs) for kind, pairs in stretches.items()}
    return Measurements(start=Fraction(start), end=Fraction(end), **spans)  # type: ignore[arg-type]  # the keys are field names


def spans(stretches: tuple[Stretch, ...]) -> list[tuple[float, float]]:
    return [(float(each.start), float(each.end)) for each in stretches]


def test_a_stretch_over_the_border_of_chunks_is_one() -> None:
    parts = [chunk(6, 12, black=[(6.0, 12.0)]), chunk(0, 6, black=[(1, 2), (4.5, 6)]), chunk(12, 18, black=[(12.04, 13)])]
    assert spans(merge(parts).black) == [(1, 2), (4.5, 13)]


def test_what_a_filter_needs_to_notice_is_bridged_at_a_border() -> None:
    parts = [chunk(0, 6, frozen=[(4, 5.9)]), chunk(6, 12, frozen=[(6.1, 8)])]
    assert spans(merge(parts).frozen) == [(4, 8)]
    assert spans(merge([chunk(0, 12, frozen=[(4, 5.9), (6.1, 8)])]).frozen) == [(4, 5.9), (6.1, 8)]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_chunks_are_joined_one_by_one_as_all_at_once(data: st.DataObject) -> None:
    """In whatever order they come, with stretches that end and begin near a border or anywhere."""
    parts, so_far = [], JoinedChunks()
    for number in data.draw(st.permutations(range(5))):
        times = data.draw(st.lists(st.integers(0, 60), unique=True, max_size=8).map(sorted))
        pairs = [(6 * number + a / 10, 6 * number + b / 10) for a, b in zip(times[::2], times[1::2], strict=False)]
        parts.append(chunk(6 * number, 6 * number + 6, frozen=pairs).model_copy(update={"pictures": number}))
        so_far.add(parts[-1])
        assert so_far.measurements == merge(parts)
    whole = Measurements(damaged=(Stretch(start=Fraction(5), end=Fraction(6)), Stretch(start=Fraction("6.1"), end=Fraction(7))))
    assert so_far.together(whole) == merge([*parts, whole])


def test_short_freezes_inside_a_chunk_stay_apart() -> None:
    drawn_on_fives = [(0.2 * n, 0.2 * n + 0.16) for n in range(20)]  # animation that holds each drawing is no frozen picture
    assert len(merge([chunk(0, 6, frozen=drawn_on_fives)]).frozen) == 20


def test_merging_picture_and_audio() -> None:
    picture = chunk(0, 6).model_copy(update={"pictures": 150, "interlacing": Interlacing(top_first=2, progressive=3)})
    audio = Measurements(start=Fraction(0), end=Fraction(6), loudness=-23.0, true_peak=-1.0, channel_peaks=(-3.0, -4.0))
    whole = merge([picture, audio, picture.model_copy(update={"start": Fraction(6), "end": Fraction(12)})])
    assert (whole.pictures, whole.loudness, whole.channel_peaks, whole.end) == (300, -23.0, (-3.0, -4.0), 12)
    assert whole.interlacing == Interlacing(top_first=4, progressive=6)


# Judging


@pytest.fixture(scope="module")
def landscape() -> Source:
    return probe(str(FIXTURES / "landscape-24.mp4"))


def with_video(source: Source, **changes: Any) -> Source:
    return source.model_copy(update={"video": source.video.model_copy(update=changes)})


def with_audio(source: Source, **changes: Any) -> Source:
    return source.model_copy(update={"audio": (source.audio[0].model_copy(update=changes),)})


FACTS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "clean": (lambda s: s, []),
    "cut container": (lambda s: s.model_copy(update={"declared_duration": Fraction(28)}), [("truncated", "error")]),
    "cut stream": (lambda s: with_video(s, declared_duration=Fraction(28)), [("truncated", "error")]),
    "cut by bytes": (lambda s: s.model_copy(update={"claimed_size": s.size + 2}), [("truncated", "error")]),
    "a little short": (lambda s: s.model_copy(update={"declared_duration": Fraction("14.6")}), []),
    "read error": (lambda s: s.model_copy(update={"read_error": "reading stopped"}), [("read-error", "error")]),
    "corrupt packets": (lambda s: with_video(s, corrupt_packets=2), [("corrupt-packets", "warning")]),
    "no audio": (lambda s: s.model_copy(update={"audio": ()}), [("no-audio", "warning")]),
    "short audio": (lambda s: with_audio(s, duration=Fraction(9), declared_duration=None), [("duration-mismatch", "warning")]),
    "late audio": (lambda s: with_audio(s, offset=Fraction(3)), [("start-mismatch", "warning")]),
    "audio 2 s before": (lambda s: with_audio(s, offset=Fraction(-2)), [("start-mismatch", "warning")]),
    "audio 1 s before": (lambda s: with_audio(s, offset=Fraction(-1)), [("early-audio", "warning")]),
    "an encoder's delay": (lambda s: with_audio(s, offset=Fraction(-1024, 24000)), []),
    "audio too fast": (lambda s: with_audio(s, packets_duration=Fraction(28)), [("discarded-audio", "error")]),
    "audio too slow": (
        lambda s: with_audio(s, duration=Fraction(140), packets_duration=Fraction(14)),
        [("duration-mismatch", "warning"), ("discarded-audio", "error")],
    ),
    "audio of another time": (
        lambda s: with_audio(s, offset=Fraction(2400)),
        [("start-mismatch", "warning"), ("audio-outside-picture", "warning")],
    ),
    "audio of another time that does not fit its length": (
        lambda s: with_audio(s, offset=Fraction(2400), packets_duration=Fraction(28)),
        [("start-mismatch", "warning"), ("discarded-audio", "error")],
    ),
    "audio that ends before the video": (
        lambda s: with_audio(s, offset=Fraction("-0.9"), duration=Fraction("0.5"), packets_duration=0, declared_duration=None),
        [("duration-mismatch", "warning"), ("audio-outside-picture", "warning")],
    ),
    "audio that mostly precedes the picture": (
        lambda s: with_audio(s, offset=Fraction(-12), duration=Fraction(14), packets_duration=Fraction(14)),
        [("start-mismatch", "warning")],
    ),
    "audio that mostly follows the picture": (
        lambda s: with_audio(s, offset=Fraction(0), duration=Fraction(56), packets_duration=Fraction(56)),
        [("duration-mismatch", "warning"), ("discarded-audio", "error")],
    ),
    "a dead track beside a good one": (
        lambda s: s.model_copy(update={"audio": (*s.audio, s.audio[0].model_copy(update={"index": 2, "offset": Fraction(2400)}))}),
        [("start-mismatch", "warning"), ("audio-outside-picture", "warning")],
    ),
    "audio without a decoder": (lambda s: with_audio(s, decodable=False), [("undecodable-audio", "error")]),
    "audio without a decoder beside a good track": (
        lambda s: s.model_copy(update={"audio": (*s.audio, s.audio[0].model_copy(update={"index": 2, "decodable": False}))}),
        [("undecodable-audio", "warning")],
    ),
    "an empty track": (
        lambda s: s.model_copy(update={"audio": (*s.audio, s.audio[0].model_copy(update={"index": 2, "packets": 0, "duration": 0}))}),
        [],
    ),
    "nobody knows how long it is": (lambda s: with_audio(s, packets_duration=Fraction(0)), []),
    "duplicates": (lambda s: with_video(s, duplicate_timestamps=1), [("duplicate-timestamps", "warning")]),
    "backwards": (lambda s: with_video(s, backward_timestamps=1), [("broken-timestamps", "warning")]),
    "gap": (lambda s: with_video(s, longest_gap=Fraction(2)), [("timestamp-gap", "warning")]),
    "small": (lambda s: with_video(s, width=320, height=180), [("low-resolution", "warning")]),
    "few bits": (lambda s: with_video(s, bit_rate=50_000), [("low-bit-rate", "warning")]),
}


@pytest.mark.parametrize("kind", FACTS)
def test_findings_from_facts(kind: str, landscape: Source) -> None:
    change, expected = FACTS[kind]
    found = fact_findings(change(landscape), load_policy())
    assert [(each.id, each.severity) for each in found] == expected


def test_audio_outside_the_picture_is_named_and_is_no_clock_to_be_mended(landscape: Source) -> None:
    early = with_audio(landscape, offset=Fraction(-3, 2), duration=Fraction(1), packets_duration=Fraction(1), declared_duration=None)
    (finding,) = [each for each in fact_findings(early, load_policy()) if each.id == "audio-outside-picture"]
    assert finding.message == "all of audio stream 1 lies before the picture: it ends 0.500 s before the first whole one; it is left out"
    assert "asetpts" not in finding.advice
    assert "key frames" in finding.advice
    late = with_audio(landscape, offset=landscape.duration)
    (finding,) = [each for each in fact_findings(late, load_policy()) if each.id == "audio-outside-picture"]
    assert finding.message == "all of audio stream 1 lies after the picture: it begins 0.000 s after the last one; it is left out"


def span(start: str, end: str) -> Stretch:
    return Stretch(start=Fraction(start), end=Fraction(end))


STEREO, SURROUND = AudioFormat(sample_rate=48000, channels=2, layout="stereo"), AudioFormat(sample_rate=44100, channels=6, layout="5.1")
NOTHING = Measurements()
# id -> the source and what was measured of it; stream, time range, measured value and limit of the finding
EVERY: dict[str, tuple[Any, Measurements, tuple[int | None, tuple[str, str] | None, str, str]]] = {
    "truncated": (
        lambda s: with_video(s, declared_duration=Fraction(28)), NOTHING, (0, ("14", "28"), "14.000 s", "27.220 s"),
    ),
    "read-error": (
        lambda s: s.model_copy(update={"read_error": "stopped", "declared_duration": Fraction("14.1")}),
        NOTHING, (None, ("14", "14"), "stopped after 14.000 s", "read to the end"),
    ),
    "corrupt-packets": (
        lambda s: with_video(s, corrupt_packets=7, corrupt_at=(span("2", "3"),)), NOTHING, (0, ("2", "3"), "7 packets", "0 packets"),
    ),
    "no-audio": (
        lambda s: s.model_copy(update={"audio": ()}), NOTHING, (None, ("0", "14"), "0 audio streams", "1 audio stream"),
    ),
    "duration-mismatch": (
        lambda s: with_audio(s, duration=Fraction(9) - s.audio[0].start, declared_duration=None),
        NOTHING, (1, ("9", "14"), "5.000 s", "1.000 s"),
    ),
    "start-mismatch": (lambda s: with_audio(s, offset=Fraction(3)), NOTHING, (1, ("0", "3"), "3.000 s", "1.000 s")),
    "early-audio": (
        lambda s: with_audio(
            with_video(s, lead_in=Fraction(1, 2)), offset=Fraction(-1, 2), duration=14 + Fraction(1, 2) - s.audio[0].start
        ),
        NOTHING, (1, ("0", "1/2"), "0.500 s", "0.050 s"),
    ),
    "discarded-audio": (lambda s: with_audio(s, packets_duration=Fraction(56)), NOTHING, (1, ("0", "14"), "25% kept", "60% kept")),
    "audio-outside-picture": (
        lambda s: with_audio(
            with_video(s, duration=Fraction(4, 5), declared_duration=None).model_copy(update={"declared_duration": None}),
            offset=Fraction(9, 10), duration=Fraction(1, 10), packets_duration=0, declared_duration=None,
        ),
        NOTHING, (1, ("9/10", "1"), "0.000 s of 0.100 s", "some of it while the picture runs"),
    ),
    "undecodable-audio": (
        lambda s: with_audio(s, decodable=False, channels=0, sample_rate=0),
        NOTHING, (1, None, "0 channels, 0 Hz", "a known codec, channels and sample rate"),
    ),
    "changing-audio": (
        lambda s: with_audio(
            s, changes=(AudioFormatChange(at=Fraction(4), before=STEREO, after=SURROUND),), duration=14 - s.audio[0].start
        ),
        NOTHING, (1, ("4", "14"), "stereo at 48000 Hz -> 5.1 at 44100 Hz", "0 changes"),
    ),
    "captions-left-out": (
        lambda s: s.model_copy(update={"subtitles": (SubtitleStream(index=0, codec="eia_708", channel="SERVICE2", text=False),)}),
        NOTHING, (0, None, "1 lost", "0 lost"),
    ),
    "duplicate-timestamps": (
        lambda s: with_video(s, duplicate_timestamps=5, duplicate_at=(span("2", "3"),)),
        NOTHING, (0, ("2", "3"), "5 pictures", "0 pictures"),
    ),
    "broken-timestamps": (
        lambda s: with_video(s, missing_timestamps=2, backward_timestamps=1, broken_at=(span("2", "3"),)),
        NOTHING, (0, ("2", "3"), "3 pictures", "0 pictures"),
    ),
    "clock-jump": (
        lambda s: with_video(s, shifts=(Shift(position=1000, seconds=Fraction(-94)),)), NOTHING, (0, None, "94.000 s", "0.000 s"),
    ),
    "timestamp-gap": (
        lambda s: with_video(s, longest_gap=Fraction(2), longest_gap_at=Fraction(5)), NOTHING, (0, ("5", "7"), "2.000 s", "1 s"),
    ),
    "stretched-time": (
        lambda s: with_video(s, longest_gap_at=Fraction(5), longest_gap=1).model_copy(update={"size": 1000, "claimed_size": None}),
        NOTHING, (0, ("5", "6"), "571 bit/s", "1000 bit/s"),
    ),
    "low-resolution": (lambda s: with_video(s, width=320, height=180), NOTHING, (0, None, "180 pixels", "240 pixels")),
    "low-bit-rate": (lambda s: with_video(s, bit_rate=5_529), NOTHING, (0, None, "0.0010 bit/pixel", "0.02 bit/pixel")),
    "missing-pictures": (lambda s: s, NOTHING, (0, None, "0 pictures", "324 pictures")),
    "decode-errors": (lambda s: s, chunk(0, 14, damaged=[(2, 4)]), (None, ("2", "4"), "2.000 s", "1 s")),
    "black-video": (lambda s: s, chunk(0, 14, black=[(2, 13)]), (0, ("2", "13"), "11.000 s", "10 s")),
    "frozen-video": (lambda s: s, chunk(0, 14, frozen=[(2, 13)]), (0, ("2", "13"), "11.000 s", "10 s")),
    "interlaced-content": (
        lambda s: with_video(s, measured_fields="interlaced", interlaced=True, interlaced_share=Fraction(9, 10)),
        NOTHING, (0, None, "90% of the pictures in a sample", "80%"),
    ),
    "silence": (lambda s: s, chunk(0, 14, silence=[(2, 13)]), (1, ("2", "13"), "11.000 s", "10 s")),
    "loudness": (lambda s: s, Measurements(loudness=-50.0), (1, None, "-50.0 LUFS", "-33 to -9 LUFS")),
    "true-peak": (lambda s: s, Measurements(true_peak=2.0, true_peak_at=Fraction(3)), (1, ("3", "3"), "2.0 dBTP", "0 dBTP")),
    "dead-channel": (lambda s: s, Measurements(channel_peaks=(-3.0, -90.0)), (1, None, "-90 dBFS", "-70 dBFS")),
}  # fmt: skip


@pytest.mark.parametrize("id_", IDS)
def test_every_finding_says_when_what_and_how_much(id_: str, landscape: Source) -> None:
    change, measured, expected = EVERY[id_]
    source, policy = change(landscape), load_policy()
    pictures = 0 if id_ == "missing-pictures" else source.video.frames
    found = [*fact_findings(source, policy), *findings(source, measured, policy), *missing_pictures(source, pictures, policy)]
    (finding,) = [each for each in found if each.id == id_]
    when = None if finding.at.start is None or finding.at.end is None else (str(finding.at.start), str(finding.at.end))
    assert (finding.at.stream, when, finding.measured, finding.limit) == expected
    assert finding.message
    assert finding.advice is not None
    assert finding.advice.endswith(f"(policy key: {key_of(id_)})")
    assert ids(found) == [id_]
    off = policy.model_copy(update={key_of(id_): policy.check(id_).model_copy(update={"severity": "off"})})
    assert [*fact_findings(source, off), *findings(source, measured, off), *missing_pictures(source, pictures, off)] == []


@pytest.mark.parametrize("id_", IDS)
def test_times_are_those_that_players_show(id_: str, landscape: Source) -> None:
    """A recording that begins between two key frames: players count from its first packet, the title from its first whole picture."""
    change, measured, _ = EVERY[id_]
    here = change(landscape)
    late = with_video(here, lead_in=here.video.lead_in + Fraction(3, 2))
    pictures = 0 if id_ == "missing-pictures" else late.video.frames

    def judged(source: Source) -> Diagnostic:
        policy = load_policy()
        found = [*fact_findings(source, policy), *findings(source, measured, policy), *missing_pictures(source, pictures, policy)]
        return next(each for each in found if each.id == id_)

    plain, moved = judged(here), judged(late)
    assert [None if time is None else time + Fraction(3, 2) for time in (plain.at.start, plain.at.end)] == [moved.at.start, moved.at.end]
    times = re.findall(r"\d:\d\d:(\d\d\.\d\d\d)", plain.message) if id_ != "stretched-time" else []  # there it is a duration
    assert [f"{float(time) + 1.5:06.3f}" for time in times] == re.findall(r"\d:\d\d:(\d\d\.\d\d\d)", moved.message)[: len(times)]


def test_packets_that_cannot_fill_the_time_are_reported_before_anything_is_decoded(landscape: Source) -> None:
    """A transport stream of 28 kB whose times are damaged: its pictures without a time are thought to lie all over two and a half hours."""
    assert landscape.video.packets == landscape.video.frames == 336
    damaged = with_video(landscape, packets=28, frames=262_870)
    (finding,) = [each for each in fact_findings(damaged, load_policy()) if each.id == "missing-pictures"]
    assert (finding.severity, finding.message) == ("error", "only 28 of 262870 pictures can be decoded")


def test_every_finding_is_in_the_table() -> None:
    assert set(EVERY) == set(IDS)


def test_what_a_file_has_many_of_is_reported_by_stretches(landscape: Source) -> None:
    where = (span("1", "2"), span("5", "5"))
    source = with_video(landscape, duplicate_timestamps=9, duplicate_at=where, backward_timestamps=3, broken_at=where, corrupt_packets=4)
    found = fact_findings(source, load_policy())
    assert [(each.id, each.at.start, each.at.end, each.measured) for each in found] == [
        ("corrupt-packets", None, None, "4 packets"),  # their times are not known
        ("duplicate-timestamps", 1, 2, "9 pictures"),
        ("duplicate-timestamps", 5, 5, "9 pictures"),
        ("broken-timestamps", 1, 2, "3 pictures"),
        ("broken-timestamps", 5, 5, "3 pictures"),
    ]
    assert "from 0:00:01.000 to 0:00:02.000" in found[1].message
    assert "at 0:00:05.000" in found[2].message
    assert fact_findings(source, strict(duplicate_timestamps={"most": 9}, broken_timestamps={"most": 3}, corrupt_packets={"most": 4})) == ()


MEASURED: dict[str, tuple[Measurements, list[str]]] = {
    "clean": (Measurements(loudness=-23.0, true_peak=-1.0, channel_peaks=(-3.0, -3.0)), []),
    "black is not frozen too": (chunk(0, 14, black=[(2, 6)], frozen=[(2.04, 6)]), ["black-video"]),
    "frozen": (chunk(0, 14, frozen=[(2, 6)]), ["frozen-video"]),
    "short": (chunk(0, 14, black=[(2, 3)], frozen=[(2, 3.2)], silence=[(0, 1)]), []),
    "silence": (chunk(0, 14, silence=[(2, 6)]), ["silence"]),
    "loud": (Measurements(loudness=-5.0, true_peak=2.0), ["loudness", "true-peak"]),
    "soft": (Measurements(loudness=-50.0), ["loudness"]),
    "dead channel": (Measurements(channel_peaks=(-3.0, -200.0)), ["dead-channel"]),
    "all silent": (Measurements(channel_peaks=(-200.0, -200.0)), []),  # that is silence, reported as such
    "interlaced": (Measurements(interlacing=Interlacing(top_first=90, progressive=5)), ["interlaced-content"]),
    "too few to say": (Measurements(interlacing=Interlacing(top_first=40)), []),
    "fields in no order": (Measurements(interlacing=Interlacing(top_first=50, bottom_first=45)), []),
    "damage": (chunk(0, 14, damaged=[(2, 3), (5, 7)]), ["decode-errors", "decode-errors"]),
}


@pytest.mark.parametrize("kind", MEASURED)
def test_findings_from_measurements(kind: str, landscape: Source) -> None:
    measured, expected = MEASURED[kind]
    assert ids(findings(landscape, measured, strict())) == expected


def test_severities_are_the_policys(landscape: Source) -> None:
    black = chunk(0, 14, black=[(2, 6)])
    assert findings(landscape, black, strict(black_video={"longest": 1, "severity": "error"}))[0].severity == "error"
    assert findings(landscape, black, strict(black_video={"severity": "off", "longest": 1})) == ()
    little, much = chunk(0, 14, damaged=[(2, 2.5)]), chunk(0, 14, damaged=[(2, 4)])
    assert [findings(landscape, each, load_policy())[0].severity for each in (little, much)] == ["warning", "error"]


def test_the_lfe_channel_may_be_silent(landscape: Source) -> None:
    surround = with_audio(landscape, channels=6, layout="5.1")
    peaks = Measurements(channel_peaks=(-3.0, -3.0, -3.0, -200.0, -3.0, -200.0))
    assert [each.message for each in findings(surround, peaks, load_policy())] == ["channel 6 of 6 is silent"]


STDERR = {
    "[in#0] [verbose]   Input stream #0:0 (video): 200 packets read (1 bytes); 200 frames decoded; 0 decode errors; ": False,
    "[in#0] [verbose]   Input stream #0:1 (audio): 376 packets read (1 bytes); 366 frames decoded; 10 decode errors (3 samples); ": True,
    "[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame": True,
    "": False,
}


@pytest.mark.parametrize(("line", "errors"), STDERR.items(), ids=["clean", "counted", "patched", "nothing"])
def test_decode_errors_are_seen(line: str, errors: bool) -> None:
    assert has_errors(line) is errors


# Whole decodes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("quality")


@pytest.fixture(scope="module")
def troubled(folder: Path) -> Path:
    """2 s of movement, 2 s black, 2 s of one picture, 2 s of movement; a tone in every other pair of seconds, on the left only."""
    parts = [
        "testsrc2=s=320x240:r=25:d=2[a]",
        "color=black:s=320x240:r=25:d=2[b]",
        "color=red:s=320x240:r=25:d=2[c]",
        "testsrc2=s=320x240:r=25:d=2[d]",
    ]
    target = folder / "troubled.mp4"
    tone = "aevalsrc='0.3*sin(1000*t)*lt(mod(t\\,4)\\,2)|0':s=48000:c=stereo:d=8"
    run(["-f", "lavfi", "-i", ";".join([*parts, "[a][b][c][d]concat=n=4"]), "-f", "lavfi", "-i", tone, *X264, *AAC], target)
    return target


def test_a_troubled_file(troubled: Path) -> None:
    report = validate(probe(str(troubled)), strict(), find())
    assert ids(report.findings) == ["black-video", "frozen-video", "silence", "silence", "dead-channel"]
    at = {each.id: (float(each.at.start or 0), float(each.at.end or 0)) for each in reversed(report.findings)}
    assert at["black-video"] == pytest.approx((2, 4), abs=0.05)
    assert at["frozen-video"] == pytest.approx((4, 6), abs=0.05)
    assert at["silence"] == pytest.approx((2, 4), abs=0.05)
    assert not report.refused
    refusing = strict(black_video={"longest": 1.5, "severity": "error"})
    assert validate(probe(str(troubled)), refusing, find()).refused


def test_audio_that_clips_has_its_time(folder: Path) -> None:
    tone = "aevalsrc='if(between(t\\,2\\,2.2)\\,1.6\\,0.1)*sin(1000*t)':s=48000:c=mono:d=4"
    target = folder / "clips.mkv"
    run(["-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", "-f", "lavfi", "-i", tone, *X264, "-c:a", "pcm_f32le"], target)
    (peak,) = [each for each in validate(probe(str(target)), strict(), find()).findings if each.id == "true-peak"]
    assert float(peak.at.start or 0) == pytest.approx(2.1, abs=0.15)
    assert 4 < float((peak.measured or "").removesuffix(" dBTP")) < 5  # 20 log 1.6, and a little where it begins


def test_quick_decodes_nothing(troubled: Path) -> None:
    assert ids(validate(probe(str(troubled)), strict(), "no-such-ffmpeg", quick=True).findings) == []


@pytest.mark.parametrize(
    ("content", "verdicts"),
    [
        pytest.param("testsrc2=s=320x240:r=50,interlace=scan=tff", Interlacing(top_first=120), id="top field first"),
        pytest.param("testsrc2=s=320x240:r=50,interlace=scan=bff", Interlacing(bottom_first=120), id="bottom field first"),
        pytest.param("testsrc2=s=320x240:r=25", Interlacing(progressive=120), id="progressive"),
        pytest.param("testsrc2=s=320x240:r=25:d=0.04", Interlacing(), id="one frame"),
    ],
)
def test_fields_are_judged_in_a_part_of_the_frames(folder: Path, content: str, verdicts: Interlacing) -> None:
    """Of 8 s of 25 fps the first 100 frames and 7 of each later second; but none of which a neighbour was left out."""
    graph = f"{content},trim=end=8,setfield=prog,{field_filters()}"
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", graph, "-f", "null", "-"], check=True, cwd=folder)
    assert read_measurements("\n".join(judged_fields((folder / "fields.txt").read_text().splitlines()))).interlacing == verdicts


def test_chunks_measure_what_the_whole_does(troubled: Path, folder: Path) -> None:
    """The border at 3 s lies in the black stretch, that at 5 s in the frozen one."""
    policy, parts = strict(), []
    for start, end in ((0, 3), (3, 5), (5, 8)):
        graph = f"[0:v]trim=start={start}:end={end},setpts=PTS-STARTPTS,idet={IDET},{picture_filters(policy)}"
        argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(troubled), "-filter_complex", graph, "-f", "null", "-"]
        subprocess.run(argv, check=True, cwd=folder)
        parts.append(read_measurements((folder / "picture.txt").read_text(), offset=Fraction(start)))
    whole = merge(list(reversed(parts)))
    assert whole.pictures == 200
    assert spans(whole.black) == [(2.0, 4.0)]
    found = findings(probe(str(troubled)), whole, policy)
    assert ids(found) == ["black-video", "frozen-video"]
    assert (float(found[1].at.start or 0), float(found[1].at.end or 0)) == pytest.approx((4, 6), abs=0.25)


@pytest.mark.parametrize(
    "name",
    [
        *("plain-mp4", "mkv-29.97", "avi", "dnxhd-mxf"),
        *(pytest.param(name, marks=pytest.mark.nightly) for name in ("landscape-24.mp4", "webm", "prores-mov")),
    ],
)
def test_a_file_that_was_cut_is_refused(name: str, folder: Path) -> None:
    whole = FIXTURES / name if name.endswith(".mp4") else make(name, folder)  # the fixture has its index first, so it opens
    assert not any(each.id == "truncated" for each in fact_findings(probe(str(whole)), load_policy()))
    # an MXF file claims a duration only, and the last cut is within its tolerance
    for share in (0.3, 0.6) if name == "dnxhd-mxf" else (0.3, 0.6, 0.95):
        cut = folder / f"cut-{whole.name}"
        cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        try:
            source = probe(str(cut))
        except SourceRefused as refusal:
            assert "cut off" in refusal.what or "truncated" in refusal.what  # noqa: PT017 - either way of refusing is right
            continue
        report = validate(source, load_policy(), "no-such-ffmpeg", quick=True)
        assert report.refused, share
        assert "truncated" in ids(report.findings), share


def test_damage_is_found_and_has_its_time(folder: Path) -> None:
    """Bytes in the middle of the video are overwritten: it still opens, and a player shows blocks."""
    data = bytearray((FIXTURES / "landscape-24.mp4").read_bytes())
    begin = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[begin : begin + 4000] = b"\x5a" * 4000
    file = folder / "damaged.mp4"
    file.write_bytes(data)
    report = validate(probe(str(file)), load_policy(), find())
    damage = [each for each in report.findings if each.id == "decode-errors"]
    assert damage
    assert all(5 < float(each.at.start or 0) < 10 for each in damage)


def test_interlaced_content_that_nobody_flagged(folder: Path) -> None:
    flagged = make("interlaced", folder)
    assert "interlaced-content" not in ids(validate(probe(str(flagged)), load_policy(), find()).findings)  # the file says so itself
    source = probe(str(make("interlaced-unflagged", folder)))
    assert "interlaced-content" in ids(validate(source, load_policy(), "no-such-ffmpeg", quick=True).findings)
    unseen = with_video(source, interlaced=False, measured_fields="unclear")  # as if the sample had missed it
    assert "interlaced-content" in ids(validate(unseen, load_policy(), find()).findings)
