"""Every way that vidpipe refuses or fails, each with what happened, where, how to fix it, and an exit code.

    VidpipeError                 never raised itself
     ├── UsageError         2    a wrong option, setting, ladder or policy
     ├── SourceRefused      3    the source cannot become a title (lists every problem found)
     ├── EncodeFailed       4    ffmpeg failed, or its output is not what was planned
     ├── PublishFailed      5    the target cannot be written or read
     │    └── KeyServiceFailed   a service that keeps keys does not answer, or refuses
     ├── VerificationFailed 6    what was published does not prove to play
     ├── CatalogFailed      7    the record cannot be written or read
     └── Interrupted      130    Ctrl-C or SIGTERM

Exit code 0 is success and 70 a bug in vidpipe. Foreign exceptions (boto3, SQLAlchemy, PyAV, OS errors) are
translated where they come in, always with ``raise … from``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidpipe.diagnostics import Diagnostic

EXIT_OK = 0
EXIT_BUG = 70


class VidpipeError(Exception):
    """A failure that a person can act on. ``str()`` is one sentence; ``lines()`` the whole message.

    what: the fact, without a full stop.  where: file, stream, chunk or object it is about.  line: of a text file.
    fix: what the reader can do next.     details: further lines.
    debug: lines that are shown with --debug only: the command that failed, what a program said, a traceback.
    found: what was found in detail, if it is more than this one sentence.
    id: stable name of what is wrong (docs/diagnostics.md), None for that of the class.
    """

    exit_code = EXIT_BUG
    id: str = "bug"

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        line: int | None = None,
        fix: str | None = None,
        details: Sequence[str] = (),
        debug: Sequence[str] = (),
        found: Sequence[Diagnostic] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.line = line
        self.fix = fix
        self.details = tuple(details)
        self.debug = tuple(debug)
        self.found = tuple(found)
        self.id = id or self.id

    def __str__(self) -> str:
        return f"{self.place}: {self.what}" if self.place else self.what

    @property
    def place(self) -> str | None:
        """Where it is, as people read it: ``where``, or ``where:line``."""
        return f"{self.where}:{self.line}" if self.where and self.line is not None else self.where

    def lines(self) -> list[str]:
        """The message as lines: the sentence, the details, the advice."""
        return [str(self), *self.details, *([f"fix: {self.fix}"] if self.fix else [])]

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """The failure as data: everything that was found, or the failure itself."""
        if self.found:
            return tuple(each.named(self.where) for each in self.found)
        from vidpipe.diagnostics import Diagnostic, Where  # pydantic is slow to import, and most runs do not fail

        at = Where(file=self.where, line=self.line)
        return (Diagnostic(id=self.id, severity="error", at=at, message=self.what, advice=self.fix),)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive pickle by themselves; chunks fail in other processes.
        return (_rebuild, (type(self), self.what, self.where, self.fix, self.details, self.__dict__.copy()))


def _rebuild(
    kind: type[VidpipeError], what: str, where: str | None, fix: str | None, details: tuple[str, ...], state: dict[str, object]
) -> VidpipeError:
    error = kind.__new__(kind)
    VidpipeError.__init__(error, what, where=where, fix=fix, details=details)
    error.__dict__.update(state)
    return error


class UsageError(VidpipeError):
    """A wrong option, setting, ladder or policy; nothing was started."""

    exit_code = 2
    id = "usage-error"


class SourceRefused(VidpipeError):
    """The source cannot become a title. ``details`` holds one line for every problem found."""

    exit_code = 3
    id = "source-refused"


class EncodeFailed(VidpipeError):
    """ffmpeg failed or its output is not what was planned. Finished chunks are kept; running again resumes."""

    exit_code = 4
    id = "encode-failed"


class PublishFailed(VidpipeError):
    """The target cannot be written or read. Nothing is visible; finished chunks are kept."""

    exit_code = 5
    id = "publish-failed"


class KeyServiceFailed(PublishFailed):
    """A service that keeps keys does not answer, or refuses. Nothing is visible; the same command continues."""

    id = "key-service-failed"


class VerificationFailed(VidpipeError):
    """What was uploaded does not prove to play. Nothing is visible."""

    exit_code = 6
    id = "verification-failed"


class CatalogFailed(VidpipeError):
    """The catalog record cannot be written or read. The previous version stays live."""

    exit_code = 7
    id = "catalog-failed"


class Interrupted(VidpipeError):
    """Stopped by Ctrl-C or SIGTERM. Finished chunks are kept; nothing was published."""

    exit_code = 130
    id = "interrupted"
