"""The ledger on SQLite: what may follow what, and databases that are not ours to use."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from backend.jobs.ledger import Ledger, LedgerUnreadable, engine_of, metadata
from backend.jobs.migrations import VERSION_TABLE
from backend.jobs.queue import Queue, prepare
from backend.jobs.worker import Worker
from backend.settings import Settings
from tests.backend.jobs.conftest import restored, rows


@pytest.fixture
def queued() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def ledger(tmp_path: Path, queued: list[tuple[str, int]]) -> Ledger:
    def enqueue(connection: sa.Connection, job_id: str, attempt: int) -> None:
        queued.append((job_id, attempt))

    made = Ledger(engine_of(f"sqlite:///{tmp_path}/jobs.sqlite"), enqueue)
    made.open()
    return made


def submitted(ledger: Ledger, model: str | None = "m") -> str:
    job_id, new = ledger.submit("count", model, {"to": 3})
    assert new
    return job_id


def state(ledger: Ledger, job_id: str) -> tuple[str, int]:
    job = ledger.job(job_id)
    assert job is not None
    return job.state, job.attempt


def test_a_job_goes_its_way_and_every_event_has_the_next_number(ledger: Ledger, queued: list[tuple[str, int]]) -> None:
    job = submitted(ledger)
    assert queued == [(job, 1)]
    assert ledger.take(job, 1, "w") is not None
    assert ledger.tell_progress(job, 1, {"doing": "x", "done": 1, "total": 3, "metrics": {}})
    assert ledger.end(job, 1, "finished", result={"counted": 3})
    events = ledger.events(job, after=0)
    assert [event.number for event in events] == [1, 2, 3, 4]
    assert [event.data.get("state") for event in events] == ["waiting", "running", None, "finished"]
    assert ledger.events(job, after=2) == events[2:]


def test_what_is_late_changes_nothing(ledger: Ledger, queued: list[tuple[str, int]]) -> None:
    job = submitted(ledger)
    ledger.take(job, 1, "first")
    assert ledger.hand_over(job, 1)  # it was taken for dead
    assert queued == [(job, 1), (job, 2)]
    assert ledger.take(job, 2, "second") is not None
    assert not ledger.end(job, 1, "failed", error="too late")
    assert not ledger.tell_progress(job, 1, {})
    assert not ledger.hand_over(job, 1)
    assert ledger.take(job, 1, "first") is None
    assert state(ledger, job) == ("running", 2)


def test_what_a_worker_gives_back_before_it_began_waits_again(
    ledger: Ledger, queued: list[tuple[str, int]], tmp_path: Path
) -> None:
    """The queue had brought it just as the worker was told to stop."""
    worker = Worker(Settings(runs=tmp_path), "w", ledger, Queue(ledger.engine))
    worker.stopping.set()
    job = submitted(ledger)
    worker.work(job, 1)
    assert queued == [(job, 1), (job, 2)]
    assert state(ledger, job) == ("waiting", 2)
    worker.work(job, 1)  # late
    assert state(ledger, job) == ("waiting", 2)


def test_waiting_is_what_goes_through_the_queue(ledger: Ledger) -> None:
    _, (one, two) = divided(ledger, 2)
    alone, taken = submitted(ledger, None), submitted(ledger, None)
    ledger.take(taken, 1, "w")
    assert ledger.waiting() == {(one, 1), (two, 1), (alone, 1)}
    ledger.take(two, 1, "w")
    assert ledger.waiting() == {(one, 1), (alone, 1)}


def test_a_waiting_job_is_cancelled_at_once_and_never_taken(ledger: Ledger) -> None:
    job = submitted(ledger)
    assert ledger.cancel(job)
    assert state(ledger, job) == ("cancelled", 1)
    assert ledger.take(job, 1, "w") is None
    assert not ledger.cancel(job)


def test_a_running_job_is_cancelling_until_its_worker_says_so(ledger: Ledger) -> None:
    job = submitted(ledger)
    ledger.take(job, 1, "w")
    assert ledger.cancel(job)
    assert state(ledger, job) == ("cancelling", 1)
    assert ledger.end(job, 1, "cancelled")
    assert state(ledger, job) == ("cancelled", 1)


@pytest.mark.parametrize("how", ["take", "hand_over"])
def test_a_job_whose_worker_died_while_it_was_cancelled_is_over(ledger: Ledger, how: str) -> None:
    job = submitted(ledger)
    ledger.take(job, 1, "w")
    ledger.cancel(job)
    assert not ledger.take(job, 1, "w") if how == "take" else ledger.hand_over(job, 1)
    assert state(ledger, job) == ("cancelled", 1)


def test_only_what_failed_or_was_cancelled_is_resumed(ledger: Ledger, queued: list[tuple[str, int]]) -> None:
    job = submitted(ledger)
    assert not ledger.resume(job)
    ledger.take(job, 1, "w")
    assert not ledger.resume(job)
    ledger.end(job, 1, "failed", error="broke")
    assert ledger.resume(job)
    assert state(ledger, job) == ("waiting", 2)
    assert queued == [(job, 1), (job, 2)]


def divided(ledger: Ledger, shards: int = 3) -> tuple[str, list[str]]:
    job, new = ledger.submit("count", "m", {"to": 3}, shards=shards)
    assert new
    return job, [shard.id for shard in ledger.shards([job])[job]]


def test_a_job_in_shards_is_finished_with_the_first_of_them(ledger: Ledger, queued: list[tuple[str, int]]) -> None:
    job, (one, two, three) = divided(ledger)
    assert queued == [(one, 1), (two, 1), (three, 1)]
    assert state(ledger, job) == ("waiting", 1)
    ledger.take(one, 1, "w")
    ledger.take(two, 1, "v")
    assert state(ledger, job) == ("running", 1)
    assert ledger.page(offset=0, limit=9)[0] == 1  # a person sees one job
    assert ledger.end(one, 1, "finished", result={"counted": 3})
    assert state(ledger, job) == ("running", 1)  # not while another may still write
    assert ledger.take(three, 1, "w") is None
    assert ledger.end(two, 1, "finished", result={"counted": 3})
    row = ledger.job(job)
    assert row is not None
    assert (row.state, row.result, row.error) == ("finished", {"counted": 3}, None)
    assert [event.data["state"] for event in ledger.events(job, after=0)] == ["waiting", "running", "finished"]


def test_a_shard_that_fails_does_not_fail_the_job_while_another_can_do_it(ledger: Ledger) -> None:
    job, (one, two) = divided(ledger, 2)
    ledger.take(one, 1, "w")
    ledger.end(one, 1, "failed", error="no memory")
    assert state(ledger, job) == ("waiting", 1)
    ledger.take(two, 1, "v")
    ledger.end(two, 1, "finished", result=1)
    assert state(ledger, job) == ("finished", 1)


def test_a_job_fails_when_all_its_shards_have_and_is_resumed_whole(
    ledger: Ledger, queued: list[tuple[str, int]]
) -> None:
    job, shards = divided(ledger, 2)
    for shard in shards:
        ledger.take(shard, 1, "w")
        ledger.end(shard, 1, "failed", error=f"{shard} broke")
    row = ledger.job(job)
    assert row is not None
    assert (row.state, row.error) == ("failed", f"{shards[0]} broke")
    assert ledger.resume(job)
    assert not ledger.resume(job)
    assert state(ledger, job) == ("waiting", 2)
    assert queued[2:] == [(shard, 2) for shard in shards]


def test_a_job_is_cancelled_with_all_its_shards(ledger: Ledger) -> None:
    job, (one, two, three) = divided(ledger)
    ledger.take(one, 1, "w")
    assert ledger.cancel(job)
    assert [state(ledger, shard)[0] for shard in (one, two, three)] == ["cancelling", "cancelled", "cancelled"]
    assert state(ledger, job) == ("cancelling", 1)
    ledger.end(one, 1, "cancelled")
    assert state(ledger, job) == ("cancelled", 1)
    assert not ledger.cancel(job)


def test_a_shard_of_a_dead_worker_waits_again_unless_another_has_finished(ledger: Ledger) -> None:
    job, (one, two) = divided(ledger, 2)
    ledger.take(one, 1, "w")
    assert [other.name for other in ledger.others("v")] == ["w"]  # the job itself runs nowhere
    ledger.hand_over(one, 1)
    assert state(ledger, one) == ("waiting", 2)
    ledger.take(one, 2, "v")
    ledger.take(two, 1, "w")
    ledger.end(one, 2, "finished", result=1)
    ledger.hand_over(two, 1)
    assert state(ledger, two)[0] == state(ledger, job)[0] == "finished"


def test_the_progress_of_a_job_in_shards_does_not_go_back(ledger: Ledger) -> None:
    job, (one, two) = divided(ledger, 2)

    def tell(shard: str, doing: str, done: int, total: int | None) -> None:
        ledger.tell_progress(shard, 1, {"doing": doing, "done": done, "total": total, "metrics": {}})

    for shard in (one, two):
        ledger.take(shard, 1, "w")
    tell(one, "PGD", 3, 9)
    tell(two, "starting", 0, None)
    tell(two, "PGD", 2, 9)
    tell(two, "PGD", 4, 9)
    told = [event.data["done"] for event in ledger.events(job, after=0) if event.event == "progress"]
    assert told == [3, 4]


def test_sixteen_submissions_of_one_work_at_once_make_one_job(ledger: Ledger, queued: list[tuple[str, int]]) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: ledger.submit("count", "m", {}), range(16)))
    assert sum(new for _, new in answers) == 1
    assert len({job for job, _ in answers}) == 1
    assert len(queued) == 1


def test_a_page_is_filtered_and_the_newest_comes_first(ledger: Ledger) -> None:
    made = [submitted(ledger, f"m{i}") for i in range(5)]
    ledger.cancel(made[0])
    total, page = ledger.page(states=["waiting"], kind="count", offset=1, limit=2)
    assert total == 4
    assert [job.id for job in page] == [made[3], made[2]]
    assert ledger.page(model="m3", offset=0, limit=9)[0] == 1
    assert ledger.page(kind="train", offset=0, limit=9) == (0, [])


def test_a_database_of_a_newer_release_is_not_touched_and_the_message_says_what_to_do(
    ledger: Ledger, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '99'")
        before = list(connection.iterdump())
    with pytest.raises(LedgerUnreadable, match=r"has version 99 .* knows version \d+: .* CIFS_DATABASE_URL"):
        ledger.open()
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        assert list(connection.iterdump()) == before


def test_a_database_of_the_first_release_opens_with_all_its_jobs(tmp_path: Path) -> None:
    path = restored("jobs-v1", tmp_path / "jobs.sqlite")
    before = rows(path, "SELECT id, kind, model, request, state, attempt, created, result FROM cifs_jobs ORDER BY id")
    ledger = Ledger(engine_of(f"sqlite:///{path}"), lambda *_: None)
    for _ in range(2):  # once more: there is nothing left to do
        ledger.open()
    after = rows(path, "SELECT id, kind, model, request, state, attempt, created, result FROM cifs_jobs ORDER BY id")
    assert after == before
    total, page = ledger.page(offset=0, limit=9)
    assert sorted(job.state for job in page) == ["failed", "finished", "running", "waiting"]
    assert {(job.parent, job.shard, job.processes) for job in page} == {(None, None, 1)}
    assert (total, len(ledger.events(page[-1].id, after=0))) == (4, 4)
    assert rows(path, "SELECT version FROM cifs_schema") == [(2,)]  # so that the first release stays away
    failed = next(job.id for job in page if job.state == "failed")
    assert ledger.resume(failed)


@pytest.mark.parametrize("made", ["new", "of the first release"])
def test_the_tables_are_those_that_are_asked_for(made: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    engine = engine_of(f"sqlite:///{path if made == 'new' else restored('jobs-v1', path)}")
    Ledger(engine, lambda *_: None).open()

    def ours(name: str | None, kind: str, parents: object) -> bool:
        return kind != "table" or name in metadata.tables

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_queue_of_a_newer_dbos_is_used_as_it_is(tmp_path: Path) -> None:
    """DBOS brings older tables up and does not refuse newer ones."""
    path = restored("jobs-v1", tmp_path / "jobs.sqlite")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE dbos_migrations SET version = 999")
    engine = engine_of(f"sqlite:///{path}")
    ledger = Ledger(engine, Queue(engine).put)
    ledger.open()
    prepare(f"sqlite:///{path}")
    job = submitted(ledger)
    assert rows(path, f"SELECT status FROM workflow_status WHERE workflow_uuid = '{job}.1'") == [("ENQUEUED",)]
    assert rows(path, "SELECT version FROM dbos_migrations") == [(999,)]


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"holiday pictures" * 99)
    with pytest.raises(LedgerUnreadable, match="file is not a database"):
        Ledger(engine_of(f"sqlite:///{tmp_path}/jobs.sqlite"), lambda *_: None).open()
    assert (tmp_path / "jobs.sqlite").read_bytes() == b"holiday pictures" * 99


@pytest.mark.parametrize("url", ["holiday", "mysql://host/name"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(LedgerUnreadable, match="write sqlite:////folder/jobs.sqlite or postgresql://"):
        engine_of(url)
