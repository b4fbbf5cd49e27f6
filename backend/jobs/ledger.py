"""What is known of jobs, their events and the workers: three tables of ours beside the queue's.

Every change is one transaction that names the states it may start from, and the attempt it is of: whoever comes too
late (a worker that was taken for dead, a second click) changes nothing and is told so. An event is written in the
transaction of the change it tells of. The job's row counts its events, which also puts them in an order.

A job in shards has a row for each of them, queued and taken like any job's, by as many workers as are free. Each shard
alone could do the job; together they divide it (`cifs.shards`). The job's own row is never queued: its state follows
from theirs, in the transaction of every change of one. It is finished with the first of them that finishes.

LedgerError
├── LedgerUnreadable   no database of ours, or one of a newer release
└── LedgerAway         the database does not answer
"""

import secrets
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DBAPIError, InterfaceError, OperationalError

from backend.jobs.migrations import FromTheFuture, migrate

State = Literal["waiting", "running", "cancelling", "finished", "failed", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
ACTIVE: tuple[State, ...] = ("waiting", "running", "cancelling")
RESUMABLE: tuple[State, ...] = ("failed", "cancelled")
NEW = {"state": "waiting", "attempt": 1, "taken": 0, "events": 0}
FULL = ("disk is full", "No space left on device")  # as SQLite and PostgreSQL say it
Enqueue = Callable[[sa.Connection, str, int], None]  # within the transaction: (…, job id, attempt)

metadata = sa.MetaData()  # a change here needs a file in migrations/versions
jobs = sa.Table(
    "cifs_jobs",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False, index=True),
    sa.Column("model", sa.String(255), index=True),
    sa.Column("request", sa.JSON(none_as_null=True), nullable=False),
    sa.Column("notes", sa.JSON(none_as_null=True), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("taken", sa.Integer, nullable=False),  # how often a worker has begun it since it last got on
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("worker", sa.String(255)),
    sa.Column("created", sa.Float, nullable=False, index=True),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("progress", sa.JSON(none_as_null=True)),
    sa.Column("result", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.Text),
    sa.Column("parent", sa.String(32), index=True),  # of a shard: the job
    sa.Column("shard", sa.Integer),  # its number, from 1
    sa.Column("processes", sa.Integer, nullable=False, server_default="1"),  # of one attempt, on one host
)
events = sa.Table(
    "cifs_events",
    metadata,
    sa.Column("job", sa.String(32), sa.ForeignKey("cifs_jobs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # from 1, without gaps
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("event", sa.String(16), nullable=False),  # "state" or "progress"
    sa.Column("data", sa.JSON(none_as_null=True), nullable=False),
)
workers = sa.Table(
    "cifs_workers",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("beat", sa.Float, nullable=False),  # seconds, by the database's clock
)


class LedgerError(Exception):
    """The message is meant for people."""


class LedgerUnreadable(LedgerError):
    pass


class LedgerAway(LedgerError):
    pass


@dataclass(frozen=True, kw_only=True)
class Row:
    """A job as its row has it."""

    id: str
    kind: str
    model: str | None
    request: dict[str, Any]
    notes: list[str]
    state: State
    attempt: int
    taken: int
    events: int
    worker: str | None
    created: float
    started: float | None
    ended: float | None
    progress: dict[str, Any] | None
    result: Any
    error: str | None
    parent: str | None = None
    shard: int | None = None
    processes: int = 1


@dataclass(frozen=True)
class Event:
    number: int
    at: float
    event: str
    data: dict[str, Any]


class Other(NamedTuple):
    """A worker, as another sees it."""

    name: str
    host: str | None
    silence: float | None  # seconds since its last heartbeat; None: it has left


def engine_of(url: str) -> sa.Engine:
    """Raises LedgerUnreadable for a URL that is neither of SQLite nor of PostgreSQL."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise LedgerUnreadable(f"{url!r} is no database URL; {ALLOWED}") from None
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed, connect_args={"timeout": 30}, pool_size=5, max_overflow=5)
        sa.event.listen(engine, "connect", _set_up_sqlite)
        return engine
    if parsed.get_backend_name() == "postgresql":
        return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, max_overflow=5)
    raise LedgerUnreadable(f"{parsed.drivername} is no database for jobs; {ALLOWED}")


ALLOWED = "write sqlite:////folder/jobs.sqlite or postgresql://user:password@host/name"


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """Readers beside one writer, and a writer that waits for its turn."""
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


class Ledger:
    def __init__(self, engine: sa.Engine, enqueue: Enqueue) -> None:
        self.engine, self.enqueue = engine, enqueue

    # Opening

    def open(self) -> None:
        """Creates the tables, or brings those of an older release up. Raises LedgerUnreadable or LedgerAway."""
        with self._transaction() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # two that start at once
            else:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x0C1F5)))
            try:
                migrate(connection)
            except FromTheFuture as error:
                raise LedgerUnreadable(
                    f"the database of jobs has {error}: run the release that wrote it, or set CIFS_DATABASE_URL to "
                    "another database"
                ) from None

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError) as error:
            full = any(words in _reason(error) for words in FULL)
            trouble = "no space left for the database of jobs" if full else "the database of jobs does not answer"
            raise LedgerAway(f"{trouble}: {_reason(error)}") from error
        except DatabaseError as error:
            raise LedgerUnreadable(f"the database of jobs cannot be used: {_reason(error)}") from error

    # Reading

    def job(self, job_id: str) -> Row | None:
        with self._transaction() as connection:
            row = connection.execute(jobs.select().where(jobs.c.id == job_id)).first()
        return None if row is None else Row(**row._mapping)

    def page(
        self, *, states: Sequence[str] = (), kind: str | None = None, model: str | None = None, offset: int, limit: int
    ) -> tuple[int, list[Row]]:
        """How many jobs match, and a page of them, the newest first."""
        wanted: list[sa.ColumnElement[bool]] = [jobs.c.parent.is_(None)]
        wanted += [jobs.c.state.in_(states)] if states else []
        wanted += [column == value for column, value in ((jobs.c.kind, kind), (jobs.c.model, model)) if value]
        page = jobs.select().where(*wanted).order_by(jobs.c.created.desc(), jobs.c.id).offset(offset).limit(limit)
        with self._transaction() as connection:
            total = connection.execute(sa.select(sa.func.count()).select_from(jobs).where(*wanted)).scalar_one()
            return total, [Row(**row._mapping) for row in connection.execute(page)]

    def shards(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        """Of those jobs that have any, in their order."""
        query = jobs.select().where(jobs.c.parent.in_(job_ids)).order_by(jobs.c.shard)
        found: dict[str, list[Row]] = {}
        with self._transaction() as connection:
            for row in connection.execute(query):
                found.setdefault(row.parent, []).append(Row(**row._mapping))
        return found

    def events(self, job_id: str, *, after: int, limit: int = 500) -> list[Event]:
        page = (
            sa.select(events.c.number, events.c.at, events.c.event, events.c.data)
            .where(events.c.job == job_id, events.c.number > after)
            .order_by(events.c.number)
            .limit(limit)
        )
        with self._transaction() as connection:
            return [Event(*row) for row in connection.execute(page)]

    # What the API does

    def submit(
        self,
        kind: str,
        model: str | None,
        request: dict[str, Any],
        notes: Sequence[str] = (),
        *,
        shards: int = 1,
        processes: int = 1,
    ) -> tuple[str, bool]:
        """(id, True); or, where a job of this kind is at work on the same model already, (its id, False)."""
        job_id = secrets.token_hex(8)
        row = dict(kind=kind, model=model, request=request, notes=list(notes), processes=processes, **NEW)
        now = time.time()
        of_shards = [{"id": f"{job_id}-{i}", "parent": job_id, "shard": i} for i in range(1, shards + 1)]
        with self._transaction() as connection:
            _lock(connection)
            same = sa.select(jobs.c.id).where(jobs.c.kind == kind, jobs.c.model == model, jobs.c.state.in_(ACTIVE))
            same = same.where(jobs.c.parent.is_(None))
            if model is not None and (other := connection.execute(same).scalar()) is not None:
                return other, False
            for own in [{"id": job_id}, *(of_shards if shards > 1 else ())]:
                connection.execute(jobs.insert().values(**row, **own, created=now))
                self._tell(connection, own["id"], "state", {"state": "waiting", "attempt": 1})
                if shards == 1 or "parent" in own:
                    self.enqueue(connection, own["id"], 1)
        return job_id, True

    def cancel(self, job_id: str) -> bool:
        """A waiting job is over at once; a running one is asked to stop. Whether there was anything to cancel."""
        now = {"state": "cancelled", "ended": time.time()}
        with self._transaction() as connection:
            cancelled = [
                self._change(connection, one, ["waiting"], now)
                or self._change(connection, one, ["running"], {"state": "cancelling"})
                for one in self._queued(connection, job_id)
            ]
        return any(cancelled)

    def resume(self, job_id: str) -> bool:
        """Another attempt at a job that failed or was cancelled; whether it was one."""
        again = {"state": "waiting", "attempt": jobs.c.attempt + 1, "taken": 0, "ended": None, "error": None}
        with self._transaction() as connection:
            one = connection.execute(jobs.select().where(jobs.c.id == job_id).with_for_update()).first()
            if one is None or one.state not in RESUMABLE:
                return False
            resumed = [
                self._change(connection, queued, RESUMABLE, again, enqueue=True)
                for queued in self._queued(connection, job_id)
            ]
        return any(resumed)

    def _queued(self, connection: sa.Connection, job_id: str) -> Sequence[str]:
        """What of a job goes through the queue: its shards, or itself."""
        shards = sa.select(jobs.c.id).where(jobs.c.parent == job_id).order_by(jobs.c.shard)
        return connection.execute(shards).scalars().all() or [job_id]

    # What a worker does

    def take(self, job_id: str, attempt: int, worker: str) -> Row | None:
        """The job, now this worker's; None when this attempt is over, or was handed to another."""
        cancelled = {"state": "cancelled", "ended": time.time()}
        running = {"state": "running", "worker": worker, "taken": jobs.c.taken + 1}
        running["started"] = sa.func.coalesce(jobs.c.started, time.time())
        with self._transaction() as connection:
            if self._change(connection, job_id, ["cancelling"], cancelled, attempt=attempt):
                return None  # its worker was killed before it could stop
            taken = self._change(connection, job_id, ["waiting", "running"], running, attempt=attempt)
        return self.job(job_id) if taken else None

    def tell_progress(self, job_id: str, attempt: int, progress: dict[str, Any]) -> bool:
        with self._transaction() as connection:
            parent = self._parent(connection, job_id)
            here = (jobs.c.id == job_id, jobs.c.attempt == attempt, jobs.c.state.in_(ACTIVE))
            if not connection.execute(jobs.update().where(*here).values(progress=progress, taken=0)).rowcount:
                return False
            self._tell(connection, job_id, "progress", progress)
            if parent is not None and is_further(progress, parent.progress):
                connection.execute(jobs.update().where(jobs.c.id == parent.id).values(progress=progress))
                self._tell(connection, parent.id, "progress", progress)
        return True

    def end(self, job_id: str, attempt: int, state: State, *, result: Any = None, error: str | None = None) -> bool:
        """Whether this attempt was still the job's."""
        over = {"state": state, "ended": time.time(), "result": result, "error": error}
        with self._transaction() as connection:
            return self._change(connection, job_id, ["running", "cancelling"], over, attempt=attempt)

    def hand_over(self, job_id: str, attempt: int) -> bool:
        """The job goes back to the queue as a new attempt, begun or not; one that was being cancelled is over."""
        cancelled = {"state": "cancelled", "ended": time.time()}
        again = {"state": "waiting", "attempt": attempt + 1, "worker": None}
        with self._transaction() as connection:
            return self._change(connection, job_id, ["cancelling"], cancelled, attempt=attempt) or self._change(
                connection, job_id, ["waiting", "running"], again, attempt=attempt, enqueue=True
            )

    def beat(self, worker: str, host: str) -> None:
        with self._transaction() as connection:
            now = _clock(connection)
            if not connection.execute(workers.update().where(workers.c.name == worker).values(beat=now)).rowcount:
                connection.execute(workers.insert().values(name=worker, host=host, beat=now))

    def leave(self, worker: str) -> None:
        with self._transaction() as connection:
            connection.execute(workers.delete().where(workers.c.name == worker))

    def others(self, worker: str) -> list[Other]:
        """Every other worker that by the ledger runs a job, the ones that have left included."""
        runs = jobs.c.state.in_(("running", "cancelling")), jobs.c.worker.is_not(None)
        running = sa.select(jobs.c.worker).where(*runs).distinct().subquery()
        query = sa.select(running.c.worker, workers.c.host, workers.c.beat).select_from(
            running.outerjoin(workers, workers.c.name == running.c.worker)
        )
        with self._transaction() as connection:
            now = _clock(connection)
            return [
                Other(name, host, None if beat is None else now - beat)
                for name, host, beat in connection.execute(query)
                if name != worker
            ]

    def jobs_of(self, worker: str) -> list[tuple[str, int]]:
        """(id, attempt) of what it runs."""
        running = jobs.c.worker == worker, jobs.c.state.in_(("running", "cancelling"))
        with self._transaction() as connection:
            return [(row.id, row.attempt) for row in connection.execute(jobs.select().where(*running))]

    def waiting(self) -> set[tuple[str, int]]:
        """(id, attempt) of what the queue has to bring: shards, and jobs that have none."""
        divided = sa.select(jobs.c.parent).where(jobs.c.parent.is_not(None))
        query = sa.select(jobs.c.id, jobs.c.attempt).where(jobs.c.state == "waiting", jobs.c.id.not_in(divided))
        with self._transaction() as connection:
            return {(job_id, attempt) for job_id, attempt in connection.execute(query)}

    # Both

    def _change(
        self,
        connection: sa.Connection,
        job_id: str,
        before: Sequence[str],
        values: dict[str, Any],
        *,
        attempt: int | None = None,
        enqueue: bool = False,
    ) -> bool:
        """`values`, if the job is in one of the states `before` (and at that attempt). Whether it was."""
        parent = self._parent(connection, job_id)
        here: list[sa.ColumnElement[bool]] = [jobs.c.id == job_id, jobs.c.state.in_(before)]
        here += [jobs.c.attempt == attempt] if attempt is not None else []
        changed = jobs.update().where(*here).values(**values).returning(jobs.c.attempt, jobs.c.worker, jobs.c.error)
        now = connection.execute(changed).first()
        if now is None:
            return False
        change = {"state": values["state"], "attempt": now.attempt}
        change |= {"worker": now.worker} if values["state"] == "running" and now.worker else {}
        change |= {"error": now.error} if now.error else {}
        self._tell(connection, job_id, "state", change)
        if enqueue:
            self.enqueue(connection, job_id, now.attempt)
        if parent is not None:
            self._follow(connection, parent)
        return True

    def _parent(self, connection: sa.Connection, job_id: str) -> Any:
        """The row of the job this is a shard of, locked before any of its shards is: changes of two take turns."""
        parent = sa.select(jobs.c.parent).where(jobs.c.id == job_id).scalar_subquery()
        return connection.execute(jobs.select().where(jobs.c.id == parent).with_for_update()).first()

    def _follow(self, connection: sa.Connection, job: Any) -> None:
        """The state of a job by its shards'. With one of them finished there is nothing left for those that wait."""
        query = jobs.select().where(jobs.c.parent == job.id).order_by(jobs.c.shard)
        shards = connection.execute(query).all()
        if finished := [shard for shard in shards if shard.state == "finished"]:
            idle = jobs.update().where(jobs.c.parent == job.id, jobs.c.state == "waiting")
            connection.execute(idle.values(state="finished", ended=time.time()))
            shards = connection.execute(query).all()
        state = state_of([shard.state for shard in shards])
        current = connection.execute(sa.select(jobs.c.state).where(jobs.c.id == job.id)).scalar_one()
        if state == current:
            return
        values: dict[str, Any] = {"state": state}
        if state == "running":
            values["started"] = sa.func.coalesce(jobs.c.started, time.time())
        elif state == "waiting":
            values |= {"attempt": jobs.c.attempt + (current in RESUMABLE), "ended": None, "error": None}
        elif state not in ACTIVE:
            errors = [shard.error for shard in shards if shard.error]
            error = errors[0] if errors and state == "failed" else None
            values |= {"ended": time.time(), "result": finished[0].result if finished else None, "error": error}
        self._change(connection, job.id, [current], values)

    def _tell(self, connection: sa.Connection, job_id: str, event: str, data: dict[str, Any]) -> None:
        count = jobs.update().where(jobs.c.id == job_id).values(events=jobs.c.events + 1).returning(jobs.c.events)
        number = connection.execute(count).scalar_one()
        connection.execute(events.insert().values(job=job_id, number=number, at=time.time(), event=event, data=data))


def state_of(shards: Collection[State]) -> State:
    """Of a job, by the states of its shards."""
    order: tuple[State, ...] = ("cancelling", "running", "waiting", "finished", "failed", "cancelled")
    return next(state for state in order if state in shards)


def is_further(progress: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Whether a shard's progress tells something of the whole job: one that begins, or lags, does not."""
    if before is None:
        return True
    if progress.get("total") is None:
        return False
    return bool(progress["doing"] != before["doing"] or progress["done"] >= before["done"])


def _lock(connection: sa.Connection) -> None:
    """One submission at a time, so that two of the same work do not pass each other by."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(0x0C1F6)))


def _clock(connection: sa.Connection) -> float:
    """Seconds by the database's clock: workers on several hosts need not agree on the time."""
    if connection.dialect.name == "sqlite":
        return time.time()  # a file of this host
    return float(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _reason(error: DBAPIError) -> str:
    return str(error.orig).partition("\n")[0]
