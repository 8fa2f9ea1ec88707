"""Ways that take turns: none runs in another's, and what each cost is its own."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.benchmarks.turns import Command, side_by_side

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="pidfd is Linux's")

BUSY = "import time; begun = time.process_time()\nwhile time.process_time() - begun < {}: pass"
STAMPS = """
import sys, time
end = time.monotonic() + 2
with open(sys.argv[1], "w") as out:
    while time.monotonic() < end:
        out.write(f"{time.monotonic()}\\n")
        time.sleep(0.001)
"""


def test_each_way_costs_what_its_processes_took(tmp_path: Path) -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY.format(0.3)!r}])"
    begun = time.monotonic()
    spent = side_by_side(
        {
            "one": [Command([sys.executable, "-c", BUSY.format(0.6)], tmp_path)],
            "two, and a child": [Command([sys.executable, "-c", argument], tmp_path) for argument in (BUSY.format(0.3), child)],
        }
    )
    for cost in spent.values():
        assert 0.6 <= cost.cpu < 1.9
        assert cost.cpu * 0.9 < cost.wall
    assert sum(cost.wall for cost in spent.values()) <= time.monotonic() - begun


def test_no_process_runs_in_the_turn_of_another(tmp_path: Path) -> None:
    child = f"subprocess.run([sys.executable, '-c', {STAMPS!r}, sys.argv[1]])"
    parent = f"import subprocess, sys, threading; threading.Thread(target=lambda: {child}).start()"
    argv = {name: [sys.executable, "-c", code, str(tmp_path / name)] for name, code in (("a", STAMPS), ("b", parent))}
    side_by_side({name: [Command(words, tmp_path)] for name, words in argv.items()})
    times = sorted((float(line), name) for name in argv for line in (tmp_path / name).read_text().split())
    changes = sum(one[1] != other[1] for one, other in itertools.pairwise(times))
    assert 2 <= changes < 20  # running at once they would change hundreds of times


def test_a_command_that_fails_ends_the_others(tmp_path: Path) -> None:
    slow = Command(["sleep", "61.27"], tmp_path)
    begun = time.monotonic()
    with pytest.raises(SystemExit, match=r"failed \(3\)(.|\n)*no such thing"):
        side_by_side({"slow": [slow], "fails": [Command(["sh", "-c", "echo no such thing >&2; exit 3"], tmp_path)]})
    assert time.monotonic() - begun < 30
    assert subprocess.run(["pgrep", "-f", "sleep 61.27"], check=False).returncode == 1
