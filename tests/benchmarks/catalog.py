"""A page and a search in a catalog of 100,000 titles, on SQLite and PostgreSQL: ``python -m tests.benchmarks.catalog``.

Milliseconds of ``Catalog.search``, connection and the records of 50 titles included; the titles are made up.
Each row is asked several times, and shows the least and the median. (A busy neighbour on the same cores multiplies all of them.)
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from tests import servers
from tests.test_catalog import record
from vidpipe.catalog import merge
from vidpipe.catalog.merge import Exported
from vidpipe.catalog.search import Query
from vidpipe.catalog.store import Catalog

PAGE = 50
GENRES = ("Drama", "Comedy", "Drama, Thriller", "Documentary", "Science Fiction", "Kids", "Sport", "News")
WORDS = ("Midnight", "River", "Été", "Straße", "Ocean", "Harbour", "Winter", "東京物語", "Война", "Garden", "Letter", "Bridge", "Summer")

QUERIES: dict[str, dict[str, Any]] = {
    "first page, by id": {},
    "first page, newest first": {"order": "created"},
    "first page, by title": {"order": "title"},
    "first page, longest first": {"order": "duration"},
    "id begins with film-09": {"id": "film-09"},
    "id matches *-0999?": {"id": "*-0999?"},
    "superseded, newest first": {"states": ("superseded",), "order": "created"},
    "genre=drama": {"metadata": {"genre": "drama"}},
    "genre=drama, newest first": {"metadata": {"genre": "drama"}, "order": "created"},
    "language de, 1080 lines, by title": {"languages": ("de",), "heights": (1080,), "order": "title"},
    "one day": {"created_from": datetime(2026, 1, 10, tzinfo=UTC), "created_before": datetime(2026, 1, 11, tzinfo=UTC)},
    "ninety minutes and more, by title": {"shortest": 5400.0, "order": "title"},
    "a word of one title": {"text": "unique77777"},
    "a word of every title": {"text": "common"},
    "a word of every title, newest first": {"text": "common", "order": "created"},
    "two words": {"text": "midnight river"},
    "the beginning of words: m": {"text": "m"},
    "the beginning of words: c, by title": {"text": "c", "order": "title"},
    "東京": {"text": "東京"},
    "words and genre, longest first": {"text": "winter gar", "metadata": {"genre": "thriller"}, "order": "duration"},
    "nothing": {"text": "nowhere"},
}


def versions(count: int) -> Iterator[Exported]:
    """Yield made-up versions; every tenth title has a superseded one."""
    begin, like = datetime(2026, 1, 1, tzinfo=UTC), record()
    for number in range(count):
        chosen = [WORDS[(number * step + number // 7) % len(WORDS)] for step in (1, 3, 5)]
        for version in range(2 if number % 10 == 0 else 1):
            made = {
                "content_id": f"film-{number:06d}",
                "version": f"v{2 - version}",
                "status": "superseded" if version else "live",
                "title": f"{' '.join(chosen)} {number}",
                "created_at": begin + timedelta(minutes=number * 7 % (count + 1), days=-version),
                "duration": 60.0 + number * 37 % 7200,
                "metadata": {"genre": GENRES[number % len(GENRES)], "cast": f"common, unique{number}", "season": str(number % 9)},
            }
            yield Exported(fingerprint=f"f{number}", record=like.model_copy(update=made))


def filled(catalog: Catalog, count: int) -> float:
    """Fill a catalog, without the comparison that an import makes, and return the seconds that it took."""
    begun = time.monotonic()
    for batch in batched(versions(count), 5000):
        with catalog._transaction(write=True) as connection:
            merge.add(connection, batch)
    return time.monotonic() - begun


def batched(given: Iterator[Exported], size: int) -> Iterator[tuple[Exported, ...]]:
    """Yield pieces of ``given``."""
    while piece := tuple(islice(given, size)):
        yield piece


@contextmanager
def catalogs() -> Iterator[dict[str, str]]:
    """Where the catalogs lie."""
    with tempfile.TemporaryDirectory(prefix="vidpipe-catalog-") as folder, servers.postgresql() as server:
        yield {"SQLite": f"sqlite:///{Path(folder) / 'catalog.db'}", "PostgreSQL": server}


def main() -> None:
    """Fill both, measure, and print one line a query."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--titles", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    times: dict[str, dict[str, list[float]]] = {name: {} for name in (*QUERIES, "the last page, by title")}
    with catalogs() as places:
        for kind, url in places.items():
            with Catalog(url) as catalog:
                print(f"{kind}: filled in {filled(catalog, given.titles):.0f} s", file=sys.stderr)
                last = catalog.search(Query(order="title", reverse=True), PAGE).next  # a cursor of the other direction
                if kind == "PostgreSQL":
                    with catalog._engine.connect() as connection:
                        connection.exec_driver_sql("ANALYZE")  # which its autovacuum does a minute later
                        connection.commit()
                asked = {name: Query(**query) for name, query in QUERIES.items()}
                asked["the last page, by title"] = Query(order="title", reverse=True, after=last)
                for name, query in asked.items():
                    for _ in range(given.rounds):
                        begun = time.perf_counter()
                        catalog.search(query, PAGE)
                        times[name].setdefault(kind, []).append((time.perf_counter() - begun) * 1000)
    print(f"load {os.getloadavg()[0]:.1f}; ms: least, median{'':8}" + "".join(f"{kind:>18}" for kind in places))
    for name, found in times.items():
        print(f"{name:36}" + "".join(f"{min(found[kind]):10.0f}{statistics.median(found[kind]):8.0f}" for kind in places))


if __name__ == "__main__":
    main()
