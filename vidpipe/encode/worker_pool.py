"""The room for encodes on this machine, shared by all ingests of a process, so that a batch does not oversubscribe it.

In:   how many chunks are encoded at once, and how much memory they may take together.
Out:  a place for one encode at a time, waited for; given back when the encode ends.
Wrong: Interrupted if the one who waits is cancelled; whoever waits or runs for other ingests is left alone.

A place that gets free goes to the ingest that has the fewest, so that a short title does not wait for all chunks of a long one that began
earlier. If the next in turn does not fit into memory, it is waited for: small encodes do not pass large ones for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from vidpipe.encode.machine import cores_here, memory_here
from vidpipe.encode.parallelism import SHARE_OF_MEMORY
from vidpipe.errors import Interrupted, UsageError
from vidpipe.media.process import Cancel

TICK = 0.5  # seconds between looks at the cancel signal; many may wait
LEAST_BESIDE = 2  # two: the audio of a long title does not hold up that of all others


class WorkerPool:
    """Hand one to every ``ingest`` of a batch: together they encode ``size`` chunks at once, however many ingests there are.

    size: None takes one for each core. Beside them run a few encodes of audio and subtitles.
    memory: bytes that the chunks may take together, as far as it can be estimated; None takes most of what the machine has.
    """

    def __init__(self, size: int | None = None, *, memory: int | None = None) -> None:
        if size is not None and size < 1:
            raise UsageError(f"a pool of {size} workers encodes nothing", where="WorkerPool", fix="give it at least one")
        self.size = size or cores_here()
        self.chunks = Places(self.size, int(memory_here() * SHARE_OF_MEMORY) if memory is None else memory)
        self.beside = Places(max(LEAST_BESIDE, self.size // 4))


@dataclass(eq=False)
class _Waiting:
    owner: object
    memory: int


@dataclass
class Places:
    """So many places of one kind. memory: bytes for all of them together, None if it does not matter."""

    count: int
    memory: int | None = None
    _free: threading.Condition = field(default_factory=threading.Condition)
    _waiting: list[_Waiting] = field(default_factory=list)
    _running: list[_Waiting] = field(default_factory=list)

    @contextmanager
    def one(self, owner: object, cancel: Cancel, memory: int = 0) -> Iterator[None]:
        """Wait for a place and hold it. owner: who shares the places with others: an ingest.  memory: bytes that it takes."""
        mine = _Waiting(owner, memory)
        with self._free:
            self._waiting.append(mine)
            try:
                while not self._is_next(mine):
                    if cancel.is_set():
                        raise Interrupted("stopped on request; finished chunks are kept")
                    self._free.wait(TICK)
                self._running.append(mine)
            finally:
                self._waiting.remove(mine)
                self._free.notify_all()
        try:
            yield
        finally:
            with self._free:
                self._running.remove(mine)
                self._free.notify_all()

    def _is_next(self, mine: _Waiting) -> bool:
        """Whether it is its turn, and there is room for it. Alone it may always run: less than one at a time is not possible."""
        if self._running:
            taken = sum(each.memory for each in self._running)
            if len(self._running) >= self.count or (self.memory is not None and taken + mine.memory > self.memory):
                return False
        return mine is min(self._waiting, key=lambda each: sum(running.owner is each.owner for running in self._running))
