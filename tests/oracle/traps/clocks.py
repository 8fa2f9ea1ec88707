"""Traps of time: clocks that start again, jump or wrap; edit lists; late starts; frames that are dropped, hidden or without a duration."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.traps import transport
from tests.oracle.traps.boxes import drop_fragments
from tests.oracle.traps.trap import AAC, MP2, MPEG2, X264, audio_input, clip, picture, run, trap


def _ts(file: Path, *options: str, seconds: float = 4) -> bytes:
    """Return a transport stream."""
    made = file.with_suffix(".part.ts")
    clip(made, *options, seconds=seconds)
    data = made.read_bytes()
    made.unlink()
    return data


@trap("joined-same-base.ts")
def _(file: Path) -> None:
    data = _ts(file)
    other = file.with_suffix(".other.ts")
    run(*picture(seconds=4), *audio_input(4, base=900), "-vf", "hflip", *X264, *AAC, other)
    file.write_bytes(data + other.read_bytes())
    other.unlink()


@trap("joined-other-base.ts")
def _(file: Path) -> None:
    file.write_bytes(_ts(file, "-output_ts_offset", "3600") + _ts(file, "-vf", "hflip", "-output_ts_offset", "20"))


@trap("joined-mpeg2.ts")
def _(file: Path) -> None:
    data = _ts(file, *MPEG2, *MP2)
    file.write_bytes(data + data)


@trap("clock-jumps-ahead.ts")
def _(file: Path) -> None:
    file.write_bytes(transport.shift(_ts(file, seconds=6), 94 * transport.HERTZ, 0.5))


@trap("clock-jumps-back.ts")
def _(file: Path) -> None:
    file.write_bytes(transport.shift(_ts(file, "-output_ts_offset", "1000", seconds=6), -94 * transport.HERTZ, 0.5))


@trap("clock-jumps-twice.ts")
def _(file: Path) -> None:
    data = transport.shift(_ts(file, seconds=8), 40 * transport.HERTZ, 0.33)
    file.write_bytes(transport.shift(data, -25 * transport.HERTZ, 0.66))


@trap("clock-wraps.ts")
def _(file: Path) -> None:
    file.write_bytes(transport.shift(_ts(file, seconds=6), transport.WRAP - 4 * transport.HERTZ))


@trap("starts-late.ts")
def _(file: Path) -> None:
    file.write_bytes(transport.shift(_ts(file), 3602 * transport.HERTZ))


@trap("audio-300ms-before-picture.mkv")
def _(file: Path) -> None:
    _offset(file, picture=0.3)


@trap("audio-1s-before-picture.mkv")
def _(file: Path) -> None:
    _offset(file, picture=1.0)


@trap("audio-1s-before-picture-mp4.mp4")
def _(file: Path) -> None:
    _offset(file, picture=1.0)


@trap("audio-300ms-before-picture-ts.ts")
def _(file: Path) -> None:
    _offset(file, picture=0.3)


@trap("audio-1s-after-picture.mkv")
def _(file: Path) -> None:
    _offset(file, audio=1.0)


@trap("audio-1s-after-picture-mp4.mp4")
def _(file: Path) -> None:
    _offset(file, audio=1.0)


@trap("audio-1s-after-picture-ts.ts")
def _(file: Path) -> None:
    _offset(file, audio=1.0)


def _offset(file: Path, *, picture: float = 0, audio: float = 0) -> None:
    plain = file.with_suffix(".plain.mkv")
    clip(plain, "-bf", "0")
    times = [*("-itsoffset", str(picture), "-i", str(plain)), *("-itsoffset", str(audio), "-i", str(plain))]
    run(*times, "-map", "0:v", "-map", "1:a", "-c", "copy", file)
    plain.unlink()


@trap("edit-starts-inside-gop.mp4")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mp4")
    clip(plain, "-g", "50", seconds=6)
    run("-ss", "1.2", "-i", plain, "-c", "copy", file)
    plain.unlink()


@trap("edit-starts-inside-gop-hevc.mp4")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mp4")
    hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "keyint=50:open-gop=1:log-level=error"]
    clip(plain, *hevc, seconds=6)
    run("-ss", "1.2", "-i", plain, "-c", "copy", file)
    plain.unlink()


@trap("edit-empty-before-picture.mov")
def _(file: Path) -> None:
    _offset(file, picture=0.5)


@trap("fragments-first-is-late.mp4")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mp4")
    clip(plain, "-movflags", "frag_keyframe+empty_moov+default_base_moof", seconds=6)
    file.write_bytes(drop_fragments(plain.read_bytes(), 2))
    plain.unlink()


@trap("fragments.mp4")
def _(file: Path) -> None:
    clip(file, "-movflags", "frag_keyframe+empty_moov+default_base_moof")


@trap("fragments-video-only-late.mp4")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mp4")
    clip(plain, "-movflags", "frag_keyframe+empty_moov+default_base_moof+negative_cts_offsets", seconds=6, audio=[])
    file.write_bytes(drop_fragments(plain.read_bytes(), 2))
    plain.unlink()


@trap("dropped-frames-few.avi")
def _(file: Path) -> None:
    _dropping(file, "not(eq(n,20)+eq(n,21)+eq(n,50))")


@trap("dropped-frames-many.avi")
def _(file: Path) -> None:
    _dropping(file, "not(between(n,10,20)+between(n,40,44)+between(n,60,61))")


@trap("dropped-frames-every-other.avi")
def _(file: Path) -> None:
    _dropping(file, "not(mod(n,2))+lt(n,30)")


def _dropping(file: Path, kept: str) -> None:
    """AVI's muxer writes an empty chunk for each frame that is missing."""
    mpeg4 = ["-c:v", "mpeg4", "-q:v", "3", "-g", "25", "-threads", "1", "-c:a", "mp3"]
    clip(file, "-vf", f"select='{kept}'", "-fps_mode", "passthrough", "-enc_time_base", "1/25", *mpeg4)


@trap("b-frames-mpeg4.avi")
def _(file: Path) -> None:
    clip(file, "-c:v", "mpeg4", "-q:v", "3", "-bf", "2", "-threads", "1", "-c:a", "mp3")


@trap("b-frames-h264.avi")
def _(file: Path) -> None:
    clip(file, "-bf", "3", "-c:a", "mp3")


@trap("no-durations.mkv")
def _(file: Path) -> None:
    # A pipe is not seekable: neither duration nor index are written.
    clip(file, "-f", "matroska", "-seekable", "0", "-live", "1")


@trap("cut-by-hand-open-gop.ts")
def _(file: Path) -> None:
    data = _ts(file, "-c:v", "mpeg2video", "-q:v", "4", "-g", "12", "-bf", "2", *MP2, seconds=6)
    parts = transport.packets(data)
    head = [p for p in parts if transport.pid(p) in (0, 0x11, 0x1000)][:3]
    file.write_bytes(b"".join(head + parts[len(parts) // 3 :]))


@trap("leading-pictures-hevc.ts")
def _(file: Path) -> None:
    params = "keyint=25:min-keyint=25:open-gop=1:bframes=3:scenecut=0:log-level=error"
    data = _ts(file, "-c:v", "libx265", "-preset", "fast", "-x265-params", params, seconds=6)
    parts = transport.packets(data)
    head = [p for p in parts if transport.pid(p) in (0, 0x11, 0x1000)][:3]
    file.write_bytes(b"".join(head + parts[len(parts) // 3 :]))


@trap("hidden-frames.webm")
def _(file: Path) -> None:
    _vpx(file, "libvpx-vp9", "-c:a", "libopus")


@trap("hidden-frames-split.mkv")
def _(file: Path) -> None:
    packed = file.with_suffix(".packed.webm")
    _vpx(packed, "libvpx-vp9", "-c:a", "libopus", rate="24")
    run("-i", packed, "-c", "copy", "-bsf:v", "vp9_superframe_split", file)
    packed.unlink()


@trap("hidden-frames-vp8.webm")
def _(file: Path) -> None:
    _vpx(file, "libvpx", "-c:a", "libvorbis")


@trap("hidden-frames-av1.mkv")
def _(file: Path) -> None:
    clip(file, "-c:v", "libsvtav1", "-preset", "10", "-crf", "30", "-c:a", "libopus")


def _vpx(file: Path, encoder: str, *options: str, rate: str = "25") -> None:
    """Two passes: only then libvpx makes frames that are decoded but never shown."""
    log = file.with_suffix(".log")
    video = ["-c:v", encoder, "-b:v", "600k", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-deadline", "good", "-cpu-used", "5"]
    for number in ("1", "2"):
        out = [file] if number == "2" else ["-an", "-f", "null", "-"]
        audio = list(options) if number == "2" else []
        run(*picture(rate=rate), *audio_input(), *video, *audio, "-pass", number, "-passlogfile", log, *out)
    for left in file.parent.glob(f"{log.name}*"):
        left.unlink()


@trap("vfr-drops.mp4")
def _(file: Path) -> None:
    clip(file, "-vf", "select='not(between(n,20,32)+eq(n,50)+between(n,70,72))'", "-fps_mode", "passthrough")


@trap("vfr-jitter.mkv")
def _(file: Path) -> None:
    clip(file, "-vf", "settb=1/1000,setpts='PTS+12*sin(N)'", "-fps_mode", "passthrough", "-enc_time_base", "1/1000", "-bf", "0")


@trap("vfr-two-rates.mp4")
def _(file: Path) -> None:
    clip(file, "-vf", "select='lt(n,100)+not(mod(n,2))'", "-fps_mode", "passthrough", rate="50")


@trap("rate-23.976.mp4")
def _(file: Path) -> None:
    clip(file, rate="24000/1001")


@trap("rate-29.97.mkv")
def _(file: Path) -> None:
    clip(file, rate="30000/1001")


@trap("rate-50.mp4")
def _(file: Path) -> None:
    clip(file, rate="50")


@trap("rate-12.5.mp4")
def _(file: Path) -> None:
    clip(file, rate="25/2")


@trap("rate-120.mp4")
def _(file: Path) -> None:
    clip(file, rate="120", seconds=2)


@trap("short-tail.mp4")
def _(file: Path) -> None:
    clip(file, rate="30", seconds=6.1)


@trap("one-frame.mp4")
def _(file: Path) -> None:
    clip(file, "-frames:v", "1", seconds=0.04)


@trap("two-frames.mkv")
def _(file: Path) -> None:
    clip(file, seconds=0.08, audio=[])


@trap("last-frame-long.mp4")
def _(file: Path) -> None:
    clip(file, "-vf", "select='lt(n,60)+eq(n,99)'", "-fps_mode", "passthrough")


@trap("interlaced-mpeg2.ts")
def _(file: Path) -> None:
    fields = ["-vf", "interlace=scan=tff", "-flags", "+ildct+ilme", "-field_order", "tt"]
    run(*picture("720x576", "50"), *audio_input(), *fields, *MPEG2, "-r", "25", *MP2, file)


@trap("interlaced-h264.mp4")
def _(file: Path) -> None:
    run(*picture("720x480", "60000/1001"), *audio_input(), "-vf", "interlace=scan=tff", *X264, "-x264-params", "tff=1", *AAC, file)
