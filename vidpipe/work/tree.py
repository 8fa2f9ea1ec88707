"""The folders of a work space and the locks in them, by name. Nothing outside ``work/`` joins these names to a path.

    WORK/chunks/      finished pieces of encodes             artifacts.py
    WORK/jobs/        notes of unfinished ingests            jobs.py
    WORK/fetched/     copies of remote sources               fetched.py
    WORK/sources/     what was measured of sources           measurements.py
    WORK/programs/    what ffmpeg programs can do            measurements.py
    WORK/plans/       what was decided for live versions     measurements.py
    WORK/watched/     locks of inboxes that are watched      watched.py
    WORK/tmp/         working folders of running processes   temporary.py

What lies below each stands at the head of its module.
"""

from __future__ import annotations

from pathlib import Path

CHUNKS = "chunks"
JOBS = "jobs"
FETCHED = "fetched"
SOURCES = "sources"
PROGRAMS = "programs"
PLANS = "plans"
WATCHED = "watched"
TMP = "tmp"

LOCK = ".lock"
"""The name of a lock in a folder, and the end of the name of one beside a file."""
GATE = ".gate"
READER = ".reader-"
"""The beginning of the name of a lock."""

MEANING = {
    CHUNKS: "encoded chunks: resume and reuse",
    SOURCES: "what was measured of sources",
    PROGRAMS: "what ffmpeg programs can do",
    PLANS: "plans of live versions: repair without the source",
    JOBS: "notes of ingests that are running or unfinished",
    FETCHED: "copies of remote sources: resume without fetching again",
    WATCHED: "locks of inboxes that are watched",
    TMP: "temporary files",
}
"""What people read of each."""


def is_lock(file: Path) -> bool:
    """Whether a file is nothing but a lock: it holds no work, and goes with the process that made it, or when somebody looks."""
    return file.name.endswith(LOCK) or file.name.startswith((GATE, READER))
