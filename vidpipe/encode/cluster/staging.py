"""What machines share that have nothing in common but an S3 prefix: the source goes there, finished pieces come back.

In:   s3://BUCKET/PREFIX; every machine takes the credentials from its own AWS environment.
Out:  for a worker: its own copy of the source, fetched once; a task run in its scratch folder.  For the coordinator:
      artifacts in its own Store, compared by size and SHA-256 like everything there.
Wrong: EncodeFailed that names the object. A piece that is missing, short or altered is None: it is made again, never trusted.

    PREFIX/sources/{sha256}/source          the source
    PREFIX/chunks/{key}/{sha256 of it}      a finished piece, until the coordinator has taken it
    PREFIX/chunks/{key}/sidecar.json        written after it: its size and SHA-256, as the Store keeps them
    PREFIX/runs/{sha256}/{run}/alive        there while a run encodes that source; its absence stops the tasks of the run
    PREFIX/probes/{run}/{random}            written by a worker that is looked at
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidpipe.encode.tasks.run import run_task
from vidpipe.encode.tasks.task import Made, RunIsOver, Task
from vidpipe.errors import EncodeFailed, Interrupted, PublishFailed, UsageError, VidpipeError
from vidpipe.media.process import Cancel
from vidpipe.storage import open_storage
from vidpipe.work.artifacts import Artifact, Sidecar, Store, sha256_of, writing
from vidpipe.work.fetched import PARTIAL, drop_unread, shared
from vidpipe.work.temporary import is_over

LOOK_SECONDS = 10.0  # between two looks of a task at whether its run still goes on
_PLAIN: dict[str, Any] = {"content_type": "application/octet-stream", "cache_control": "no-store"}


class Staging:
    """What lies below one S3 prefix. A context manager; safe to call from several threads."""

    def __init__(self, url: str) -> None:
        if not url.startswith("s3://"):
            raise UsageError("the machines of a cluster can share work only through S3", where=url, fix="write s3://BUCKET/PREFIX")
        self.url = url
        with _translated():
            self._storage = open_storage(url)

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_: object) -> None:
        self._storage.close()

    # The coordinator

    @contextmanager
    def run(self, name: str, source: str, store: Store) -> Iterator[str]:
        """Say that a run goes on, for as long as it does, and give the path that says so.

        name: of a working folder that the run holds in ``store``. Runs of this machine that were killed are ended: their tasks stop.
        """
        owner = json.dumps({"host": socket.gethostname(), "work": str(store.root)})
        with _translated():
            for stored in list(self._storage.list(f"runs/{source}")):
                run = Path(stored.path).parent.name
                with contextlib.suppress(PublishFailed):  # ended in the meantime
                    if self._storage.get(stored.path) == owner.encode() and is_over(store.root, run):
                        self._storage.delete_prefix(str(Path(stored.path).parent))
            self._put(f"runs/{source}/{name}/alive", owner.encode())
        try:
            yield f"runs/{source}/{name}/alive"
        finally:
            with contextlib.suppress(VidpipeError):  # what led here says more
                self._storage.delete_prefix(f"runs/{source}/{name}")

    def put_source(self, file: Path, size: int, sha256: str, cancel: Cancel | None = None) -> None:
        """Put the source there, unless it is there.  Raises Interrupted."""
        with _translated():
            there = self._storage.head(_source(sha256))
            if there is None or there.size != size or there.sha256 not in (None, sha256):
                going_on = _going_on(cancel)
                going_on(0)  # a small file is sent before anybody is called
                self._storage.put(_source(sha256), file, sha256=sha256, on_bytes=going_on, **_PLAIN)

    def drop_source(self, sha256: str) -> None:
        """Remove the source, unless another run needs it. Called while this run is still said to go on."""
        with _translated():
            if len(list(self._storage.list(f"runs/{sha256}"))) <= 1:
                self._storage.delete_prefix(f"sources/{sha256}")

    def take(self, name: str, key: str, store: Store, *, source: str, title: str) -> Artifact | None:
        """Move a finished piece into ``store``; None if there is none, or none that can be trusted. name: of the file."""
        folder = f"chunks/{key}"
        with _translated():
            if self._storage.head(f"{folder}/sidecar.json") is None:
                return None
            artifact = self._taken(name, key, store, source, title)
            self._storage.delete_prefix(folder)
        return artifact

    def _taken(self, name: str, key: str, store: Store, source: str, title: str) -> Artifact | None:
        try:
            sidecar = Sidecar.model_validate_json(self._storage.get(f"chunks/{key}/sidecar.json"))
            path = f"chunks/{key}/{int(sidecar.sha256, 16):064x}"
        except ValueError:  # pydantic's too
            return None
        there = self._storage.head(path)
        if there is None or there.size != sidecar.size or sidecar.key != key:
            return None
        with store.temporary() as folder:
            self._storage.download(path, folder / name)
            if sha256_of(folder / name) != (sidecar.size, sidecar.sha256):
                return None
            return store.add(key, folder / name, samples=sidecar.samples, source=source, title=title)

    def arrived(self, run: str, probe: str) -> bool:
        """Return whether what a worker wrote in ``probe`` is there."""
        with _translated():
            return bool(probe) and self._storage.head(_probe(run, probe)) is not None

    def drop_probes(self, run: str) -> None:
        """Remove what the workers wrote in ``probe``."""
        with _translated():
            self._storage.delete_prefix(str(Path(_probe(run, "x")).parent))

    # A worker

    def probe(self, run: str) -> str:
        """Read and write the prefix; return the name of what was written.  Raises EncodeFailed."""
        if self.is_over(run, doubtful=True):
            raise EncodeFailed(
                "what the coordinator uploaded is not visible", fix="check AWS_ENDPOINT_URL and the region of the worker"
            )
        try:
            with _translated():
                self._storage.head(_probe(run, secrets.token_hex(8)))
        except EncodeFailed as error:  # AWS says 403 to who may not list; then a task would never see the end of its run
            raise EncodeFailed(
                f"with these credentials S3 does not report which objects are missing ({error.what})",
                where=error.where,
                fix="also allow them s3:ListBucket on the bucket",
            ) from error
        name = secrets.token_hex(8)
        with _translated():
            self._put(_probe(run, name), b"vidpipe")
        return name

    def is_over(self, run: str, *, doubtful: bool = False) -> bool:
        """Return whether a run has ended. doubtful: raise EncodeFailed if that is unknown; otherwise it goes on."""
        try:
            with _translated():
                return self._storage.head(run) is None
        except EncodeFailed:
            if doubtful:
                raise
            return False

    @contextmanager
    def source(self, sha256: str, size: int, scratch: Path, cancel: Cancel | None = None) -> Iterator[Path]:
        """Give this machine's copy of the source, whole and compared. It is fetched by the first task that needs it, and kept for the next.

        Copies of other sources that no task uses are removed first.  Raises Interrupted.
        """

        def fetch(file: Path) -> None:
            drop_unread(scratch)
            self._fetch(sha256, size, file, cancel)

        with contextlib.ExitStack() as reading:
            with writing(scratch):
                file = reading.enter_context(shared(scratch, sha256, fetch, cancel.is_set if cancel is not None else None))
            if file is None:
                raise Interrupted("stopped on request")
            yield file

    def _fetch(self, sha256: str, size: int, file: Path, cancel: Cancel | None) -> None:
        part = file.with_name(PARTIAL)
        with _translated():
            self._storage.download(_source(sha256), part, _going_on(cancel))
        if sha256_of(part) != (size, sha256):
            part.unlink()
            raise EncodeFailed(
                "this is not the source that was uploaded",
                where=self._storage.location(_source(sha256)),
                fix="remove it, and run the same command again",
            )
        part.replace(file)

    def put(self, artifact: Artifact, *, source: str, title: str) -> None:
        """Put a finished piece there, and then what is known of it."""
        path, key = artifact.path, artifact.key
        note = Sidecar(
            key=key, file=path.name, size=artifact.size, sha256=artifact.sha256, samples=artifact.samples, source=source, title=title
        )
        with _translated():
            self._storage.put(f"chunks/{key}/{artifact.sha256}", path, sha256=artifact.sha256, **_PLAIN)
            self._put(f"chunks/{key}/sidecar.json", note.model_dump_json().encode())

    @contextmanager
    def alive(self, run: str, folder: Path, seconds: float) -> Iterator[Path]:
        """Give a folder that goes away when the run has ended: a task looks at it.  Raises Interrupted if it has ended already."""
        if self.is_over(run):
            raise Interrupted("the run that this task belongs to has ended")
        mark, done = folder / "alive", threading.Event()
        mark.mkdir()

        def look() -> None:
            while not done.wait(seconds):
                if self.is_over(run):
                    mark.rmdir()
                    return

        thread = threading.Thread(target=look, name="alive", daemon=True)
        thread.start()
        try:
            yield mark
        finally:
            done.set()
            thread.join()

    def _put(self, path: str, data: bytes) -> None:
        self._storage.put(path, data, sha256=hashlib.sha256(data).hexdigest(), **_PLAIN)


def run_apart(task: Task, staging: Staging, run: str, scratch: Path, seconds: float) -> Made:
    """Run a task with this machine's copy of the source, in its scratch folder, and put what it made there.

    seconds: between two looks at whether the run still goes on.
    """
    with Store(scratch).temporary() as folder, staging.alive(run, folder, seconds) as alive:
        with staging.source(task.job.source, task.job.size, scratch, RunIsOver(alive)) as source:
            job = task.job.model_copy(update={"location": str(source), "mtime_ns": source.stat().st_mtime_ns})
            made = run_task(task.model_copy(update={"job": job, "store": folder, "alive": alive}))
        for artifact in made.files.values():
            staging.put(artifact, source=job.source, title=job.title)
    return made


def _going_on(cancel: Cancel | None) -> Callable[[int], None]:
    """Return what is called with each piece of a transfer, and ends it on request."""

    def piece(_: int) -> None:
        if cancel is not None and cancel.is_set():
            raise Interrupted("stopped on request")

    return piece


def _source(sha256: str) -> str:
    return f"sources/{sha256}/source"


def _probe(run: str, name: str) -> str:
    return f"probes/{Path(run).parent.name}/{name}"


@contextmanager
def _translated() -> Iterator[None]:
    """storage/ speaks of targets; here it is the cluster's work that cannot be had."""
    try:
        yield
    except PublishFailed as error:
        raise EncodeFailed(error.what, where=error.where, fix=error.fix, details=error.details, debug=error.debug) from error
