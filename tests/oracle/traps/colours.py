"""Traps of colour: what files say of matrix, range, primaries and transfer, and what they leave out."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.traps.boxes import find, insert
from tests.oracle.traps.trap import clip, trap

BARE = ["-color_primaries", "unknown", "-color_trc", "unknown", "-colorspace", "unknown"]


def _tagged(file: Path, matrix: str, primaries: str, transfer: str, *, size: str = "320x180", full: bool = False) -> None:
    """Make a clip whose pixels are in the matrix that its tags name."""
    span = "full" if full else "limited"
    convert = f"scale=out_color_matrix={matrix}:out_range={span}:flags=accurate_rnd+full_chroma_int,format=yuv420p"
    tags = f"setparams=range={span}:colorspace={matrix}:color_primaries={primaries}:color_trc={transfer}"
    clip(file, "-vf", f"format=gbrp,{convert},{tags}", size=size)


@trap("colour-sd-untagged.mp4")
def _(file: Path) -> None:
    clip(file, size="640x480")


@trap("colour-hd-untagged.mp4")
def _(file: Path) -> None:
    pixels = "format=gbrp,scale=out_color_matrix=bt709,format=yuv420p"
    clip(file, "-vf", pixels, "-bsf:v", _H264.format(2, 2, 2), size="1280x720", seconds=2)


_H264 = "h264_metadata=colour_primaries={}:transfer_characteristics={}:matrix_coefficients={}"


@trap("colour-smpte170m.mp4")
def _(file: Path) -> None:
    _tagged(file, "smpte170m", "smpte170m", "smpte170m")


@trap("colour-pal.mkv")
def _(file: Path) -> None:
    _tagged(file, "bt470bg", "bt470bg", "bt470bg", size="720x576")


@trap("colour-sd-tagged-709.mp4")
def _(file: Path) -> None:
    _tagged(file, "bt709", "bt709", "bt709")


@trap("colour-hd-tagged-601.mp4")
def _(file: Path) -> None:
    _tagged(file, "smpte170m", "bt709", "bt709", size="1280x720")


@trap("colour-full-range.mp4")
def _(file: Path) -> None:
    _tagged(file, "bt709", "bt709", "bt709", full=True)


@trap("colour-full-range-mjpeg.mov")
def _(file: Path) -> None:
    clip(file, "-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le")


@trap("colour-primaries-reserved.mp4")
def _(file: Path) -> None:
    clip(file, "-bsf:v", _H264.format(3, 3, 6))


@trap("colour-matrix-reserved.mp4")
def _(file: Path) -> None:
    clip(file, "-bsf:v", _H264.format(1, 1, 3))


@trap("colour-all-reserved-rotated.mov")
def _(file: Path) -> None:
    clip(file, "-bsf:v", _H264.format(200, 0, 77))


@trap("colour-444.mkv")
def _(file: Path) -> None:
    clip(file, "-pix_fmt", "yuv444p", "-profile:v", "high444")


@trap("colour-rgb.mkv")
def _(file: Path) -> None:
    clip(file, "-c:v", "ffv1", "-vf", "format=gbrp", "-c:a", "flac")


@trap("colour-10-bit.mkv")
def _(file: Path) -> None:
    clip(file, "-pix_fmt", "yuv420p10le", "-profile:v", "high10")


@trap("colour-grey.mkv")
def _(file: Path) -> None:
    clip(file, "-c:v", "ffv1", "-pix_fmt", "gray", "-c:a", "flac")


@trap("colour-bt2020-sdr.mp4")
def _(file: Path) -> None:
    # Less colour: what no screen of today can show is clipped by everyone in another way.
    clip(file, *_hevc("bt2020", "bt2020-10", "bt2020nc", "hue=s=0.4,"))


@trap("dolby-vision-9-dvav.mp4")
def _(file: Path) -> None:
    clip(file, seconds=2)
    # DOVIDecoderConfigurationRecord: profile 9, with RPU and base layer, which is SDR (compatibility 2)
    record = bytes([1, 0, 9 << 1, 1 << 3 | 0b101, 2 << 4]) + bytes(19)
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    data = bytearray(insert(file.read_bytes(), path, (8 + len(record)).to_bytes(4) + b"dvvC" + record, header=86))
    begin, _ = find(bytes(data), *path)
    data[begin + 20 : begin + 24] = b"dvav"
    file.write_bytes(data)


@trap("colour-hdr10.mp4")
def _(file: Path) -> None:
    clip(file, *_hevc("bt2020", "smpte2084", "bt2020nc"))


@trap("colour-hlg.mp4")
def _(file: Path) -> None:
    clip(file, *_hevc("bt2020", "arib-std-b67", "bt2020nc"))


def _hevc(primaries: str, transfer: str, matrix: str, before: str = "") -> list[str]:
    tags = f"setparams=color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}:range=limited"
    said = f"colorprim={primaries}:transfer={transfer}:colormatrix={matrix}:log-level=error:pools=1"
    return ["-vf", f"{before}format=yuv420p10le,{tags}", "-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", said]
