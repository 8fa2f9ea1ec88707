"""The room for encodes on this machine, shared by all ingests of a process, so that a batch does not oversubscribe it.

In:   how many chunks are encoded at once.
Out:  for each ingest executors of its own, whose tasks wait for a place in the pool.
Wrong: Interrupted if the one who waits is cancelled; whoever waits or runs for other ingests is left alone.

A place that gets free goes to the ingest that has the fewest, so that a short title does not wait for all chunks of a long one that began
earlier. If the next in turn does not fit into memory, it is waited for: small encodes do not pass large ones for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ParamSpec, TypeVar

from vidpipe.encode.machine import cores_here
from vidpipe.errors import Interrupted, UsageError
from vidpipe.media.process import Cancel

_P = ParamSpec("_P")
_T = TypeVar("_T")

TICK = 0.5  # seconds between looks at the cancel signal; many may wait
LEAST_BESIDE = 2  # so that the audio of a long title does not hold up that of all others


class WorkerPool:
    """Give one to every ``ingest`` of a batch: together they encode ``size`` chunks at once, however many ingests there are.

    size: None takes one for each core. Beside them run a few encodes of audio and subtitles.
    """

    def __init__(self, size: int | None = None) -> None:
        if size is not None and size < 1:
            raise UsageError(f"a pool of {size} workers encodes nothing", where="WorkerPool", fix="give it at least one")
        self.size = size or cores_here()
        self.chunks = Places(self.size)
        self.beside = Places(max(LEAST_BESIDE, self.size // 4))


@dataclass(eq=False)
class _Waiting:
    owner: object
    share: Fraction


@dataclass
class Places:
    """So many places of one kind."""

    count: int
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _waiting: list[_Waiting] = field(default_factory=list)
    _running: list[_Waiting] = field(default_factory=list)

    @contextmanager
    def one(self, owner: object, cancel: Cancel, share: Fraction = Fraction(0)) -> Iterator[None]:
        """Wait for a place and hold it. owner: who shares the places with others: an ingest.  share: of the memory of this machine."""
        mine = _Waiting(owner, share)
        with self._changed:
            self._waiting.append(mine)
            try:
                while not self._is_next(mine):
                    if cancel.is_set():
                        raise Interrupted("stopped on request; finished chunks are kept")
                    self._changed.wait(TICK)
                self._running.append(mine)
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._running.remove(mine)
                self._changed.notify_all()

    def _is_next(self, mine: _Waiting) -> bool:
        """Whether it is its turn, and there is room for it. Alone it may always run: less than one at a time is not possible."""
        if self._running:
            taken = sum(each.share for each in self._running)
            if len(self._running) >= self.count or taken + mine.share > 1:
                return False
        return mine is min(self._waiting, key=lambda each: sum(running.owner is each.owner for running in self._running))


class Sharer(ThreadPoolExecutor):
    """The threads of one ingest. What they run waits for a place that is shared with other ingests; what they wait for goes with them."""

    def __init__(self, places: Places, threads: int, stop: Cancel, *, share: Fraction = Fraction(0)) -> None:
        super().__init__(threads, thread_name_prefix="encode")
        self._places, self._stop, self._share = places, stop, share

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """See Executor."""

        def placed() -> _T:
            with self._places.one(self, self._stop, self._share):
                return fn(*args, **kwargs)

        return super().submit(placed)
