"""Validate files one after the other, alone, before any encode: what ``vidpipe validate`` does.

In:   paths, URLs or "-" (standard input), Settings.
Out:  a Validation for each: the facts, the findings, or why the file could not be measured at all.
Wrong: UsageError for a wrong policy or address; Interrupted. A file that is refused is a result, so that the next ones are still validated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from vidpipe.data import Data
from vidpipe.diagnostics import Diagnostic
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import FFmpeg, find
from vidpipe.progress import Reporter, RunReporter, Silent, Stages
from vidpipe.settings import Settings
from vidpipe.source.access import opened
from vidpipe.source.facts import Source
from vidpipe.source.fetch import is_remote, public
from vidpipe.source.policy import QualityPolicy, load_policy
from vidpipe.source.validate import validate
from vidpipe.work.measurements import of_programs


class Validation(Data):
    """The outcome for one file."""

    format: Literal["vidpipe.validation/1"] = "vidpipe.validation/1"
    file: str = Field(description="As it was given; a URL without user, password and query.")
    refused: bool
    source: Source | None = Field(default=None, description="The facts; None if it could not be measured.")
    findings: tuple[Diagnostic, ...] = Field(default=(), description="Everything that is wrong with it; also why it could not be measured.")
    problems: tuple[str, ...] = Field(default=(), description="Why it could not be measured, as lines for people.")


def validate_files(
    files: Sequence[str], settings: Settings, *, quick: bool = False, cancel: threading.Event, reporter: Reporter | None = None
) -> Iterator[Validation]:
    """Validate each file and yield the outcome as soon as it is known. quick: judge the facts only, decode nothing."""
    policy = load_policy(settings.policy)
    ffmpeg = find(settings.ffmpeg, memory=of_programs(settings.work))
    stages = Stages(RunReporter(reporter or Silent()))
    for file in files:
        try:
            yield _validate(file, settings, policy, ffmpeg, stages, quick=quick, cancel=cancel)
        except SourceRefused as error:
            yield _validation(file, error.diagnostics(), refused=True, problems=tuple(error.lines()))


def _validate(
    file: str, settings: Settings, policy: QualityPolicy, ffmpeg: FFmpeg, stages: Stages, *, quick: bool, cancel: threading.Event
) -> Validation:
    with opened(file, settings.work, limits=settings.limits, cancel=cancel, stages=stages, looking=True) as origin:
        source = origin.measure()
        report = validate(source, policy, ffmpeg, quick=quick, cancel=cancel, limits=settings.limits)
    return _validation(file, report.findings, refused=report.refused, source=source)


def _validation(
    file: str, findings: Sequence[Diagnostic], *, refused: bool, source: Source | None = None, problems: tuple[str, ...] = ()
) -> Validation:
    """The outcome under the name that the file was given by; a URL without user, password and query."""
    shown = public(file) if is_remote(file) else file
    return Validation(
        file=shown, refused=refused, source=source, findings=tuple(finding.named(shown) for finding in findings), problems=problems
    )
