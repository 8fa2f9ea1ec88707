"""vidpipe ingest of many titles, and vidpipe watch, as they are typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from tests.ingest_support import FIXTURES, ladder
from vidpipe.cli.reporters.checklist import ASCII
from vidpipe.cli.reporters.many import BatchTally, ManyPlain, heading, shares
from vidpipe.cli.reporters.table import table
from vidpipe.progress import EncodePlanned, StageStarted, TitleFinished, TitleStarted

CLIP = FIXTURES / "one-second.mp4"


def vidpipe(*arguments: str | Path, cwd: Path, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", "from vidpipe.cli import main; main()", *map(str, arguments)]
    environ = {**os.environ, "VIDPIPE_HOME": str(cwd / "home"), "VIDPIPE_LADDER": ladder(cwd, 90), "COLUMNS": "80"}
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd, env=environ, input=stdin, timeout=300, check=False)


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    folder = tmp_path / "masters"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(CLIP, folder / name)
    (folder / "broken.mov").write_bytes(b"no film")
    return folder


def test_a_folder_of_masters(masters: Path, tmp_path: Path) -> None:
    done = vidpipe("ingest", masters, "--encrypt", "none", "--junit", "titles.xml", "--json", cwd=tmp_path)
    assert done.returncode == 3
    results = {result["content_id"]: result for result in map(json.loads, done.stdout.splitlines())}
    assert {name: (result["state"], result["exit_code"]) for name, result in results.items()} == {
        "a": ("live", 0), "b": ("live", 0), "broken": ("failed", 3)
    }  # fmt: skip
    assert results["a"]["result"]["record"]["content_id"] == "a"
    assert (tmp_path / "home" / "library" / "a" / "master.m3u8").is_file()
    table = done.stderr.splitlines()
    assert table[-1] == "3 titles: 2 live, 1 failed"
    assert [line.split()[:2] for line in table if line[:2] in ("+ ", "x ")] == [["+", "a"], ["+", "b"], ["x", "broken"]]
    assert any("fix: " in line for line in table)
    assert [case.get("name") for case in xml.parse(tmp_path / "titles.xml").getroot().iter("testcase")] == ["a", "b", "broken"]
    again = vidpipe("ingest", masters / "a.mp4", masters / "b.mp4", "--encrypt", "none", "--quiet", cwd=tmp_path)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_a_list_on_standard_input(masters: Path, tmp_path: Path) -> None:
    listed = "source,id,title,meta.season\nmasters/a.mp4,one,Title One,2\nmasters/b.mp4,two,,\n"
    done = vidpipe("ingest", "--jobs", "-", "--meta", "season=1", "--meta", "show=S", cwd=tmp_path, stdin=listed)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "2 titles: 2 live")
    shown = {name: json.loads(vidpipe("catalog", "show", name, "--json", cwd=tmp_path).stdout) for name in ("one", "two")}
    assert (shown["one"]["title"], shown["one"]["metadata"]) == ("Title One", {"season": "2", "show": "S"})
    assert (shown["two"]["title"], shown["two"]["metadata"]) == ("b", {"season": "1", "show": "S"})


def test_events_of_a_batch_name_their_title(masters: Path, tmp_path: Path) -> None:
    done = vidpipe("ingest", masters, "--encrypt", "none", "--progress", "json", cwd=tmp_path)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, events[-1]["event"], events[-1]["exit_code"]) == (3, "finished", 3)
    for name in ("a", "b", "broken"):
        own = [event["event"] for event in events if event["content_id"] == name]
        assert (own[0], own[-1]) == ("title_started", "title_finished")
        assert ("live" in own) == (name != "broken")
    assert all(event["content_id"] for event in events[:-1])


def test_what_would_be_encoded_of_each(masters: Path, tmp_path: Path) -> None:
    done = vidpipe("ingest", masters / "a.mp4", masters / "b.mp4", "--dry-run", "--json", cwd=tmp_path)
    plans = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, [plan["content_id"] for plan in plans]) == (0, ["a", "b"])
    assert not (tmp_path / "home" / "library").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        (["ingest"], "Missing argument 'SOURCE'", "--jobs"),
        (["ingest", "a.mp4", "b.mp4", "--id", "x"], "--id: it is of one title", "--jobs titles.csv"),
        (["ingest", "a.mp4", "b.mp4", "--title", "x"], "--title: it is of one title", "--jobs titles.csv"),
        (["ingest", "a.mp4", "--jobs", "t.csv"], "--jobs: sources and a list are given", "into the list"),
        (["ingest", "--jobs", "none.csv"], "none.csv: cannot be read", "check the path"),
        (["ingest", "a.mp4", "b.mp4", "--junit", "none/x.xml"], "--junit none/x.xml: there is no such folder", "make it"),
        (["ingest", "a.mp4", "b.mp4", "--workers", "0"], "--workers: ", "1"),
        (["watch", "none"], "none: there is no such folder", "s3://BUCKET/PREFIX/"),
        (["watch", ".", "--settle", "x"], "--settle: 'x' is not allowed", "--settle 30"),
    ],
)
def test_what_is_wrong_is_said_before_anything_begins(arguments: list[str], error: str, fix: str, tmp_path: Path) -> None:
    done = vidpipe(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert error in done.stderr
    assert fix in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_that_is_stopped_has_done_its_work(masters: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "from vidpipe.cli import main; main()", "watch", str(masters), "--settle", "0", "--progress", "plain"]
    environ = {**os.environ, "VIDPIPE_HOME": str(tmp_path / "home"), "VIDPIPE_LADDER": ladder(tmp_path, 90)}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environ) as service:
        deadline = time.monotonic() + 120
        while not ((masters / "done" / "b.mp4").exists() and (masters / "failed" / "broken.mov").exists()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        service.send_signal(signal.SIGTERM)
        assert service.stderr
        said = service.stderr.read()
    assert service.returncode == 0
    assert said.splitlines()[-1] == "stopped; what has not ended stays in the inbox"
    assert "broken: failed with exit code 3" in said


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_table_has_a_line_for_each_open_title_and_none_is_too_wide() -> None:
    clock = Clock()
    tally = BatchTally(5, clock)
    long = "a-very-long-name-of-a-title-that-fits-nowhere"
    for number, name in enumerate(("film", long, "ended"), 1):
        tally.take(TitleStarted(source="x", number=number, content_id=name))
        tally.take(StageStarted(stage="encode", content_id=name))
    tally.take(EncodePlanned(chunks=2, frames=100, frame_rate=25, content_id="film"))
    tally.take(TitleFinished(number=3, state="failed", exit_code=3, seconds=1, content_id="ended"))
    clock.now = 5
    assert heading(tally) == "1 of 5 titles done, 1 failed, 2 titles open, 2 waiting"
    for width in (20, 40, 57, 77, 197):
        lines = table(list(shares(tally)), heading(tally), tally.seconds, width, ASCII)
        assert len(lines) == 3
        assert all(line.cell_len <= width for line in lines)
    assert [line.plain.split()[1:3] for line in lines[1:]] == [["film", "encode"], [long, "encode"]]
    assert "0%" in lines[1].plain


def test_a_log_hears_of_a_long_batch_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    plain = ManyPlain(2, clock)
    plain.emit(TitleStarted(source="x", number=1, content_id="film"))
    plain.emit(StageStarted(stage="encode", content_id="film"))
    for clock.now in (30.0, 61.0, 90.0):
        plain.tick()
    assert [line.partition("Z ")[2] for line in capsys.readouterr().err.splitlines()] == ["0 of 2 titles done; film encode"]
