"""Find where a source is damaged and where its audio changes: a second, slow decode, only of a source whose decoder complained.

In:   what ffmpeg wrote to standard error, at loglevel verbose; a Source.
Out:  whether there is anything to look for; stretches, and audio streams with what changes in them.
Wrong: SourceRefused if the decode crashes, hangs or balloons; Interrupted on cancel.
"""

from __future__ import annotations

import re
from fractions import Fraction

from vidpipe.errors import SourceRefused
from vidpipe.media.process import Cancel
from vidpipe.source.facts import AudioStream, Source, Stretch
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import NO_ANSWER, REPORT, ask

_ERRORS = re.compile(r"(?:Input stream #\d+:\d+ .*?\b([1-9]\d*) decode errors|corrupt decoded frame)")

REMARKS = re.compile(rb"decode errors|corrupt decoded frame|Reconfiguring filter graph because audio")
"""Lines of ffmpeg's standard error that the two questions below are about."""


def began_anew(stderr: str, graph: int) -> bool:
    """Whether ffmpeg says, at loglevel verbose, that the audio changed before the ``graph``-th filter graph."""
    return re.search(rf"^\[fc#{graph} @.*Reconfiguring filter graph because audio", stderr, re.MULTILINE) is not None


def has_errors(stderr: str) -> bool:
    """Whether ffmpeg says, at loglevel verbose, that there were decode errors or patched pictures."""
    return _ERRORS.search(stderr) is not None


def locate_damage(source: Source, *, limits: SourceLimits | None = None, cancel: Cancel | None = None) -> tuple[Stretch, ...]:
    """Decode the source once more, packet by packet, and return where it cannot be decoded cleanly. Slow; for damaged files only."""
    limits = limits or SourceLimits()
    spent = limits.decoding(float(source.duration), 0)
    answer = ask(["damage"], about=source, where=source.name, limits=spent, cancel=cancel)
    try:
        return tuple(Stretch(start=Fraction(start), end=Fraction(end)) for start, end in answer["damaged"])
    except (KeyError, ValueError, TypeError) as error:
        raise SourceRefused(NO_ANSWER, where=source.name, fix=REPORT.replace("FILE", source.name), id="reader-failed") from error


def locate_changes(source: Source, *, limits: SourceLimits | None = None, cancel: Cancel | None = None) -> tuple[AudioStream, ...]:
    """Decode all of the audio, packet by packet, and return the audio streams with what changes in them."""
    spent = (limits or SourceLimits()).decoding(float(source.duration), 0)
    answer = ask(["audio"], about=source, where=source.name, limits=spent, cancel=cancel)
    try:
        return tuple(AudioStream.model_validate(audio) for audio in answer["audio"])
    except (KeyError, ValueError, TypeError) as error:
        raise SourceRefused(NO_ANSWER, where=source.name, fix=REPORT.replace("FILE", source.name), id="reader-failed") from error
