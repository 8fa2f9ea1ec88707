"""What the players without a browser share (FFmpeg, GStreamer, mpv, VLC): a server, what they saw, and what is wrong with that.

Each plays a title in runs: one as a viewer would, in real time; one for each level and track, which it is made to choose; and seeks to
places that chance chose. The barcode of each presented picture says which frame it shows, and the server which segments were asked for.
"""

from __future__ import annotations

import itertools
import random
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.playback.cells import Cell
from tests.playback.titles import Rendition, Title, Track
from vidpipe.publish.delivery import delivery

MANIFEST = {"hls": "master.m3u8", "dash": "manifest.mpd"}
SEEKS = 3
END = 0.1
"""Seconds that audio may be shorter or longer than the title: a frame of the encoder, and its delay where a player does not skip it."""


class Site(ThreadingHTTPServer):
    """Serves a title, and its keys as a key service would; keeps what was asked for, and what of that is not there.

    variant: the one that manifests offer, all if None.
    """

    daemon_threads = True

    def __init__(self, title: Title, variant: int | None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.title, self.variant = title, variant
        self.asked: list[str] = []
        self.missed: list[str] = []

    def address(self, cell: Cell) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{MANIFEST[cell.manifest]}"

    def handle_error(self, *_: object) -> None:
        """Say nothing: players close connections as they like."""


class _Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        title, file = self.server.title, self.server.title.folder / path
        self.server.asked.append(path)
        if path.startswith("keys/") and (key := title.keys.get(path.removeprefix("keys/"))):
            self._send(key, "application/octet-stream")
        elif path and file.is_file():
            body, variant = file.read_bytes(), self.server.variant
            one = path in MANIFEST.values() and variant is not None
            self._send(with_one(body.decode(), variant or 0).encode() if one else body, delivery(path).content_type)
        else:
            self.server.missed.append(path)
            self.send_error(404)

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(title: Title, variant: int | None = None) -> Iterator[Site]:
    with Site(title, variant) as site:
        threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield site
        site.shutdown()


@dataclass(frozen=True)
class Choice:
    """What a player is made to play: places in the lists of the title, None for what it chooses itself. seeks: seconds."""

    level: int | None = None
    audio: int | None = None
    text: int | None = None
    timed: bool = False
    seeks: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        parts = (("level", self.level), ("audio", self.audio), ("text", self.text))
        chosen = " ".join(f"{what} {place}" for what, place in parts if place is not None)
        return "seeks" if self.seeks else chosen or "as it chooses"


@dataclass(frozen=True)
class Seen:
    """What came of a run. frames: the number in each presented picture.  sought: of each seek, the time and the picture shown then.

    audio: seconds that were played, by track or layout.  words: (start, end, text).  stalls: times that it had to wait for data.
    """

    frames: tuple[int, ...] = ()
    sought: tuple[tuple[float, int], ...] = ()
    audio: dict[str, float] = field(default_factory=dict)
    words: tuple[tuple[float, float, str], ...] = ()
    errors: tuple[str, ...] = ()
    ended: bool = True
    stalls: int = 0


def choices(title: Title) -> tuple[Choice, ...]:
    """Return runs that choose every level and every track at least once."""
    audio, text = title.audio, title.text
    most = max(len(title.renditions), len(audio), len(text))
    return tuple(
        Choice(n % len(title.renditions), n % len(audio) if audio else None, n % len(text) if text else None) for n in range(most)
    )


def places(cell: Cell, title: Title) -> tuple[float, ...]:
    """Return times to seek to, each in the middle of a frame of every level."""
    chance, rate = random.Random(cell.id), min(level.rate for level in title.renditions)
    return tuple(round(float((chance.randrange(1, int(title.seconds * rate) - 2) + 0.5) / rate), 4) for _ in range(SEEKS))


def variants(cell: Cell, title: Title) -> list[int]:
    """Return the places of the levels of what a manifest offers, in its order."""
    text = (title.folder / MANIFEST[cell.manifest]).read_text(encoding="utf-8")
    names = [level.name for level in title.renditions]
    pattern = r"^video-(.*)\.m3u8$" if cell.manifest == "hls" else r'<Representation id="video-([^"]*)"'
    return [names.index(name) for name in re.findall(pattern, text, re.MULTILINE)]


def with_one(manifest: str, variant: int) -> str:
    """Return a manifest that offers one variant alone, so that a player has to take it."""
    of_hls = list(re.finditer(r"^#EXT-X-STREAM-INF:.*\n.*\n", manifest, re.MULTILINE))
    of_dash = list(re.finditer(r' *<Representation id="video-.*?</Representation>\n', manifest, re.DOTALL))
    for place, found in reversed(list(enumerate(of_hls or of_dash))):
        manifest = manifest if place == variant else manifest[: found.start()] + manifest[found.end() :]
    sets = re.findall(r" *<AdaptationSet .*?</AdaptationSet>\n", manifest, re.DOTALL)
    for empty in (one for one in sets if "<Representation" not in one):
        manifest = manifest.replace(empty, "")
    return manifest


def numbers(cell: Cell, title: Title, level: Rendition) -> tuple[int, ...]:
    """Return what the barcodes of a level say: those of every frame of the clip, or of every second."""
    step = round(max(other.rate for other in title.renditions) / level.rate)
    return tuple(range(0, level.frames * step, step))


@dataclass(frozen=True)
class Judged:
    """What is wrong with runs of a title, as sentences; and which levels and tracks they played, by their folders.

    beside: how many frames a seek may be beside its place.
    """

    cell: Cell
    title: Title
    beside: int = 1
    faults: list[str] = field(default_factory=list)
    played: set[str] = field(default_factory=set)

    def run(self, choice: Choice, seen: Seen, site: Site, *, last_may_miss: bool = False, starts_anywhere: bool = False) -> None:
        """Judge a run. last_may_miss: the last picture.  starts_anywhere: the player begins with a level of its own choice."""
        name = f"{choice.name}: "
        self.faults.extend(f"{name}{error}" for error in seen.errors[:2])
        if site.missed:
            self.faults.append(f"{name}asked for {site.missed[0]}, which is not there")
        if not seen.ended and not seen.errors:
            self.faults.append(f"{name}it does not end")
        if seen.stalls:
            self.faults.append(f"{name}it stalled {seen.stalls} times")
        if self.faults:
            return
        asked = Counter(path.rpartition("/")[0] for path in set(site.asked) if path.endswith((".m4s", ".vtt")))
        whole = max(asked.values(), default=0) - (1 if starts_anywhere else 0)
        self.played.update(folder for folder, segments in asked.items() if segments >= whole)
        if choice.seeks:
            self._seeks(seen)
            return
        levels = [level for level in self.title.renditions if asked[level.uri]]
        wholes = [level for level in levels if asked[level.uri] == max(asked[other.uri] for other in levels)]
        expected = [numbers(self.cell, self.title, level) for level in wholes]
        if len(levels) == 1 or (choice.level is not None and not starts_anywhere):
            right = [seen.frames in (one, one[:-1]) if last_may_miss else seen.frames == one for one in expected]
        else:
            right = [self._in_order(seen.frames, last_may_miss=last_may_miss)]
        if not any(right):
            self.faults.append(f"{name}it showed {_shown(seen.frames)}, and not {_shown(expected[0]) if expected else 'any level'}")
        for track, seconds in seen.audio.items():
            if abs(seconds - self.title.seconds) > END:
                self.faults.append(f"{name}{seconds:.3f} s of audio ({track})")
        if choice.audio is not None and not seen.audio:
            self.faults.append(f"{name}no audio")

    def words(self, choice: Choice, seen: Seen, *, first_may_miss: bool = False) -> None:
        """Judge which cues were shown: each at its time. first_may_miss: the first one."""
        shown = sorted({(round(start, 2), round(end, 2), text.strip()) for start, end, text in seen.words})
        expected = sorted(self.title.cues)
        if not self.faults and shown != expected and not (first_may_miss and shown == expected[1:]):
            self.faults.append(f"{choice.name}: it showed the words {shown}")

    def all_played(self, kinds: Iterable[Sequence[Rendition | Track]]) -> None:
        """Ask that everything of these was played in some run."""
        left = [one.name for kind in kinds for one in kind if one.uri not in self.played]
        if left and not self.faults:
            self.faults.append(f"never played: {', '.join(left)}")

    def _seeks(self, seen: Seen) -> None:
        rate = max(level.rate for level in self.title.renditions)
        slowest = min(level.rate for level in self.title.renditions)
        for wanted, shown in seen.sought:
            if abs(shown / rate - wanted) > self.beside / slowest + 0.001:
                self.faults.append(f"seeks: frame {shown} at {wanted} s, and not {int(wanted * rate)}")
        if len(seen.sought) != SEEKS:
            self.faults.append(f"seeks: {len(seen.sought)} of {SEEKS} were shown")

    def _in_order(self, frames: Sequence[int], *, last_may_miss: bool) -> bool:
        """Return whether pictures of several levels follow each other: from the first to the last one, none left out, none twice."""
        each = [numbers(self.cell, self.title, level) for level in self.title.renditions]
        step = max(one[1] for one in each)
        ends = {one[-1] for one in each} | ({one[-2] for one in each} if last_may_miss else set())
        follows = all(1 <= after - before <= step for before, after in itertools.pairwise(frames))
        return bool(frames) and frames[0] == 0 and frames[-1] in ends and follows


def _shown(frames: Sequence[int]) -> str:
    if not frames:
        return "no picture"
    gaps = [after for before, after in itertools.pairwise(frames) if after - before != frames[1] - frames[0]]
    return f"{len(frames)} pictures, {frames[0]} to {frames[-1]}" + (f", {len(gaps)} gaps, the first before {gaps[0]}" if gaps else "")


def ask(argv: Sequence[str], *, seconds: float, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run a program with a limit; one that hangs has failed, with what it said."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, **options)
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(argv, 1, late.stdout or b"", (late.stderr or b"") + f"\nno end after {seconds} s".encode())
