"""The players that run in headless Chromium, each by a page script of its own (``pages/``), and what has to be true of what they report.

Needs chromium (Debian: ``apt-get install chromium``), and for each player a variable with its file: TEST_HLSJS (of several versions, with
colons between them, the newest last), TEST_SHAKA, TEST_DASHJS, TEST_VIDEOJS and TEST_VIDEOJS_EME.

Where a page gives the keys (DASH, and hls.js), it does so by ClearKey, the key system of browsers that needs no server of a vendor.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.playback.cells import CLIPS, Cell, undecodable
from tests.playback.titles import Title
from vidpipe.publish.delivery import delivery

CHROMIUM = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
PAGES = Path(__file__).parent / "pages"
NPM = {
    "hls.js": ("TEST_HLSJS", "hls.js"),
    "Shaka Player": ("TEST_SHAKA", "shaka-player"),
    "dash.js": ("TEST_DASHJS", "dashjs"),
    "video.js": ("TEST_VIDEOJS and TEST_VIDEOJS_EME", "video.js videojs-contrib-eme"),
}
"""The variables that name the files of a player, and its packages."""


def files(*variables: str) -> tuple[Path, ...]:
    """Return the files that variables name, the last of several; none if one is missing."""
    named = [Path(os.environ.get(variable, "").split(os.pathsep)[-1]) for variable in variables]
    return tuple(named) if all(file.is_file() for file in named) else ()


HLSJS = [file for name in os.environ.get("TEST_HLSJS", "").split(os.pathsep) if (file := Path(name)).is_file()]
SCRIPTS: dict[str, tuple[Path, ...]] = {
    "hls.js": files("TEST_HLSJS"),
    "Shaka Player": files("TEST_SHAKA"),
    "dash.js": files("TEST_DASHJS"),
    "video.js": files("TEST_VIDEOJS", "TEST_VIDEOJS_EME"),
}
"""The files of each player; none if it is absent."""

PAGE_SCRIPTS = {"hls.js": "hlsjs", "Shaka Player": "shaka", "dash.js": "dashjs", "video.js": "videojs", "Chromium": "native"}
SEEKS = 3
"""How many random places."""

QUICK, READING = 200, 2
"""How many frames a second are played of levels and audio; at which rate text is."""

TWICE = 16
"""Frames that a browser may count twice: it decodes four ahead of a seek, and again behind it, and so at a change of level."""

AUDIO_FRAME = 0.025
"""A frame of audio lasts 21 ms."""

NAMES = {"hls": "master.m3u8", "dash": "manifest.mpd"}

with_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt-get install chromium)")


def with_player(name: str) -> pytest.MarkDecorator:
    """Return the mark that skips a test where a player is absent."""
    return pytest.mark.skipif(version(name) is None, reason=install(name))


def install(name: str) -> str:
    """Return how to get a player."""
    if name == "Chromium":
        return "chromium is not installed (Debian: apt-get install chromium)"
    variables, packages = NPM[name]
    return f"needs chromium, and {variables} (npm install {packages})"


@cache
def version(name: str) -> str | None:
    """Return what is installed of a player; None if nothing is."""
    if CHROMIUM is None or (name != "Chromium" and not SCRIPTS[name]):
        return None
    if name == "Chromium":
        said = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=False).stdout
        return next(iter(re.findall(r"[\d.]{3,}", said)), "unknown")
    package = next((place / "package.json" for place in SCRIPTS[name][0].parents if (place / "package.json").is_file()), None)
    return str(json.loads(package.read_text())["version"]) if package else "unknown"


@dataclass(frozen=True)
class Show:
    """What one page plays.

    folder: of a version. keys: of it, by id in hexadecimal digits. player: as the matrix calls it. manifest: "hls" or "dash".
    steps: what the page does, as common.js has it. scripts: other files than the newest of the player.
    eme: whether the browser decrypts. more: of the plan that the page reads.
    """

    folder: Path
    player: str
    manifest: str
    steps: Sequence[dict[str, Any]] = ({"do": "play"},)
    keys: dict[str, bytes] = field(default_factory=dict, repr=False)
    scripts: tuple[Path, ...] = ()
    seconds: float = 6
    eme: bool = False
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """What came of a show. report: of the page.  asked: paths below the title by step, "" before the first.  missed: what was not there."""

    report: dict[str, Any]
    asked: list[tuple[int, str]]
    missed: list[str]

    @property
    def steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.report["steps"]
        return found

    def during(self, step: int) -> list[str]:
        """Return what was asked for during a step, by its index."""
        return [path for at, path in self.asked if at == step]


class Theatre(ThreadingHTTPServer):
    """Serves titles with their keys, bare and as a license server of ClearKey does (W3C EME 9.1.4), and a page for each show."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.shows: list[Show] = []
        self.asked: list[list[tuple[int, str]]] = []
        self.missed: list[list[str]] = []
        self.step: list[int] = []
        self.reports: dict[int, dict[str, Any]] = {}
        self.reported: list[threading.Event] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a player that gives up what it asked for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, show: Show) -> int:
        """Let the page begin a show; return its number."""
        self.asked.append([])
        self.missed.append([])
        self.step.append(-1)
        self.reported.append(threading.Event())
        self.shows.append(show)
        return len(self.shows) - 1

    def seen(self, number: int, limit: float) -> Seen:
        """Wait until a show is over, and return what came of it.  Raises AssertionError if its page never reports."""
        show = self.shows[number]
        assert self.reported[number].wait(limit), f"a page never reported: {show.player}, {show.folder}"
        return Seen(self.reports[number], self.asked[number], self.missed[number])

    def plan(self, number: int) -> dict[str, Any]:
        """Return what the page of a show has to know."""
        show = self.shows[number]
        return {
            "number": number,
            "url": f"{self.address}/title/{number}/{NAMES[show.manifest]}",
            "license": f"/license/{number}",
            "manifest": show.manifest,
            "steps": list(show.steps),
            "seconds": show.seconds,
            "eme": show.eme,
            "keys": {key_id: key.hex() for key_id, key in show.keys.items()},
            "clearkeys": {unpadded(bytes.fromhex(key_id)): unpadded(key) for key_id, key in show.keys.items()},
            **show.more,
        }


class Handler(BaseHTTPRequestHandler):
    server: Theatre
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        kind, _, rest = path.removeprefix("/").partition("/")
        what, _, below = rest.partition("/")
        if kind == "":
            self._send(b"<!doctype html><body><script src=/pages/host.js></script>", "text/html")
        elif kind == "shows":
            running = [number for number in range(len(self.server.shows)) if number not in self.server.reports]
            self._send(json.dumps(running).encode(), "application/json")
        elif kind == "player":
            self._send(page(self.server.shows[int(what)], self.server.plan(int(what))).encode(), "text/html")
        elif kind == "script":
            show = self.server.shows[int(what)]
            self._send((show.scripts or SCRIPTS[show.player])[int(below)].read_bytes(), "text/javascript")
        elif kind == "pages":
            self._send((PAGES / what).read_bytes(), "text/javascript")
        elif kind == "title":
            self._title(int(what), below, {name: values[0] for name, values in parse_qs(query).items()})
        else:
            self.send_error(404)

    def _title(self, number: int, path: str, chosen: dict[str, str]) -> None:
        show = self.server.shows[number]
        self.server.asked[number].append((self.server.step[number], path))
        if path.startswith("keys/") and path.removeprefix("keys/") in show.keys:
            self._send(show.keys[path.removeprefix("keys/")], "application/octet-stream")
        elif (file := show.folder / path).is_file():
            data = file.read_bytes()
            self._send(only(data.decode(), **chosen).encode() if chosen else data, delivery(path).content_type)
        else:
            self.server.missed[number].append(path)
            self.send_error(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        kind, _, what = self.path.removeprefix("/").partition("/")
        number = int(what)
        if kind == "license":
            held = self.server.shows[number].keys
            asked = [base64.urlsafe_b64decode(kid + "==") for kid in body["kids"]]
            keys = [{"kty": "oct", "kid": unpadded(kid), "k": unpadded(held[kid.hex()])} for kid in asked if kid.hex() in held]
            self._send(json.dumps({"keys": keys, "type": body.get("type", "temporary")}).encode(), "application/json")
            return
        if kind == "mark":
            self.server.step[number] += 1
        else:
            self.server.reports[number] = body
            self.server.reported[number].set()
        self._send(b"", "text/plain")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def page(show: Show, plan: dict[str, Any]) -> str:
    """Return the page of a show."""
    player = [f"/script/{plan['number']}/{at}" for at in range(len(show.scripts or SCRIPTS.get(show.player, ())))]
    sources = [*player, f"/pages/{PAGE_SCRIPTS[show.player]}.js", "/pages/common.js"]
    tags = "".join(f"<script src={source}></script>" for source in sources)
    data = json.dumps(plan).replace("</", "<\\/")
    return (
        "<!doctype html><video id=video muted playsinline width=320 height=180></video>"
        f"<script id=plan type=application/json>{data}</script>{tags}"
    )


def only(master: str, video: str | None = None, audio: str | None = None) -> str:
    """Return a master playlist without other rungs and other audio than those that are named."""
    lines = master.splitlines()
    kept: list[str] = []
    of_audio = next((line for line in lines if audio and f'URI="audio-{audio}.m3u8"' in line), "")
    group = re.search(r'GROUP-ID="(.+?)"', of_audio)
    for line, following in pairwise([*lines, ""]):
        if line.startswith("#EXT-X-MEDIA:TYPE=AUDIO") and audio:
            if line == of_audio:
                kept.append(line.replace("DEFAULT=NO", "DEFAULT=YES"))
        elif line.startswith("#EXT-X-STREAM-INF"):
            if (not video or following == f"video-{video}.m3u8") and (not group or f'AUDIO="{group[1]}"' in line):
                kept += [line, following]
        elif line.startswith("#") or not line:
            kept.append(line)
    return "\n".join(kept) + "\n"


@contextmanager
def browser(address: str, profile: Path) -> Iterator[None]:
    """Open a page in a fresh headless Chromium."""
    assert CHROMIUM
    quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [CHROMIUM, *flags, *quiet, "--remote-debugging-port=0", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def theatre() -> Iterator[Theatre]:
    """Open a browser for any number of shows."""
    with Theatre() as opened, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        threading.Thread(target=opened.serve_forever, daemon=True).start()
        with browser(opened.address, Path(profile)):
            yield opened
        opened.shutdown()


def watch(shows: Sequence[Show], limit: float = 150) -> list[Seen]:
    """Play titles side by side in a fresh browser, and return what was seen of each."""
    with theatre() as opened:
        numbers = [opened.add(show) for show in shows]
        return [opened.seen(number, limit) for number in numbers]


class Theatres:
    """A few browsers that stay open from one cell to the next, because one takes seconds to start; each may play several cells at once."""

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._stack = ExitStack()
        self._opened: list[Theatre] = []
        self._guard = threading.Lock()

    def watch(self, show: Show, limit: float = 150) -> Seen:
        """Play a title in the browser that has the least to do."""
        with self._guard:
            if len(self._opened) < self._most:
                self._opened.append(self._stack.enter_context(theatre()))
            opened = min(self._opened, key=lambda one: len(one.shows) - len(one.reports))
            number = opened.add(show)
        return opened.seen(number, limit)

    def close(self) -> None:
        """Close all browsers."""
        with self._guard:
            self._opened.clear()
            self._stack.close()


THEATRES = Theatres()
"""Of this process; whoever plays cells closes them."""


def steps_of(cell: Cell, title: Title) -> list[dict[str, Any]]:
    """Return what a page does with a title: whole, by itself; sought; then quicker, at every level and with every track."""
    chance = random.Random(cell.id)
    places = [round(chance.uniform(0.2, title.seconds - 1), 2) for _ in range(SEEKS)]
    playable = [rendition for rendition in title.renditions if not undecodable(cell, rendition.codec)]
    return [
        {"do": "play", "from": 0},
        *({"do": "seek", "to": place, "go": 0.3} for place in places),
        {"do": "rate", "rate": min(8, QUICK // CLIPS[cell.ladder].rate)},
        # No two of one height follow each other: the page sees by the height that another level is shown.
        *({"do": "level", "name": rendition.name, "height": rendition.height} for rendition in (*playable[::2], *playable[1::2])),
        *({"do": "audio", "track": asdict(track), "seconds": 3} for track in title.audio),
        *([{"do": "rate", "rate": READING}] if title.text else []),
        *({"do": "text", "track": asdict(track)} for track in title.text),
    ]


def play(cell: Cell, title: Title) -> list[str]:
    """Play a cell; return what was wrong."""
    show = Show(
        title.folder,
        cell.player,
        cell.manifest,
        steps_of(cell, title),
        title.keys,
        seconds=title.seconds,
        eme=cell.protection in ("cbcs", "cenc"),
        more={"barcodes": True, "cues": len(title.cues)},
    )
    try:
        seen = THEATRES.watch(show)
    except AssertionError as error:
        return [str(error)]
    return faults(cell, title, seen)


def faults(cell: Cell, title: Title, seen: Seen) -> list[str]:
    """Return what a page saw that is not as planned."""
    report = seen.report
    wrong = [*(text.partition("\n")[0] for text in report["errors"]), *(f"is not there: {path}" for path in seen.missed)]
    stalls = [f"{at:.2f} s" for number, at in report["stalls"] if number < len(seen.steps) and seen.steps[number]["do"] == "play"]
    if stalls:  # other steps replace what is buffered
        wrong.append(f"stalled at {', '.join(stalls)}")
    if cell.protection in ("cbcs", "cenc") and not report["keys"]:
        wrong.append("the browser did not decrypt")
    rates = {rendition.height: rendition.rate for rendition in title.renditions}
    planned = {rendition.name: rendition for rendition in title.renditions}
    decodable = [rendition for rendition in title.renditions if not undecodable(cell, rendition.codec)]
    clip = max(rendition.frames for rendition in title.renditions)
    for step in seen.steps:
        about = f"{step['do']} {step.get('name') or step.get('to') or step.get('track', {}).get('name', '')}".strip()
        if step["do"] in ("play", "seek"):
            wrong += [f"{about}: {text}" for text in misread(step["shown"], Fraction(clip, title.seconds))]
        if step["do"] in ("play", "level", "text"):
            wrong += [f"{about}: {text}" for text in incomplete(step, title)]
        if step["do"] == "play":
            fewest = min(rendition.frames for rendition in decodable)
            times = [time for time, _ in step["shown"]]  # the page hears of some frames only, the busier the fewer; the browser counts them
            if step["frames"] < fewest or not times or max(times) < title.seconds - 2.5 * title.seconds / fewest:
                wrong.append(f"{about}: {step['frames']} frames instead of {fewest}, {step['dropped']} dropped, the last at {times[-1:]}")
        if step["do"] == "level":
            wanted = planned[step["name"]].frames
            if not wanted <= step["frames"] <= wanted + TWICE:
                wrong.append(f"{about}: {step['frames']} frames instead of {wanted}")
            if not any(path.startswith(f"{planned[step['name']].uri}/") for _, path in seen.asked):
                wrong.append(f"{about}: nothing of it was fetched")
        if step["do"] == "seek":
            away = [abs(time - step["wanted"]) for time, _ in step["shown"]]
            if not away or min(away) > 1.5 / float(rates[step["height"]]):
                wrong.append(f"{about}: shows {step['shown'][:2]}")
        if step["do"] == "audio":
            if not any(path.startswith(f"{step['track']['uri']}/") for _, path in seen.asked):
                wrong.append(f"{about}: nothing of it was fetched")
            if step["heard"] <= 0:
                wrong.append(f"{about}: nothing was decoded")
        if step["do"] == "text":
            cues = [tuple(cue[1:]) for cue in step["cues"]]
            if sorted(set(cues)) != sorted(title.cues):
                wrong.append(f"{about}: cues {cues}")
    if len(seen.steps) < len(steps_of(cell, title)) and not wrong:
        wrong.append("the page ended early")
    return wrong


def misread(shown: list[tuple[float, int | None]], rate: Fraction) -> list[str]:
    """Return which frames were not shown at the time that their barcode says. A slow page sees the next one, or the one after it."""
    off = [(time, number) for time, number in shown if number is not None and not -0.5 < number - time * rate < 2.5]
    return [f"frames at other times: {off[:3]}"] if off else []


def incomplete(step: dict[str, Any], title: Title) -> list[str]:
    """Return what is missing of a title that was played to its end."""
    wrong = [] if step["ended"] else ["did not end"]
    for name in ("time", "duration"):
        if abs(step[name] - title.seconds) > AUDIO_FRAME:
            wrong.append(f"{name} {step[name]:.3f} s")
    if len(step["buffered"]) > 1:
        wrong.append(f"buffered {step['buffered']}")
    return wrong


@dataclass(frozen=True)
class BrowserPlayer:
    """A player in a page, as the matrix asks for it."""

    name: str

    @property
    def install(self) -> str:
        return install(self.name)

    def version(self) -> str | None:
        return version(self.name)

    def play(self, cell: Cell, title: Title, folder: Path) -> Sequence[str]:
        return play(cell, title)


PLAYERS = {name: BrowserPlayer(name) for name in PAGE_SCRIPTS}
