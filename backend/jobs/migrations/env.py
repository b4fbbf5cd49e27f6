"""Run by Alembic: within the transaction of whoever opens the ledger."""

from alembic import context

from backend.jobs.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
