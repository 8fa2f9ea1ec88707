"""Where a source comes from (a local path, an address, standard input), and the local file that stands for it.

In:   a source as the user gave it, and the work space.
Out:  an OpenedSource: the facts of the source, remembered where it is known to be unchanged, and the file itself once that is needed.
Wrong: what fetching and measuring raise (SourceRefused, UsageError, Interrupted); EncodeFailed if the work space cannot be written.

The copy of a remote source is kept until a run that needs it ends well. Its key is a hash of the address and one of what the server says of
this version of the file: a file that was replaced has another key (and the copy of what it was before goes), and no secret of an address
stands in a name. A run that finds its copy in use by another one takes a temporary copy of its own. Standard input, and what a server
declares no version of, lie in a working folder and go with the run.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vidpipe.errors import EncodeFailed, SourceRefused
from vidpipe.progress import Fetched, Stages
from vidpipe.source.cache import forget, keep, recall, remembered
from vidpipe.source.facts import Source
from vidpipe.source.fetch import OtherVersion, Version, fetch, is_remote, local_path, look, public, safe_name, spool
from vidpipe.source.limits import SourceLimits
from vidpipe.source.probe import probe
from vidpipe.source.text import one_line
from vidpipe.work.artifacts import Store, writing
from vidpipe.work.fetched import copy_of

STDIN = "-"
"""The source that is standard input; a file of this name is ./-"""


@dataclass
class OpenedSource:
    """A source, and the file that stands for it.

    location: as the user gave it.  path: the local file; a copy may not be there yet.  lasting: the next run may find the same one there.
    version: of a remote source, if its server declares one.  temporary: gives a folder that lasts as long as the run.
    """

    location: str
    path: Path
    lasting: bool
    version: Version | None
    work: Path
    temporary: Callable[[], Path]
    limits: SourceLimits
    cancel: threading.Event | None
    stages: Stages
    _known: Source | None = field(default=None, init=False)
    _here: Source | None = field(default=None, init=False)

    def facts(self) -> Source:
        """Return what is true of the source, without fetching it if that is known."""
        if self._here is None and self.version is not None:
            self._known = recall(self.work, self.limits, self._state)
        return self._known or self.bring()

    def bring(self) -> Source:
        """Return the same facts, of a file that is here now. Raises SourceRefused if it is not what ``facts`` said."""
        if self._here is None:
            state = self._state  # of what is known; the server may turn out to be wrong
            self._get()
            self._here = remembered(self.path, self.work, self.limits, self.measure) if self.lasting else self.measure()
            if self._known is not None and self._known.sha256 != self._here.sha256:
                forget(self.work, self.limits, state)
                what = "the server sends different bytes for the same version of the file"
                raise SourceRefused(what, where=self.shown, fix="run the same command again", id="changed-source")
            if self.version is not None:
                keep(self._here, self.work, self.limits, self._state)
        return self._here

    def measure(self, *, quick: bool = False) -> Source:
        """Measure the file now, whatever is remembered of it. quick: of a large one, only its ends; such facts are not remembered."""
        self._get()
        if self._is_local:
            return probe(self.location, limits=self.limits, cancel=self.cancel, quick=quick)
        try:
            return probe(str(self.path), limits=self.limits, cancel=self.cancel, quick=quick)
        except SourceRefused as error:  # a copy goes away again: name what it is a copy of
            fix = (error.fix or "").replace(shlex.quote(str(self.path)), "FILE")
            found = [each.model_copy(update={"advice": fix}) for each in error.found]
            raise SourceRefused(
                error.what, where=self.shown, fix=fix, details=error.details, debug=error.debug, found=found, id=error.id
            ) from error

    @property
    def shown(self) -> str:
        """The location for messages, without secrets."""
        return "standard input" if self.location == STDIN else public(self.location) if is_remote(self.location) else self.location

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the plan says of where the source comes from."""
        return ("read from standard input into a file first, so that it is seekable",) if self.location == STDIN else ()

    @property
    def _is_local(self) -> bool:
        return self.location != STDIN and not is_remote(self.location)

    @property
    def _state(self) -> str:
        return "-".join(copy_key(self.location, self.version)) if self.version else ""

    def _get(self) -> None:
        """Make sure that the file is here, whole."""
        if self._is_local or self._is_whole():
            return
        with self.stages("fetch"), writing(self.path.parent):
            if self.location == STDIN:
                spool(self.path, limits=self.limits, cancel=self.cancel, on_bytes=self._report)
                return
            try:
                self._fetch()
            except OtherVersion:
                # What the server says of the file is not what it sends. So nothing that it says can be relied on, and nothing is kept.
                self.version, self.path, self.lasting = None, self.temporary() / self.path.name, False
                self._fetch()

    def _is_whole(self) -> bool:
        """Whether the copy is here. It got its name when it was complete; one of another size was altered since."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return False
        return self.version is None or self.version.size in (None, size)

    def _fetch(self) -> None:
        fetch(self.location, self.path, version=self.version, limits=self.limits, cancel=self.cancel, on_bytes=self._report)

    def _report(self, number: int, total: int | None) -> None:
        self.stages.reporter.emit(Fetched(bytes=number, total=total))


@contextmanager
def opened(
    location: str,
    work: Path,
    *,
    name: str = "stdin",
    limits: SourceLimits,
    cancel: threading.Event | None = None,
    stages: Stages,
    looking: bool = False,
) -> Iterator[OpenedSource]:
    """Give the OpenedSource of a source. A remote one is asked for its version; nothing is fetched yet.

    name: of the file that standard input becomes.  looking: the run makes no title, so a copy that it finds is left for the one that does.
    """
    with ExitStack() as cleanup:

        def temporary() -> Path:
            return cleanup.enter_context(Store(work).temporary())

        version, lasting = None, True
        if location == STDIN:
            path, lasting = temporary() / name, False
        elif is_remote(location):
            version = look(location, limits)
            kept = None
            if version:
                with writing(work):
                    kept = cleanup.enter_context(copy_of(work, *copy_key(location, version), looking=looking))
            path, lasting = (kept or temporary()) / safe_name(location), kept is not None
        else:
            path = local_path(location)
        origin = OpenedSource(location, path, lasting, version, work, temporary, limits, cancel, stages)
        try:
            yield origin
        except (SourceRefused, EncodeFailed) as error:  # what comes later knows the source by the name of its file only
            error.where = _as_given(error.where, one_line(path.name) or "source", origin.shown)
            raise


def _as_given(where: str | None, name: str, shown: str) -> str | None:
    """Name the source as the user gave it: alone, or at the end of a place in it."""
    if where is None or not (where == name or where.endswith(f" {name}")):
        return where
    return where[: len(where) - len(name)] + one_line(shown, 1000)


def copy_key(location: str, version: Version) -> tuple[str, str]:
    """Return what the copy of one version of a remote source is kept under: a hash of its address, and one of the version."""
    address, this = (hashlib.sha256(text.encode()).hexdigest()[:32] for text in (location, json.dumps([version.tag, version.size])))
    return address, this
