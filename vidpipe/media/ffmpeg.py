"""Find the ffmpeg program and learn what it can do.

In:   the setting ``ffmpeg`` (flag, VIDPIPE_FFMPEG or file), or None for the one that comes with imageio-ffmpeg.
Out:  FFmpeg: path, version, and the names of its encoders, filters and muxers.
Wrong: UsageError if there is no such program, it does not answer as ffmpeg does, or it lacks something that is needed.

A program is asked its version each time, and for its lists once, where there is a Memory. Their key holds all that it says of its version
and configuration, because the file may be a script that starts another program.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from vidpipe.errors import UsageError
from vidpipe.media.process import Cancel, Limits, run

_LISTS = ("encoders", "filters", "muxers")
"""What a program is asked for, as it is called on its command line and in FFmpeg."""
ANSWER_SECONDS = 60.0  # a first start from a cold network disk can be slow; a program that waits for input never answers


@dataclass(frozen=True)
class FFmpeg:
    """An ffmpeg that answered. version: as it names itself, such as "n9.0.2-17-g2a571b6068"."""

    path: str
    version: str
    encoders: frozenset[str] = field(default=frozenset(), repr=False)
    filters: frozenset[str] = field(default=frozenset(), repr=False)
    muxers: frozenset[str] = field(default=frozenset(), repr=False)

    def require(self, *, encoders: Iterable[str] = (), filters: Iterable[str] = (), muxers: Iterable[str] = ()) -> None:
        """Raise UsageError that names everything this ffmpeg lacks."""
        asked = (("encoder", encoders, self.encoders), ("filter", filters, self.filters), ("muxer", muxers, self.muxers))
        missing = [f"{kind} {name}" for kind, names, have in asked for name in sorted(set(names) - have)]
        if missing:
            raise UsageError(
                f"ffmpeg {self.version} lacks {', '.join(missing)}",
                where=self.path,
                fix="unset VIDPIPE_FFMPEG to use the ffmpeg that comes with vidpipe, or install a build that has them",
            )


class Memory(Protocol):
    """Keeps texts by key, as ``vidpipe.work.measurements`` does."""

    def recall(self, key: str) -> str | None:
        """Return what was kept."""

    def keep(self, key: str, text: str) -> None:
        """Keep a text."""


OLDEST = 6
"""Version of FFmpeg: an output reports its frames itself (-stats_enc_post, encode/tasks/chunk.py) from 6.0 on."""


def find(setting: str | None = None, *, memory: Memory | None = None, cancel: Cancel | None = None) -> FFmpeg:
    """Return the ffmpeg named by ``setting`` (a path, or a name on PATH), else the one of imageio-ffmpeg.  Raises Interrupted."""
    path = locate(setting)
    answer = _ask(path, "-version", cancel)
    version = re.match(r"ffmpeg version (\S+)", answer)
    if version is None:
        raise UsageError("this program is not ffmpeg", where=path, fix="point the setting ffmpeg at an ffmpeg program")
    released = re.match(r"n?(\d+)\.\d", version[1])  # builds from the repository have other names, and are newer
    if released and int(released[1]) < OLDEST:
        raise UsageError(
            f"this ffmpeg is too old: {version[1]}; {OLDEST}.0 or newer is needed",
            where=path,
            fix="unset the setting ffmpeg to use the one that comes with vidpipe, or name a newer one",
        )
    file = Path(shutil.which(path) or path).stat()
    program = json.dumps([path, file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, answer])
    key = hashlib.sha256(program.encode()).hexdigest()[:32]
    lists = _lists(memory.recall(key)) if memory else None
    if lists is None:
        lists = {name: _names(_ask(path, f"-{name}", cancel)) for name in _LISTS}
        if memory:
            memory.keep(key, json.dumps({name: sorted(names) for name, names in lists.items()}))
    return FFmpeg(path=path, version=version[1], **lists)


def locate(setting: str | None = None) -> str:
    """Return the absolute path of the ffmpeg program without running it."""
    if setting:
        found = shutil.which(Path(setting).expanduser())
        if found is None:
            raise UsageError(
                "there is no such ffmpeg program",
                where=setting,
                fix="correct --ffmpeg, VIDPIPE_FFMPEG or vidpipe.toml, or leave it out to use the bundled one",
            )
        return str(Path(found).absolute())
    if chosen := os.environ.get("IMAGEIO_FFMPEG_EXE"):  # the package's own variable
        return chosen
    # get_ffmpeg_exe() would start the program to try it, with all of our environment. ``find`` does so by way of ``process``.
    programs = files("imageio_ffmpeg").joinpath("binaries").iterdir()
    found = next((str(program) for program in programs if program.name.startswith("ffmpeg-")), None)
    found = found or shutil.which("ffmpeg")
    if found is None:
        raise UsageError("imageio-ffmpeg has no ffmpeg for this platform", fix="install ffmpeg and name it in VIDPIPE_FFMPEG")
    return found


def _ask(path: str, question: str, cancel: Cancel | None) -> str:
    answer = run([path, "-hide_banner", question], limits=Limits(wall_seconds=ANSWER_SECONDS), cancel=cancel)
    if answer.timed_out or answer.returncode != 0:
        how = "did not answer" if answer.timed_out else f"ended with exit code {answer.returncode}"
        raise UsageError(
            f"ffmpeg {question} {how}",
            where=path,
            fix="point the setting ffmpeg at a working ffmpeg, or unset it to use the bundled one",
            details=answer.stderr_tail.splitlines()[-5:],
        )
    return answer.stdout.decode("utf-8", "replace")


def _lists(text: str | None) -> dict[str, frozenset[str]] | None:
    """Read what was kept of a program; None if it is not what ``find`` writes."""
    try:
        kept = json.loads(text or "")
        return {name: frozenset(str(entry) for entry in kept[name]) for name in _LISTS}
    except (ValueError, KeyError, TypeError):
        return None


def _names(listing: str) -> frozenset[str]:
    """Read the second column of ffmpeg's listings; a muxer may have several names, "mov,mp4,m4a"."""
    rows = (line.split() for line in listing.splitlines() if line.startswith(" ") and " = " not in line)
    return frozenset(name for row in rows if len(row) > 2 for name in row[1].split(","))
