"""What strangers' files bring to the terminal: no escape sequence from metadata or names, every fact in table and JSON, policies."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from tests.ingest_support import ladder
from tests.source_support import AAC, X264, make
from tests.source_support import run as ffmpeg

ROOT = Path(__file__).parent.parent
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil"
SGR = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\d*[ABCDGJK]|\x1b\[\?25[lh]|\r")
"""What rich writes by itself: styles, moves and clearing of its own lines, and the cursor."""


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film whose every text, its name included, steers the terminal."""
    folder = tmp_path_factory.mktemp("evil")
    chapters = folder / "chapters.txt"
    chapters.write_text(f";FFMETADATA1\ntitle={EVIL}\n[CHAPTER]\nTIMEBASE=1/10\nSTART=0\nEND=5\ntitle={EVIL}\n", encoding="utf-8")
    (folder / "words.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n")
    target = folder / f"film {EVIL}.mkv"
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=1", "-f", "lavfi", "-i", "sine=d=1", "-i", str(folder / "words.srt")]
    inputs += ["-i", str(chapters), "-map", "0:v", "-map", "1:a", "-map", "2:s", "-map_metadata", "3", "-map_chapters", "3"]
    tags = [f"-metadata:s:{stream}" for stream in "vas"]
    texts = [part for tag in tags for part in (tag, f"title={EVIL}", tag, "language=x\x1b[2J", tag, f"handler_name={EVIL}")]
    ffmpeg([*inputs, *X264, *AAC, "-c:s", "srt", "-timecode", "01:00:00:00", *texts, "-f", "matroska"], folder / "film.mkv")
    (folder / "film.mkv").rename(target)
    return target


def in_a_terminal(home: Path, *arguments: str, output: IO[bytes] | None = None) -> str:
    """Run a command line on a terminal of its own and return everything that reached it. output: takes the results instead."""
    master, slave = pty.openpty()
    environ = {**os.environ, "VIDPIPE_HOME": str(home), "TERM": "xterm-256color", "COLUMNS": "200"}
    argv = [sys.executable, str(ROOT / "cli.py"), *arguments]
    with subprocess.Popen(argv, stdin=slave, stdout=output or slave, stderr=slave, env=environ, close_fds=True) as process:
        os.close(slave)
        data = b""
        while True:
            try:
                block = os.read(master, 65536)
            except OSError:  # EIO: the other end is closed
                break
            if not block:
                break
            data += block
        process.wait(60)
    os.close(master)
    return data.decode("utf-8", "replace")


COMMANDS: dict[str, tuple[list[str], str]] = {
    "ingest": (["ingest", "FILE", "--id", "evil", "--ladder", "LADDER", "--title", EVIL, "--meta", f"a{EVIL}={EVIL}"], "evil is live"),
    "show": (["catalog", "show", "evil"], "master playlist"),
    "list": (["catalog", "list"], "evil"),
    "validate": (["validate", "FILE"], "accepted"),
    "validate --json": (["validate", "FILE", "--json"], '"refused"'),
    "plan": (["plan", "FILE", "--ladder", "LADDER"], "rendition"),
    "refused": (["validate", "TEXT"], "refused"),
    "refused ingest": (["ingest", "TEXT"], "error:"),
    "missing": (["ingest", f"/nowhere/{EVIL}.mp4"], "no such file"),
    "no such title": (["catalog", "show", EVIL], "error:"),
    "no such policy": (["validate", "FILE", "--policy", EVIL], "error:"),
    "no such ladder": (["plan", "FILE", "--ladder", EVIL], "error:"),
    "not an option": (["plan", "FILE", f"--{EVIL}"], "error:"),
    "an address": (["plan", f"https://127.0.0.1:9/{EVIL}.mp4"], "error:"),
    "playlist": (["inspect", "MASTER"], "control character"),
    "work": (["work", "list"], "chunks"),
}


PREPARED = """
import json, os, pty, sys
# what is slow to import; the command line itself is imported on its terminal
import vidpipe.catalog.store, vidpipe.inspect.inspection, vidpipe.pipeline.ingest, vidpipe.validation
shown = []
for arguments in json.load(sys.stdin):
    process, master = pty.fork()
    if not process:
        sys.argv[1:] = arguments
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, encoding="utf-8") for number in (1, 2))
        from vidpipe.cli import main
        main()
    data = b""
    try:
        while block := os.read(master, 65536):
            data += block
    except OSError:  # EIO: the other end is closed
        os.close(master)
    os.waitpid(process, 0)
    shown.append(data.decode("utf-8", "replace"))
print(json.dumps(shown))
"""
"""Runs many command lines, each in a process on a terminal of its own, and starts Python once."""


def each_in_a_terminal(home: Path, lines: list[list[str]]) -> list[str]:
    """Run command lines, each on a terminal of its own, and return everything that reached them."""
    environ = {**os.environ, "VIDPIPE_HOME": str(home), "TERM": "xterm-256color", "COLUMNS": "200"}
    argv = [sys.executable, "-c", PREPARED]
    done = subprocess.run(argv, input=json.dumps(lines), capture_output=True, text=True, env=environ, cwd=ROOT, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_nothing_of_a_strangers_text_steers_the_terminal(evil: Path, tmp_path: Path) -> None:
    text, master = tmp_path / f"text {EVIL}.mp4", tmp_path / "master.m3u8"
    text.write_text("not a film")
    master.write_text(f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="{EVIL}"\n{EVIL}.m3u8\n', encoding="utf-8")
    real = {"FILE": str(evil), "TEXT": str(text), "MASTER": str(master), "LADDER": ladder(tmp_path, 90)}
    lines = [[real.get(part, part) for part in arguments] for arguments, _ in COMMANDS.values()]
    for (name, (_, expected)), shown in zip(COMMANDS.items(), each_in_a_terminal(tmp_path / "home", lines), strict=True):
        assert expected in shown, f"{name}: {shown}"
        assert "Traceback" not in shown, name
        assert "bug in vidpipe" not in shown, name
        rest = SGR.sub("", shown)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", rest), f"{name}: {rest!r}"
        assert "\x1b[2J" not in shown, name


def vidpipe(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "VIDPIPE_HOME": str(home)}
    return subprocess.run([sys.executable, str(ROOT / "cli.py"), *arguments], capture_output=True, text=True, env=environ, check=False)


@pytest.mark.parametrize("command", [["plan"], ["ingest", "--dry-run"]], ids=" ".join)
def test_a_result_that_is_sent_to_a_file_does_not_go_to_the_terminal(command: list[str], tmp_path: Path) -> None:
    with (tmp_path / "plan.json").open("wb") as file:
        shown = in_a_terminal(tmp_path / "home", *command, str(ROOT / "fixtures" / "one-second.mp4"), "--json", output=file)
    assert json.loads((tmp_path / "plan.json").read_bytes())["decisions"]
    assert "decisions" not in shown


def test_a_plan_begins_on_a_line_of_its_own(tmp_path: Path) -> None:
    shown = in_a_terminal(tmp_path / "home", "plan", str(ROOT / "fixtures" / "one-second.mp4"))
    before = shown[: shown.index("one-second.mp4")]
    assert SGR.sub("", before.rpartition("\x1b[2K")[2]).strip() == "file", "the bar is erased first"


def test_every_fact_is_in_the_json_and_in_the_table(evil: Path, tmp_path: Path) -> None:
    files = [str(evil), str(make("hdr10", tmp_path)), str(make("prores-mov", tmp_path)), str(make("vfr", tmp_path))]
    (tmp_path / "notes.mp4").write_text("not a film")
    done = vidpipe(tmp_path, "validate", "--quick", "--json", str(tmp_path / "notes.mp4"), *files)
    assert done.returncode == 3
    answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == [str(tmp_path / "notes.mp4"), *files]
    assert [answer["refused"] for answer in answers] == [True, False, False, False, False]
    film, hdr, prores, vfr = (answer["source"] for answer in answers[1:])
    video = film["video"]
    assert (film["container"], video["codec"], video["pixel_format"], video["bit_depth"]) == ("Matroska / WebM", "h264", "yuv420p", 8)
    assert (video["width"], video["height"], video["sample_aspect"], video["display_aspect"]) == (320, 180, "1", "16/9")
    assert (video["declared_frame_rate"], video["frame_rate"], video["variable_frame_rate"]) == ("25", "25", False)
    assert (video["longest_gop"], video["shortest_gop"], video["frames"], video["duration"]) == (0.48, 0.04, 25, 1)
    assert (video["rotation"], video["mirrored"], video["field_order"], video["interlaced"]) == (0, False, "progressive", False)
    assert film["audio"][0]["duration"] == pytest.approx(1, abs=0.05)
    assert film["audio"][0]["offset"] == pytest.approx(0, abs=0.03)
    assert {"layout", "channels", "sample_rate", "language", "default", "bit_rate", "profile"} <= set(film["audio"][0])
    (words,) = film["subtitles"]
    assert (words["text"], words["start"], words["duration"], words["packets"]) == (True, 0.1, 0.8, 1)
    assert [(chapter["start"], chapter["end"]) for chapter in film["chapters"]] == [(0, 0.5)]
    assert len(film["sha256"]) == 64
    colour = hdr["video"]["colour"]
    assert (colour["dynamic_range"], colour["primaries"], colour["transfer"], colour["matrix"], colour["range"]) == (
        "HDR10", "bt2020", "smpte2084", "bt2020nc", "tv",
    )  # fmt: skip
    assert (colour["dolby_vision"], colour["max_cll"], prores["timecode"], vfr["video"]["variable_frame_rate"]) == (
        False, 1000, "01:00:00:00", True,
    )  # fmt: skip
    table = vidpipe(tmp_path, "validate", "--quick", str(tmp_path / "notes.mp4"), *files).stdout
    for words_of_it in (
        "Matroska / WebM", "shown 16:9", "25 fps constant", "30 fps variable", "GOPs of 0.04 s to 0.48 s", "HDR10", "yuv420p10le, 10 bit",
        "bt2020/smpte2084/bt2020nc/tv", "max CLL 1000", "01:00:00:00", "4:2:2", "starts at 0.1 s, lasts 0.8 s",
        "chapter   0:00 to 0:00", film["sha256"], "2 frames reordered", "stereo, 48000 Hz", "mono, 44100 Hz",
    ):  # fmt: skip
        assert words_of_it in table, words_of_it
    for line in table.splitlines():
        if re.search(r"error: |warning: |fix: |: refused|: accepted", line):
            assert any(name in line for name in ("notes.mp4", "film ", "hdr10.mp4", "prores.mov", "vfr.mp4")), line


def test_a_policy_decides_in_validate_and_ingest(tmp_path: Path) -> None:
    source, policy = str(make("no-audio", tmp_path)), tmp_path / "strict.yaml"
    policy.write_text("no_audio:\n  severity: error\n")
    assert vidpipe(tmp_path, "validate", "--quick", source).returncode == 0
    refused = vidpipe(tmp_path, "validate", "--quick", source, "--policy", str(policy))
    assert (refused.returncode, refused.stderr) == (3, "")
    assert re.search(r"^error: .*silent\.mp4: there is no audio stream .*\[no-audio\]|^error: .*\[no-audio\]$", refused.stdout, re.M)
    stopped = vidpipe(tmp_path, "ingest", source, "--ladder", ladder(tmp_path, 90), "--policy", str(policy))
    assert stopped.returncode == 3
    assert "no-audio: there is no audio stream" in stopped.stderr
    assert not (tmp_path / "library").exists()
