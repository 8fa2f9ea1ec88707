"""Quality control while the encode runs: measured on the encode's own decode, checked piece by piece.

In:   the facts' findings, then the measurements of each chunk and audio track as they finish.
Out:  the QualityReport so far.
Wrong: SourceRefused with every error found: the first piece that shows one stops the ingest, before anything is visible.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from vidpipe.diagnostics import Diagnostic
from vidpipe.encode.command import QualityChains
from vidpipe.encode.result import EncodedAudio, EncodedChunk
from vidpipe.encode.tasks.remarks import CHANGING, DAMAGED
from vidpipe.errors import SourceRefused
from vidpipe.plan import Plan
from vidpipe.source.asset import StreamRef
from vidpipe.source.facts import Source
from vidpipe.source.findings import audio_findings, changing_audio, findings
from vidpipe.source.limits import SourceLimits
from vidpipe.source.locate import locate_changes, locate_damage
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality import (
    AUDIO_FILE,
    FIELDS_FILE,
    PICTURE_FILE,
    JoinedChunks,
    Measurements,
    audio_filters,
    field_filters,
    picture_filters,
    read_measurements,
)
from vidpipe.source.quality_report import QualityReport


def chains(policy: QualityPolicy) -> QualityChains:
    """Return the measuring filters that ride on the encode's own decode."""
    return QualityChains(
        fields=field_filters(),
        fields_file=FIELDS_FILE,
        picture=picture_filters(policy),
        picture_file=PICTURE_FILE,
        audio=audio_filters(policy),
        audio_file=AUDIO_FILE,
    )


def accepted(source: Source, found: Sequence[Diagnostic]) -> QualityReport:
    """Return the report, or raise SourceRefused with every error in it."""
    report = QualityReport(findings=tuple(found))
    if report.refused:
        errors = [finding for finding in found if finding.severity == "error"]
        raise SourceRefused(
            "the source fails quality control",
            where=source.name,
            details=[f"{finding.id}: {finding.message}" for finding in errors],
            fix=errors[0].advice,
            found=errors,
        )
    return report


def _noting(lines: Iterable[str], remarks: set[str]) -> Iterator[str]:
    """Pass on the lines of measurements, and note what ``tasks.remarks`` has written among them."""
    for line in lines:
        remarks.update(remark for remark in (DAMAGED, CHANGING) if remark in line)
        yield line


class QualityGate:
    """Quality control while the encode runs: the first piece that shows an error stops the ingest."""

    def __init__(self, made: Plan, policy: QualityPolicy, facts: QualityReport, *, limits: SourceLimits, cancel: threading.Event) -> None:
        self._plan, self._policy, self._facts = made, policy, facts
        self._limits, self._cancel = limits, cancel
        self._picture = JoinedChunks()
        self._audio: dict[StreamRef, Measurements] = {}
        self._damage: dict[int, Measurements] = {}  # by input
        self._changes: dict[int, tuple[Diagnostic, ...]] = {}  # by input

    def add(self, result: EncodedChunk | EncodedAudio) -> None:
        """Take what was measured of a chunk or of an audio track. Raises SourceRefused."""
        if result.quality is None:
            return
        grid, remarks = self._plan.grid, set[str]()
        # Line by line: of audio they are 12 MB an hour.
        with result.quality.path.open(encoding="utf-8", errors="replace") as file:
            lines = _noting(file, remarks)
            if isinstance(result, EncodedAudio):
                measured = read_measurements(lines, end=grid.duration)
            else:
                chunk = result.chunk
                measured = read_measurements(lines, grid.time(chunk.start), grid.time(chunk.start + chunk.frames))
        input_ = result.rendition.stream.input if isinstance(result, EncodedAudio) else 0
        if DAMAGED in remarks and input_ not in self._damage:  # a second decode, but only of a source whose decoder complained
            damaged = locate_damage(self._plan.asset.inputs[input_], limits=self._limits, cancel=self._cancel)
            self._damage[input_] = Measurements(damaged=damaged)
        if CHANGING in remarks and input_ not in self._changes and self._policy.changing_audio.severity != "off":
            self._changes[input_] = self._new_changes(self._plan.asset.inputs[input_])
        if isinstance(result, EncodedAudio):
            # Renditions of one stream measure the same audio.
            self._audio[result.rendition.stream] = measured
        else:
            self._picture.add(measured)
        self.report()

    def _new_changes(self, source: Source) -> tuple[Diagnostic, ...]:
        known = {audio.index for audio in source.audio if audio.changes}  # the facts have found these
        located = locate_changes(source, limits=self._limits, cancel=self._cancel)
        new = tuple(audio for audio in located if audio.index not in known)
        return tuple(changing_audio(source.model_copy(update={"audio": new}), self._policy))

    def report(self) -> QualityReport:
        """Check everything measured so far. What is found in a side file names it."""
        asset = self._plan.asset
        by_input = {number: list(self._changes.get(number, ())) for number in range(len(asset.inputs))}
        for number, source in enumerate(asset.inputs):
            picture, damage = self._picture if number == 0 else JoinedChunks(), self._damage.get(number)
            measured = picture.together(damage) if damage else picture.measurements
            by_input[number] += findings(source, measured, self._policy)
        for ref, heard in self._audio.items():
            by_input[ref.input] += audio_findings(asset.source(ref), asset.audio(ref), heard, self._policy)
        found = [finding.named(asset.inputs[number].name if number else None) for number, each in by_input.items() for finding in each]
        return accepted(asset.main, [*self._facts.findings, *found])
