"""Traps that cannot become a title: the refusal has to say why, in words that help."""

from __future__ import annotations

from pathlib import Path

from tests.oracle.traps.boxes import insert
from tests.oracle.traps.trap import clip, run, trap


@trap("encrypted.mp4", refused="(?i)encrypt")
def _(file: Path) -> None:
    clip(
        file, "-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb",
        "-encryption_kid", "a7e61c373e219033c21091fa607bf3b8",
    )  # fmt: skip


@trap("raw.h264", refused="raw H.264.* ffmpeg ")
def _(file: Path) -> None:
    clip(file, "-an", audio=[])


@trap("dolby-vision-5.mp4", refused="(?i)dolby vision")
def _(file: Path) -> None:
    hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "dvh1", "-x265-params", "log-level=error:pools=1", "-strict", "unofficial"]
    clip(file, "-pix_fmt", "yuv420p10le", *hevc)
    # DOVIDecoderConfigurationRecord: version 1.0, profile 5, level 1, with RPU and base layer, compatible with nothing
    record = bytes([1, 0, 5 << 1, 1 << 3 | 0b101, 0]) + bytes(19)
    box = (8 + len(record)).to_bytes(4) + b"dvcC" + record
    path = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    file.write_bytes(insert(file.read_bytes(), path, box, header=86))


@trap("audio-only.m4a", refused="(?i)video")
def _(file: Path) -> None:
    run("-f", "lavfi", "-i", "sine=d=2", "-c:a", "aac", file)


@trap("text-in-disguise.mp4", refused="(?i)not|unknown|no ")
def _(file: Path) -> None:
    file.write_text("This is no film.\n" * 400)


@trap("cut-in-half.mp4", refused="(?i)cut|short|missing|complete|truncated|end")
def _(file: Path) -> None:
    clip(file, "-movflags", "+faststart", seconds=6)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
