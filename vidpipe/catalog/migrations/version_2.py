"""Search: the table that ``catalog list`` and ``catalog search`` read, filled with the versions that are there.

All of it is derived from the records, so this step makes it as it is today. A later change of it is a step that drops it and does the same.
"""

from alembic import op

from vidpipe.catalog.index import build

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Make and fill the table that is searched."""
    build(op.get_bind())
