"""What a person sees: vidpipe on a real (pseudo) terminal, whose screen is read as a terminal emulator shows it."""

from __future__ import annotations

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ingest_support import FIXTURES, ladder

pyte = pytest.importorskip("pyte")
if sys.platform == "win32":
    pytest.skip("needs a pseudo terminal", allow_module_level=True)
import fcntl  # noqa: E402 - not on Windows
import pty  # noqa: E402
import termios  # noqa: E402

STAGES = ("validate", "plan", "encode", "thumbnails", "manifest", "publish", "verify", "catalog")
ROWS = 24
ROW = re.compile(rf"(?:\S|  ?) ?({'|'.join(STAGES)})\b(?! show)")


class Terminal:
    """A terminal in which vidpipe runs. frames: what stood on the screen, each time that it changed."""

    def __init__(self, columns: int, home: Path, *arguments: str, **variables: str) -> None:
        self.screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.frames: list[list[str]] = []
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        foreign = ("NO_COLOR", "TERM", "COLUMNS", "LINES")  # of the terminal that the tests run in, or that their runner claims
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VIDPIPE_") and name not in foreign}
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from vidpipe.cli import main; main()", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=home, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it as it does a person's
            env={**kept, "TERM": "xterm-256color", "VIDPIPE_SEGMENT_SECONDS": "2", "VIDPIPE_GOP_SECONDS": "1", **variables},
        )  # fmt: skip
        os.close(theirs)
        self._ours = ours

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip()

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def until(self, shown: Callable[[], bool], seconds: float = 120) -> None:
        """Read until something is shown."""
        deadline = time.monotonic() + seconds
        while not shown():
            assert time.monotonic() < deadline, self.text
            assert self._read(), self.text

    def end(self) -> int:
        """Read to the end, and return the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        return self.process.wait(60)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 60)[0]:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"nothing for a minute: {self.text}")
        try:
            block = os.read(self._ours, 65536)
        except OSError:  # how Linux reports that the last writer has closed the terminal
            return False
        self.written += block
        self._stream.feed(block)
        if not self.frames or self.frames[-1] != self.lines:
            self.frames.append(self.lines)
        return bool(block)


@pytest.fixture
def slow(tmp_path: Path) -> tuple[str, ...]:
    """Arguments of an ingest in many chunks, one after the other, that takes a while."""
    path = Path(ladder(tmp_path, 180))
    path.write_text(path.read_text().replace("ultrafast", "veryslow"))
    machine = ("--workers", "1", "--threads", "1", "--chunk-seconds", "2")
    return ("ingest", str(FIXTURES / "landscape-24.mp4"), "--home", str(tmp_path), "--ladder", str(path), *machine, "--id", "film")


@pytest.mark.parametrize("columns", [60, pytest.param(200, marks=pytest.mark.nightly)])
def test_an_ingest_on_a_terminal(columns: int, tmp_path: Path) -> None:
    path = ladder(tmp_path, 90)
    (tmp_path / "clip.mp4").symlink_to(FIXTURES / "ntsc-29.97.mp4")
    terminal = Terminal(columns, tmp_path, "ingest", "clip.mp4", "--home", "my home", "--ladder", path, "--to", "t")
    assert terminal.end() == 0
    assert {stage for frame in terminal.frames for stage in STAGES if any(f" {stage}" in line for line in frame)} == set(STAGES)
    for frame in terminal.frames:
        named = [found[1] for line in frame if (found := ROW.match(line))]
        assert len(named) == len(set(named)), "no line is drawn twice"
    assert any(re.match(r"✓ validate +\S+ s$", line) for frame in terminal.frames for line in frame)
    assert any(re.match(r"\S encode +\d+ s  [━─]+ +\d+%", line) for frame in terminal.frames for line in frame)
    assert re.match(r"clip is live: \d+ s of video in 1 rendition,?\s+made in \d", terminal.text)
    assert not any(map(ROW.match, terminal.lines)), "the checklist is gone"
    assert "vidpipe preview clip --home 'my home'" in terminal.text
    assert terminal.text.count("/master.m3u8") == 1
    assert not terminal.screen.cursor.hidden
    for line in terminal.lines:
        assert not re.search(r"\d\.m3$|[a-z]-$", line), "no word is broken"


def test_ctrl_c_says_what_is_kept_and_how_to_continue(tmp_path: Path, slow: tuple[str, ...]) -> None:
    terminal = Terminal(200, tmp_path, *slow)
    terminal.until(lambda: "chunks 2/7" in terminal.text)
    terminal.type(b"\x03")
    assert terminal.end() == 130
    assert any("stopping; press Ctrl-C again" in line for frame in terminal.frames for line in frame)
    first, *rest = [line for line in terminal.lines if line]
    kept = "nothing is published; 2 of 7 chunks encoded and kept, the next run encodes the other 5"
    assert re.fullmatch(rf"stopped after \S+ s: {kept}", first)
    assert f"vidpipe ingest {slow[1]} --home {tmp_path} --ladder " in " ".join(rest).replace(" \\     ", " ")
    assert not terminal.screen.cursor.hidden
    again = Terminal(200, tmp_path, *slow)
    again.until(lambda: "(2 reused)" in again.text)
    again.type(b"\x03\x03")
    assert again.end() == 130


def test_a_second_ctrl_c_leaves_a_clean_terminal(tmp_path: Path, slow: tuple[str, ...]) -> None:
    terminal = Terminal(60, tmp_path, *slow)
    terminal.until(lambda: "%" in terminal.text)
    os.kill(terminal.process.pid, signal.SIGINT)
    os.kill(terminal.process.pid, signal.SIGINT)
    while terminal.process.poll() is None:  # both may arrive as one
        time.sleep(0.02)
        os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.text == "stopped at once; what was finished is kept"
    assert not terminal.screen.cursor.hidden


def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    clip = str(FIXTURES / "one-second.mp4")
    terminal = Terminal(60, tmp_path, "ingest", clip, "--home", "h", "--ladder", ladder(tmp_path, 90), TERM="dumb")
    assert terminal.end() == 0
    assert b"\x1b" not in terminal.written
    assert re.search(rb"^[0-9-]+T[0-9:]+Z encode: [0-9]+ frames in 1 chunk\r$", terminal.written, re.M)


def test_no_color_takes_the_colours_and_leaves_the_checklist(tmp_path: Path) -> None:
    clip = str(FIXTURES / "one-second.mp4")
    terminal = Terminal(80, tmp_path, "ingest", clip, "--home", "h", "--ladder", ladder(tmp_path, 90), NO_COLOR="1")
    assert terminal.end() == 0
    assert any("✓ validate" in line for frame in terminal.frames for line in frame)
    codes = {code for found in re.findall(rb"\x1b\[([0-9;]*)m", terminal.written) for code in found.split(b";")}
    assert codes <= {b"", b"0", b"1", b"2"}, "bold and dim are no colours"


def test_quiet_says_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    clip = str(FIXTURES / "one-second.mp4")
    terminal = Terminal(80, tmp_path, "ingest", clip, "--home", "h", "--ladder", ladder(tmp_path, 90), "--quiet")
    assert terminal.end() == 0
    assert all(line.startswith(b"warning: ") for line in terminal.written.splitlines())


def test_results_of_several_files_stay_above_the_checklist(tmp_path: Path) -> None:
    clips = [str(FIXTURES / name) for name in ("one-second.mp4", "portrait-25.mp4")]
    terminal = Terminal(200, tmp_path, "validate", *clips, "--home", "h")
    assert terminal.end() == 0
    assert any(line.startswith(f"2 of 2: {clips[1]}") for frame in terminal.frames for line in frame)
    assert re.findall(r"^(\S+): accepted", terminal.text, re.M) == clips
    assert not any(map(ROW.match, terminal.lines))
