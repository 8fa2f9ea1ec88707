"""Audio whose own clock is sound passes untouched, whatever its time stamps do; real gaps, overlaps and drift are put right."""

from __future__ import annotations

import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.encode_support import ffmpeg, tiny_plan
from vidpipe.encode.audio import audio_arguments, audio_command
from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.media.process import run
from vidpipe.plan import AudioEncode, AudioRendition
from vidpipe.source.asset import StreamRef

RATE = 48_000
TRANSIENTS = "0.3*sin(2*PI*(300+200*floor(t))*t)*lt(mod(t,0.37),0.15)+0.2*(random(0)-0.5)*lt(mod(t,0.29),0.02)"
"""Tones and clicks: Vorbis changes between long and short blocks all the time."""
BEEPS = "0.4*sin(2*PI*1000*t)*lt(mod(t,1),0.1)"
HUM = "0.4*sin(2*PI*500*t)"


def source(path: Path, expression: str, seconds: int, hertz: int, *options: str) -> Path:
    """Write a clip: hardly a picture, and two equal channels of the audio."""
    escaped = expression.replace(",", "\\,")
    video = ["-f", "lavfi", "-i", f"testsrc2=s=64x64:r=5:d={seconds}"]
    audio = ["-f", "lavfi", "-i", f"aevalsrc={escaped}|{escaped}:s={hertz}:c=stereo:d={seconds}"]
    ffmpeg(*video, *audio, *options, path)
    return path


def restamped(path: Path, target: Path, time: str, *options: str) -> Path:
    """Copy a clip with other time stamps of its audio. time: expression, in seconds."""
    stamps = f"setts=ts=round(({time})/TB)"
    ffmpeg("-i", path, "-c", "copy", "-bsf:a", stamps.replace(",", "\\,"), *options, target)
    return target


def title(path: Path, program: FFmpeg) -> array.array[float]:
    """Return one channel of what the title's encoder is given of the clip's audio, at the clip's own rate."""
    plan = tiny_plan(path)
    (stream,) = plan.source.audio
    rendition = AudioRendition(
        id="a",
        stream=StreamRef(stream=stream.index),
        make=AudioEncode(bitrate=96_000),
        channels=2,
        sample_rate=stream.sample_rate,
        name="",
        default=True,
    )
    arguments = audio_arguments(audio_command(plan, (rendition,), None))
    return decoded(program, path, *arguments[: arguments.index("-map") + 2])


def decoded(program: FFmpeg, path: Path, *arguments: str) -> array.array[float]:
    """Return the left channel."""
    raw = path.with_name("raw.f32")
    done = run([program.path, *arguments, "-y", "-f", "f32le", str(raw)])
    assert done.returncode == 0, done.stderr_tail
    return array.array("f", raw.read_bytes())[::2]


def onsets(samples: array.array[float]) -> list[float]:
    """Return the seconds at which a tone begins after quiet."""
    loud = [max(map(abs, samples[at : at + 48])) > 0.1 for at in range(0, len(samples) - 48, 48)]
    return [at / 1000 for at in range(1, len(loud)) if loud[at] and not any(loud[max(0, at - 300) : at])]


def quiet(samples: array.array[float]) -> list[tuple[float, float]]:
    """Return the stretches of silence of more than 5 ms."""
    loud = [at for at, value in enumerate(samples) if abs(value) > 0.01]
    return [(a / RATE, b / RATE) for a, b in pairwise([0, *loud, len(samples)]) if b - a > RATE / 200]


VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"]
X264 = ["-c:v", "libx264", "-preset", "ultrafast"]


@pytest.mark.parametrize("hertz", [48_000, pytest.param(22_050, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "case", ["webm", "ogg", "mkv of ogg", "mkv of a recorder", "opus of a recorder", "mp3 in flv", "aac in flv of a recorder", "wma in asf"]
)
def test_audio_with_a_sound_clock_is_not_touched(case: str, hertz: int, tmp_path: Path, program: FFmpeg) -> None:
    codec, name, video = {
        "webm": ("libvorbis", "a.webm", VP8),
        "ogg": ("libvorbis", "a.ogv", VP8),
        "mkv of ogg": ("libvorbis", "a.ogv", VP8),
        "mkv of a recorder": ("libvorbis", "a.webm", VP8),
        "opus of a recorder": ("libopus", "a.webm", VP8),
        "mp3 in flv": ("libmp3lame", "a.flv", X264),
        "aac in flv of a recorder": ("aac", "a.flv", X264),
        "wma in asf": ("wmav2", "a.asf", ["-c:v", "wmv2"]),
    }[case]
    hertz = 24_000 if codec == "libopus" and hertz == 22_050 else hertz
    clip = source(tmp_path / name, TRANSIENTS, 6, hertz, *video, "-c:a", codec)
    if case == "mkv of ogg":
        ffmpeg("-i", clip, "-c", "copy", tmp_path / "copied.mkv")
        clip = tmp_path / "copied.mkv"
    if "recorder" in case:  # packets are stamped up to 24 ms late or early, as they happened to come in
        clip = restamped(clip, tmp_path / f"late{clip.suffix}", "PTS*TB+0.024*sin(PTS*TB*9)")
    heard, plain = title(clip, program), decoded(program, clip, "-i", str(clip), "-map", "0:a")
    at = next(at for at, value in enumerate(heard) if at > hertz and abs(value) > 0.05)
    moved = plain.tobytes().find(heard[at : at + 64].tobytes()) // 4 - at
    begin, end = max(0, -moved), len(heard) - hertz // 8  # what lies before the picture is cut, the end is cut or padded
    assert end - begin > 5 * hertz
    assert heard[begin:end] == plain[begin + moved : end + moved]
    assert abs(moved) < 0.06 * hertz, "a file that begins late or early does so in the title"


@pytest.mark.parametrize(("container", "jitter"), [("mkv", 0.012), ("ts", 0), ("webm", 0), ("webm", 0.012)])
@pytest.mark.parametrize("missing", [0.1, pytest.param(0.5, marks=pytest.mark.nightly)])
def test_a_gap_is_filled_at_its_place(container: str, missing: float, jitter: float, tmp_path: Path, program: FFmpeg) -> None:
    options = [*VP8, "-c:a", "libvorbis"] if container == "webm" else [*X264, "-c:a", "aac"]
    clip = source(tmp_path / f"whole.{container}", HUM, 4, RATE, *options)
    lost = tmp_path / f"lost.{container}"
    gap = f"noise=drop=between(tb*pts-{1.4 if container == 'ts' else 0}\\,2\\,{2 + missing - 0.02})"
    ffmpeg("-i", clip, "-c", "copy", "-copyts", "-muxdelay", "0", "-muxpreload", "0", "-bsf:a", gap, lost)
    if jitter:
        lost = restamped(lost, tmp_path / f"jitter.{container}", f"PTS*TB+{jitter}*sin(PTS*TB*40)", "-copyts", "-muxdelay", "0")
    heard = title(lost, program)
    (silence,) = [(start, end) for start, end in quiet(heard) if 0.1 < start < 3.9]
    assert silence[1] - silence[0] == pytest.approx(missing, abs=0.05 if jitter or container == "webm" else 0.035)
    assert silence[0] == pytest.approx(2, abs=0.05)


def test_priming_stamped_long_before_the_rest_shifts_nothing(tmp_path: Path, program: FFmpeg) -> None:
    """As ffmpeg fragments: the first packet at 0, and all others late by the reordering of the picture, 67 ms at 30 pictures a second."""
    beeps = ["-f", "lavfi", "-i", f"aevalsrc={BEEPS.replace(',', chr(92) + ',')}:s={RATE}:d=4"]
    clip = tmp_path / "fragments.mp4"
    pictures = ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=30:d=4", "-c:v", "libx264", "-preset", "veryfast", "-bf", "3"]
    ffmpeg(*pictures[:4], *beeps, *pictures[4:], "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov+default_base_moof", clip)
    assert onsets(title(clip, program)) == pytest.approx([1, 2, 3], abs=0.006)


def test_what_is_there_twice_is_cut(tmp_path: Path, program: FFmpeg) -> None:
    clip = source(tmp_path / "whole.ts", BEEPS, 6, RATE, *X264, "-c:a", "mp2", "-muxdelay", "0")
    data = bytearray(clip.read_bytes())
    for at in range(0, len(data), 188):
        pid, begins = int.from_bytes(data[at + 1 : at + 3], "big") & 0x1FFF, data[at + 1] & 0x40
        if pid == 0x101 and begins:
            place = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0) + 9
            stamp = pts(data[place : place + 5])
            if stamp >= int(3.5 * 90_000):
                data[place : place + 5] = coded(stamp - 45_000)
    clip.write_bytes(data)
    assert onsets(title(clip, program)) == pytest.approx([1, 2, 3, 3.5, 4.5], abs=0.05)


def pts(field: bytes) -> int:
    """Read a time of a PES header (ISO/IEC 13818-1, 2.4.3.6)."""
    return (field[0] >> 1 & 7) << 30 | int.from_bytes(field[1:3], "big") >> 1 << 15 | int.from_bytes(field[3:5], "big") >> 1


def coded(time: int) -> bytes:
    """Write a time of a PES header without a decoding time."""
    high, middle, low = 0x21 | time >> 29 & 0xE, time >> 14 & 0xFFFE | 1, time << 1 & 0xFFFE | 1
    return bytes([high]) + middle.to_bytes(2, "big") + low.to_bytes(2, "big")


@pytest.mark.parametrize("factor", ["1.001", "0.998"])
def test_drift_stays_within_the_limit(factor: str, tmp_path: Path, program: FFmpeg) -> None:
    clip = source(tmp_path / "whole.mkv", BEEPS, 60, RATE, *X264, "-c:a", "aac")
    drifting = restamped(clip, tmp_path / "drifting.mkv", f"PTS*TB*{factor}")
    heard = onsets(title(drifting, program))
    expected = [second * float(Fraction(factor)) for second in range(1, 60)]
    expected = [time for time in expected if time < 59.8]
    found = [min(heard, key=lambda onset, time=time: abs(onset - time)) for time in expected]
    apart = [abs(onset - time) for onset, time in zip(found, expected, strict=True)]
    assert max(apart) < 0.055
    assert len(heard) == pytest.approx(len(expected), abs=1)


def test_lost_packets_become_silence_at_their_places(tmp_path: Path, program: FFmpeg) -> None:
    """Single packets of 21 ms: each alone is hardly to be noticed, all together put audio and picture apart."""
    clip = source(tmp_path / "whole.mkv", BEEPS, 20, RATE, *X264, "-c:a", "aac")
    lossy = tmp_path / "lossy.mkv"
    ffmpeg("-i", clip, "-c", "copy", "-bsf:a", "noise=drop=lt(mod(tb*pts+0.5\\,1)\\,0.0205)", lossy)
    heard = onsets(title(lossy, program))
    assert [round(onset) for onset in heard] == list(range(1, 20))
    assert max(abs(onset - round(onset)) for onset in heard) < 0.003
