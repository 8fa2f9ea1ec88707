"""What vidpipe starts to compute gets long turns from the kernel, and nothing else about it changes."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vidpipe.media import time_slice
from vidpipe.media.process import run

TOLD = Path("/proc/self/sched")
KERNEL = tuple(int(part) for part in re.findall(r"\d+", platform.release())[:2])
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or KERNEL < (6, 12) or not TOLD.exists() or "se.slice" not in TOLD.read_text(),
    reason="the kernel knows no turns of a thread's own (Linux 6.12), or does not show them",
)

SAYS = """
import os, pathlib, sys, threading
print("ready", flush=True)
sys.stdin.read()
def say():
    text = pathlib.Path(f"/proc/self/task/{threading.get_native_id()}/sched").read_text()
    turns = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("se.slice")]
    print(*turns or ["0"], os.nice(0), os.sched_getscheduler(0))
thread = threading.Thread(target=say)
thread.start()
thread.join()
"""


def told(*before: str) -> tuple[int, int, int]:
    """Return the turn in nanoseconds, nice value and policy of a thread that a child starts at the end of its stdin (0: it has none)."""
    with subprocess.Popen([*before, sys.executable, "-c", SAYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"  # nice and chrt have done their work
        time_slice.lengthen(child.pid)
        turn, nice, policy = child.communicate("", timeout=60)[0].split()
    return int(turn), int(nice), int(policy)


def test_a_program_that_is_run_has_the_longest_turns() -> None:
    done = run([sys.executable, "-c", SAYS], stdin=b"")
    assert int(done.stdout.split()[1]) == time_slice.LONGEST
    own = re.findall(r"se\.slice\s*:\s*(\d+)", TOLD.read_text())
    assert int(own[0]) < time_slice.LONGEST, "vidpipe itself has to answer soon"


def test_its_nice_value_and_its_policy_stay() -> None:
    nice = os.nice(0)
    assert told("nice", "-n", "3") == (time_slice.LONGEST, min(nice + 3, 19), os.SCHED_OTHER)
    assert told("chrt", "--batch", "0") == (time_slice.LONGEST, nice, os.SCHED_BATCH)


def test_one_that_shall_run_only_when_nothing_else_does_is_left_alone() -> None:
    turn, _, policy = told("chrt", "--idle", "0")
    assert (policy, turn < time_slice.LONGEST) == (os.SCHED_IDLE, True)


def test_what_has_ended_is_no_error() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    time_slice.lengthen(child.pid)


def test_where_the_numbers_of_the_calls_are_not_known_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_slice, "_CALLS", {})
    assert told()[0] < time_slice.LONGEST
