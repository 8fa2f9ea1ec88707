"""Quality control while the encode runs: measured on the encode's own decode, judged piece by piece.

In:   the facts' findings, then the measurements of each chunk and audio track as they finish.
Out:  the QualityReport so far.
Wrong: SourceRefused with every error found: the first piece that shows one stops the ingest, before anything is visible.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.command import QualityChains
from vidpipe.encode.result import EncodedAudio, EncodedChunk
from vidpipe.encode.tasks.remarks import CHANGING, DAMAGED
from vidpipe.errors import SourceRefused
from vidpipe.plan import Plan
from vidpipe.source.facts import QualityReport, Source
from vidpipe.source.findings import changing_sound, findings
from vidpipe.source.limits import SourceLimits
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality import (
    PICTURE_FILE,
    SOUND_FILE,
    Measurements,
    merge,
    picture_filters,
    read_measurements,
    sound_filters,
    source_filters,
)
from vidpipe.source.validate import locate_changes, locate_damage


def chains(policy: QualityPolicy) -> QualityChains:
    """Return the measuring filters that ride on the encode's own decode."""
    return QualityChains(
        source=source_filters(policy),
        picture=picture_filters(policy),
        picture_file=PICTURE_FILE,
        sound=sound_filters(policy),
        sound_file=SOUND_FILE,
    )


def accepted(source: Source, found: Sequence[Diagnostic]) -> QualityReport:
    """Return the report, or raise SourceRefused with every error in it."""
    report = QualityReport(findings=tuple(found))
    if report.refused:
        errors = [finding for finding in found if finding.severity == "error"]
        raise SourceRefused(
            "quality control refuses this source",
            where=source.name,
            details=[f"{finding.id}: {finding.message}" for finding in errors],
            fix=errors[0].advice,
            found=errors,
        )
    return report


class QualityGate:
    """Quality control while the encode runs: the first piece that shows an error stops the ingest."""

    def __init__(self, made: Plan, policy: QualityPolicy, facts: QualityReport, *, limits: SourceLimits, cancel: threading.Event) -> None:
        self._plan, self._policy, self._facts = made, policy, facts
        self._limits, self._cancel = limits, cancel
        self._located = self._heard = False
        self._changes: tuple[Diagnostic, ...] = ()
        self._parts: dict[int | None, list[Measurements]] = {}

    def add(self, result: EncodedChunk | EncodedAudio) -> None:
        """Take what was measured of a chunk or of an audio track. Raises SourceRefused."""
        if result.quality is None:
            return
        text = result.quality.path.read_text(encoding="utf-8", errors="replace")
        if DAMAGED in text and not self._located:  # a second decode, but only of a source whose decoder complained
            self._located = True
            damaged = locate_damage(self._plan.source, limits=self._limits, cancel=self._cancel)
            self._parts.setdefault(None, []).append(Measurements(damaged=damaged))
        if CHANGING in text and not self._heard and self._policy.changing_sound.severity != "off":
            self._heard = True
            source = self._plan.source
            known = {audio.index for audio in source.audio if audio.changes}  # the facts have found these
            located = locate_changes(source, limits=self._limits, cancel=self._cancel)
            new = tuple(audio for audio in located if audio.index not in known)
            self._changes = tuple(changing_sound(source.model_copy(update={"audio": new}), self._policy))
        if isinstance(result, EncodedAudio):
            # Renditions of one stream measure the same audio.
            self._parts[result.rendition.stream] = [read_measurements(text, end=self._plan.grid.duration)]
        else:
            grid, chunk = self._plan.grid, result.chunk
            part = read_measurements(text, grid.time(chunk.start), grid.time(chunk.start + chunk.frames))
            self._parts.setdefault(None, []).append(part)
        self.report()

    def report(self) -> QualityReport:
        """Judge everything measured so far."""
        found = [*self._facts.findings, *self._changes]
        for stream, parts in self._parts.items():
            found += findings(self._plan.source, merge(parts), self._policy, stream=stream)
        return accepted(self._plan.source, found)
