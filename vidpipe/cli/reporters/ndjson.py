"""``--progress json``: one JSON object a line; the last one says how the run ended (docs/progress.md).

In:   events.  Out: lines.  Wrong: nothing; if the pipe is closed, the work goes on.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from vidpipe.cli.reporters.meter import FETCH, VALIDATE, VERIFY
from vidpipe.cli.reporters.watcher import Metered
from vidpipe.progress import ChunkProgress, Copied, DecodeProgress, Event, Fetched, StageFinished, Uploaded, VerifyProgress

if TYPE_CHECKING:
    from vidpipe.cli.exits import Failure

SECONDS = 1.0
"""Lines of progress come this often."""


class Ndjson(Metered):
    """Writes events as they come, and those that only count once a second. begun: when the lines count from; None is now."""

    def __init__(self, stream: TextIO | None = None, now: Callable[[], float] = time.monotonic, begun: float | None = None) -> None:
        super().__init__(now)
        self._stream = stream or sys.stderr
        self._shown: float | None = None
        self._written: float | None = None
        self._unwritten: Fetched | DecodeProgress | VerifyProgress | None = None
        self._begun = now() if begun is None else begun
        self._run: dict[str, str | None] = {"run": None, "content_id": None}

    def emit(self, event: Event) -> None:
        """Write the event, or its share of the next progress line."""
        with self._lock:
            self._run = {"run": event.run, "content_id": event.content_id}
            self._meter.take(event)
            if isinstance(event, Fetched | DecodeProgress | VerifyProgress):
                self._counted(event)
            elif isinstance(event, StageFinished) and event.stage in (FETCH, VALIDATE, VERIFY) and self._unwritten is not None:
                self._event(self._unwritten)
                self._unwritten = None
            if not isinstance(event, ChunkProgress | Uploaded | Copied | Fetched | DecodeProgress | VerifyProgress):
                self._event(event)
            if self._shown is None or self._now() - self._shown >= SECONDS:
                self._progress()

    def close(self, failure: Failure | None, exit_code: int = 0) -> bool:
        """Write the last state and how it ended."""
        with self._lock:
            self._progress()
            if failure is None:
                self._write({"event": "finished", "exit_code": exit_code})
                return True
            self._write({"event": "failed", **failure.report()})
        return True

    def _counted(self, event: Fetched | DecodeProgress | VerifyProgress) -> None:
        """Write how much is here, decoded or read back, once a second; the last is written when the stage ends."""
        if self._written is not None and self._now() - self._written < SECONDS:
            self._unwritten = event
            return
        self._written, self._unwritten = self._now(), None
        self._event(event)

    def _progress(self) -> None:
        encode = self._meter.snapshot().encode
        if encode is not None:
            self._shown = self._now()
            self._write({"event": "progress", **encode.model_dump(mode="json")})

    def _event(self, event: Event) -> None:
        self._write(event.model_dump(mode="json", exclude={"run", "content_id", "at"}), event.at)

    def _write(self, value: dict[str, Any], at: datetime | None = None) -> None:
        time = (at or datetime.now(UTC)).isoformat(timespec="milliseconds")
        stamp = {**self._run, "time": time, "elapsed": round(self._now() - self._begun, 3)}
        try:
            self._stream.write(json.dumps(value | stamp) + "\n")
            self._stream.flush()
        except OSError:  # the pipe was closed; the work goes on
            return
