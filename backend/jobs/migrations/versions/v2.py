"""Jobs in shards, and of several processes."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "2", "1"


def upgrade() -> None:
    op.add_column("cifs_jobs", sa.Column("parent", sa.String(32)))
    op.create_index("ix_cifs_jobs_parent", "cifs_jobs", ["parent"])
    op.add_column("cifs_jobs", sa.Column("shard", sa.Integer))
    op.add_column("cifs_jobs", sa.Column("processes", sa.Integer, nullable=False, server_default="1"))
    op.execute("UPDATE cifs_schema SET version = 2")
