"""The folders of a work space, by name. Nothing outside ``work/`` joins these names to a path.

    WORK/chunks/      finished pieces of encodes             artifacts.py
    WORK/jobs/        notes of unfinished ingests            jobs.py
    WORK/fetched/     copies of remote sources               fetched.py
    WORK/sources/     what was measured of sources           measurements.py
    WORK/programs/    what ffmpeg programs can do            measurements.py
    WORK/watched/     locks of inboxes that are watched      watched.py
    WORK/tmp/         working folders of running processes   temporary.py

What lies below each stands at the head of its module.
"""

from __future__ import annotations

CHUNKS = "chunks"
JOBS = "jobs"
FETCHED = "fetched"
SOURCES = "sources"
PROGRAMS = "programs"
WATCHED = "watched"
TMP = "tmp"

MEANING = {
    CHUNKS: "encoded chunks: resume and reuse",
    SOURCES: "what was measured of sources",
    PROGRAMS: "what ffmpeg programs can do",
    JOBS: "notes and locks of ingests",
    FETCHED: "copies of remote sources: resume without fetching again",
    WATCHED: "locks of inboxes that are watched",
    TMP: "temporary files",
}
"""What people read of each."""
