"""What ffmpeg's trace_headers reads of slice and frame headers: a parser that knows nothing of vidpipe. And samples to compare it with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from vidpipe.media import ffmpeg
from vidpipe.mp4.boxes import children, fragments, read_movie
from vidpipe.mp4.codecs import VISUAL_FIELDS

_LINE = re.compile(r"\[trace_headers @ \S+\] (?:(\d+) +\S+ +([01]+) = |(\D.*))")


def encoded(file: Path, encoder: str, *options: str, source: str = "testsrc2=s=320x180:r=24:d=1", seconds: str = "1") -> Path:
    """Encode a generated picture, or a file, as fragmented MP4."""
    lavfi = () if Path(source).is_file() else ("-f", "lavfi")
    argv = [ffmpeg.find().path, "-y", "-v", "error", *lavfi, "-i", source, "-t", seconds, "-an", "-c:v", encoder, *options]
    argv += ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", file]
    subprocess.run(argv, check=True, capture_output=True)
    return file


def traced(file: Path, *sections: str) -> list[int]:
    """Return where these sections end in each NAL unit or OBU, in whole bytes from its start, without emulation prevention."""
    argv = [ffmpeg.find().path, "-v", "info", "-hide_banner", "-i", file, "-c", "copy", "-bsf:v", "trace_headers", "-f", "null", "-"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    ends: list[int] = []
    inside = False
    for match in filter(None, map(_LINE.match, done.stderr.splitlines())):
        at, bits, title = match.groups()
        ends += [0] if at == "0" else []
        if title:
            inside = title in sections
        elif inside:
            ends[-1] = (int(at) + len(bits) + 7) // 8
    return [end for end in ends if end]


def configuration(file: Path, kind: str) -> bytes:
    """Return the body of the box of that type in the sample entry of the only track."""
    entry = entry_of(file)
    box = next(children(entry))
    return next(entry[child.body : child.end] for child in children(entry, box.body + VISUAL_FIELDS, box.end) if child.type == kind)


def entry_of(file: Path) -> bytes:
    """Return the sample entry of the only track."""
    (track,) = read_movie(file).tracks
    return track.entry


def samples(file: Path) -> list[bytes]:
    """Return the samples of the only track."""
    data, movie = file.read_bytes(), read_movie(file)
    return [data[s.offset : s.offset + s.size] for fragment in fragments(file, movie) for s in fragment.samples]
