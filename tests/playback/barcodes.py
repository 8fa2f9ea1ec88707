"""Play a published title without any code of vidpipe: openssl decrypts, ffmpeg decodes, the barcode says which frame is shown."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg

BITS = 16


@dataclass(frozen=True)
class Decoded:
    """What came out of a rendition. numbers: the source frame that each decoded frame shows.  times: presentation times, seconds."""

    numbers: list[int]
    times: list[Fraction]


def uris(playlist: str) -> list[str]:
    """Return the URIs that stand on lines of their own."""
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]


def attribute(name: str, line: str) -> str:
    """Return a quoted or bare attribute of a tag line."""
    found = re.search(rf'[:,]{name}=("?)([^",]*)\1', line)
    assert found, f"{name} is missing in {line}"
    return found[2]


def join(folder: Path, playlist: str, key: Callable[[str], bytes], target: Path) -> Path:
    """Decrypt every segment of a media playlist with openssl and write init section and segments into one file."""
    decryption: list[str] = []
    with target.open("wb") as joined:
        for line in (folder / playlist).read_text().splitlines():
            if line.startswith("#EXT-X-MAP:"):
                joined.write((folder / attribute("URI", line)).read_bytes())
            elif line.startswith("#EXT-X-KEY:"):
                uri = attribute("URI", line)
                assert uri.startswith("keys/")
                decryption = ["-K", key(uri.removeprefix("keys/")).hex(), "-iv", attribute("IV", line).removeprefix("0x")]
            elif line and not line.startswith("#"):
                data = (folder / line).read_bytes()
                if decryption:
                    argv = ["openssl", "enc", "-d", "-aes-128-cbc", *decryption]
                    data = subprocess.run(argv, input=data, stdout=subprocess.PIPE, check=True).stdout
                joined.write(data)
    return target


def read_levels(file: str | Path, *options: str) -> bytes:
    """Return the grey levels (0 to 255) of the 16 blocks of the barcode of each decoded frame, one after the other."""
    strip = "crop=iw:floor(ih/8/2)*2:0:0,scale=16:1:flags=area,format=gray"
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options, "-i", str(file), "-map", "0:v:0", "-vf", strip]
    return subprocess.run([*argv, "-fps_mode", "passthrough", "-f", "rawvideo", "-"], stdout=subprocess.PIPE, check=True).stdout


def read_barcodes(file: str | Path, *options: str) -> list[int]:
    """Return the frame number that each decoded frame shows, in order (see fixtures/generate.py)."""
    raw = read_levels(file, *options)
    rows = [raw[i : i + BITS] for i in range(0, len(raw), BITS)]
    return [sum(1 << bit for bit, level in enumerate(row) if level > 127) for row in rows]


def read_small(file: str | Path) -> list[bytes]:
    """Return each decoded frame in 64x36 grey pixels: any two can be compared, whatever they show."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(file), "-map", "0:v:0", "-vf", "scale=64:36:flags=area,format=gray"]
    raw = subprocess.run([*argv, "-fps_mode", "passthrough", "-f", "rawvideo", "-"], stdout=subprocess.PIPE, check=True).stdout
    return [raw[i : i + 64 * 36] for i in range(0, len(raw), 64 * 36)]


def read_times(file: str | Path, stream: str, *options: str) -> list[Fraction]:
    """Return the presentation time in seconds of every decoded frame of a stream ("v:0", "a:0"); errors of the decoder fail."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-xerror", *options, "-i", str(file), "-map", f"0:{stream}"]
    out = subprocess.run([*argv, "-fps_mode", "passthrough", "-f", "framecrc", "-"], stdout=subprocess.PIPE, check=True, text=True).stdout
    base = Fraction(next(line.split(":")[1].strip() for line in out.splitlines() if line.startswith("#tb")))
    return [int(line.split(",")[2]) * base for line in out.splitlines() if not line.startswith("#")]


def read_samples(file: str | Path, *options: str) -> bytes:
    """Return the decoded audio as mono 16-bit samples at 48 kHz."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options, "-i", str(file), "-map", "0:a:0", "-ac", "1", "-ar", "48000"]
    return subprocess.run([*argv, "-f", "s16le", "-"], stdout=subprocess.PIPE, check=True).stdout


def decode(file: str | Path, *options: str) -> Decoded:
    """Decode the video of ``file`` completely."""
    return Decoded(read_barcodes(file, *options), read_times(file, "v:0", *options))
