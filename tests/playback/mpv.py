"""mpv plays a title without a screen, and writes each picture that it presents as a file of 16 pixels; it is led by its JSON IPC.

In real time as a viewer would; as fast as it can for each level and track; and through seeks.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from tests.playback.cells import Cell
from tests.playback.desktop import Choice, Judged, Seen, Site, ask, choices, places, serving
from tests.playback.ffmpeg import RATE, STRIP, barcodes
from tests.playback.titles import Title

INSTALL = "mpv is not installed (Debian: apt-get install mpv)."
LIMIT = 60
AFTER_A_SEEK = re.compile(r"mov,mp4.*: stream \d+, offset 0x[0-9a-f]+: partial file$")
"""FFmpeg 5.1 keeps the places of the samples of one segment when it seeks in HLS to another, and remarks that they are not there
(mpv-player/mpv#13211). Then it goes on: what it shows after each seek is compared all the same."""
QUIET = ("--no-config", "--load-scripts=no", "--ytdl=no", "--osc=no", "--input-default-bindings=no", "--input-terminal=no")


@functools.cache
def version() -> str | None:
    """Return the version of mpv, and of the FFmpeg below it, which reads the manifests."""
    if not shutil.which("mpv"):
        return None
    said = ask(["mpv", "--version"], seconds=20).stdout.decode()
    found, below = re.search(r"^mpv v?([\d.]+)", said), re.search(r"^FFmpeg version: n?([\d.]+)", said, re.MULTILINE)
    return f"{found[1]} with FFmpeg {below[1]}" if found and below else None


def play(cell: Cell, title: Title, folder: Path) -> Sequence[str]:
    """Play a title; return what was wrong."""
    judged = Judged(cell, title)
    for choice in (Choice(timed=True), *choices(title), Choice(seeks=places(cell, title))):
        with serving(title) as site:
            seen = watch(cell, title, site, choice, folder / choice.name.replace(" ", "-"))
        judged.run(choice, seen, site)
    judged.all_played((title.renditions, title.audio))
    return judged.faults


def watch(cell: Cell, title: Title, site: Site, choice: Choice, folder: Path) -> Seen:
    """Play as it was chosen."""
    folder.mkdir()
    # framedrop: what is late is shown all the same.  rebase: times are those of the title.  sid: FFmpeg below it cannot, see cells.py
    # errors: FFmpeg remarks that a list "may have been wrapped" when it seeks; without a clock nothing is in sync
    level = "all=warn" if choice.timed else "all=error" if choice.seeks else "all=warn,cplayer=error"
    argv = ["mpv", *QUIET, f"--msg-level={level}", "--vo=image", "--vo-image-format=png", f"--vo-image-outdir={folder / 'shown'}",
            "--pause", "--framedrop=no", "--rebase-start-time=no", "--keep-open=yes", "--hr-seek=yes", "--sid=no",
            f"--vf=lavfi=[{STRIP}]"]  # fmt: skip
    if choice.timed:
        argv.append("--ao=null")
    else:
        argv += ["--untimed", "--ao=pcm", f"--ao-pcm-file={folder / 'heard'}", "--ao-pcm-waveheader=no", "--audio-format=s16",
                 "--audio-channels=stereo", f"--audio-samplerate={RATE}"]  # fmt: skip
    for option, place in (("vid", choice.level), ("aid", choice.audio)):
        argv += [f"--{option}={place + 1}"] if place is not None else []
    if cell.manifest == "dash" and title.keys:
        (key,) = title.keys.values()
        argv.append(f"--demuxer-lavf-o=cenc_decryption_key={key.hex()}")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*argv, f"--input-ipc-server={folder / 's'}", site.address(cell)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            with talking(folder / "s", process) as remote:
                ended = lead(remote, choice)
                remote.quit()
            process.wait(20)
        except (OSError, ValueError) as error:
            return Seen(errors=(*said(folder / "log"), f"{type(error).__name__}: {error}"))
        finally:
            process.kill()
            process.wait(20)
    frames = shown(folder / "shown")
    sought = tuple(zip(choice.seeks, frames[1:], strict=False))  # the first picture is that of the start
    played = {"audio": (folder / "heard").stat().st_size / 4 / RATE} if (folder / "heard").is_file() else {}
    errors = tuple(line for line in said(folder / "log") if not (choice.seeks and AFTER_A_SEEK.search(line)))
    return Seen(frames, sought, played, (), errors, ended, remote.stalls)


def said(log: Path) -> tuple[str, ...]:
    """Return the lines of a log."""
    return tuple(line for line in log.read_text(errors="replace").splitlines() if line.strip())


class Remote:
    """Leads mpv: sends commands, keeps what it reports."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        self._file = connection.makefile("rw", encoding="utf-8")
        self.stalls = 0
        self.playing = False

    def ask(self, *command: Any) -> Any:
        """Send a command; return its answer. Raises ValueError if it is refused."""
        self._file.write(json.dumps({"command": command, "request_id": 1}) + "\n")
        self._file.flush()
        answer = next(message for message in self._messages() if message.get("request_id") == 1)
        if answer["error"] != "success":
            raise ValueError(f"{command[0]}: {answer['error']}")
        return answer.get("data")

    def quit(self) -> None:
        """Ask it to end."""
        self._file.write('{"command": ["quit"]}\n')
        self._file.flush()

    def until(self, *events: str) -> str:
        """Wait for one of events; properties that become true are events, too."""
        return next(name for message in self._messages() for name in [self._name(message)] if name in events)

    def _messages(self) -> Iterator[dict[str, Any]]:
        while line := self._file.readline():
            message = json.loads(line)
            if self._name(message) == "paused-for-cache" and self.playing:
                self.stalls += 1
            yield message
        raise ValueError("mpv is gone")

    @staticmethod
    def _name(message: dict[str, Any]) -> str:
        name = str(message.get("event", ""))
        return str(message["name"]) if name == "property-change" and message.get("data") is True else name


@contextmanager
def talking(path: Path, process: subprocess.Popen[bytes]) -> Iterator[Remote]:
    """Connect to an mpv that starts."""
    end = time.monotonic() + LIMIT
    with socket.socket(socket.AF_UNIX) as connection:
        while connection.connect_ex(str(path)) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)  # it is there before anybody listens
        yield Remote(connection)


def lead(remote: Remote, choice: Choice) -> bool:
    """Play to the end, or through seeks; return whether it came there."""
    for number, name in enumerate(("eof-reached", "paused-for-cache"), 1):
        remote.ask("observe_property", number, name)
    if remote.until("playback-restart", "end-file") == "end-file":
        return False
    for place in choice.seeks:
        remote.ask("seek", place, "absolute+exact")
        remote.until("playback-restart")
    if choice.seeks:
        return True
    remote.playing = choice.timed
    remote.ask("set_property", "pause", False)
    return remote.until("eof-reached", "end-file") == "eof-reached"


def shown(folder: Path) -> tuple[int, ...]:
    """Return the numbers of the pictures that were written."""
    if not any(folder.glob("*.png")):
        return ()
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(folder / "%08d.png"), "-pix_fmt", "gray", "-f", "rawvideo", "-"]
    return barcodes(ask(argv, seconds=60).stdout)
