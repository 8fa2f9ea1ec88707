"""Check the quality of a source: its facts, and (unless quick) one full decode through the filters of ``quality``.

In:   a Source, a QualityPolicy, ffmpeg.
Out:  QualityReport; an error in it refuses the source.
Wrong: SourceRefused if the decode crashes, hangs or balloons; UsageError if ffmpeg lacks a filter or is too old; Interrupted on cancel.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from vidpipe.media.ffmpeg import FFmpeg
from vidpipe.source.decode import FILTERS, decode
from vidpipe.source.facts import Source
from vidpipe.source.findings import fact_findings, findings, missing_pictures
from vidpipe.source.limits import SourceLimits
from vidpipe.source.locate import locate_damage
from vidpipe.source.policy import QualityPolicy
from vidpipe.source.quality import Measurements, merge
from vidpipe.source.quality_report import QualityReport


def validate(
    source: Source,
    policy: QualityPolicy,
    ffmpeg: FFmpeg | str,
    *,
    quick: bool = False,
    cancel: threading.Event | None = None,
    limits: SourceLimits | None = None,
    workers: int = 1,
    on_frames: Callable[[int], object] | None = None,
) -> QualityReport:
    """Return all findings, facts first. quick: judge the facts only, decode nothing.

    workers: decodes at once.  on_frames: called from any thread with the pictures that are decoded so far, of ``source.video.frames``.
    """
    if quick:
        return QualityReport(findings=fact_findings(source, policy))
    if isinstance(ffmpeg, FFmpeg):
        ffmpeg.require(filters=FILTERS)
    limits = limits or SourceLimits()
    program = ffmpeg if isinstance(ffmpeg, str) else ffmpeg.path
    decoded = decode(source, policy, program, limits=limits, cancel=cancel, workers=workers, on_frames=on_frames)
    source, picture = decoded.source, decoded.picture
    if decoded.damaged:
        picture = merge([picture, Measurements(damaged=locate_damage(source, limits=limits, cancel=cancel))])
    found = (*fact_findings(source, policy), *findings(source, picture, policy))
    if not any(finding.id == "missing-pictures" for finding in found):  # the packets may have shown it already
        found += missing_pictures(source, picture.pictures, policy)
    for index, measured in decoded.audio.items():
        found += findings(source, measured, policy, stream=index)
    return QualityReport(findings=found)
