"""Make the pictures of the README from a real ingest of a fixture: the terminal (SVG) and the player page (PNG).

    python docs/pictures/make.py

Needs vidpipe in this environment, and for the page Chromium. Writes beside itself, and prints the tree and the master playlist of
the title for the README. The version of the title is always the same one, so that no date of this machine is in any of them.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
CLIP = HERE.parent.parent / "fixtures" / "landscape-24.mp4"
PLAN = "plan film.mp4 --ladder fast"
INGEST = "ingest film.mp4 --ladder fast --to titles"
COLUMNS, ROWS = 90, 50
VIDPIPE = (
    "import vidpipe.layout; vidpipe.layout.new_version = lambda now: '20260102T030405Z-1a2b3c'; from vidpipe.cli import main; main()"
)
CONTROL = re.compile(r"\r|\n|\x1b\[(\d*)A|\x1b\[\d?K|\x1b\[\?25[lh]|\x1b\[\d?J|\x1b\]8;[^\x1b]*\x1b\\")


def main() -> None:
    """Ingest the fixture once and take both pictures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shutil.copy(CLIP, home / "film.mp4")
        draw(f"$ vidpipe {PLAN}\n{run(PLAN.split(), home)[-1]}", HERE / "plan.svg")
        screens = run(INGEST.split(), home)
        halfway = next(text for text in screens if re.search(r"encode.* [4-7]\d%", text))
        draw(f"$ vidpipe {INGEST}\n{halfway}\n\n{'─' * 24} a little later\n\n{screens[-1]}", HERE / "terminal.svg")
        with preview("film", home) as address:
            photograph(address, home / "profile", HERE / "player.png")
        title = next(path for path in (home / "titles" / "film").iterdir() if path.is_dir())
        for path in sorted(path for path in title.rglob("*") if path.is_file()):
            print(path.relative_to(title.parent.parent))
        print((title / "master.m3u8").read_text())


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a new user of this machine, whose folders are all below ``home``."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def run(argv: list[str], home: Path) -> list[str]:
    """Run vidpipe on a terminal, and return what stood on it from time to time, with its colours; the last is what is left at the end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-c", VIDPIPE, *argv], stdin=theirs, stdout=theirs, stderr=theirs, cwd=home, env=environment(home)
    ) as process:
        os.close(theirs)
        received = bytearray()
        screens = []
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # how Linux reports that the last writer has closed the terminal
                break
            if not block:
                break
            received += block
            screens.append(screen(received.decode(errors="ignore")))
    os.close(ours)
    if process.returncode:
        sys.exit(received.decode())
    return ["\n".join(line.rstrip() for line in text.replace(str(home), "~").splitlines()).strip("\n") for text in screens]


def screen(output: str) -> str:
    """Return the lines that are left of what a program wrote to a terminal: progress draws over its own lines."""
    lines, row, fresh, at = [""], 0, True, 0

    def write(text: str) -> None:
        nonlocal fresh
        if text:
            lines[row] = text if fresh else lines[row] + text
            fresh = False

    for control in CONTROL.finditer(output):
        write(output[at : control.start()])
        at = control.end()
        match control[0]:
            case "\r":
                fresh = True  # what is written next replaces the line
            case "\n":
                row, fresh = row + 1, True
                if row == len(lines):
                    lines.append("")
            case str(code) if code.endswith("A"):
                row, fresh = max(0, row - int(control[1] or 1)), True
            case str(code) if code.endswith("K"):
                lines[row], fresh = "", True
            case _:
                pass
    write(output[at:])
    return "\n".join(lines).rstrip()


def draw(text: str, file: Path) -> None:
    """Draw a terminal with this text."""
    width = max(Text.from_ansi(line).cell_len for line in text.splitlines())
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=width, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi(text), soft_wrap=True)
    drawn = console.export_svg(title="vidpipe")
    drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # a picture asks no server for a font; it names monospace, too
    file.write_text(drawn, encoding="utf-8")


@contextmanager
def preview(content_id: str, home: Path) -> Iterator[str]:
    """Run ``vidpipe preview`` and give the address of its page."""
    argv = [sys.executable, "-c", VIDPIPE, "preview", content_id]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(home)) as process:
        try:
            assert process.stdout
            address = next((found[0] for line in process.stdout if (found := re.search(r"http://[\d.]+:\d+/", line))), None)
            if address is None:
                sys.exit("vidpipe preview shows no address")
            yield address
        finally:
            process.terminate()


def photograph(address: str, profile: Path, file: Path) -> None:
    """Take a picture of a page in a fresh headless Chromium, a little after it has begun to play."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("Chromium is not installed (Debian: apt-get install chromium)")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
    playing = ["--autoplay-policy=no-user-gesture-required", "--window-size=720,600", "--timeout=6000"]
    whole = profile.with_suffix(".png")
    subprocess.run([browser, *flags, *playing, f"--screenshot={whole}", address], stderr=subprocess.DEVNULL, check=True, timeout=120)
    palette = "split[a][b];[a]palettegen=max_colors=128[p];[b][p]paletteuse=dither=none"  # a third of the size
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", whole, "-vf", palette, file], check=True)


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"made in {time.monotonic() - started:.0f} s", file=sys.stderr)
