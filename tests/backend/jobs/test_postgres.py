"""The same on PostgreSQL, as several hosts share it."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.postgres import Cluster
from cifs.zoo import Info, Zoo
from tests.backend.jobs.conftest import Server, eventually, serving_jobs, steps, tallied, working
from tests.cifs.tiny import npz, tiny
from tests.servers import ROOT

pytestmark = pytest.mark.slow


def finished_once(server: Server, job: str, model: str, to: int) -> None:
    ended = server.until(job, "finished", "failed")
    assert (ended["state"], ended["error"]) == ("finished", None)
    assert steps(server, model) == list(range(1, to + 1))


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


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


def test_a_worker_killed_in_the_middle_of_a_divided_job_costs_its_shard_alone(
    postgres: Cluster, tmp_path: Path
) -> None:
    shared = {"database_url": postgres.url}
    with (
        serving_jobs(tmp_path, jobs="external", **shared) as server,
        working(tmp_path, "one", **shared) as one,
        working(tmp_path, "two", **shared),
    ):
        job = server.submit("tally", model="divided", to=60, pause=0.3, shards=2)
        eventually(lambda: {shard["worker"] for shard in server.job(job)["shards"]} == {"one", "two"})
        server.until_it_gets_on(job, done=8)
        one.kill()
        one.wait()
        ended = server.until(job, "finished", "failed")
        assert (ended["state"], ended["result"]) == ("finished", {"total": sum(range(60))})
        assert sorted(tallied(server, "divided")) == list(range(60))  # each once
        assert len({line.split()[1] for line in (server.runs / "divided.tally").read_text().splitlines()}) >= 2


def test_an_evaluation_divided_by_workers_of_which_one_is_killed_is_that_of_one_process(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFS_DATA", str(tmp_path))
    npz(tmp_path, test=510)  # three batches a cell
    zoo = Zoo(tmp_path / "models")
    for name in ("alone", "divided"):
        zoo.save(name, tiny(num_classes=3), Info(title=name, dataset="tiny", method="vanilla", eps=8 / 255))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "cifs", "evaluate", "alone", "--checkpoints", zoo.root]
    subprocess.run(command, check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)

    real = {"database_url": postgres.url, "tasks": "cifs.tasks:TASKS", "job_threads": 1}
    with (
        serving_jobs(tmp_path, jobs="external", **real) as server,
        working(tmp_path, "three", **real) as three,
        working(tmp_path, "four", **real),
    ):
        job = server.submit("evaluate", model="divided", shards=2)
        eventually(lambda: {shard["worker"] for shard in server.job(job)["shards"]} == {"three", "four"})
        shards = server.runs / "jobs" / job / "shards"
        eventually(lambda: len([*shards.rglob("*.json")]) > 2)
        three.kill()
        three.wait()
        assert server.until(job, "finished", "failed", within=300)["error"] is None
    alone, divided = (zoo.root / name / "evaluation.json" for name in ("alone", "divided"))
    assert without_seconds({**json.loads(divided.read_text()), "model": "alone"}) == without_seconds(
        json.loads(alone.read_text())
    )
    assert not shards.exists()
