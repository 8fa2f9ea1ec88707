"""Programs are run with limits, ended whole, and never leave anything behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vidpipe.errors import Interrupted, UsageError
from vidpipe.media import process
from vidpipe.media.process import GATHERED, INHERITED, STDERR_KEPT, Limits, run

PYTHON = sys.executable


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(pid: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_collects_stdout_and_exit_code() -> None:
    done = run([PYTHON, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"])
    assert (done.stdout, done.stderr_tail, done.returncode, done.timed_out) == (b"out\n", "err\n", 3, False)


def test_children_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = (
        *("VIDPIPE_MASTER_KEY", "VIDPIPE_CATALOG_URL", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "GITHUB_TOKEN", "HTTPS_PROXY", "https_proxy"),
        *("SOME_API_KEY", "FFREPORT", "SSH_AUTH_SOCK"),
    )
    for name in secrets:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_NUMERIC", "C")
    seen = dict(line.split("=", 1) for line in run(["env"]).stdout.decode().splitlines() if "=" in line)
    assert seen["LC_NUMERIC"] == "C"
    assert seen["PATH"] == os.environ["PATH"]
    assert "secret" not in seen.values()
    # sh sets the other three itself
    assert {name for name in seen if not name.startswith("LC_")} <= INHERITED | {"PWD", "OLDPWD", "SHLVL", "_"}


def test_an_interruption_blames_no_program() -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted) as stopped:
        run(["sleep", "9"], cancel=cancel, limits=Limits(open_files=50))
    assert str(stopped.value) == "stopped on request"


def test_feeds_stdin() -> None:
    data = os.urandom(1 << 20)
    assert run(["cat"], stdin=data).stdout == data


def test_without_stdin_the_child_reads_nothing() -> None:
    assert run(["cat"]).stdout == b""


def test_lines_come_as_they_are_written() -> None:
    seen: list[str] = []
    done = run([PYTHON, "-c", "print('a=1'); print('progress=end')"], on_line=seen.append)
    assert (seen, done.stdout) == (["a=1", "progress=end"], b"")


def test_lines_stay_whole_however_they_come() -> None:
    """In halves, many at once, with the last one unfinished, longer than what is kept of one."""
    seen: list[str] = []
    long = STDERR_KEPT + 5
    code = f"""
import sys, time
say = lambda text: (sys.stdout.write(text), sys.stdout.flush())
say("fra"); time.sleep(0.3); say("me=1\\r\\nframe"); time.sleep(0.3); say("=2\\n" + "x" * {long} + "\\n")
say("".join(f"{{n}}\\n" for n in range(50_000)))
say("no end")
"""
    run([PYTHON, "-c", code], on_line=seen.append)
    assert seen[:2] == ["frame=1", "frame=2"]
    numbers = seen.index("0")
    assert "".join(seen[2:numbers]) == "x" * long
    assert seen[numbers:] == [*map(str, range(50_000)), "no end"]


def test_who_says_little_is_listened_to_a_few_times_a_second() -> None:
    """Being woken for each of the frames that ffmpeg reports was a fiftieth of a quick encode."""
    ticks: list[int] = []
    seen: list[str] = []
    slowly = "for i in $(seq 200); do echo $i; sleep 0.005; done"
    done = run(["sh", "-c", slowly], on_line=seen.append, on_tick=lambda: ticks.append(len(seen)))
    assert seen == [str(number) for number in range(1, 201)]
    assert 3 < len(set(ticks)) < done.seconds / GATHERED + 4


def test_gathering_lines_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GATHERED", 60)
    seen: list[str] = []
    assert run(["sh", "-c", "echo 1; sleep 0.02; echo 2"], on_line=seen.append).seconds < 30
    assert seen == ["1", "2"]


def test_stderr_is_bounded_and_keeps_the_end() -> None:
    done = run([PYTHON, "-c", "import sys; sys.stderr.write('x' * 5_000_000 + 'the end')"])
    assert len(done.stderr_tail) == STDERR_KEPT
    assert done.stderr_tail.endswith("the end")


def test_time_limit_ends_the_whole_group() -> None:
    done = run(["sh", "-c", "sleep 60 & echo $!; wait"], limits=Limits(wall_seconds=0.3))
    assert done.timed_out
    assert gone(int(done.stdout))


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    done = run([PYTHON, "-c", code], limits=Limits(wall_seconds=0.5))
    assert done.timed_out
    assert done.returncode == -signal.SIGKILL


def test_cancel_ends_it() -> None:
    cancel = threading.Event()
    pids: list[int] = []

    def saw(line: str) -> None:
        pids.append(int(line))
        cancel.set()

    with pytest.raises(Interrupted):
        run(["sh", "-c", "sleep 60 & echo $!; wait"], on_line=saw, cancel=cancel)
    assert gone(pids[0])


def test_an_exception_of_the_caller_ends_it() -> None:
    pids: list[int] = []

    def saw(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo $$; exec sleep 60"], on_line=saw)
    assert gone(pids[0])


def test_a_grandchild_that_holds_the_pipes_does_not_hang_us() -> None:
    started = time.monotonic()
    done = run(["sh", "-c", "sleep 60 & echo $!"])
    assert time.monotonic() - started < 10
    assert gone(int(done.stdout))


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is a Linux service")
def test_a_killed_vidpipe_takes_its_children_along() -> None:
    code = "from vidpipe.media.process import run; run(['sh', '-c', 'echo $$; exec sleep 60'], on_line=lambda l: print(l, flush=True))"
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is a Linux service")
@pytest.mark.parametrize("limits", ["", ", limits=Limits(open_files=99)"])
def test_a_child_whose_vidpipe_died_before_it_could_arm_the_signal_never_becomes_the_program(limits: str, tmp_path: Path) -> None:
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    late = tmp_path / "setpriv"
    late.write_text(f'#!/bin/sh\ncd {tmp_path}; echo $$ > started; mv started pid; cat gate; exec {setpriv} "$@"\n')
    late.chmod(0o755)
    os.mkfifo(tmp_path / "gate")
    code = f"from vidpipe.media.process import Limits, run; run(['touch', {str(tmp_path / 'ran')!r}]{limits})"
    with subprocess.Popen([PYTHON, "-c", code], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}) as parent:
        end = time.monotonic() + 20
        while not (tmp_path / "pid").exists() and time.monotonic() < end:
            time.sleep(0.01)
        parent.kill()
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    (tmp_path / "gate").write_text("")  # now it may go on
    assert gone(pid)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        pytest.param(Limits(memory_bytes=200 << 20), "bytearray(400 << 20)", id="memory"),
        pytest.param(Limits(cpu_seconds=1), "while True: pass", id="cpu"),
        pytest.param(Limits(output_bytes=1 << 16), "open('f', 'wb').write(bytes(1 << 20))", id="file size"),
        pytest.param(Limits(output_bytes=1 << 16, wall_seconds=20), "while True: print('x' * 1000)", id="stdout size"),
        pytest.param(Limits(open_files=16), "[open('/dev/null') for _ in range(32)]", id="open files"),
    ],
)
def test_limits_hold(limits: Limits, code: str, tmp_path: Path) -> None:
    done = run([PYTHON, "-c", code], limits=limits, cwd=tmp_path)
    assert done.returncode != 0
    assert not done.timed_out


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(UsageError, match="/no/such/program"):
        run(["/no/such/program"])


def test_lines_that_are_asked_for_are_kept_however_much_is_said_around_them() -> None:
    """A decoder that says something of each packet pushed the one line out that mattered, and audio that changes was not seen."""
    noise = "[say('noise ' * 20 + '\\n') for _ in range(500)]"
    code = f"import sys; say = sys.stderr.write; {noise}; say('it changed\\n'); {noise}; say('it changed')"
    done = run([sys.executable, "-c", code], note=re.compile(rb"changed"))
    assert done.noted == ("it changed",), "whole lines only"
    assert "it changed\n" not in done.stderr_head + done.stderr_tail
    assert run([sys.executable, "-c", code]).noted == ()
