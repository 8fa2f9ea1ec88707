"""Sources with embedded subtitles, made by ffmpeg, and what a player would read of the published tracks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.encode_support import ffmpeg
from vidpipe.manifest.parse import MediaPlaylist, parse

FIXTURES = Path(__file__).parent.parent / "fixtures"


@dataclass(frozen=True)
class Words:
    """A subtitle track. text: a whole file of the kind.  codec: in the container.  disposition: as ffmpeg takes it, "0" for none."""

    text: str
    kind: str = "srt"
    codec: str = "srt"
    language: str = ""
    title: str = ""
    disposition: str = "0"


def srt(*cues: tuple[str, str, str]) -> str:
    """Return a SubRip file of (start, end, text), times as "00:00:01,500"."""
    return "\n".join(f"{number}\n{start} --> {end}\n{text}\n" for number, (start, end, text) in enumerate(cues, 1))


def subtitled(target: Path, *tracks: Words, options: tuple[str, ...] = (), video: str = "portrait-25.mp4") -> Path:
    """Mux a fixture and subtitle tracks, without encoding."""
    inputs: list[str | Path] = ["-i", FIXTURES / video]
    wanted = ["-map", "0:v:0", "-map", "0:a:0?", "-c:v", "copy", "-c:a", "copy"]
    for number, track in enumerate(tracks):
        file = target.with_name(f"{target.stem}-{number}.{track.kind}")
        file.write_text(track.text, encoding="utf-8")
        inputs += ["-i", file]
        wanted += ["-map", f"{number + 1}:s", f"-c:s:{number}", track.codec, f"-disposition:s:{number}", track.disposition]
        wanted += [f"-metadata:s:s:{number}", f"language={track.language}", f"-metadata:s:s:{number}", f"title={track.title}"]
    ffmpeg(*inputs, *wanted, *options, target)
    return target


OPENSSL = ("openssl", "enc", "-d", "-aes-128-cbc")


def texts(folder: Path, playlist: str, key: Callable[[str], bytes]) -> list[str]:
    """Decrypt the segments of a subtitle track with openssl; return their texts."""
    found = parse((folder / playlist).read_bytes())
    assert isinstance(found, MediaPlaylist)
    return [
        (folder / entry.uri).read_text(encoding="utf-8")
        if not entry.keys
        else subprocess.run(
            [*OPENSSL, "-K", key(str(entry.keys[0].uri).rpartition("/")[2]).hex(), "-iv", str(entry.keys[0].iv)],
            input=(folder / entry.uri).read_bytes(),
            capture_output=True,
            check=True,
        ).stdout.decode()
        for entry in found.segments
    ]


def cues(text: str) -> list[tuple[str, str]]:
    """Return (time line, text) of the cues of a segment, as simply as can be."""
    return [(time, words) for block in text.split("\n\n")[1:] if block.strip() for time, _, words in [block.strip("\n").partition("\n")]]
