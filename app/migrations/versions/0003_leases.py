"""Who writes an answer, how that process shows that it lives, and what an answer waits for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Go to this schema."""
    op.create_table(
        "workers",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.add_column("messages", sa.Column("worker", sa.String(32)))
    op.add_column("messages", sa.Column("attempt", sa.Integer, nullable=False, server_default="1"))
    op.add_column("messages", sa.Column("waiting", sa.Text, nullable=False, server_default=""))
    # Else they would be taken up as new, and a model asked again. Of a process that shows no life they end.
    op.execute("UPDATE messages SET worker = 'before leases' WHERE status = 'generating'")
