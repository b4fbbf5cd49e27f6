"""kill -9 of what serves, works, guards and computes: no job is lost, none runs twice at once."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.jobs.ledger import Ledger, engine_of
from backend.jobs.queue import Queue, prepare
from benchmarks.pull_the_plug import RECIPE, ROLES, SET, Plan, Traces, pull
from tests.backend.jobs.conftest import DOUBLES, Server, eventually, restored, rows, serving_jobs, steps, working


def counted_once(server: Server, model: str, to: int) -> None:
    """Every step was made once and in order: nothing lost, and no two processes at it at once."""
    assert steps(server, model) == list(range(1, to + 1))


@pytest.mark.parametrize("role", ["worker", "guard", "child"])
def test_a_job_whose_processes_are_killed_is_taken_up_again_or_says_so(server: Server, role: str) -> None:
    job = server.submit("count", model=f"k-{role}", to=40)
    server.until_it_gets_on(job)
    assert server.kill(role)
    ended = server.until(job, "finished", "failed")
    if role != "worker":
        assert ended["state"] == "failed"
        assert "can be resumed" in ended["error"]
        server.resume(job)
        server.until(job, "finished")
    counted_once(server, f"k-{role}", 40)


def test_descendants_are_gone_when_the_worker_is_killed(server: Server) -> None:
    job = server.submit("misbehave", how="breed")
    server.until_it_gets_on_with(job, "breed")
    mark = f"# {server.runs}"
    eventually(lambda: len(server.named(mark)) == 2)
    first = server.named(mark)
    server.kill("worker")
    eventually(lambda: not set(first) & set(server.named(mark)), within=10)
    eventually(lambda: server.job(job)["state"] == "running" and len(server.named(mark)) == 2)
    server.cancel(job)
    server.until(job, "cancelled", within=15)
    assert server.named(mark) == []


@pytest.mark.slow
def test_a_job_survives_the_server_and_another_server_finishes_it(tmp_path: Path) -> None:
    with serving_jobs(tmp_path) as first:
        job = first.submit("count", model="m", to=60)
        first.until_it_gets_on(job)
        first.process.kill()
        first.process.wait()
        eventually(lambda: not first.pids("child"), within=10)
    with serving_jobs(tmp_path) as second:
        assert second.until(job, "finished")["attempt"] == 2  # the worker saved and handed over
        counted_once(second, "m", 60)
        events = rows(second.runs / "jobs.sqlite", "SELECT number FROM cifs_events ORDER BY number")
        assert [number for (number,) in events] == list(range(1, len(events) + 1))


@pytest.mark.slow
def test_what_a_killed_worker_was_at_goes_to_another(tmp_path: Path) -> None:
    with serving_jobs(tmp_path, jobs="external") as server, working(tmp_path, "one") as one:
        job = server.submit("count", model="m", to=60)
        server.until_it_gets_on(job)
        with working(tmp_path, "two"):
            one.kill()
            one.wait()
            ended = server.until(job, "finished", "failed")
    assert (ended["state"], ended["attempt"], ended["worker"]) == ("finished", 2, "two")
    counted_once(server, "m", 60)


@pytest.mark.slow
@pytest.mark.parametrize("status", ["PENDING", "SUCCESS"])
def test_a_job_that_a_worker_took_and_never_began_is_brought_to_another(tmp_path: Path, status: str) -> None:
    """Killed between the queue and the ledger, or told to stop there: a row of the queue's says all that is left."""
    path = tmp_path / "runs" / "jobs.sqlite"
    path.parent.mkdir()
    engine = engine_of(f"sqlite:///{path}")
    ledger = Ledger(engine, Queue(engine).put)
    ledger.open()
    prepare(f"sqlite:///{path}")
    jobs = [ledger.submit("count", model, {"model": model, "to": 3})[0] for model in ("lost", "next")]
    with sqlite3.connect(path) as connection:
        of_the_first = "status = ?, executor_id = 'gone' WHERE workflow_uuid = ?"
        connection.execute(f"UPDATE workflow_status SET {of_the_first}", (status, f"{jobs[0]}.1"))
    with working(tmp_path, "two"):
        eventually(lambda: rows(path, "SELECT DISTINCT state FROM cifs_jobs") == [("finished",)])
    assert rows(path, "SELECT model, attempt FROM cifs_jobs ORDER BY model") == [("lost", 2), ("next", 1)]
    assert (tmp_path / "runs" / "lost.count").read_text().count("\n") == 3


# The plug; `python -m benchmarks.pull_the_plug` pulls it 100 times, on trainings, evaluations and AutoAttack ----------

LESSON = [*SET, "epochs=8"]
TRAINING = Plan(
    lambda number: [("train", {"recipe": RECIPE, "set": LESSON, "id": f"trained-{number}"})],
    between=(2, 4),  # sooner than a fast machine ends it: else job after job is begun until two kills have struck
    away=(1, 2),
)
COUNTING = Plan(
    lambda number: [("count", {"model": f"m{number}", "to": 100})],
    between=(0.2, 1.5),
    roles=(*ROLES, "worker", "guard", "child"),  # the server takes longest to start
    away=(0, 1),
    tasks=DOUBLES,
    patience=300,
)


@pytest.mark.slow
def test_jobs_of_the_first_releases_database_come_to_their_end(tmp_path: Path) -> None:
    """Its worker was killed while one ran and one waited."""
    (tmp_path / "runs").mkdir()
    restored("jobs-v1", tmp_path / "runs" / "jobs.sqlite")
    with serving_jobs(tmp_path) as server:
        ids = {job["state"]: job["id"] for job in server.get("/jobs")["jobs"]}
        server.until(ids["running"], "finished")
        server.until(ids["waiting"], "finished")
        counted_once(server, "running", 20)
        counted_once(server, "waiting", 3)


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_gives_the_weights_of_one_that_is_not(tmp_path: Path) -> None:
    report = pull(tmp_path, kills=2, seed=1, plan=TRAINING)
    assert report.killed == 2
    assert report.fine


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_nothing_is_lost_or_done_twice_whatever_is_killed(
    request: pytest.FixtureRequest, database: str, tmp_path: Path
) -> None:
    postgres = request.getfixturevalue("postgres") if database == "postgresql" else None

    def counted(_folder: Path, jobs: int, _plan: Plan) -> Iterator[Traces]:
        """By closed form: each job has counted to its end, once and in order."""
        for last in range(jobs):
            yield {f"m{number}.count": " ".join(map(str, range(1, 101))) for number in range(last + 1)}

    report = pull(tmp_path, kills=8, seed=2, plan=COUNTING, database=postgres, expected=counted)
    assert report.killed == 8
    assert report.fine, report
