"""Validate files one after the other, alone, before any encode: what ``vidpipe validate`` does.

In:   paths, URLs or "-" (standard input), Settings.
Out:  a Validation for each: the facts, the findings, or why the file could not be measured at all.
Wrong: UsageError for a wrong policy or address; Interrupted. A file that is refused is a result, so that the next ones are still told.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from vidpipe.data import Data
from vidpipe.errors import SourceRefused
from vidpipe.media.ffmpeg import FFmpeg, find
from vidpipe.progress import Reporter, Silent, Stages
from vidpipe.settings import Settings
from vidpipe.source.access import opened
from vidpipe.source.facts import Finding, Source
from vidpipe.source.fetch import is_remote, public
from vidpipe.source.policy import QualityPolicy, load_policy
from vidpipe.source.validate import validate


class Validation(Data):
    """What is to be said of one file. file: as it was given.  problems: why it could not be measured (source is None then)."""

    file: str
    refused: bool
    source: Source | None = None
    findings: tuple[Finding, ...] = ()
    problems: tuple[str, ...] = ()


def validate_files(
    files: Sequence[str], settings: Settings, *, quick: bool = False, cancel: threading.Event, reporter: Reporter | None = None
) -> Iterator[Validation]:
    """Validate each file and yield the outcome as soon as it is known. quick: judge the facts only, decode nothing."""
    policy = load_policy(settings.policy)
    ffmpeg = find(settings.ffmpeg)
    stages = Stages(reporter or Silent())
    for file in files:
        try:
            yield _validate(file, settings, policy, ffmpeg, stages, quick=quick, cancel=cancel)
        except SourceRefused as error:
            yield Validation(file=_shown(file), refused=True, problems=tuple(error.lines()))


def _validate(
    file: str, settings: Settings, policy: QualityPolicy, ffmpeg: FFmpeg, stages: Stages, *, quick: bool, cancel: threading.Event
) -> Validation:
    with opened(file, settings.work, limits=settings.limits, cancel=cancel, stages=stages, looking=True) as origin:
        source = origin.measure()
        report = validate(source, policy, ffmpeg, quick=quick, cancel=cancel, limits=settings.limits)
    return Validation(file=_shown(file), refused=report.refused, source=source, findings=report.findings)


def _shown(file: str) -> str:
    """The file as it was given; an address without user, password and query."""
    return public(file) if is_remote(file) else file
