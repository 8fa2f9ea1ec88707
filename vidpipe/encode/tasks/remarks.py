"""What is learned while a file is made, and would be lost when it is reused, is written into it: that the decoder complained, for example.

In:   what ffmpeg said, and the text file (measurements, or a subtitle track) that was made.
Out:  a line more in that file.
Wrong: EncodeFailed if the disk is full.
"""

from __future__ import annotations

import re
from pathlib import Path

from vidpipe.encoders import encoders
from vidpipe.media.process import Completed
from vidpipe.source.quality import judged_fields
from vidpipe.work.artifacts import Artifact, writing

DAMAGED = "vidpipe.decoder_complained"
"""The line that a chunk's measurements end in when the decoder reported errors; where they are is found by ``locate_damage``.

It stands in the first line of a subtitle track of which some cues could not be decoded.
"""

CHANGING = "vidpipe.audio_changes"
"""The same for audio that changes although its packets do not say so; where is found by ``locate_changes``."""

_COMPLAINT = re.compile(r"\[(?:error|fatal|panic)\]")
_OURS = ("mjpeg", "mp4", "null", "out#", "vost#", "aost#", "enc:", "Eval", "Parsed_", "swscaler", "AVIO")  # muxers, filters


def note_damage(completed: Completed, measurements: Path) -> None:
    """Write into the measurements that the decoder complained, so that the complaint is not lost when the chunk is reused."""
    lines = (completed.stderr_head + completed.stderr_tail).splitlines()
    ours = tuple(f"[{name}" for name in (*_OURS, *(encoder.name for encoder in encoders())))
    ours += tuple(prefix for encoder in encoders() for prefix in encoder.log_prefixes)
    if any(_COMPLAINT.search(line) and not line.startswith(ours) for line in lines):
        note(DAMAGED, measurements)


def note_verdicts(fields: Path, measurements: Path) -> None:
    """Write into the measurements what was found out about the fields."""
    if verdicts := judged_fields(fields.read_text(encoding="utf-8", errors="replace").splitlines()):
        note("\n".join(verdicts), measurements)


def note(what: str, measurements: Path) -> None:
    """Write a line at the end of the measurements."""
    with writing(measurements.parent), measurements.open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


def mark(track: Path) -> None:
    """Write into the header of a subtitle track that it lacks some cues, so that this is known when it is reused."""
    with writing(track.parent):
        track.write_bytes(track.read_bytes().replace(b"WEBVTT", f"WEBVTT {DAMAGED}".encode(), 1))


def lacks_cues(track: Artifact) -> bool:
    """Return whether some cues of a subtitle track could not be decoded."""
    with track.path.open("rb") as file:
        return DAMAGED.encode() in file.readline(100)
