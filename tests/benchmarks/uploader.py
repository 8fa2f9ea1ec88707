"""Upload the files of a version as an ingest does, in a process that loads no more than that takes: what ``upload.py`` measures.

    python -m tests.benchmarks.uploader FOLDER TARGET/VERSION HASHES        # HASHES: JSON, path -> SHA-256
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from vidpipe import layout
from vidpipe.defaults import SETTINGS
from vidpipe.progress import Silent
from vidpipe.protect.result import ProtectedSegment
from vidpipe.publish.parallel import in_parallel
from vidpipe.publish.upload import publish_object, publish_segments
from vidpipe.storage import open_storage


def place(rung: str, index: int) -> str:
    """Return where a segment lies below its version."""
    return layout.segment("video", rung, index)


def segments(folder: Path, hashes: Mapping[str, str]) -> Iterator[ProtectedSegment]:
    """Yield the segments, each read when it is its turn."""
    for name, sha256 in hashes.items():
        if name.endswith(".m4s"):
            _, rung, file = name.split("/")
            data = (folder / name).read_bytes()
            yield ProtectedSegment(rung, int(Path(file).stem) - 1, Fraction(0), Fraction(6), 144, data, sha256)


def send(folder: Path, target: str, hashes: Mapping[str, str]) -> None:
    """Upload all files. Ends with an error if the storage did not take each."""
    top, _, version = target.rpartition("/")
    workers, cancel, silent = int(str(SETTINGS["upload_workers"].default)), threading.Event(), Silent()
    with closing(open_storage(top)) as storage:

        def put(name: str) -> str:
            return publish_object(storage, version, name, (folder / name).read_bytes(), reporter=silent).path

        media = publish_segments(
            storage, version, segments(folder, hashes), paths=place, reporter=silent, cancel=cancel, workers=workers
        )
        sent = [segment.uri for segment in media]
        sent += in_parallel([name for name in hashes if not name.endswith(".m4s")], put, cancel=cancel, workers=workers)
    if sorted(sent) != sorted(hashes):
        raise SystemExit(f"{len(sent)} of {len(hashes)} files were sent")


if __name__ == "__main__":
    send(Path(sys.argv[1]), sys.argv[2], json.loads(Path(sys.argv[3]).read_text()))
