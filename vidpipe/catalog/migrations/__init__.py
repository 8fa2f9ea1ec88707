"""Bring the tables of an older vidpipe to the present version. The only user of Alembic, and imported only when there is something to do.

In:   a connection in a transaction that writes, and holds the lock under which tables change; the version of the tables.
Out:  tables of the newest version, in the same transaction: a process that is killed leaves the old ones.
Wrong: what SQLAlchemy raises.

One module a step, ``version_N.py``, whose revision is N: the number that ``vidpipe_catalog`` has held since 0.1.0, and by which an older
vidpipe refuses a newer catalog. So that there is one number and not two, Alembic's own table of versions is not used. Steps are never
edited after a release. New catalogs are made by ``tables.py`` at once (``create``); a test compares them with catalogs that took all steps.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


def upgrade(connection: sa.Connection, version: int) -> None:
    """Take all steps from a version to the newest."""
    folder = str(Path(__file__).parent)
    steps = list(ScriptDirectory(folder, version_locations=[folder]).iterate_revisions("head", str(version)))
    with Operations.context(MigrationContext.configure(connection)):
        for step in reversed(steps):
            step.module.upgrade()
            reached = sa.text("UPDATE vidpipe_catalog SET value = :version WHERE name = 'schema_version'")
            connection.execute(reached, {"version": step.revision})
