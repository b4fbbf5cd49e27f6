"""Jobs over HTTP: a real server with its worker, and a real database."""

import json
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient

from backend.app import create_app
from backend.jobs.ledger import LedgerUnreadable
from backend.settings import Settings
from tests.backend.jobs.conftest import DOUBLES, Server, eventually, steps, tallied


def stream(server: Server, job: str, after: int | None = None, *, most: int = 10_000) -> list[dict[str, Any]]:
    """Events by the event stream, until it ends or there are `most`."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    events: list[dict[str, Any]] = []
    with httpx2.stream("GET", f"{server.address}/jobs/{job}/events", headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
            if len(events) >= most:
                break
    return events


def seconds_to_end(server: Server, job: str) -> float:
    """From "cancelling" to "cancelled", by the events."""
    at = {event.get("state"): event["at"] for event in stream(server, job)}
    return float(at["cancelled"] - at["cancelling"])


def test_a_job_runs_and_its_result_and_events_stay(server: Server) -> None:
    answer = httpx2.post(f"{server.address}/jobs", json={"kind": "count", "request": {"model": "a", "to": 30}})
    assert answer.status_code == 202
    location = answer.headers["location"]
    events = stream(server, answer.json()["id"])
    job = server.get(location)
    assert job["state"] == "finished"
    assert job["result"] == {"counted": 30, "first": 0}
    assert job["progress"] == {"doing": "counting", "done": 30, "total": 30, "metrics": {"half": 15.0}}
    assert [event["number"] for event in events] == list(range(1, job["events"] + 1))
    assert [event["state"] for event in events if event["event"] == "state"] == ["waiting", "running", "finished"]
    counted = [event["progress"]["done"] for event in events if event["event"] == "progress"]
    assert counted == sorted(counted)
    assert len(counted) >= 2
    assert steps(server, "a") == list(range(1, 31))


def test_a_client_that_comes_back_misses_no_event_and_gets_none_twice(server: Server) -> None:
    job = server.submit("count", model="b", to=50)
    first = stream(server, job, most=3)
    rest = stream(server, job, first[-1]["number"])
    assert [event["number"] for event in first + rest] == list(range(1, server.job(job)["events"] + 1))
    assert rest[-1]["state"] == "finished"


def test_what_the_command_line_would_refuse_is_refused_before_anything_starts(server: Server) -> None:
    def refused(kind: str, request: object) -> tuple[int, str]:
        answer = httpx2.post(f"{server.address}/jobs", json={"kind": kind, "request": request})
        return answer.status_code, answer.json()["detail"]

    before = server.get("/jobs")["total"]
    assert refused("count", {"to": 13}) == (422, "to = 13: brings bad luck")
    assert refused("count", {"to": 14}) == (422, "d.npz is no readable .npz")
    assert refused("count", {"to": 15}) == (422, "m is of other weights")
    status, detail = refused("count", {"to": 0})
    assert status == 422
    assert "to = 0" in detail
    status, detail = refused("count", {"steps": 3})
    assert (status, "has no parameter 'steps'; it takes: " in detail) == (422, True)
    status, detail = refused("rm -rf", {})
    assert (status, "unknown task 'rm -rf'; choose from: count, tally, misbehave" in detail) == (422, True)
    assert refused("count", ["ls"])[0] == 422
    assert refused("count", {"model": "x" * 40_000})[0] == 422
    assert server.get("/jobs")["total"] == before


def test_cancel_is_quick_and_a_resumed_job_goes_on_where_it_was(server: Server) -> None:
    job = server.submit("count", model="c", to=2000, pause=0.02)
    server.until_it_gets_on(job)
    answer = server.cancel(job)
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")  # the answer itself says so
    over = server.until(job, "cancelled")
    assert seconds_to_end(server, job) < 10
    assert over["resumable"]
    done = len(steps(server, "c"))
    assert 0 < done < 2000
    assert server.cancel(job).json()["state"] == "cancelled"  # again: nothing happens

    (server.runs / "c.count").write_text("".join(f"{i} 0\n" for i in range(1, 1991)))  # so that it is soon over
    assert server.resume(job).json()["state"] == "waiting"
    job_now = server.until(job, "finished")
    assert job_now["attempt"] == 2
    assert job_now["result"] == {"counted": 2000, "first": 1990}
    assert server.resume(job).status_code == 409


def test_a_job_that_does_not_listen_is_killed_and_over_within_ten_seconds(server: Server) -> None:
    job = server.submit("misbehave", how="deaf")
    server.until_it_gets_on_with(job, "deaf")
    server.cancel(job)
    server.until(job, "cancelled")
    assert seconds_to_end(server, job) < 10
    assert server.pids("child") == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("refuse", "the checkpoint is not there"),
        ("raise", "ZeroDivisionError: nothing over nothing"),
        ("die", "its process was ended by SIGKILL, perhaps by the system for want of memory; it can be resumed"),
        ("exit", "its process ended with exit code 3 and said nothing; the log may say why"),
    ],
)
def test_a_job_that_fails_says_how_and_takes_nothing_down(server: Server, how: str, said: str) -> None:
    job = server.submit("misbehave", how=how)
    failed = server.until(job, "failed", "finished")
    assert (failed["state"], failed["error"]) == ("failed", said)
    log = httpx2.get(f"{server.address}/jobs/{job}/log").text
    assert f"about to {how}" in log or how in ("die", "exit")  # what was not flushed went with the process
    assert ("Traceback" in log) == (how == "raise")


def test_a_chatty_job_has_a_bounded_log(server: Server) -> None:
    server.until(job := server.submit("misbehave", how="chatter"), "finished")
    assert 50_000 < len(httpx2.get(f"{server.address}/jobs/{job}/log").text) < 200_000


def test_the_same_work_is_not_queued_twice(server: Server) -> None:
    job = server.submit("count", model="twice", to=500)
    answer = httpx2.post(f"{server.address}/jobs", json={"kind": "count", "request": {"model": "twice"}})
    assert answer.status_code == 409
    assert f"job {job} is at work on this already" in answer.json()["detail"]
    server.cancel(job)
    server.until(job, "cancelled")


def test_a_job_in_shards_is_one_job_that_one_worker_does_alone_if_there_is_no_other(server: Server) -> None:
    job = server.submit("tally", model="divided", to=8, shards=3)
    ended = server.until(job, "finished", "failed")
    assert (ended["state"], ended["result"]) == ("finished", {"total": 28})
    assert ended["progress"]["done"] == 8
    assert [shard["id"] for shard in ended["shards"]] == [f"{job}-{i}" for i in (1, 2, 3)]
    assert tallied(server, "divided") == list(range(8))
    assert [j["id"] for j in server.get("/jobs?model=divided")["jobs"]] == [job]
    assert server.job(f"{job}-2")["parent"] == job
    assert not (server.runs / "jobs" / job / "shards").exists()


def test_a_job_in_shards_is_cancelled_and_resumed_as_one(server: Server) -> None:
    job = server.submit("tally", model="stopped", to=40, shards=2)
    server.until_it_gets_on(job, done=3)
    for refused in (server.cancel(f"{job}-1"), server.resume(f"{job}-2")):
        assert refused.status_code == 409
        assert f"a shard of job {job}" in refused.json()["detail"]
    assert server.cancel(job).json()["state"] == "cancelling"
    over = server.until(job, "cancelled", within=15)
    assert {shard["state"] for shard in over["shards"]} == {"cancelled"}
    done = tallied(server, "stopped")
    assert 3 <= len(done) < 40
    assert server.resume(job).json()["attempt"] == 2
    assert server.until(job, "finished")["result"] == {"total": 780}
    assert sorted(tallied(server, "stopped")) == list(range(40))  # what was done is not done again
    assert "--- shard 2 ---" in httpx2.get(f"{server.address}/jobs/{job}/log").text


def test_what_cannot_be_divided_or_distributed_is_refused(server: Server) -> None:
    for asked, said in (
        ({"shards": 2}, "shards = 2: count is not done in shards; allowed: 1"),
        ({"processes": 2}, "processes = 2: count is done by one process; allowed: 1"),
    ):
        answer = httpx2.post(f"{server.address}/jobs", json={"kind": "count", "request": {}, **asked})
        assert (answer.status_code, answer.json()["detail"]) == (422, said)


def test_the_list_is_filtered_by_state_kind_and_model(server: Server) -> None:
    job = server.submit("count", model="listed", to=1)
    server.until(job, "finished")
    assert [j["id"] for j in server.get("/jobs?model=listed&kind=count&state=finished")["jobs"]] == [job]
    assert server.get("/jobs?model=listed&state=failed&state=cancelled")["jobs"] == []
    assert httpx2.get(f"{server.address}/jobs?state=late").status_code == 422
    assert httpx2.get(f"{server.address}/jobs/none").status_code == 404


def test_the_kinds_come_with_the_schema_of_their_requests(server: Server) -> None:
    kinds = {kind["name"]: kind for kind in server.get("/jobs/kinds")}
    assert kinds["count"]["parameters"]["properties"]["to"]["maximum"] == 100_000


def test_a_plain_server_has_no_jobs_and_leaves_no_trace(tmp_path: Path) -> None:
    with TestClient(create_app(Settings(checkpoints=tmp_path / "models", runs=tmp_path / "runs"))) as client:
        answer = client.get("/jobs")
        assert (answer.status_code, "CIFS_JOBS=embedded" in answer.json()["detail"]) == (404, True)
    assert not (tmp_path / "runs").exists()


def test_a_server_does_not_start_on_a_broken_database(tmp_path: Path) -> None:
    (tmp_path / "jobs.sqlite").write_bytes(b"holiday pictures" * 99)
    settings = Settings(jobs="external", runs=tmp_path, tasks=DOUBLES)
    with (
        pytest.raises(LedgerUnreadable, match="cannot be used: file is not a database"),
        TestClient(create_app(settings)),
    ):
        pass


def test_a_database_that_is_away_is_503_and_the_rest_is_served(tmp_path: Path) -> None:
    settings = Settings(jobs="external", runs=tmp_path, tasks=DOUBLES, database_url="postgresql://127.0.0.1:1/none")
    with TestClient(create_app(settings)) as client:
        assert client.get("/health").status_code == 200
        answer = client.get("/jobs")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert "does not answer" in answer.json()["detail"]


def test_the_worker_costs_little_while_it_waits(server: Server) -> None:
    (worker,) = eventually(lambda: server.pids("worker"))
    eventually(lambda: not server.get("/jobs?state=running&state=waiting")["jobs"])
    time.sleep(1)
    before, began = cpu_seconds(worker), time.monotonic()
    time.sleep(2.5)
    assert (cpu_seconds(worker) - before) / (time.monotonic() - began) < 0.06


def cpu_seconds(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / 100
