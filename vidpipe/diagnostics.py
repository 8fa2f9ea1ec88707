"""What is wrong, as data: one type for findings of quality control, for refusals and failures, and for rules of a linter.

In:   nothing. Whoever finds something makes a ``Diagnostic``; ``VidpipeError.diagnostics`` makes one of a failure.
Out:  ``Diagnostic``, ``Where`` and ``Severity``. Every id that there is has its line in docs/diagnostics.md; ids are never renamed.
Wrong: nothing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from vidpipe.data import Data, Seconds

Severity = Literal["error", "warning", "info"]
"""error: it is refused, or failed.  warning: it goes on, but look at it.  info: nothing has to be done."""


class Where(Data):
    """What a diagnostic is about, as far as it is known. Nothing at all: the whole of what was asked for."""

    file: str | None = Field(default=None, description="Path or URL, or the name of an option, a setting or a chunk.")
    stream: int | None = Field(default=None, description="Index of the stream in the file.")
    line: int | None = Field(default=None, description="Line of a text file, from 1.")
    start: Seconds | None = Field(default=None, description="Where it begins: seconds from the beginning of the file, as players show it.")
    end: Seconds | None = Field(default=None, description="Where it ends.")


class Diagnostic(Data):
    """One thing that is wrong or worth knowing: what, where, how much, and what to do about it.

    In a report for scripts (``vidpipe.data.report``) the fields of ``at`` stand beside the others.
    """

    id: str = Field(description='Stable name, such as "black-video".')
    severity: Severity
    at: Where = Where()
    message: str = Field(description="What is wrong, in one sentence.")
    measured: str | None = Field(default=None, description="What was measured, with its unit.")
    limit: str | None = Field(default=None, description="What was expected, with its unit.")
    advice: str | None = Field(default=None, description="What to do about it.")

    def named(self, file: str | None) -> Diagnostic:
        """Return it with the file that it is about, unless it names one."""
        if file is None or self.at.file is not None:
            return self
        return self.model_copy(update={"at": self.at.model_copy(update={"file": file})})

    @model_serializer(mode="wrap")
    def _flat_in_reports(self, inner: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        fields: dict[str, Any] = inner(self)
        if not (info.context and info.context.get("report")):
            return fields
        return {"id": fields.pop("id"), "severity": fields.pop("severity"), **fields.pop("at"), **fields}
