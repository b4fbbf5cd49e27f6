"""Jobs, their events, and the workers."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "1", None


def upgrade() -> None:
    op.create_table("cifs_schema", sa.Column("version", sa.Integer, primary_key=True))
    op.execute("INSERT INTO cifs_schema (version) VALUES (1)")
    op.create_table(
        "cifs_jobs",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False, index=True),
        sa.Column("model", sa.String(255), index=True),
        sa.Column("request", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("notes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("taken", sa.Integer, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("worker", sa.String(255)),
        sa.Column("created", sa.Float, nullable=False, index=True),
        sa.Column("started", sa.Float),
        sa.Column("ended", sa.Float),
        sa.Column("progress", sa.JSON(none_as_null=True)),
        sa.Column("result", sa.JSON(none_as_null=True)),
        sa.Column("error", sa.Text),
    )
    op.create_table(
        "cifs_events",
        sa.Column("job", sa.String(32), sa.ForeignKey("cifs_jobs.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
    )
    op.create_table(
        "cifs_workers",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("beat", sa.Float, nullable=False),
    )
