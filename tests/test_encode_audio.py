"""Audio lies on the picture's time line to the sample, whatever the source does: late, early, with gaps, mono, surround."""

from __future__ import annotations

import array
import math
import re
import shlex
from fractions import Fraction
from pathlib import Path

import pytest

from tests.encode_support import FAST, clip, ffmpeg, remux, tiny_plan
from vidpipe.encode.audio import AudioCommand, audio_arguments, audio_command
from vidpipe.encode.command import QualityChains
from vidpipe.encode.result import EncodedAudio
from vidpipe.encode.scheduler import encode
from vidpipe.ladder import AudioRung
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.plan import AudioEncode, AudioRendition, Plan
from vidpipe.source.asset import StreamRef
from vidpipe.source.facts import AudioFormat
from vidpipe.work.artifacts import Store

RATE = 48_000
AAC_FRAME = Fraction(1024, RATE)
MAIN = AudioRendition(
    id="a", stream=StreamRef(stream=1), make=AudioEncode(bitrate=128_000), channels=2, sample_rate=RATE, name="Main", default=True
)


def test_the_whole_command() -> None:
    job = AudioCommand(
        location="/a b/-%d.mov",
        size=1,
        mtime_ns=1,
        demuxer="mov",
        start=Fraction(1, 15),
        duration=Fraction(10),
        segment=Fraction(6),
        renditions=(MAIN,),
        formats={1: AudioFormat(sample_rate=48000, channels=2, layout="stereo")},
    )
    assert shlex.join(audio_arguments(job)) == (
        "-hide_banner -nostdin -y -loglevel repeat+level+error -nostats -progress pipe:1 -copyts"
        " -f mov -protocol_whitelist file -i 'file:/a b/-%d.mov'"
        " -filter_complex '[0:1]asetpts=expr=st(2\\,round(NB_CONSUMED_SAMPLES/SR/TB))\\;if(eq(N\\,0)\\,st(0\\,round(PTS-(1/15)/TB)))\\;"
        "st(3\\,PTS-(1/15)/TB-ld(0)-ld(2))\\;if(gt(abs(ld(3)-ld(1))\\,if(ld(4)\\,0.06/TB\\,0.042/TB))\\,st(0\\,round(ld(0)+ld(3)-ld(1)))\\,"
        "st(1\\,ld(1)+(ld(3)-ld(1))*min(1\\,NB_SAMPLES/SR/1)))\\;if(gt(abs(ld(1))\\,0.04/TB)\\,st(0\\,round(ld(0)+ld(1)))+st(1\\,0))\\;"
        "st(4\\,gt(N\\,0))\\;ld(0)+ld(2)[s0];[s0]aresample=async=1:first_pts=0:min_hard_comp=0.001[s1];"
        "[s1]apad=whole_dur=10.000000[s2];[s2]atrim=end=10.000000[s3];"
        "[s3]aresample=ochl=stereo:osr=48000[s4];[s4]apad=whole_len=480000[s5];[s5]atrim=end_sample=480000[s6]'"
        " -map '[s6]' -f mp4 -ar 48000 -b:a 128000 -c:a aac -fflags +bitexact -flags +bitexact -frag_duration 6000000"
        " -map_chapters -1 -map_metadata -1 -movflags +empty_moov+delay_moov+default_base_moof file:audio-0.mp4"
    )


def test_the_command_with_two_tracks_and_measurements() -> None:
    other = MAIN.model_copy(update={"id": "b", "channels": 6, "make": AudioEncode(bitrate=384_000)})
    chains = QualityChains(
        fields="idet,metadata=mode=print:file=f.txt",
        fields_file="f.txt",
        picture="null",
        picture_file="p.txt",
        audio="ebur128,ametadata=file=s.txt",
        audio_file="s.txt",
    )
    job = AudioCommand(
        location="/s.mkv",
        size=1,
        mtime_ns=1,
        demuxer="matroska",
        start=Fraction(0),
        duration=Fraction(1),
        segment=Fraction(1),
        renditions=(MAIN, other),
        formats={1: AudioFormat(sample_rate=48000, channels=6, layout="5.1")},
        quality=chains,
    )
    arguments = audio_arguments(job)
    graph = re.split(r"(?<!\\);", arguments[arguments.index("-filter_complex") + 1])
    assert graph[4].endswith("asplit=4[s4][s5][s6][s7]"), "one decode for both tracks and both measurements"
    measured = sorted(re.findall(r"\](ebur128[^\[]*)\[", ";".join(graph)))
    assert measured == ["ebur128,ametadata=file=0-s.txt", "ebur128,ametadata=file=1-s.txt"]
    assert sum("alimiter=latency=1:level=disabled:limit=0.891" in part for part in graph) == 1, "the stereo track only"
    assert arguments[-1] == "-"
    assert [name for name in arguments if name.startswith("file:audio")] == ["file:audio-0.mp4", "file:audio-1.mp4"]


CHAINS = QualityChains(
    fields="idet,metadata=mode=print:file=f.txt",
    fields_file="f.txt",
    picture="metadata=mode=add:key=lavfi.picture:value=1,metadata=mode=print:file=p.txt",
    picture_file="p.txt",
    audio="astats=metadata=1,ametadata=mode=print:file=s.txt",
    audio_file="s.txt",
)


def tracks(plan: Plan, folder: Path, program: FFmpeg, quality: QualityChains | None = None) -> list[EncodedAudio]:
    results = encode(plan, Store(folder / "work"), ffmpeg=program, quality=quality)
    found = [made for made in results if isinstance(made, EncodedAudio)]
    return sorted(found, key=lambda made: [r.id for r in plan.audio].index(made.rendition.id))


def pcm(path: Path, channels: int = 2) -> list[list[float]]:
    """Return the samples of each channel, -1 to 1."""
    samples = array.array("f", ffmpeg("-i", path, "-f", "f32le", "-"))
    return [list(samples[channel::channels]) for channel in range(channels)]


def onsets(samples: list[float]) -> list[float]:
    """Return the seconds at which the beeps begin."""
    found, quiet = [], RATE
    for number, value in enumerate(samples):
        if abs(value) > 0.1:
            if quiet > RATE // 2:
                found.append(number / RATE)
            quiet = 0
        else:
            quiet += 1
    return found


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param("plain mp4", [0, 1, 2, 3, 4], id="plain mp4"),
        pytest.param("mkv", [0, 1, 2, 3, 4], id="mkv"),
        pytest.param("ts at 3602 s", [0, 1, 2, 3, 4], id="ts at 3602 s"),
        pytest.param("audio 0.5 s late", [0.5, 1.5, 2.5, 3.5, 4.5], id="audio late"),
        pytest.param("audio 0.3 s early", [0.7, 1.7, 2.7, 3.7], id="audio early"),
        pytest.param("gap", [0, 1, 4], id="gap in the audio"),
        pytest.param("44100 Hz", [0, 1, 2, 3, 4], id="44.1 kHz"),
        pytest.param("ends early", [0, 1], id="audio ends early"),
    ],
)
def test_sync(case: str, expected: list[float], tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mp4", "30000/1001", 144, beeps=2)
    out = tmp_path / "case.mkv"
    if case == "mkv":
        source = remux(source, out)
    elif case.startswith("ts"):
        source = remux(source, tmp_path / "case.ts", "-output_ts_offset", "3600")
    elif "late" in case:
        ffmpeg("-i", source, "-itsoffset", "0.5", "-i", source, "-map", "0:v", "-map", "1:a", "-c", "copy", out)
        source = out
    elif "0.3 s early" in case:
        ffmpeg("-itsoffset", "0.3", "-i", source, "-i", source, "-map", "0:v", "-map", "1:a", "-c", "copy", out)
        source = out
    elif case == "gap":
        ffmpeg("-i", source, "-c", "copy", "-bsf:a", "noise=drop=between(tb*pts\\,1.5\\,3.5)", out)
        source = out
    elif case == "44100 Hz":
        ffmpeg("-i", source, "-c:v", "copy", "-ar", "44100", out)
        source = out
    elif case == "ends early":
        ffmpeg("-i", source, "-c:v", "copy", "-af", "atrim=end=1.5", out)
        source = out
    plan = tiny_plan(source)
    (made,) = tracks(plan, tmp_path, program, CHAINS)
    assert made.quality is not None
    assert "lavfi.astats" in made.quality.path.read_text()
    left, _ = pcm(made.artifact.path)
    planned = math.floor(plan.grid.duration * RATE + Fraction(1, 2))
    assert planned <= len(left) < planned + 1024, "as long as the picture; the last AAC frame is always whole"
    assert max(map(abs, left[planned:]), default=0) < 0.05
    assert onsets(left) == pytest.approx(expected, abs=float(AAC_FRAME / 4))


@pytest.mark.parametrize(("channels", "loudest"), [(1, 0.5), (2, 0.5), (6, 0.891), (8, 0.891)])
def test_any_layout_becomes_stereo_without_clipping(channels: int, loudest: float, tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mkv", "25", 50, beeps=channels, options=[*FAST, "-c:a", "pcm_s16le"])
    (made,) = tracks(tiny_plan(source), tmp_path, program)
    assert made.rendition.channels == 2
    left, right = pcm(made.artifact.path)
    # the same beep on all channels adds up to more than full scale; AAC rings by up to a tenth
    assert max(left) == pytest.approx(loudest, rel=0.12)
    assert max(right) == pytest.approx(loudest, rel=0.12)
    assert onsets(left) == pytest.approx([0, 1], abs=0.01)


def test_a_surround_rung_keeps_the_channels(tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mp4", "25", 50, beeps=6)
    plan = tiny_plan(source, audio=(AudioRung(), AudioRung(channels=6, bitrate=256_000)))
    stereo, surround = tracks(plan, tmp_path, program)
    assert (stereo.rendition.channels, surround.rendition.channels) == (2, 6)
    assert len(pcm(surround.artifact.path, 6)) == 6


def test_each_language_is_its_own_track(tmp_path: Path, program: FFmpeg) -> None:
    source = clip(tmp_path / "source.mp4", "25", 75, beeps=2)
    two = tmp_path / "two.mkv"
    late = ["-itsoffset", "0.5", "-i", str(source)]
    languages = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra"]
    ffmpeg("-i", source, *late, "-map", "0:v", "-map", "0:a", "-map", "1:a", *languages, "-c", "copy", two)
    first, second = tracks(tiny_plan(two), tmp_path, program)
    assert [first.rendition.language, second.rendition.language] == ["en", "fr"]
    assert onsets(pcm(first.artifact.path)[0]) == pytest.approx([0, 1, 2], abs=0.01)
    assert onsets(pcm(second.artifact.path)[0]) == pytest.approx([0.5, 1.5, 2.5], abs=0.01)


def test_a_track_without_audio_in_the_picture_s_time_is_silence(tmp_path: Path, program: FFmpeg) -> None:
    """The plan leaves such tracks out; should its facts be wrong, there is silence and a measurement, and no failure."""
    source = clip(tmp_path / "source.mp4", "25", 50, beeps=2)
    out = tmp_path / "early.mkv"
    ffmpeg("-itsoffset", "3", "-i", source, "-i", source, "-map", "0:v", "-map", "1:a", "-c", "copy", out)
    plan = tiny_plan(out).model_copy(update={"audio": (MAIN,)})
    (made,) = tracks(plan, tmp_path, program, CHAINS)
    assert max(map(abs, pcm(made.artifact.path)[0])) < 0.001
    assert made.quality is not None


def test_the_job_of_a_plan_begins_at_the_first_frame(tmp_path: Path) -> None:
    source = remux(clip(tmp_path / "a.mp4", "25", 30, beeps=2), tmp_path / "a.mkv", "-output_ts_offset", "0.067")
    plan = tiny_plan(source)
    job = audio_command(plan, plan.audio, None)
    assert (job.start, job.duration) == (plan.source.video.start, Fraction(30, 25))
