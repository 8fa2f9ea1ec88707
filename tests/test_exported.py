"""The public names of the library: all there, nothing more, and free until they are used."""

from __future__ import annotations

import subprocess
import sys

import vidpipe


def test_the_public_names() -> None:
    assert {name: getattr(vidpipe, name).__module__ for name in vidpipe.__all__} == {
        "IngestRequest": "vidpipe.pipeline.ingest",
        "IngestResult": "vidpipe.pipeline.ingest",
        "Settings": "vidpipe.settings",
        "VidpipeError": "vidpipe.errors",
        "WorkerPool": "vidpipe.encode.worker_pool",
        "ingest": "vidpipe.pipeline.ingest",
        "prepare": "vidpipe.pipeline.ingest",
    }


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, vidpipe; print([name for name in ('pydantic', 'boto3', 'sqlalchemy', 'av') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
