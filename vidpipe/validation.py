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
from vidpipe.progress import DecodeProgress, FileStarted, Reporter, RunReporter, Silent, Stages
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
    """Validate each file and yield the outcome as soon as it is known. quick: decode nothing, and read only the ends of a large file."""
    policy = load_policy(settings.policy)
    ffmpeg = "" if quick else find(settings.ffmpeg, memory=of_programs(settings.work))
    stages = Stages(RunReporter(reporter or Silent()))
    for number, file in enumerate(files, 1):
        stages.reporter.emit(FileStarted(file=_shown(file), number=number, files=len(files)))
        try:
            yield _validate(file, settings, policy, ffmpeg, stages, quick=quick, cancel=cancel)
        except SourceRefused as error:
            yield _validation(file, error.diagnostics(), refused=True, problems=tuple(error.lines()))


def _validate(
    file: str, settings: Settings, policy: QualityPolicy, ffmpeg: FFmpeg | str, stages: Stages, *, quick: bool, cancel: threading.Event
) -> Validation:
    with opened(file, settings.work, limits=settings.limits, cancel=cancel, stages=stages, looking=True) as origin:
        source = origin.measure(quick=quick)

        def decoded(frames: int) -> None:
            stages.reporter.emit(DecodeProgress(frames=frames, frames_total=source.video.frames))

        with stages("validate"):
            workers = 1 if quick else _workers(source)
            report = validate(
                source, policy, ffmpeg, quick=quick, cancel=cancel, limits=settings.limits, workers=workers, on_frames=decoded
            )
    return _validation(file, report.findings, refused=report.refused, source=source)


def _workers(source: Source) -> int:
    """Return how many decodes of a source this machine runs at once."""
    from vidpipe.encode.machine import cores_here, memory_here
    from vidpipe.encode.parallelism import SHARE_OF_MEMORY, memory_of

    fitting = int(memory_here() * SHARE_OF_MEMORY) // memory_of((), (source.video.width, source.video.height))
    return max(1, min(cores_here(), fitting))


def _shown(file: str) -> str:
    """The name that a file was given by; a URL without user, password and query."""
    return public(file) if is_remote(file) else file


def _validation(
    file: str, findings: Sequence[Diagnostic], *, refused: bool, source: Source | None = None, problems: tuple[str, ...] = ()
) -> Validation:
    shown = _shown(file)
    return Validation(
        file=shown, refused=refused, source=source, findings=tuple(finding.named(shown) for finding in findings), problems=problems
    )
