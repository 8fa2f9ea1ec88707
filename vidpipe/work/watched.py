"""One watcher an inbox.

    WORK/watched/{hash of the inbox}.lock

In:   the inbox: the path of a folder, or an S3 prefix.
Out:  whether nobody else of this work space watches it, while the block runs.
Wrong: OSError as for every lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidpipe.work.locks import held
from vidpipe.work.tree import WATCHED


@contextmanager
def watching(work: Path, inbox: str) -> Iterator[bool]:
    """Hold the inbox while the block runs; False if another process watches it."""
    name = hashlib.sha256(inbox.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    with held(work / WATCHED / f"{name}.lock", passing=True) as free:
        yield free
