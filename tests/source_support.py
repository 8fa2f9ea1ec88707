"""Small sources of every odd kind, generated when a test asks for one: ``make(name, folder)`` and the table CASES.

Each clip shows its frame numbers as the barcode of fixtures/generate.py and beeps at each second, so that whole ingests can be
compared with it. ``Case`` says what is true of it: tests of the probe read ``facts``, tests of an ingest the counts and sizes.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, reduce
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from fixtures.generate import picture

X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "28", "-g", "12", "-bf", "2"]
AAC = ["-c:a", "aac", "-b:a", "48k"]
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


@dataclass(frozen=True)
class Case:
    """A clip. options: ffmpeg's output options.  audio: channels of each audio track.  video: filters after the test picture.

    frames, rate: what the timeline has (frames None: not a whole number is promised).  width, height: as a viewer sees it, in square
    pixels, not rounded.  facts: dotted name in Source -> value.  remux: input options of a second, copying pass.
    """

    file: str
    options: list[str]
    audio: tuple[int, ...] = (2,)
    video: str = "null"
    rate: str = "25"
    seconds: str = "1.6"
    size: tuple[int, int] = (320, 180)
    frames: int | None = 40
    width: int = 320
    height: int = 180
    extra: list[str] = field(default_factory=list)
    remux: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\nWorld\n"
HDR = "hdr10=1:repeat-headers=1:log-level=error:max-cll=1000,400"
HDR += ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
BT2020 = "format=yuv420p10le,setparams=color_primaries=bt2020:colorspace=bt2020nc:range=tv:color_trc="
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1"]
INTERLACED = "tinterlace=interleave_top,setfield=tff"

CASES: dict[str, Case] = {
    "plain-mp4": Case(
        "plain.mp4",
        [*X264, *AAC],
        facts={"demuxer": "mov", "video.codec": "h264", "video.exact_seek": True, "video.longest_gop": Fraction(12, 25)},
    ),
    "prores-mov": Case(
        "prores.mov",
        ["-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s24le", "-timecode", "01:00:00:00"],
        facts={
            "video.codec": "prores",
            "video.bit_depth": 10,
            "video.chroma": "4:2:2",
            "timecode": "01:00:00:00",
            "audio.0.codec": "pcm_s24le",
            "others.0.kind": "timecode",
        },
    ),
    "dnxhd-mxf": Case(
        "dnx.mxf",
        ["-c:v", "dnxhd", "-profile:v", "dnxhr_lb", "-pix_fmt", "yuv422p", "-c:a", "pcm_s16le"],
        facts={"demuxer": "mxf", "video.codec": "dnxhd", "video.chroma": "4:2:2", "video.exact_seek": True},
    ),
    "mkv-29.97": Case(
        "ntsc.mkv",
        [*X264, "-c:a", "ac3"],
        rate="30000/1001",
        frames=48,
        facts={"demuxer": "matroska", "video.variable_frame_rate": False, "audio.0.codec": "ac3"},
    ),
    "webm": Case(
        "vp9.webm",
        ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "20", "-c:a", "libopus"],
        facts={"demuxer": "matroska", "video.codec": "vp9", "audio.0.codec": "opus"},
    ),
    "ts-offset": Case(
        "offset.ts",
        [*X264, "-c:a", "mp2", "-output_ts_offset", "1000"],
        facts={"demuxer": "mpegts", "video.exact_seek": False, "video.variable_frame_rate": False},
    ),
    "ps": Case("dvd.mpg", ["-c:v", "mpeg2video", "-g", "12", "-c:a", "mp2"], facts={"demuxer": "mpeg", "video.exact_seek": False}),
    "avi": Case(
        "mpeg4.avi",
        ["-c:v", "mpeg4", "-q:v", "5", "-c:a", "libmp3lame"],
        frames=41,
        facts={"demuxer": "avi", "audio.0.codec": "mp3", "video.frames": 40},
    ),
    "avi-h264": Case(
        "h264.avi",
        [*X264, "-c:a", "libmp3lame"],
        facts={
            "video.exact_seek": False,
            "video.start": 0,
            "audio.0.offset": 0,
            "video.seek_problem": "the frames have no presentation timestamps of their own",
        },
    ),
    "flv": Case("flash.flv", [*X264, *AAC], facts={"demuxer": "flv"}),
    "interlaced": Case(
        "interlaced.ts",
        ["-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-q:v", "4", "-g", "12", "-c:a", "mp2"],
        rate="50",
        video=INTERLACED,
        frames=40,
        facts={"video.interlaced": True, "video.field_order": "tt", "video.frame_rate": Fraction(25)},
    ),
    "interlaced-mp4": Case(
        "interlaced.mp4",
        [*X264, "-x264-params", "tff=1", *AAC],
        rate="50",
        video=INTERLACED,
        size=(320, 192),
        height=192,
        facts={"video.interlaced": True, "video.frame_rate": Fraction(25)},
    ),
    "interlaced-unflagged": Case(
        "woven.mp4",
        [*X264, *AAC],
        rate="50",
        seconds="4",
        video=f"scroll=horizontal=0.02,{INTERLACED},setfield=prog",
        size=(320, 192),
        height=192,
        frames=100,
        facts={
            "video.interlaced": True,
            "video.flagged_interlaced": False,
            "video.measured_fields": "interlaced",
            "video.field_order": "tt",
            "video.frame_rate": Fraction(25),
        },
    ),
    "interlaced-bottom": Case(
        "bottom.avi",
        ["-c:v", "mpeg4", "-q:v", "3", "-c:a", "libmp3lame"],
        rate="50",
        seconds="4",
        video="scroll=horizontal=0.02,tinterlace=interleave_bottom,setfield=prog",
        size=(320, 192),
        height=192,
        frames=101,
        facts={"video.frames": 100, "video.interlaced": True, "video.field_order": "bb", "video.frame_rate": Fraction(25)},
    ),
    "flagged-progressive": Case(
        "psf.mp4",
        [*X264, "-x264-params", "tff=1", *AAC],
        seconds="2",
        frames=50,
        facts={"video.interlaced": True, "video.flagged_interlaced": True, "video.measured_fields": "progressive"},
    ),
    "mirrored": Case("mirrored.mp4", [*X264, *AAC], remux=["-display_hflip"], facts={"video.mirrored": True, "video.rotation": 0}),
    "flipped": Case("flipped.mp4", [*X264, *AAC], remux=["-display_vflip"], facts={"video.mirrored": True, "video.rotation": 180}),
    "mirrored-rotated": Case(
        "both.mp4",
        [*X264, *AAC],
        width=180,
        height=320,
        remux=["-display_rotation", "-90", "-display_hflip"],
        facts={"video.mirrored": True},
    ),
    "vfr": Case(
        "vfr.mp4",
        [*X264, *AAC, "-fps_mode", "vfr"],
        rate="30",
        seconds="2",
        video="select='lt(n,20)+not(mod(n,3))'",
        frames=None,
        facts={"video.variable_frame_rate": True, "video.frame_rate": Fraction(30)},
    ),
    "hdr10": Case(
        "hdr10.mp4",
        [*X265, "-x265-params", HDR, *AAC],
        video=BT2020 + "smpte2084",
        facts={
            "video.colour.dynamic_range": "HDR10",
            "video.bit_depth": 10,
            "video.colour.transfer": "smpte2084",
            "video.colour.primaries": "bt2020",
            "video.colour.max_cll": 1000,
            "video.colour.mastering_display": "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
        },
    ),
    "hlg": Case(
        "hlg.mp4",
        [*X265, "-x265-params", "log-level=error", *AAC],
        video=BT2020 + "arib-std-b67",
        facts={"video.colour.dynamic_range": "HLG", "video.colour.matrix": "bt2020nc"},
    ),
    "h264-10bit-422": Case(
        "high422.mov",
        [*X264, "-pix_fmt", "yuv422p10le", *AAC],
        facts={"video.bit_depth": 10, "video.chroma": "4:2:2", "video.profile": "High 4:2:2"},
    ),
    "odd-size": Case(
        "odd.mkv",
        [*X264, "-pix_fmt", "yuv444p", *AAC],
        video="crop=319:179:0:0:exact=1",
        width=319,
        height=179,
        facts={"video.width": 319, "video.height": 179},
    ),
    "one-frame": Case("one.mp4", [*X264], audio=(), seconds="0.04", frames=1, facts={"video.frames": 1, "duration": Fraction(1, 25)}),
    "under-a-gop": Case("five.mp4", [*X264, *AAC], seconds="0.2", frames=5, facts={"video.frames": 5}),
    "cover-art": Case(
        "cover.mp4",
        [
            *X264,
            *AAC,
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-map",
            "2:v",
            "-c:v:1",
            "mjpeg",
            "-bf:v:1",
            "0",  # MJPEG refuses the B-frames that are meant for the video
            "-disposition:v:1",
            "attached_pic",
        ],
        extra=["-f", "lavfi", "-i", "color=red:s=64x64:r=25:d=0.04,format=yuvj420p"],
        facts={"video.index": 0, "others.0.kind": "cover art"},
    ),
    "languages": Case(
        "languages.mkv",
        [
            *X264,
            *AAC,
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-map",
            "2:a",
            "-metadata:s:a:0",
            "language=eng",
            "-metadata:s:a:1",
            "language=fre",
            "-metadata:s:a:1",
            "title=Directrice\x1b[31m",
            "-disposition:a:0",
            "default",
            "-disposition:a:1",
            "0",
        ],
        audio=(2, 1),
        facts={
            "audio.0.language": "en",
            "audio.1.language": "fr",
            "audio.0.default": True,
            "audio.1.default": False,
            "audio.1.title": "Directrice",
            "audio.1.channels": 1,
        },
    ),
    "subtitles-mkv": Case(
        "subtitles.mkv",
        [*X264, *AAC, "-map", "0:v", "-map", "1:a", "-map", "2:s", "-c:s", "srt", "-metadata:s:s:0", "language=ger"],
        extra=["-i", "SUBTITLES"],
        facts={"subtitles.0.text": True, "subtitles.0.language": "de", "subtitles.0.codec": "subrip"},
    ),
    "subtitles-mp4": Case(
        "subtitles.mp4",
        [*X264, *AAC, "-map", "0:v", "-map", "1:a", "-map", "2:s", "-c:s", "mov_text", "-metadata:s:s:0", "language=spa"],
        extra=["-i", "SUBTITLES"],
        facts={"subtitles.0.text": True, "subtitles.0.language": "es"},
    ),
    "wide-pixels": Case("sar.mp4", [*X264, *AAC], video="setsar=16/11", width=465, facts={"video.sample_aspect": Fraction(16, 11)}),
    "portrait": Case(
        "portrait.mp4", [*X264, *AAC], size=(180, 320), width=180, height=320, facts={"video.display_aspect": Fraction(9, 16)}
    ),
    "rotated": Case(
        "rotated.mp4",
        [*X264, *AAC],
        width=180,
        height=320,
        remux=["-display_rotation", "-90"],
        facts={"video.rotation": 90, "video.width": 320},
    ),
    "no-audio": Case("silent.mp4", X264, audio=(), facts={"audio": ()}),
    "mono": Case("mono.mp4", [*X264, *AAC], audio=(1,), facts={"audio.0.channels": 1, "audio.0.layout": "mono"}),
    "surround-51": Case("surround.mp4", [*X264, *AAC], audio=(6,), facts={"audio.0.channels": 6, "audio.0.layout": "5.1"}),
    "surround-71": Case("surround.mov", [*X264, "-c:a", "pcm_s16le"], audio=(8,), facts={"audio.0.channels": 8}),
    "mkv-start-5": Case("late.mkv", [*X264, *AAC, "-output_ts_offset", "5"], facts={"video.exact_seek": True}),
    "late-audio": Case(
        "late-audio.mkv",
        [*X264, "-c:a", "pcm_s16le", "-map", "0:v", "-map", "1:a"],
        extra=["-itsoffset", "0.5"],  # of the audio, which is the input after it
        facts={"audio.0.offset": Fraction(1, 2)},
    ),
    "high-rate": Case("fast.mp4", [*X264], audio=(), rate="120", seconds="0.5", frames=60, facts={"video.frame_rate": Fraction(120)}),
}


def make(name: str, folder: Path) -> Path:
    """Write the clip ``name`` into ``folder``, unless it is there already."""
    target = folder / CASES[name].file
    if not target.exists():
        target.write_bytes(_generated(name))
    return target


@cache
def _generated(name: str) -> bytes:
    """Generate a clip, once a process: many tests look at the same ones."""
    with tempfile.TemporaryDirectory() as folder:
        return _generate(CASES[name], Path(folder)).read_bytes()


def _generate(case: Case, folder: Path) -> Path:
    target = folder / case.file
    delay = case.extra if case.extra[:1] == ["-itsoffset"] else []
    inputs = ["-f", "lavfi", "-i", f"{picture(*case.size, case.rate, case.seconds)},{case.video}"]
    for channels in case.audio:
        tone = "0.05*sin(2*PI*220*t)+0.4*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.1)"
        tones = f"aevalsrc={'|'.join([tone] * channels)}:s=48000:c={LAYOUTS[channels]}:d={case.seconds}"
        inputs += [*delay, "-f", "lavfi", "-i", tones]
    if not delay:
        inputs += [_subtitles(folder) if part == "SUBTITLES" else part for part in case.extra]
    run(inputs + case.options, target)
    if case.remux:
        turned = target.with_name(f"turned-{target.name}")
        run([*case.remux, "-i", str(target), "-c", "copy"], turned)
        turned.replace(target)
    return target


def run(options: list[str], target: Path) -> None:
    """Run ffmpeg and write ``target`` whole or not at all."""
    partial = target.with_name(f".part-{target.name}")
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", "-nostdin", *options, str(partial)]
    subprocess.run(argv, check=True, capture_output=True, text=True)
    partial.replace(target)


PIECE = "2.56"  # seconds: whole pictures at 25 a second, and whole frames of AAC and AC-3 at 48 kHz


def pieces(
    folder: Path,
    codec: str,
    formats: list[tuple[str, str]],
    *options: str,
    silent: tuple[int, ...] = (),
    on: tuple[int, ...] = (0, 1),
) -> Path:
    """Make a transport stream of one piece after the other. formats: layout and sample rate of each.

    A tone at 0, 1 and 2 s of each piece.  on: the channels that have it.  silent: pieces without.
    """
    whole = b""
    for number, (layout, hertz) in enumerate(formats):
        tone = "0" if number in silent else "0.3*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.2)"
        channels = {"mono": 1, "stereo": 2}.get(layout, 6)
        tones = f"aevalsrc={'|'.join(tone if place in on else '0' for place in range(channels))}:s={hertz}:c={layout}:d={PIECE}"
        inputs = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={PIECE}", "-f", "lavfi", "-i", tones]
        start = f"{10 + number * float(PIECE):.2f}"
        piece = folder / f"piece-{number}.ts"
        quick = ["-aac_coder", "fast"] if codec == "aac" else []  # a tone needs no better one, and it takes half the time
        run([*inputs, *X264, "-c:a", codec, *quick, "-b:a", "192k", "-output_ts_offset", start, "-muxdelay", "0", *options], piece)
        whole += piece.read_bytes()
    target = folder / "pieces.ts"
    target.write_bytes(whole)
    return target


def fact(source: Any, name: str) -> Any:
    """Return a fact by its dotted name."""
    return reduce(lambda value, part: value[int(part)] if part.isdigit() else getattr(value, part), name.split("."), source)


def _subtitles(folder: Path) -> str:
    file = folder / "subtitles.srt"
    file.write_text(SUBTITLES, encoding="utf-8")
    return str(file)
