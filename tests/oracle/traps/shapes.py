"""Traps of geometry: pixels that are not square, rotation, odd sizes, cropping."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.traps.boxes import insert
from tests.oracle.traps.trap import TRAPS, clip, run, trap


def _turned(file: Path, *options: str) -> None:
    plain = file.with_suffix(".plain.mp4")
    clip(plain, seconds=2)
    run(*options, "-i", plain, "-c", "copy", file)
    plain.unlink()


@trap("rotated-90.mp4")
def _(file: Path) -> None:
    _turned(file, "-display_rotation", "90")


@trap("rotated-180.mp4")
def _(file: Path) -> None:
    _turned(file, "-display_rotation", "180")


@trap("rotated-270.mov")
def _(file: Path) -> None:
    _turned(file, "-display_rotation", "270")


@trap("mirrored.mp4")
def _(file: Path) -> None:
    _turned(file, "-display_hflip")


@trap("mirrored-upside-down.mp4")
def _(file: Path) -> None:
    _turned(file, "-display_rotation", "90", "-display_vflip")


@trap("rotated-wide-pixels.mp4")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mp4")
    clip(plain, "-vf", "setsar=4/3", seconds=2)
    run("-display_rotation", "90", "-i", plain, "-c", "copy", file)
    plain.unlink()


@trap("wide-pixels.mp4")
def _(file: Path) -> None:
    clip(file, "-vf", "setsar=64/45", size="720x576", seconds=2)


@trap("narrow-pixels.mkv")
def _(file: Path) -> None:
    clip(file, "-vf", "setsar=8/9", size="720x480", seconds=2)


@trap("wide-pixels-in-container.mkv")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mkv")
    clip(plain, size="720x576", seconds=2)
    run("-i", plain, "-c", "copy", "-aspect", "16:9", file)
    plain.unlink()


@trap("odd-size.mkv")
def _(file: Path) -> None:
    clip(file, "-vf", "scale=321:181,setsar=1,format=yuv444p", "-c:v", "ffv1", "-c:a", "flac", seconds=2)


@trap("odd-size-vp9.webm")
def _(file: Path) -> None:
    vp9 = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "800k", "-c:a", "libopus"]
    clip(file, "-vf", "scale=319:179,setsar=1", *vp9, seconds=2)


@trap("portrait.mp4")
def _(file: Path) -> None:
    clip(file, size="180x320", seconds=2)


@trap("tiny.mp4")
def _(file: Path) -> None:
    clip(file, size="64x36", seconds=2)


@trap("very-wide.mp4")
def _(file: Path) -> None:
    clip(file, size="640x96", seconds=2)


@trap("cropped-in-stream.mkv")
def _(file: Path) -> None:
    clip(file, "-bsf:v", "h264_metadata=crop_left=32:crop_right=16:crop_top=0:crop_bottom=20", seconds=2)


@trap("cropped-by-the-container.mp4")
def _(file: Path) -> None:
    clip(file, seconds=2)
    # Clean aperture (ISO/IEC 14496-12, 12.1.4): 240x160 pixels, the centre 8 to the right and 4 up.
    numbers = (240, 1, 160, 1, 8, 1, (1 << 32) - 4, 1)
    box = (40).to_bytes(4) + b"clap" + b"".join(number.to_bytes(4) for number in numbers)
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    file.write_bytes(insert(file.read_bytes(), path, box, header=86))


@trap("cropped-by-the-container.mkv", name="cropped-by-matroska")
def _(file: Path) -> None:
    plain = file.with_suffix(".plain.mp4")
    TRAPS["cropped-by-the-container"].make(plain)
    run("-i", plain, "-c", "copy", file)
    plain.unlink()


@trap("size-changes.ts")
def _(file: Path) -> None:
    first, second = file.with_suffix(".a.ts"), file.with_suffix(".b.ts")
    clip(first, seconds=2)
    clip(second, "-output_ts_offset", "2.08", size="640x360", seconds=2)  # the first ends with its reordered pictures
    file.write_bytes(first.read_bytes() + second.read_bytes())
    first.unlink()
    second.unlink()
