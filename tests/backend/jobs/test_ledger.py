"""The ledger on SQLite: what may follow what, and databases that are not ours to use."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from backend.jobs.ledger import SCHEMA, Ledger, LedgerUnreadable, engine_of


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


def test_a_database_of_another_release_is_not_touched_and_the_message_says_what_to_do(
    ledger: Ledger, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "jobs.sqlite") as connection:
        connection.execute(f"UPDATE cifs_schema SET version = {SCHEMA + 1}")
    with pytest.raises(LedgerUnreadable, match=f"has version {SCHEMA + 1} .* CIFS_DATABASE_URL"):
        ledger.open()


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"holiday pictures" * 99)
    with pytest.raises(LedgerUnreadable, match="file is not a database"):
        Ledger(engine_of(f"sqlite:///{tmp_path}/jobs.sqlite"), lambda *_: None).open()
    assert (tmp_path / "jobs.sqlite").read_bytes() == b"holiday pictures" * 99


@pytest.mark.parametrize("url", ["holiday", "mysql://host/name"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(LedgerUnreadable, match="write sqlite:////folder/jobs.sqlite or postgresql://"):
        engine_of(url)
