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

from tests.playback.cells import Cell
from tests.playback.desktop import Choice, Judged, Seen, Site, ask, choices, places, serving
from tests.playback.ffmpeg import STRIP, barcodes
from tests.playback.titles import Title

INSTALL = "mpv is not installed (Debian: apt-get install mpv)."
LIMIT = 60
QUIET = ("--no-config", "--load-scripts=no", "--ytdl=no", "--osc=no", "--input-default-bindings=no", "--msg-level=all=warn")


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
    # ...=no: what is late is shown all the same; times are those of the title; what has ended stays open
    argv = ["mpv", *QUIET, "--vo=image", "--vo-image-format=png", f"--vo-image-outdir={folder / 'shown'}", "--ao=null", "--pause",
            "--framedrop=no", "--rebase-start-time=no", "--keep-open=yes", "--hr-seek=yes", f"--vf=lavfi=[{STRIP}]"]  # fmt: skip
    if not choice.timed:
        argv += ["--untimed", "--ao-null-untimed"]
    for option, place in (("vid", choice.level), ("aid", choice.audio), ("sid", choice.text)):
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
                ended, sought = lead(remote, choice, folder / "shown")
        except (OSError, ValueError) as error:
            ended, sought, remote = False, (), Remote.silent(str(error))
        finally:
            process.kill()
            process.wait(20)
    errors = [line for line in (folder / "log").read_text(errors="replace").splitlines() if line.strip()]
    frames = shown(folder / "shown")
    return Seen(frames=frames, sought=sought, audio=remote.heard, errors=(*remote.errors, *errors), ended=ended, stalls=remote.stalls)
