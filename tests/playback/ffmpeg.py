"""FFmpeg reads a title: each level and track decoded to the end, with every remark that it makes, and seeks."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg

from tests.playback.barcodes import BITS
from tests.playback.cells import Cell
from tests.playback.desktop import Choice, Judged, Seen, Site, ask, places, serving
from tests.playback.titles import Title

INSTALL = "FFmpeg comes with the package imageio-ffmpeg."
_STREAM = re.compile(r"^  Stream #0:(\d+)\S*: (Video|Audio|Subtitle)", re.MULTILINE)
STRIP = "crop=iw:floor(ih/8/2)*2:0:0,scale=16:1:flags=area,setsar=1,format=gray"
"""The barcode as one row of 16 grey pixels."""
RATE = 48000
_OUTPUT = {
    "Video": ("-vf", STRIP, "-fps_mode", "passthrough", "-f", "rawvideo"),
    "Audio": ("-ac", "1", "-ar", str(RATE), "-f", "s16le"),
    "Subtitle": ("-f", "srt"),
}
_CUE = re.compile(r"(\d+:\d\d:\d\d,\d{3}) --> (\d+:\d\d:\d\d,\d{3})\n(.*?)\n\n", re.DOTALL)


@functools.cache
def version() -> str | None:
    """Return the version of the program that is tested."""
    try:
        found = re.search(rb"ffmpeg version n?([\d.]+)", ask([imageio_ffmpeg.get_ffmpeg_exe(), "-version"], seconds=20).stdout)
    except RuntimeError:
        return None
    return found[1].decode() if found else None


def play(cell: Cell, title: Title, folder: Path) -> Sequence[str]:
    """Play a title; return what was wrong."""
    judged = Judged(cell, title)
    with serving(title) as site:
        decode(judged, site, folder)
    judged.all_played((title.renditions, title.audio, title.text))
    sought = Choice(seeks=places(cell, title))
    with serving(title) as site:
        judged.run(sought, Seen(sought=tuple((place, seek(cell, title, site, place)) for place in sought.seeks)), site)
    return judged.faults


def opened(cell: Cell, title: Title, site: Site, *options: str) -> list[str]:
    """Return the argv up to the input. HLS says where keys are, DASH does not."""
    keys = [key.hex() for key in title.keys.values()] if cell.manifest == "dash" else []
    given = ("-cenc_decryption_key", keys[0]) if keys else ()
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-v", "warning", *options, *given, "-i", site.address(cell)]


def decode(judged: Judged, site: Site, folder: Path) -> None:
    """Decode every level and track to the end, and judge each.

    All in one process: what is not wanted, the HLS demuxer stops reading in the middle of a segment, and calls that corrupt.
    """
    cell, title = judged.cell, judged.title
    source = opened(cell, title, site)
    listed = ask([source[0], "-v", "info", *source[4:]], seconds=60).stderr.decode(errors="replace")
    streams = {int(found[1]): found[2] for found in _STREAM.finditer(listed)}
    files = {number: folder / f"{number}.{kind}" for number, kind in sorted(streams.items())}
    argv = [*source, "-copyts"]  # the times of the manifest: else all is later by what the first audio begins before 0
    for number, file in files.items():
        argv += ["-map", f"0:{number}", *_OUTPUT[streams[number]], str(file)]
    done = ask(argv, seconds=300)
    errors = tuple(line for line in done.stderr.decode(errors="replace").splitlines() if line.strip())
    if done.returncode:
        errors = (f"exit code {done.returncode}: {' '.join(errors[-1:])}",)
    of_kind = {kind: [files[number] for number in files if streams[number] == kind] for kind in _OUTPUT}
    video, audio, text = of_kind["Video"], of_kind["Audio"], of_kind["Subtitle"]
    for number in range(max(len(video), len(audio), len(text))):
        choice = Choice(*(number % len(found) if found else None for found in (video, audio, text)))
        heard = {f"track {choice.audio}": audio[choice.audio].stat().st_size / 2 / RATE} if choice.audio is not None and not errors else {}
        frames = barcodes(video[choice.level].read_bytes()) if choice.level is not None and not errors else ()
        seen = Seen(frames=frames, audio=heard, words=cues(text[choice.text]) if choice.text is not None else (), errors=errors)
        judged.run(choice, seen, site)
        judged.words(choice, seen, first_may_miss=cell.manifest == "hls")


def seek(cell: Cell, title: Title, site: Site, place: float) -> int:
    """Return the number of the frame that is shown first after a seek; -1 for none."""
    argv = [*opened(cell, title, site, "-ss", str(place)), "-map", "0:v:0", "-frames:v", "1", "-vf", STRIP, "-f", "rawvideo", "-"]
    return next(iter(barcodes(ask(argv, seconds=60).stdout)), -1)


def barcodes(rows: bytes) -> tuple[int, ...]:
    """Return the numbers of barcodes, 16 grey pixels each."""
    each = (rows[at : at + BITS] for at in range(0, len(rows), BITS))
    return tuple(sum(1 << bit for bit, level in enumerate(row) if level > 127) for row in each)


def cues(file: Path) -> tuple[tuple[float, float, str], ...]:
    """Return (start, end, text) of what was written of a text track."""
    found = _CUE.findall(file.read_text(encoding="utf-8")) if file.is_file() else []
    return tuple((_seconds(start), _seconds(end), text) for start, end, text in found)


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
