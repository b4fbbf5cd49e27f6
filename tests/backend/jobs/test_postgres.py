"""The same on PostgreSQL, as several hosts share it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.jobs.conftest import Server, eventually, serving_jobs, steps, working
from tests.backend.jobs.postgres import Cluster, cluster

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


def finished_once(server: Server, job: str, model: str, to: int) -> None:
    ended = server.until(job, "finished", "failed")
    assert (ended["state"], ended["error"]) == ("finished", None)
    assert steps(server, model) == list(range(1, to + 1))


def test_two_workers_share_the_jobs_and_one_takes_up_what_the_other_was_killed_at(
    postgres: Cluster, tmp_path: Path
) -> None:
    shared = {"database_url": postgres.url}
    with (
        serving_jobs(tmp_path, jobs="external", **shared) as server,
        working(tmp_path, "one", **shared) as one,
        working(tmp_path, "two", **shared),
    ):
        jobs = [server.submit("count", model=f"m{i}", to=60) for i in range(4)]
        eventually(lambda: {server.job(job)["worker"] for job in jobs} >= {"one", "two"})
        at_it = next(job for job in jobs if server.job(job)["worker"] == "one")
        server.until_it_gets_on(at_it)
        one.kill()
        one.wait()
        for i, job in enumerate(jobs):
            finished_once(server, job, f"m{i}", 60)
        assert server.job(at_it)["worker"] == "two"


def test_a_job_outlives_the_database(postgres: Cluster, tmp_path: Path) -> None:
    with serving_jobs(tmp_path, database_url=postgres.url) as server:
        job = server.submit("count", model="long", to=150)
        server.until_it_gets_on(job)
        postgres.stop("immediate")
        time.sleep(2)
        postgres.start()
        eventually(lambda: server.get("/jobs").get("total"))
        finished_once(server, job, "long", 150)
