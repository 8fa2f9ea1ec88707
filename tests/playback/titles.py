"""What is played: one published title for each ladder, protection and audio, and what a player has to show of it.

A source is a strip of 6 s with the barcode of its frame number (see fixtures/generate.py), quick to encode. All protections of a title
share the encode, because they share a work space. The expectations come from the clip and the ladder alone; only names are read from the
title.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from tests.encode_support import ffmpeg
from tests.ingest_support import key_of, run, settings, version
from tests.playback.cells import CLIPS, SECONDS, Clip, frames, rungs
from tests.subtitle_support import srt
from vidpipe.inventory.model import Inventory
from vidpipe.ladder import find

LANGUAGES = {"one audio": ("eng",), "many languages": ("eng", "deu", "fra", "spa"), "surround": ("eng",), "subtitles": ("eng",)}
SPOKEN = (
    ("00:00:00,500", "00:00:01,500", "One"),
    ("00:00:02,500", "00:00:04,500", "over a border"),
    ("00:00:05,000", "00:00:05,500", "end"),
)
CUES = ((0.5, 1.5, "One"), (2.5, 4.5, "over a border"), (5.0, 5.5, "end"))
"""SPOKEN as every player has to show it."""


@dataclass(frozen=True)
class Rendition:
    """A rung as it was planned. frames: that it shows from beginning to end.  uri: of its folder, as its segments are requested."""

    name: str
    codec: str
    width: int
    height: int
    rate: Fraction
    frames: int
    uri: str


@dataclass(frozen=True)
class Track:
    """An audio or text track. name: unique in the title; in HLS all layouts of an audio track have one (member).  uri: of its folder."""

    name: str
    member: str
    language: str
    channels: int
    uri: str


@dataclass(frozen=True)
class Title:
    """A published title. folder: of its version, with master.m3u8 and manifest.mpd.  keys: by the id, in hexadecimal digits."""

    folder: Path
    keys: dict[str, bytes]
    seconds: int
    renditions: tuple[Rendition, ...]
    audio: tuple[Track, ...]
    text: tuple[Track, ...]

    @property
    def cues(self) -> tuple[tuple[float, float, str], ...]:
        """What each text track shows: (start, end, text)."""
        return CUES if self.text else ()


class Titles:
    """Makes titles below a folder when they are first asked for, from any thread; what was encoded there before is not encoded again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, str, str], Title] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()

    def get(self, ladder: str, protection: str, audio: str) -> Title:
        with self._guard:
            lock = self._locks[ladder, audio]
        with lock:
            if (ladder, protection, audio) not in self._made:
                self._made[ladder, protection, audio] = self._make(ladder, protection, audio)
            return self._made[ladder, protection, audio]

    def _make(self, ladder: str, protection: str, audio: str) -> Title:
        folder = self._folder / f"{ladder} {audio}".replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "clip.mkv"
        if not source.is_file():
            record(CLIPS[ladder], audio, source)
        chosen = with_surround(ladder, folder) if audio == "surround" else ladder
        configured = settings(folder).model_copy(update={"ladder": chosen, "encrypt": protection})
        result = run(source, configured, content_id=f"film-{protection}")
        place = version(result)
        inventory = Inventory.model_validate_json((place / "inventory.json").read_bytes())
        key = key_of(configured)
        return Title(
            place,
            {key_id: key(key_id) for key_id in inventory.keys},
            SECONDS,
            tuple(planned(ladder, inventory)),
            tuple(
                Track(track.label, track.name, track.language or "", track.facts.channels or 0, Path(track.init).parent.as_posix())
                for track in inventory.audio
            ),
            tuple(
                Track(track.name, track.name, track.language or "", 0, Path(track.segments[0].uri).parent.as_posix())
                for track in inventory.subtitles
            ),
        )


def planned(ladder: str, inventory: Inventory) -> list[Rendition]:
    """Return what each rung has to show, by the clip and the ladder."""
    made = {track.id: track for track in inventory.video}
    chosen = rungs(ladder)
    assert list(made) == [rung.name for rung in chosen], "every rung that the clip is large enough for"
    return [
        Rendition(
            rung.name,
            rung.codec,
            made[rung.name].facts.width or 0,
            made[rung.name].facts.height or 0,
            Fraction(frames(ladder, rung), SECONDS),
            frames(ladder, rung),
            Path(made[rung.name].init).parent.as_posix(),
        )
        for rung in chosen
    ]


def with_surround(ladder: str, folder: Path) -> str:
    """Write a ladder with 5.1 beside its stereo: none that is shipped has it."""
    path = folder / f"{ladder}-surround.yaml"
    text = find(ladder).read_text(encoding="utf-8")
    path.write_text(text.replace("\naudio:\n", "\naudio:\n  - {codec: aac, bitrate: 320k, channels: 6}\n"), encoding="utf-8")
    return str(path)


def record(clip: Clip, audio: str, target: Path) -> None:
    """Make a source: the barcode over a plain picture in which a square moves; a tone of its own for each language."""
    (width, height), rate = clip.size, clip.rate
    strip = height // 8 // 2 * 2
    bits = "geq=lum='if(mod(floor(N/pow(2,X)),2),235,16)':cb=128:cr=128"
    picture = (
        f"color=0x406080:s={width}x{height - strip}:r={rate}[flat];color=0xe0a030:s={height // 2}x{height // 2}:r={rate}[square];"
        f"[flat][square]overlay=x='mod(t*w*2\\,W-w)':y=0,format=yuv420p,setsar=1[body];"
        f"color=black:s=16x2:r={rate},format=yuv444p,{bits},scale={width}:{strip}:flags=neighbor,format=yuv420p,setsar=1[code];"
        "[code][body]vstack"
    )
    inputs: list[str | Path] = ["-f", "lavfi", "-i", picture]
    maps = ["-map", "0:v"]
    channels, layout = (6, "5.1") if audio == "surround" else (2, "stereo")
    for number, language in enumerate(LANGUAGES[audio]):
        tones = "|".join(f"0.2*sin({220 * (number + 1) + 20 * channel}*2*PI*t)" for channel in range(channels))
        inputs += ["-f", "lavfi", "-i", f"aevalsrc={tones}:s=48000:c={layout}"]
        maps += ["-map", f"{number + 1}:a", f"-metadata:s:a:{number}", f"language={language}"]
        maps += [f"-disposition:a:{number}", "default" if number == 0 else "0"]
    if audio == "subtitles":
        words = target.with_suffix(".srt")
        words.write_text(srt(*SPOKEN), encoding="utf-8")
        for number, language in enumerate(("eng", "fra")):
            inputs += ["-i", words]
            maps += ["-map", f"{len(LANGUAGES[audio]) + 1 + number}:s", f"-metadata:s:s:{number}", f"language={language}"]
            maps += [f"-disposition:s:{number}", "0"]
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20", "-c:a", "aac", "-c:s", "srt")
    ffmpeg(*inputs, *maps, *encoded, "-frames:v", str(clip.frames), "-t", str(SECONDS), target)
