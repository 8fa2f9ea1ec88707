"""vidpipe: turn a source video into a published, encrypted, verified title for HLS and DASH.

    from vidpipe import IngestRequest, Settings, ingest
    result = ingest(IngestRequest(source="film.mov", title="A Film"), Settings(home=Path("/srv/vidpipe")))

Many at once, each in a thread of its own, share the machine with ``ingest(…, workers=pool)``, where ``pool = WorkerPool()``.
``prepare`` decides without encoding, ``vidpipe.inspect.inspection.inspect`` reads playlists. Everything raises ``VidpipeError``.
The names are loaded when they are first used: ``import vidpipe`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidpipe.encode.worker_pool import WorkerPool
    from vidpipe.errors import VidpipeError
    from vidpipe.pipeline.ingest import IngestRequest, IngestResult, ingest, prepare
    from vidpipe.settings import Settings

__version__ = "0.2.0.dev0"

__all__ = ["IngestRequest", "IngestResult", "Settings", "VidpipeError", "WorkerPool", "ingest", "prepare"]

_HOMES = {"Settings": "vidpipe.settings", "VidpipeError": "vidpipe.errors", "WorkerPool": "vidpipe.encode.worker_pool"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "vidpipe.pipeline.ingest")), name)
