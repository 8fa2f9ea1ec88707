"""The one place where a failure becomes text on standard error, with ``--json`` an object on standard output, and an exit code.

In:   any exception that leaves a command.
Out:  a Failure: exit code, the lines for a person, the diagnostics for a program, and the traceback if ``--debug`` was given.
Wrong: nothing; this is where everything ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import typer

from vidpipe import __version__
from vidpipe.cli import hints
from vidpipe.cli.words import Unwritten, err, escaped, write_json
from vidpipe.errors import EXIT_BUG, EXIT_OK, Interrupted, UsageError, VidpipeError

if TYPE_CHECKING:
    from vidpipe.diagnostics import Diagnostic

ERROR_FORMAT = "vidpipe.error/1"
EXIT_OUTPUT = 74  # EX_IOERR of sysexits.h
EXIT_PIPE = 141  # what a shell reports for a program that SIGPIPE ended: the output pipe was closed
CODES = {
    0: "done",
    2: "usage or configuration",
    3: "source refused",
    4: "encode failed",
    5: "publish failed",
    6: "verification failed",
    7: "catalog failed",
    70: "a bug in vidpipe",
    EXIT_OUTPUT: "the output cannot be written",
    130: "interrupted",
    EXIT_PIPE: "output pipe closed",
}


@dataclass(frozen=True)
class Failure:
    """How a run ends that did not succeed. traceback: only with --debug."""

    exit_code: int
    lines: tuple[str, ...]
    traceback: str | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    def report(self) -> dict[str, Any]:
        """Return it as the JSON object for scripts (docs/diagnostics.md)."""
        from vidpipe.data import report

        found = {
            "exit_code": self.exit_code,
            "message": list(self.lines),
            "diagnostics": [report(each) for each in self.diagnostics],
        }
        return found | ({"traceback": self.traceback} if self.traceback else {})


class Reported(Exception):
    """The run has failed, and standard error says so already."""

    def __init__(self, problem: Failure) -> None:
        super().__init__(problem)
        self.problem = problem
        self.exit_code = problem.exit_code


def failure(error: BaseException, *, debug: bool) -> Failure:
    """Describe an exception for the person who ran the command."""
    trace = "".join(traceback.format_exception(error)) if debug else None
    if isinstance(error, KeyboardInterrupt):
        error = Interrupted("stopped")
    if isinstance(error, BrokenPipeError):
        return _foreign(EXIT_PIPE, "output-closed", CODES[EXIT_PIPE], None, trace)
    if isinstance(error, Unwritten):
        fix = "free some space or write the output elsewhere, then run the same command again"
        return _foreign(EXIT_OUTPUT, "output-failed", f"{CODES[EXIT_OUTPUT]}: {error.strerror}", fix, trace)
    if isinstance(error, VidpipeError):
        more = error.debug if debug else ()
        return Failure(error.exit_code, (*error.lines(), *(f"debug: {line}" for line in more)), trace, error.diagnostics())
    message = getattr(error, "format_message", None)  # Click's and Typer's own usage errors, whichever Click Typer carries
    if callable(message):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "vidpipe"
        what, offered = _offered(str(message()).rstrip(".").replace("\n", " "), getattr(error, "possibilities", None))
        usage = f"write {' '.join((command, *context.command.collect_usage_pieces(context)))}, or " if context and not offered else ""
        return _foreign(UsageError.exit_code, UsageError.id, what, f"{offered}{usage}see {command} --help", trace)
    kind = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    advice = "please report it to the maintainers, with " + ("this output" if debug else "the output of the same command and --debug")
    return _foreign(EXIT_BUG, VidpipeError.id, f"this is a bug in vidpipe {__version__}: {kind}", advice, trace)


def _offered(message: str, options: Sequence[str] | None) -> tuple[str, str]:
    """Split what Typer says into what is wrong and the advice that offers the names which were probably meant, if it knows any."""
    what, _, commands = message.replace("\n", " ").removesuffix("?").partition(" Did you mean ")
    names = sorted(options) if options else commands.replace("'", "").split(", ") if commands else []
    return what.partition(" (Possible options:")[0].rstrip("."), f"did you mean {' or '.join(names)}? Else " if names else ""


def _foreign(code: int, id_: str, what: str, fix: str | None, trace: str | None) -> Failure:
    """Describe what is no VidpipeError."""
    from vidpipe.diagnostics import Diagnostic

    found = Diagnostic(id=id_, severity="error", message=what, advice=fix)
    return Failure(code, (what, *([f"fix: {fix}"] if fix else [])), trace, (found,))


def show(problem: Failure, arguments: Sequence[str] = ()) -> None:
    """Write a failure to standard error. Long lines are not broken, so that commands in them can be pasted.

    arguments: of the command that failed; a home that they name stands in those commands, too.
    """
    console = err()
    for line in (problem.traceback or "").splitlines():
        console.print(escaped(line), soft_wrap=True)
    console.print("error: ", style="bold red", end="")
    for line in "\n".join(problem.lines).split("\n"):
        console.print(escaped(hints.with_home(line, arguments)), soft_wrap=True)


def run(command: Callable[[Sequence[str]], object], arguments: Sequence[str]) -> int:
    """Run the command line and return the exit code. Every exception ends here."""
    debug = wants("--debug", arguments)
    try:
        command(arguments)
        sys.stdout.flush()
    except typer.Exit as error:
        return _flushed(error.exit_code)
    except BrokenPipeError:
        return _quiet()
    except (Exception, KeyboardInterrupt, typer.Abort) as error:  # noqa: BLE001 - the outermost handler: nothing may pass it
        if isinstance(error, Reported):
            problem = error.problem
        else:
            problem = failure(KeyboardInterrupt() if isinstance(error, typer.Abort) else error, debug=debug)
            with suppress(OSError):  # nobody reads: the exit code says it
                show(problem, arguments)
        if wants("--json", arguments) and problem.exit_code not in (EXIT_OUTPUT, EXIT_PIPE):
            with suppress(OSError):
                write_json({"format": ERROR_FORMAT, "error": problem.report()})
        drop(sys.stderr)
        drop(sys.stdout)
        return problem.exit_code
    return _flushed(EXIT_OK)


def wants(option: str, arguments: Sequence[str]) -> bool:
    """Whether a flag is among the options: known even when the rest of the command line cannot be read."""
    options = list(arguments)
    return option in (options[: options.index("--")] if "--" in options else options)


class Stop(threading.Event):
    """Set by the first signal. too_late: from now on signals stop nothing; the run ends as it ends, and so does its exit code."""

    too_late = False


@contextmanager
def stopping(stopped: Callable[[], None], last_words: Callable[[], bytes] = bytes) -> Iterator[Stop]:
    """Give the event that Ctrl-C and SIGTERM set while the block runs; a second signal ends the process at once, with all its children.

    stopped: called at the first signal, to say that the run is stopping.
    last_words: gives what standard error receives at the second one. Both are called in a signal handler.
    Once it is too late to stop, signals do nothing. When the block has ended, they still do nothing until the process ends, or the second
    one ends it with the exit code that it would have had: a pipe that nobody reads must not hold it for ever.
    """
    cancel = Stop()
    ended: list[int] = []
    seen: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if cancel.too_late:
            seen.append(number)
            if ended and len(seen) > 1:
                _end_now(ended[0], last_words())
            return
        if cancel.is_set():
            _end_now(Interrupted.exit_code, last_words())
        cancel.set()
        stopped()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    # nohup ignores SIGHUP on purpose. A script's "vidpipe … &" ignores SIGINT, but whoever sends it there with kill means it.
    handled = [number for number, handler in before.items() if number == signal.SIGINT or handler is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, stop)
    try:
        yield cancel
    except BaseException as error:
        ended.append(getattr(error, "exit_code", EXIT_BUG))
        raise
    else:
        ended.append(EXIT_OK)
    finally:
        if not cancel.too_late:
            for number in handled:
                signal.signal(number, before[number])


def _end_now(code: int, last: bytes) -> NoReturn:
    """Leave without any clean-up, as nothing may be waited for: an upload may hang. What dies before it is live leaves nothing visible."""
    from vidpipe.media.process import kill_all  # no child runs if nothing has imported it, and it takes time

    kill_all()
    with suppress(OSError):
        os.write(2, last)
    os._exit(code)


def _flushed(code: int) -> int:
    """Flush both streams; a result that nobody reads decides the exit code."""
    drop(sys.stderr)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _quiet()
    return code


def _quiet() -> int:
    drop(sys.stdout)
    drop(sys.stderr)
    return EXIT_PIPE


def drop(stream: TextIO) -> None:
    """Send what is still buffered nowhere if it cannot be written: the interpreter's own flush would complain, and exit with 120."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
