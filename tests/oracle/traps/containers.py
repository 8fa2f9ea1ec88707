"""Traps of containers and codecs: each has its own clock, its own habits, its own way to end."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from tests.oracle.traps.boxes import find
from tests.oracle.traps.trap import AAC, MP2, MPEG2, audio_input, clip, picture, run, trap


@trap("program-stream.mpg")
def _(file: Path) -> None:
    clip(file, *MPEG2, *MP2, "-f", "vob")


@trap("mpeg1.mpg")
def _(file: Path) -> None:
    clip(file, "-c:v", "mpeg1video", "-q:v", "4", *MP2, "-f", "mpeg")


@trap("sorenson.flv")
def _(file: Path) -> None:
    clip(file, "-c:v", "flv", "-q:v", "3", "-c:a", "mp3", audio=audio_input(rate=44100))


@trap("avc.flv")
def _(file: Path) -> None:
    clip(file)


@trap("windows-media.wmv")
def _(file: Path) -> None:
    clip(file, "-c:v", "wmv2", "-q:v", "3", "-c:a", "wmav2")


@trap("exchange.mxf")
def _(file: Path) -> None:
    clip(file, *MPEG2, "-c:a", "pcm_s16le")


@trap("broadcast.gxf")
def _(file: Path) -> None:
    clip(file, *MPEG2, "-c:a", "pcm_s16le", size="720x576", audio=audio_input(layout="mono"))


@trap("camcorder.dv")
def _(file: Path) -> None:
    clip(file, "-c:v", "dvvideo", "-c:a", "pcm_s16le", "-f", "dv", size="720x576", seconds=2)


@trap("camcorder-in-avi.avi")
def _(file: Path) -> None:
    clip(file, "-c:v", "dvvideo", "-c:a", "pcm_s16le", size="720x576", seconds=2)


@trap("theora.ogv")
def _(file: Path) -> None:
    clip(file, "-c:v", "libtheora", "-q:v", "7", "-c:a", "libvorbis")


@trap("prores.mov")
def _(file: Path) -> None:
    clip(file, "-c:v", "prores_ks", "-profile:v", "0", "-c:a", "pcm_s16le", seconds=2)


@trap("motion-jpeg.avi")
def _(file: Path) -> None:
    clip(file, "-c:v", "mjpeg", "-q:v", "3", "-c:a", "pcm_s16le")


@trap("motion-jpeg.mkv", name="motion-jpeg-matroska")
def _(file: Path) -> None:
    clip(file, "-c:v", "mjpeg", "-q:v", "3", "-c:a", "aac")


@trap("motion-jpeg-with-png.mkv")
def _(file: Path) -> None:
    """Four pictures, the last two among them, are PNG. No decoder of Motion JPEG shows them: that has to be said."""
    packets = []
    for codec in ("mjpeg", "png"):
        plain = file.with_suffix(f".{codec}.mkv")
        clip(plain, "-c:v", codec, "-q:v", "3", seconds=2, audio=[])
        with av.open(str(plain)) as source:
            packets.append([bytes(packet) for packet in source.demux(video=0) if packet.size])
    with av.open(str(file.with_suffix(".mjpeg.mkv"))) as source, av.open(str(file), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, (jpeg, png) in enumerate(zip(*packets, strict=True)):
            packet = av.Packet(png if number in (20, 21, 48, 49) else jpeg)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 25), True
            packet.pts, packet.dts, packet.duration = number, number, 1
            target.mux(packet)
    for codec in ("mjpeg", "png"):
        file.with_suffix(f".{codec}.mkv").unlink()


@trap("motion-png.mkv")
def _(file: Path) -> None:
    clip(file, "-c:v", "png", "-c:a", "flac", seconds=2)


@trap("motion-png.mov", name="motion-png-quicktime")
def _(file: Path) -> None:
    clip(file, "-c:v", "png", seconds=2)


@trap("cinepak.avi")
def _(file: Path) -> None:
    clip(file, "-c:v", "cinepak", "-c:a", "pcm_s16le", size="96x64", seconds=1)


@trap("av1.mp4")
def _(file: Path) -> None:
    clip(file, "-c:v", "libsvtav1", "-preset", "10", "-crf", "30")


@trap("av1.webm", name="av1-webm")
def _(file: Path) -> None:
    clip(file, "-c:v", "libsvtav1", "-preset", "10", "-crf", "30", "-c:a", "libopus")


@trap("vp9.mp4")
def _(file: Path) -> None:
    clip(file, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k")


@trap("hevc.mkv")
def _(file: Path) -> None:
    clip(file, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1")


@trap("hevc.ts", name="hevc-ts")
def _(file: Path) -> None:
    clip(file, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1")


@trap("vvc.mp4")
def _(file: Path) -> None:
    clip(file, "-c:v", "libvvenc", "-preset", "faster", "-qp", "30", "-pix_fmt", "yuv420p10le", "-threads", "1", size="160x96", seconds=2)


@trap("phone.3gp")
def _(file: Path) -> None:
    clip(file, "-c:v", "h263", "-q:v", "3", "-c:a", "aac", "-ar", "16000", "-ac", "1", size="352x288")


@trap("mp3-in-mp4.mp4")
def _(file: Path) -> None:
    clip(file, "-c:a", "mp3")


@trap("mpeg4-b-frames.mp4")
def _(file: Path) -> None:
    clip(file, "-c:v", "mpeg4", "-q:v", "3", "-bf", "2")


@trap("open-gop.mp4")
def _(file: Path) -> None:
    clip(file, "-x264-params", "open-gop=1:bframes=3:keyint=20")


@trap("nut.nut")
def _(file: Path) -> None:
    clip(file)


@trap("mdat-too-long.mp4")
def _(file: Path) -> None:
    clip(file, "-movflags", "+faststart")
    data = bytearray(file.read_bytes())
    begin, end = find(bytes(data), b"mdat")
    data[begin : begin + 4] = (end - begin + 8).to_bytes(4)
    file.write_bytes(data)


@trap("bytes-after-the-end.mp4")
def _(file: Path) -> None:
    clip(file)
    file.write_bytes(file.read_bytes() + b"\0" * 5)


@trap("cover-picture.mp4")
def _(file: Path) -> None:
    cover = file.with_suffix(".png")
    run("-f", "lavfi", "-i", "testsrc=s=1280x1280:d=1", "-frames:v", "1", cover)
    plain = file.with_suffix(".plain.mp4")
    clip(plain)
    run("-i", plain, "-i", cover, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic", file)
    cover.unlink()
    plain.unlink()


@trap("two-videos.mp4")
def _(file: Path) -> None:
    small = picture("160x90")
    maps = ["-map", "1:v", "-map", "0:v", "-map", "2:a"]
    run(*small, *picture(), *audio_input(), *maps, "-c:v", "libx264", "-preset", "veryfast", *AAC, file)
