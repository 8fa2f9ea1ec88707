"""The tables of vidpipe 0.1.0: where every catalog begins that is upgraded. 0.1.0 made them itself."""

revision = "1"
down_revision = None


def upgrade() -> None:
    """Do nothing: no catalog is older."""
