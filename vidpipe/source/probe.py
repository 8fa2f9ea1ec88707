"""Measure a source file: path in, ``Source`` out. The file itself is only ever opened in a child process with limits.

In:   the path of a local file (``vidpipe.source.access`` makes one of a URL).
Out:  Source, every fact of it measured.
Wrong: SourceRefused with one line for every problem: the path is none or no ordinary file, the content is no video, a limit is
       exceeded, or the child crashed, hung or ballooned.  Interrupted on cancel.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import SourceRefused
from vidpipe.media.process import Cancel, Completed, Limits, run
from vidpipe.source.facts import Source
from vidpipe.source.limits import SourceLimits, raising
from vidpipe.source.problem import Problem
from vidpipe.source.text import one_line

# A new process, and no fork of this one: what reads an untrusted file must not find the master key and credentials in its memory.
# It imports from exactly the places that this process does (checkout, wheel, user site), and not from the working folder; and nothing
# else: no site customization (-S), no plugins of pydantic.
# A tenth of the time that its imports take is the collector's, looking for garbage among modules.
CHILD = (
    "import gc, os, sys; gc.disable(); os.environ['PYDANTIC_DISABLE_PLUGINS'] = '__all__'; "
    "sys.path[:] = sys.argv.pop(1).split(os.pathsep); "
    "from vidpipe.source.child.start import loaded; main = loaded(sys.argv[1]); gc.freeze(); gc.enable(); main(sys.argv[1:])"
)

NO_ANSWER = "the probe returned no usable result"
NO_USABLE_ANSWER = Problem("reader-failed", NO_ANSWER)
FIX = (
    "copy it again from the original and compare the sizes; if they are the same, export it again, "
    "or repair it: ffmpeg -i FILE -map 0 -c copy FIXED.mkv"
)
REPORT = "try a repaired copy: ffmpeg -i FILE -map 0 -c copy FIXED.mkv; if that is refused too, report it with the output of --debug"

KINDS = (
    (stat.S_ISDIR, "it is a directory, not a file", "give one video file inside it"),
    (stat.S_ISFIFO, "it is a pipe (FIFO); a source is read more than once", "read it on standard input: vidpipe ingest - --id X < PIPE"),
    (stat.S_ISBLK, "it is a block device, not a file", "copy the video from the device into a file first"),
    (stat.S_ISCHR, "it is a character device, not a file", "give a video file"),
    (stat.S_ISSOCK, "it is a socket, not a file", "give a video file"),
)


class _Unreadable(SourceRefused):
    """The path leads to nothing that can be read as a file."""

    id = "unreadable-source"


def probe(
    location: str, *, limits: SourceLimits | None = None, cancel: threading.Event | None = None, quick: bool = False
) -> Source:
    """Measure the local file at ``location``; quick: of a large one, only its ends. Raises SourceRefused, Interrupted."""
    limits = limits or SourceLimits()
    path, size = checked_file(location, limits)
    name = one_line(Path(location).name) or "source"
    question = ["examine", str(path), name, limits.model_dump_json(), *(["quick"] if quick else [])]
    answer = ask(question, where=one_line(location, 1000), limits=limits.child(size), cancel=cancel)
    try:
        return Source.model_validate_json(json.dumps(answer["source"]))
    except (KeyError, ValidationError) as error:
        raise _refused(one_line(location, 1000), [NO_USABLE_ANSWER], REPORT) from error


def ask(arguments: list[str], *, where: str, limits: Limits, cancel: Cancel | None, about: Data | None = None) -> dict[str, Any]:
    """Let a child answer a question about a file (see ``child.main``). Raises SourceRefused if it does not, or lists problems.

    about: what the question is about, on its standard input: the facts of a long film are longer than an argument may be.
    """
    given = about.model_dump_json().encode() if about else None
    return answered(run(child(*arguments), stdin=given, limits=limits, cancel=cancel), where, limits)


def child(*arguments: str) -> list[str]:
    """Return the command of the child that answers a question (see ``child.main``)."""
    return [sys.executable, "-I", "-S", "-c", CHILD, _import_path(), *arguments]


def answered(done: Completed, where: str, limits: Limits) -> dict[str, Any]:
    """Return what a child answered. Raises SourceRefused as ``ask`` does."""
    if done.returncode != 0 or done.timed_out:
        problem, fix = _ending(done, limits)
        raise _refused(where, [problem], fix, [one_line(line, 400) for line in done.stderr_tail.splitlines()])
    try:
        answer = json.loads(done.stdout)
        sentences = [one_line(str(problem), 400) for problem in answer.get("problems", ())]
        ids = [one_line(str(id_), 40) for id_ in answer.get("ids", ())]
        problems = [Problem(*each) for each in zip(ids, sentences, strict=True)]
        fix = one_line(str(answer.get("fix") or ""), 600) or None
        debug = [one_line(str(line), 400) for line in answer.get("debug", ())]
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _refused(where, [NO_USABLE_ANSWER], REPORT, [one_line(line, 400) for line in done.stderr_tail.splitlines()]) from error
    if problems:
        raise _refused(where, problems, REPORT if debug else fix, debug)
    return dict(answer)


def checked_file(location: str, limits: SourceLimits) -> tuple[Path, int]:
    """Return the absolute path and the size of an ordinary, readable, non-empty file, or raise SourceRefused."""
    where = one_line(location, 1000)
    if not location or "\0" in location:
        raise _Unreadable("the name of the source is empty or contains a zero byte", where=where or None, fix="give a video file")
    try:
        location.encode("utf-8")
    except UnicodeEncodeError:
        raise _Unreadable("the name of the file is not valid UTF-8", where=where, fix="rename the file") from None
    try:
        path = Path(location).resolve(strict=True)
        facts = path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: how Python before 3.13 reports a symlink loop
        raise _unreachable(where, location, error) from error
    for is_kind, what, fix in KINDS:
        if is_kind(facts.st_mode):
            raise _Unreadable(what, where=where, fix=fix)
    if facts.st_size == 0:
        raise _Unreadable("the file is empty", where=where, fix="check that it was copied completely")
    if facts.st_size > limits.max_bytes:
        raise SourceRefused(
            f"the file has {facts.st_size} bytes; the limit is {limits.max_bytes}",
            where=where,
            fix=raising("max_bytes"),
            id="limit-exceeded",
        )
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise _unreachable(where, location, error) from error
    return path, facts.st_size


def _unreachable(where: str, location: str, error: Exception) -> SourceRefused:
    number = error.errno if isinstance(error, OSError) else errno.ELOOP
    if number == errno.ENOENT:
        if Path(location).is_symlink():
            return _Unreadable("it is a link to a file that does not exist", where=where, fix="repair the link or name the file itself")
        return SourceRefused("no such file", where=where, fix="check the name and the folder", id="missing-source")
    if number == errno.ELOOP:
        return _Unreadable("its symbolic links form a loop", where=where, fix="repair the link or name the file itself")
    if number in (errno.EACCES, errno.EPERM):
        return _Unreadable("permission denied", where=where, fix="give this user read access to it")
    if number == errno.ENOTDIR:
        return _Unreadable("a part of the path is a file, not a folder", where=where, fix="check the path")
    if number == errno.ENAMETOOLONG:
        return _Unreadable("the name is too long for a file", where=where[:200], fix="give it a shorter name")
    return _Unreadable(
        f"the file cannot be read: {os.strerror(number or errno.EIO)}", where=where, fix="check the disk or the network drive"
    )


def _refused(where: str, problems: Sequence[Problem], fix: str | None = None, debug: Sequence[str] = ()) -> SourceRefused:
    """Return the refusal for all problems."""
    sentences = [problem.message for problem in problems]
    fix = re.sub(r"\bFILE\b", lambda _: shlex.quote(where), fix or FIX)
    return SourceRefused(
        sentences[0] if len(problems) == 1 else f"it cannot be used as a source, for {len(problems)} reasons",
        where=where,
        details=sentences if len(problems) > 1 else (),
        fix=fix,
        debug=debug,
        found=[Diagnostic(id=problem.id, severity="error", message=problem.message, advice=fix) for problem in problems],
    )


def _ending(done: Completed, limits: Limits) -> tuple[Problem, str | None]:
    """Say how a child ended that gave no answer, and how to fix that."""
    if done.timed_out:
        slow = f"reading it took more than {done.seconds:.0f} s and was stopped (limit wall_seconds)"
        return Problem("limit-exceeded", slow), raising("wall_seconds")
    if any(words in done.stderr_tail for words in ("MemoryError", "Cannot allocate memory", "failed to map segment")):
        needed = f"reading it needs more than {(limits.memory_bytes or 0) // 1024**2} MiB of memory (limit memory_bytes)"
        return Problem("limit-exceeded", needed), raising("memory_bytes")
    if done.returncode in (-24, 152):  # SIGXCPU
        busy = "reading it took more CPU time than allowed and was stopped (limit cpu_seconds)"
        return Problem("limit-exceeded", busy), raising("cpu_seconds")
    if done.returncode in (-9, 137, -15, 143):
        killed = "the probe was killed: it took more CPU time than allowed, or the machine ran out of memory"
        return Problem("reader-killed", killed), "run the same command again with more free memory; " + raising("cpu_seconds")
    if done.returncode < 0 or done.returncode > 128:
        return Problem("reader-crashed", "it crashes the demuxer or the decoder; the file is damaged or malicious"), None
    return Problem("reader-failed", "the probe failed"), REPORT


def _import_path() -> str:
    package = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(dict.fromkeys([package, *(str(Path(entry or ".").resolve()) for entry in sys.path if entry)]))
