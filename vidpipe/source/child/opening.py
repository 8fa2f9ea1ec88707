"""Open an untrusted file with libav so that it leads nowhere else. Runs in the limited child only.

In:   a path, and the demuxers that may be tried.
Out:  an open container.
Wrong: Refusal, with an id and the sentence for the person.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import FileIO
from typing import Any

import av
import av.error
import av.logging
from av.codec.context import Flags
from av.sidedata.sidedata import Type

from vidpipe.source.child.formats import AUDIO, VIDEOS, named
from vidpipe.source.clock import DEMUXING
from vidpipe.source.problem import Problem
from vidpipe.source.text import one_line


def _nameless(cls: Any, value: object) -> Any:
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


# PyAV gives no side data at all of a frame that has some of a kind which it does not know ("29 is not a valid Type"): the views of MV-HEVC,
# EXIF. libav gets new kinds with every version.
_KINDS: Any = Type
_KINDS._missing_ = classmethod(_nameless)


class Refusal(Exception):
    """The file cannot be a source, for these reasons. fix: what helps, if that is known; FILE stands for its name."""

    def __init__(self, *problems: Problem, fix: str | None = None) -> None:
        super().__init__(*problems)
        self.problems = list(problems)
        advice = list(dict.fromkeys(problem.fix for problem in problems))
        self.fix = fix or ("; ".join(map(str, advice)) if all(advice) else None)


BUFFER = 1 << 18  # bytes: a call into Python for each block, so not too small; a seek throws it away, so not too large


@dataclass
class Allowance:
    """Bytes that may still be read of a file; then it seems to end."""

    left: int

    @property
    def spent(self) -> bool:
        """Whether that was the reason why it ended."""
        return self.left <= 0


class _Bytes:
    """A file as libav sees it: bytes without a name, so that no suffix and no "%03d" or "concat:" in a name means anything."""

    def __init__(self, file: FileIO, allowed: Allowance | None) -> None:
        self.seek, self.tell = file.seek, file.tell
        self.read = partial(_read_allowed, file, allowed) if allowed else file.read


def _read_allowed(file: FileIO, allowed: Allowance, size: int) -> bytes:
    data = file.read(min(size, max(0, allowed.left)))
    allowed.left -= size
    return data


@contextmanager
def open_media(path: str, demuxers: Sequence[str], *, allowed: Allowance | None = None) -> Iterator[av.container.InputContainer]:
    """Open a file with one of the ``demuxers``, or raise Refusal. allowed: None for all of it."""
    with FileIO(path) as file:
        try:
            opened = _opened(file, demuxers, allowed)
        except av.error.ArgumentError as error:  # EINVAL: a demuxer recognised it, and it is not on the list
            raise _unread(file) from error
        with opened as container:
            for stream in container.streams.video:
                if stream.codec_context is not None:
                    # As ffmpeg's command does; otherwise an edge that lies at no multiple of 32 or 64 pixels is not cropped off.
                    stream.codec_context.flags |= Flags.unaligned
            yield container


def packets(container: av.container.InputContainer, *streams: Any) -> Iterator[Any]:
    """Yield the packets of the ``streams``, or of all, and at the end the empty ones that let the last pictures out."""
    with suppress(IndexError):  # PyAV 18: a stream that appeared mid-stream is no stream of the container's at the end
        yield from container.demux(*streams)


def _opened(file: FileIO, demuxers: Sequence[str], allowed: Allowance | None = None) -> av.container.InputContainer:
    options = {
        "format_whitelist": ",".join(demuxers),
        "protocol_whitelist": "none",  # libav gets the bytes from here and may open nothing at all, neither file nor network
        "probesize": str(20_000_000),  # bytes, up from 5 MB: late audio in a transport stream
        "analyzeduration": str(10_000_000),  # microseconds
    }
    for demuxer in demuxers:
        options |= DEMUXING.get(demuxer, {})  # other demuxers do not know them, and say nothing
    av.logging.set_level(av.logging.ERROR)  # so that an exception carries libav's own reason
    try:
        return av.open(_Bytes(file, allowed), mode="r", options=options, metadata_errors="replace", buffer_size=BUFFER)
    except av.error.InvalidDataError as error:
        reason = reason_of(error)
        if "moov" in reason:
            raise Refusal(
                Problem("missing-index", "its index (the moov box) is missing: the file is truncated or unfinished"),
                fix="copy it again from the original and compare the sizes; a recording that broke off can often be repaired with untrunc",
            ) from error
        raise Refusal(
            Problem("unknown-container", "not a known video container, or too damaged to be recognized"),
            fix="check that this is the right file",
        ) from error


def _unread(file: FileIO) -> Refusal:
    """Say what the file is that is none of those that are read."""
    file.seek(0)
    with suppress(av.error.FFmpegError), _opened(file, [*VIDEOS, *AUDIO]) as container:
        if found := named(container.format.name.split(",")[0]):
            return Refusal(Problem("unknown-container", found[0]), fix=found[1])
    what = "not a supported video container: a rare one, or a playlist, script, image or subtitle file (those are never followed)"
    return Refusal(
        Problem("unknown-container", what),
        fix="give the video file itself; if this is it, convert it: ffmpeg -i FILE -c:v ffv1 -c:a flac FIXED.mkv",
    )


def reason_of(error: Exception) -> str:
    """Return libav's own words about an error."""
    if getattr(error, "errno", None) == errno.ENOMEM or isinstance(error, MemoryError):
        return "it needs more memory than allowed (limit memory_bytes)"
    log = getattr(error, "log", None)
    words = log[2].strip() if log else ""
    return one_line(words or getattr(error, "strerror", None) or str(error))
