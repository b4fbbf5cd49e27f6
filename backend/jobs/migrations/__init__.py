"""The ledger's tables, release by release (Alembic): a database of an older release is brought up when it is opened.

A change of `backend.jobs.ledger`'s tables comes with a file in versions/, whose revision is the next number.
"""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

VERSION_TABLE = "cifs_alembic"
FIRST = "cifs_schema"  # says 1 where the tables are of the release before Alembic, which it also tells to stay away


class FromTheFuture(Exception):
    """A database of a newer release; says which."""


def migrate(connection: sa.Connection) -> None:
    """Brings the tables up to this release within the caller's transaction. Raises FromTheFuture, changing nothing."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    script, version = ScriptDirectory.from_config(config), version_of(connection)
    if version is not None and version not in [known.revision for known in script.walk_revisions()]:
        raise FromTheFuture(
            f"version {version} of its tables, and this release knows version {script.get_current_head()}"
        )
    if version is not None and not sa.inspect(connection).has_table(VERSION_TABLE):
        command.stamp(config, version)
    if version != script.get_current_head():
        command.upgrade(config, "head")


def version_of(connection: sa.Connection) -> str | None:
    """None: there are no tables yet."""
    tables = sa.inspect(connection)
    if tables.has_table(VERSION_TABLE):
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()
    if tables.has_table(FIRST):
        return str(connection.execute(sa.text(f"SELECT version FROM {FIRST}")).scalar_one_or_none())
    return None
