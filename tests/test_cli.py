"""The command line as a person or a script meets it: output, errors, exit codes, signals."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from tests.servers import S3Server
from vidpipe import __version__, errors
from vidpipe.cli import exits, words
from vidpipe.cli.app import app, invoke
from vidpipe.cli.options import metadata
from vidpipe.cli.render.columns import table
from vidpipe.cli.summary import finished
from vidpipe.cli.words import escaped
from vidpipe.errors import UsageError, VidpipeError

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
CLIP = str(FIXTURES / "one-second.mp4")


@dataclass(frozen=True)
class Ran:
    """How a command line ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the title ``demo`` was ingested by the command line; its output is kept beside it."""
    folder = tmp_path_factory.mktemp("home")
    done = vidpipe(
        "ingest", CLIP, "--ladder", "fast", "--id", "demo", "--title", "A \x1b[31mfilm", "--meta", "a=b=c", "--json", home=folder
    )
    assert done.code == 0, done.err
    (folder / "ingest.json").write_text(done.out)
    (folder / "ingest.txt").write_text(done.err)
    return folder


def vidpipe(*arguments: str, home: Path) -> Ran:
    """Run a command line in a process of its own."""
    environ = {**os.environ, "VIDPIPE_HOME": str(home)}
    done = subprocess.run([sys.executable, str(ROOT / "cli.py"), *arguments], capture_output=True, text=True, env=environ, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line in this process."""
    monkeypatch.setenv("VIDPIPE_HOME", str(home))

    def start(*arguments: str) -> Ran:
        code = exits.run(invoke, arguments)
        written = capsys.readouterr()
        return Ran(code, written.out, written.err)

    return start


# -- the main job


def test_ingest_prints_one_json_object_and_a_summary(home: Path) -> None:
    result = json.loads((home / "ingest.json").read_text())
    assert (result["schema"], result["content_id"], result["status"]) == ("vidpipe.catalog/1", "demo", "live")
    assert result["metadata"] == {"a": "b=c"}
    assert Path(result["manifest"]).read_text().startswith("#EXTM3U")
    assert result["manifest"] == result["playback"]["hls"]
    assert all(seconds >= 0 for seconds in result["timings"].values())
    assert set(result["timings"]) >= {"validate", "plan", "encode", "thumbnails", "manifest", "publish", "verify", "catalog"}
    summary = (home / "ingest.txt").read_text()
    assert "demo is live: 1 s of video in 2 renditions" in summary or "demo is live: 1 s of video in 1 rendition" in summary
    for line in ("vidpipe preview demo", "vidpipe catalog show demo", result["address"]):
        assert line in summary
    assert summary.count("master.m3u8") == 1
    assert "\x1b" not in summary


def test_the_summary_shows_wall_time_and_reuse(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vidpipe.catalog.record import Record
    from vidpipe.pipeline.ingest import IngestResult

    written = json.loads((home / "ingest.json").read_text())
    assert written["timings"]["total"] > 0
    record = Record.model_validate({key: value for key, value in written.items() if key not in ("manifest", "address", "timings")})
    timings = {"encode": 60.0, "package": 50.0, "total": 61.0}
    result = IngestResult(record=record, manifest=written["manifest"], timings=timings, artifacts=15, artifacts_reused=12)
    finished(Console(width=500), result)
    assert "made in 1:01, 12 of 15 encoded pieces reused\n" in capsys.readouterr().out


def test_the_same_again_is_reported_as_unchanged(run: Run) -> None:
    same = ("ingest", CLIP, "--ladder", "fast", "--id", "demo", "--title", "A \x1b[31mfilm", "--meta", "a=b=c")
    done = run(*same)
    assert (done.code, done.out) == (0, "")
    assert re.search(r"^demo is unchanged: version \S+ is live already$", done.err, re.M)


def test_progress_json_is_all_of_standard_error(run: Run) -> None:
    done = run("ingest", CLIP, "--ladder", "fast", "--id", "other", "--progress", "json", "--encrypt", "none")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert (done.code, done.out) == (0, "")
    assert lines[-1]["event"] == "finished"
    ((run_id, content_id),) = {(line["run"], line["content_id"]) for line in lines}
    assert (bool(run_id), content_id) == (True, "other")
    assert [line["percent"] for line in lines if line["event"] == "progress"][-1] == 100


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--ladder", "nothing"], 2), (["--workers", "none"], 2), (["--meta", "novalue"], 2), (["--key-url", "x"], 2)]
)
def test_progress_json_reports_failures_too(run: Run, arguments: list[str], code: int) -> None:
    done = run("ingest", CLIP, "--progress", "json", *arguments)
    last = json.loads(done.err.splitlines()[-1])
    assert (done.code, last["event"], last["exit_code"]) == (code, "failed", code)


def test_plan_and_dry_run_encode_nothing(run: Run, home: Path) -> None:
    before = sorted(home.rglob("*.mp4"))
    for arguments in (["plan", CLIP, "--ladder", "fast"], ["ingest", CLIP, "--ladder", "fast", "--id", "new", "--dry-run"]):
        done = run(*arguments)
        assert done.code == 0, done.err
        assert re.search(r"^720p +dropped +\S", done.out, re.M)
        decided = json.loads(run(*arguments, "--json").out)
        assert [decision["rung"] for decision in decided["decisions"]] == ["240p", "360p", "720p"]
    assert sorted(home.rglob("*.mp4")) == before


def test_validate_as_ndjson_ends_with_its_exit_code(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    for files, code in (([CLIP], 0), ([str(text), CLIP], 3)):
        done = run("validate", *files, "--json", "--progress", "json")
        lines = [json.loads(line) for line in done.err.splitlines()]
        assert done.code == code
        assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("finished", code)
        assert [line["file"] for line in lines if line["event"] == "file_started"] == files
        assert lines[-3]["event"] == "decode_progress"
        assert len(done.out.splitlines()) == len(files)


def test_validate_reports_every_file(run: Run, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    done = run("validate", str(text), CLIP)
    assert done.code == 3
    assert [line for line in done.out.splitlines() if line.endswith((": refused", ": accepted"))] == [
        f"{text}: refused",
        f"{CLIP}: accepted",
    ]
    lines = [json.loads(line) for line in run("validate", "--quick", "--json", str(text), CLIP).out.splitlines()]
    assert [(line["file"], line["refused"]) for line in lines] == [(str(text), True), (CLIP, False)]
    assert lines[0]["problems"]
    assert lines[1]["source"]["video"]["codec"] == "h264"


def test_the_catalog(run: Run, home: Path) -> None:
    kept = json.loads((home / "ingest.json").read_text())
    record = {key: value for key, value in kept.items() if key not in ("manifest", "address", "timings")}
    assert json.loads(run("catalog", "show", "demo", "--json").out) == record
    assert record in json.loads(run("catalog", "list", "--json").out)["titles"]
    assert json.loads(run("catalog", "versions", "demo", "--json").out) == [record]
    shown = run("catalog", "show", "demo")
    assert "A \\x1b[31mfilm" in shown.out
    assert "\x1b" not in shown.out + run("catalog", "list").out
    schema = json.loads(run("catalog", "schema").out)
    assert set(schema["required"]) <= set(record)


def test_an_unknown_title(run: Run) -> None:
    done = run("catalog", "show", "dmo")
    assert (done.code, done.err) == (2, "error: there is no title 'dmo' in the catalog\nfix: did you mean demo?\n")


def test_inspect(run: Run, home: Path) -> None:
    manifest = json.loads((home / "ingest.json").read_text())["manifest"]
    assert "AES-128 keys/" in run("inspect", manifest).out
    found = json.loads(run("inspect", str(home / "library" / "demo"), "--json").out)
    assert (found["kind"], found["problems"]) == ("master", [])


def test_inspect_of_a_broken_title_ends_with_six(run: Run, tmp_path: Path) -> None:
    (tmp_path / "master.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nmissing.m3u8\n")
    done = run("inspect", str(tmp_path))
    assert done.code == 6
    assert "problem: missing.m3u8: " in done.out


def test_inspect_of_what_cannot_be_read_is_json_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "master.m3u8").write_text("<html>")
    done = run("inspect", str(tmp_path / "master.m3u8"), "--json")
    found = json.loads(done.out)
    assert (done.code, found["kind"]) == (2, "unreadable")
    assert found["problems"] == ["this is not an HLS playlist: a playlist begins with #EXTM3U and nothing else on that line"]
    assert [(each["file"], each["line"]) for each in found["error"]["diagnostics"]] == [(str(tmp_path / "master.m3u8"), 1)]
    assert done.err.startswith(f"error: {tmp_path / 'master.m3u8'}:1: this is not an HLS playlist")


def test_work(run: Run) -> None:
    held = json.loads(run("work", "list", "--json").out)
    assert {share["kind"] for share in held["shares"]} >= {"chunks", "jobs"}
    assert run("work", "clean", "--dry-run").out.startswith("would free ")
    assert run("work", "clean", "--older-than", "1").out == "freed 0 B in 0 files\n"


def test_doctor(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    S3Server("http://127.0.0.1:1", "test", "test-secret").use(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    done = run("doctor", "--json")
    found = json.loads(done.out)
    assert (done.code, found["ok"]) == (0, True)
    assert [check["name"] for check in found["checks"]] == ["vidpipe", "settings", "ffmpeg", "ladder", "home", "keys", "target", "catalog"]
    broken = run("doctor", "--ffmpeg", "/nowhere/ffmpeg", "--to", CLIP, "--cluster", "tcp://127.0.0.1:1", "--cluster-work", "s3://gone/x")
    assert broken.code == 2
    assert re.findall(r"^(\w+) +error ", broken.out, re.M) == ["ffmpeg", "target", "cluster", "cluster_work"]


def test_doctor_finds_misspelt_variables_and_loose_keys(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDPIPE_WROKERS", "3")
    (tmp_path / "keys").mkdir(mode=0o755)
    (tmp_path / "keys").chmod(0o755)
    checks = {check["name"]: check for check in json.loads(run("doctor", "--home", str(tmp_path), "--json").out)["checks"]}
    assert (checks["settings"]["state"], checks["settings"]["detail"]) == ("error", "no setting reads VIDPIPE_WROKERS")
    assert checks["settings"]["fix"] == "did you mean VIDPIPE_WORKERS?"
    assert checks["keys"]["state"] == "warning"


def test_a_misspelt_variable_stops_every_command_that_has_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDPIPE_TARGT", "s3://media")
    for command in (["ingest", CLIP], ["plan", CLIP], ["validate", CLIP], ["catalog", "list"], ["work", "clean"], ["preview", "demo"]):
        done = run(*command)
        assert (done.code, done.err) == (
            2, "error: VIDPIPE_TARGT: no setting reads this variable\nfix: did you mean VIDPIPE_TARGET? Otherwise unset it\n",
        )  # fmt: skip


def test_a_working_directory_that_is_gone(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run("catalog", "list").err == "error: the working directory is gone\nfix: change to another directory\n"
    monkeypatch.chdir(tmp_path)


# -- ladders


def test_ladders(run: Run, tmp_path: Path) -> None:
    assert [row.split()[0] for row in run("ladders", "list").out.splitlines()[1:]] == [
        "apple-avc", "apple-hevc", "fast", "mobile", "premium", "streaming",
    ]  # fmt: skip
    text = run("ladders", "show", "mobile", "--yaml").out
    (tmp_path / "mine.yaml").write_text(text)
    assert run("ladders", "check", str(tmp_path / "mine.yaml")).out == f"{tmp_path}/mine.yaml: ok, ladder mobile with 3 rungs\n"
    assert json.loads(run("ladders", "show", "fast", "--json").out)["rungs"][0]["bitrate"] == 300_000


def test_ladders_check_reports_every_wrong_file(run: Run) -> None:
    wrong = [str(FIXTURES / "ladders-broken" / f"{name}.yaml") for name in ("unknown-key", "bad-unit")]
    done = run("ladders", "check", wrong[0], "fast", wrong[1])
    assert (done.code, done.out) == (2, "fast: ok, ladder fast with 3 rungs\n")
    assert [line for line in done.err.splitlines() if line.startswith("error")] == [
        f"error: {wrong[0]}:11: unknown key 'bitrates' in rung 1",
        f"error: {wrong[1]}:7: bitrate of rung '240p' is '300kbps'",
    ]


# -- errors and exit codes

USAGE = {
    "no such command": (["ingset"], "No such command 'ingset'", "vidpipe --help"),
    "no such option": (["ingest", CLIP, "--laddr", "x"], "No such option", "vidpipe ingest --help"),
    "missing argument": (["ingest"], "Missing argument 'SOURCE'", "vidpipe ingest --help"),
    "wrong choice": (["ingest", CLIP, "--progress", "loud"], "--progress: 'loud' is not allowed", "auto, bar, plain"),
    "wrong port": (["preview", "demo", "--port", "70000"], "--port: '70000' is not allowed", "from 0 to 65535, such as --port 8080"),
    "wrong number": (["ingest", CLIP, "--workers", "many"], "--workers: 'many' is not allowed", "such as --workers 4"),
    "wrong encryption": (["ingest", CLIP, "--encrypt", "des"], "--encrypt: 'des' is not allowed", "give aes-128, cbcs, cenc or none"),
    "quiet and a bar": (["ingest", CLIP, "--quiet", "--progress", "bar"], "--quiet: it contradicts --progress bar", "keep one of them"),
    "wrong metadata": (["ingest", CLIP, "--meta", "x"], "--meta: 'x' is not key=value", "--meta season=2"),
    "target with a slip": (["ingest", CLIP, "--to", "s3:/media/vod"], "--to: 's3:/media/vod' is not a target", "did you mean s3://media/vod?"),
    "source with a slip": (["plan", "s3:/media/film.mov"], "this is not the URL of a source", "did you mean s3://media/film.mov?"),
    "nobody's home": (["ingest", CLIP, "--home", "~nosuchuser"], "--home: the home directory is unknown", "write the full path"),
    "nobody's target": (["ingest", CLIP, "--to", "~nosuchuser/x"], "--to: the home directory is unknown", "write the full path"),
    "nobody's ladder": (["ingest", CLIP, "--ladder", "~nosuchuser/x.yaml"], "--ladder: the home directory is", "write the full path"),
    "title in Latin-1": (["ingest", CLIP, "--title", "\udcfc"], "--title: '\\udcfc' is not UTF-8", "encoding of the terminal"),
    "metadata in Latin-1": (["ingest", CLIP, "--meta", "a=\udcfc"], "--meta: 'a=\\udcfc' is not UTF-8", "encoding of the terminal"),
    "id in Latin-1": (["catalog", "show", "\udcfc"], "there is no title '\\udcfc'", "catalog list"),
    "another source": (
        ["ingest", str(FIXTURES / "silent-video.mp4"), "--ladder", "fast", "--id", "demo"],
        "demo is live and was made from another source: one-second.mp4",
        "or replace demo with --replace",
    ),
    "no such ladder": (["plan", CLIP, "--ladder", "steaming"], "there is no ladder 'steaming'", "did you mean streaming?"),
}


@pytest.mark.parametrize("name", USAGE)
def test_usage_errors_are_a_sentence_and_an_advice(run: Run, name: str) -> None:
    arguments, what, fix = USAGE[name]
    done = run(*arguments)
    first = next(line for line in done.err.splitlines() if line.startswith("error: "))
    last = done.err.splitlines()[-1]
    assert (done.code, done.out) == (2, "")
    assert what in first
    assert last.startswith("fix: ")
    assert fix in last
    assert "Traceback" not in done.err


def raising(error: BaseException) -> Callable[[Sequence[str]], None]:
    def command(arguments: Sequence[str]) -> None:
        raise error

    return command


CLASSES = [
    value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, VidpipeError) and value is not VidpipeError
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code(kind: type[VidpipeError], capsys: pytest.CaptureFixture[str]) -> None:
    error = kind("it broke", where="a.mp4", fix="mend it", details=["first", "second \x1b]0;title\x07"])
    assert exits.run(raising(error), []) == kind.exit_code
    assert capsys.readouterr().err == "error: a.mp4: it broke\nfirst\nsecond \\x1b]0;title\\x07\nfix: mend it\n"
    assert kind.exit_code in exits.CODES


def test_a_bug_is_called_a_bug(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits.run(raising(ZeroDivisionError("division by zero")), []) == 70
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: this is a bug in vidpipe {__version__}: ZeroDivisionError: division by zero\nfix: please report it")
    assert "Traceback" not in shown


@pytest.mark.parametrize("error", [ValueError("x"), UsageError("x")], ids=["bug", "usage"])
def test_debug_adds_the_traceback(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    exits.run(raising(error), ["ingest", "--debug"])
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):\n")
    assert "\nerror: " in shown
    exits.run(raising(error), ["ingest", "--", "--debug"])
    assert "Traceback" not in capsys.readouterr().err


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits.run(raising(KeyboardInterrupt()), []) == 130
    assert capsys.readouterr().err == "error: stopped\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_cancels(number: signal.Signals) -> None:
    calls: list[str] = []
    before = signal.getsignal(number)
    with exits.stopping(lambda: calls.append("stopping")) as cancel:
        signal.raise_signal(number)
        assert (cancel.is_set(), calls) == (True, ["stopping"])
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("number", "stops"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, False)])
def test_what_nohup_ignores_stays_ignored_but_ctrl_c(number: signal.Signals, stops: bool) -> None:
    """A script's "vidpipe … &" ignores SIGINT, too; but whoever sends it there means it."""
    signal.signal(number, signal.SIG_IGN)
    with exits.stopping(lambda: None) as cancel:
        signal.raise_signal(number)
        assert cancel.is_set() == stops
    assert signal.getsignal(number) is signal.SIG_IGN


STUBBORN = """
import signal, sys, threading
from vidpipe.cli import exits
from vidpipe.media.process import run
child = [sys.executable, "-c", "import os, signal, time; signal.signal(15, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(60)"]
with exits.stopping(lambda: print("stopping", flush=True)):
    thread = threading.Thread(target=run, args=(child,), kwargs={"on_line": lambda line: print(line, flush=True)})
    thread.start()
    thread.join()  # never looks at the event
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the child in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_second_signal_ends_everything_at_once(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stderr
        child = int(process.stdout.readline())
        process.send_signal(number)
        assert process.stdout.readline() == "stopping\n"
        process.send_signal(number)
        assert (process.wait(5), process.stderr.read()) == (130, "")
    deadline = time.monotonic() + 5
    while command_line(Path(f"/proc/{child}")):
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.02)


def command_line(process: Path) -> str:
    """Return the command line of a running process, "" if it has ended."""
    try:
        return (process / "cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


@pytest.mark.parametrize(
    "arguments",
    [["catalog", "schema"], ["ladders", "list"], ["catalog", "list"], ["plan", CLIP], ["ingest", CLIP, "--dry-run", "--progress", "json"]],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_a_closed_pipe_is_quiet(home: Path, arguments: list[str]) -> None:
    argv = [sys.executable, str(ROOT / "cli.py"), *arguments]
    environ = {**os.environ, "VIDPIPE_HOME": str(home)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        lines = process.stderr.read().splitlines()
        assert process.wait(30) == 141
    if "json" in arguments:
        assert json.loads(lines[-1])["exit_code"] == 141
    else:
        assert lines == []


@pytest.mark.parametrize("progress", ["plain", "json", *(pytest.param(mode, marks=pytest.mark.nightly) for mode in ("none", "bar"))])
def test_an_ingest_goes_on_when_nobody_reads_what_it_says(home: Path, tmp_path: Path, progress: str) -> None:
    shutil.copytree(home / "work", tmp_path / "work")  # all is encoded already
    argv = [sys.executable, str(ROOT / "cli.py"), "ingest", CLIP, "--ladder", "fast", "--home", str(tmp_path), "--json"]
    with subprocess.Popen([*argv, "--progress", progress], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stderr.close()
        assert json.loads(process.stdout.read())["status"] == "live"
        assert process.wait(30) == 0


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_closed_streams_are_no_bug(home: Path) -> None:
    argv = [sys.executable, str(ROOT / "cli.py"), "catalog", "show", "--home", str(home)]
    for closed, code in ((">&- 2>&-", 0), ("2>&-", 0)):
        done = subprocess.run(["/bin/sh", "-c", f'"$@" {closed}', "sh", *argv, "demo"], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (code, b"")
    done = subprocess.run(["/bin/sh", "-c", '"$@" 2>&-', "sh", *argv, "nothing"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


def test_the_readme_and_the_help_list_the_same_exit_codes(run: Run) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = {int(code): meaning for code, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", readme, re.M)}
    assert table == exits.CODES
    shown = run("--help").out.partition("Exit codes:")[2].partition("\n\n")[0]
    assert {int(code): meaning for code, meaning in re.findall(r"^ +(\d+)  (.+)$", shown, re.M)} == exits.CODES


# -- text on terminals


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain ünïcode 漢字", "plain ünïcode 漢字"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9b31mb", "a\\x9b31mb"),
        ("a\r\nb\tc\x07\x7f", "a\\r\\nb\\tc\\x07\\x7f"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("\ud800", "\\ud800"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    assert escaped(text) == cleaned


def test_a_table_is_folded_on_a_narrow_terminal_and_never_cut() -> None:
    rows = [("a-name-of-thirty-characters-xx", "short", "a long sentence that says something about this row and does not end soon")]
    for width in (30, 60, 80, 200):
        console = Console(width=width, force_terminal=True, color_system=None, highlight=False)
        with console.capture() as captured:
            table(console, ("name", ">kind", "text"), rows)
        text = captured.get()
        assert max(len(line) for line in text.splitlines()) <= width
        letters = re.sub(r"[\s─]", "", text)
        for cell in rows[0]:
            if width >= 80:
                assert cell.replace(" ", "") in letters or cell.split()[0] in letters
        assert "…" not in text


@pytest.mark.parametrize("command", ["ingest", "plan", "validate", "inspect", "preview", "doctor", "ladders", "catalog", "work"])
@pytest.mark.parametrize("width", ["40", "200"])
def test_every_command_has_help_at_every_width(run: Run, monkeypatch: pytest.MonkeyPatch, command: str, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    done = run(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: vidpipe {command}" in done.out


def test_version(run: Run) -> None:
    assert run("--version").out == f"vidpipe {__version__}\n"


def test_metadata() -> None:
    assert metadata(["a=1", " b =x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    for wrong in (["=x"], ["a"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            metadata(wrong)


def test_commands_stay_short() -> None:
    import inspect as look

    for command in app.registered_commands:
        assert command.callback
        source = look.getsource(command.callback)
        body = source.split('"""')[2]
        assert len([line for line in body.splitlines() if line.strip()]) <= 16, command.callback.__name__


def test_a_pipe_gets_the_lines_that_rich_would_print(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    texts = ["plain", "x" * 20_000, "", "[bold]no markup[/bold] :smile: 1.5", "trailing "]
    texts += ["日本語 é", "a  b", "https://a/b?c=1 'q' None True"]
    for printer in (words.err(), words.console(stderr=True)):
        printer.print("error: ", style="bold red", end="")
        words.lines(printer, *texts)
    shown = capsys.readouterr().err
    assert isinstance(words.err(), words.Piped)
    assert shown[: len(shown) // 2] == shown[len(shown) // 2 :]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not isinstance(words.err(), words.Piped)
