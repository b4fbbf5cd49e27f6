"""A disk that is full under the jobs or under their database: said so, and everything goes on when there is space."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from tests.backend.jobs.conftest import Server, eventually, serving_jobs, steps
from tests.disks import fill, small_disk


class Disks(NamedTuple):
    work: Path
    database: Path


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    folder = tmp_path_factory.mktemp("disks")
    with small_disk(folder / "work", 16 * 1024) as work, small_disk(folder / "database", 16 * 1024) as database:
        yield Disks(work, database)


@pytest.fixture(scope="module")
def server(disks: Disks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = f"sqlite:///{disks.database / 'jobs.sqlite'}"
    with serving_jobs(tmp_path_factory.mktemp("log"), runs=disks.work / "runs", database_url=url) as running:
        yield running


@pytest.mark.slow
def test_a_job_whose_disk_is_full_fails_with_the_reason_and_can_be_resumed(server: Server, disks: Disks) -> None:
    first = server.submit("count", to=1)
    server.until(first, "finished")
    filler = fill(disks.work, 2**19)
    job = server.submit("misbehave", how="save")
    failed = server.until(job, "failed", "finished")
    assert failed["state"] == "failed"
    assert failed["error"] == "no space left for saved.json: the disk is full; what was there before is untouched"
    assert not list((disks.work / "runs").glob("*saved*"))
    filler.unlink()
    assert server.resume(job).status_code == 202
    server.until(job, "finished")
    assert (disks.work / "runs" / "saved.json").stat().st_size > 2**20


@pytest.mark.slow
def test_while_the_database_s_disk_is_full_jobs_are_refused_and_what_runs_is_not_lost(
    server: Server, disks: Disks
) -> None:
    job = server.submit("count", model="through", to=100)
    server.until_it_gets_on(job)
    filler = fill(disks.database)
    # There may be room in the last page of a file for a while.
    refused = eventually(lambda: (answer := count(server)).status_code == 503 and answer)
    assert "no space left for the database of jobs" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert server.job(job)["state"] == "running"  # it can be read
    filler.unlink()
    assert server.until(job, "finished", "failed")["state"] == "finished"
    assert steps(server, "through") == list(range(1, 101))
    assert count(server).status_code == 202


def count(server: Server) -> httpx2.Response:
    request = {"kind": "count", "request": {"model": None, "to": 1}}
    return httpx2.post(f"{server.address}/jobs", json=request, timeout=60)
