"""kill -9 of server, worker, guard, task or database, again and again: is a job lost, doubled, or another result?

    python -m benchmarks.pull_the_plug [--kills 100] [--seed 0] [--database sqlite | postgresql]

A training, an evaluation and AutoAttack run as jobs of a real server; what they leave behind has to be, byte for byte,
what they leave when nobody disturbs them. The database is a PostgreSQL of its own, whose postmaster is killed and
started again some seconds later; or a SQLite file, which the server and its worker have open: both are killed at once.
Prints what was killed how often; exits with 1 where something was lost.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.postgres import Cluster, cluster

ROOT = Path(__file__).parents[1]
ROLES = ("server", "worker", "guard", "child", "database")
RECIPE = "cpu/fmnist-mini-vanilla-lesson"
SET = ["model.width=4", "images=400", "validation=100", "attack.steps=1", "validate_every=5"]
PATIENCE = 300.0  # seconds for anything to go on
OVER = ("finished", "failed", "cancelled")
Work = tuple[str, dict[str, object]]  # the kind of a job and its request


def usual_work(number: int, epochs: int = 10) -> list[Work]:
    """Other work each time, for what is measured already is not measured again."""
    overrides = [*SET, f"epochs={epochs}", f"seed={number}"]
    measured: dict[str, object] = {"model": "measured", "n": 30 + number}
    training: dict[str, object] = {"recipe": RECIPE, "set": overrides, "id": f"trained-{number}"}
    return [("train", training), ("evaluate", measured), ("autoattack", measured)]


class Plan(NamedTuple):
    work: Callable[[int], list[Work]] = usual_work  # of one round
    seconds: float = float("inf")  # after which no other job begins
    each: int = 12  # kills at most of one job, so that every kind has its share
    between: tuple[float, float] = (0.5, 6.0)  # seconds: some kills strike at the start of a process, some at its work
    roles: tuple[str, ...] = ROLES
    away: tuple[float, float] = (0.0, 10.0)  # seconds a database stays away: at most longer than a worker waits for it
    tasks: str = "cifs.tasks:TASKS"


USUAL = Plan()


@dataclass
class Report:
    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    lost: int = 0  # did not come to their end
    different: int = 0  # left something else
    doubled: int = 0  # were found running twice at once
    attempts: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def killed(self) -> int:
        return sum(self.kills.values())

    @property
    def fine(self) -> bool:
        return self.lost == self.different == self.doubled == 0


class Lab:
    """A server with its worker, on folders of its own, that is started again when it was killed."""

    def __init__(self, folder: Path, database: Cluster | None, tasks: str) -> None:
        self.folder, self.database, self.tasks = folder, database, tasks
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def start(self) -> None:
        settings = {
            "CIFS_JOBS": "embedded",
            "CIFS_RUNS": str(self.runs),
            "CIFS_CHECKPOINTS": str(self.folder / "zoo"),
            "CIFS_TASKS": self.tasks,
        }
        if self.database:
            settings["CIFS_DATABASE_URL"] = self.database.url
        serve = [sys.executable, "-m", "uvicorn", "--port", str(self.port), "--factory", "backend.app:create_app"]
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                serve, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)} | settings, stdout=log, stderr=log
            )
        wait(lambda: self.get("/health"), "the server")

    def get(self, path: str) -> Any:
        """None where nobody answers."""
        with suppress(httpx.TransportError):
            answer = self.http.get(path)
            return answer.json() if answer.is_success else None
        return None

    def post(self, path: str, body: Any = None) -> httpx.Response | None:
        """None where nobody answers, or not now."""
        with suppress(httpx.TransportError):
            answer = self.http.post(path, json=body)
            return None if answer.status_code == 503 else answer
        return None

    def submit(self, kind: str, **request: object) -> str:
        answer = wait(lambda: self.post("/jobs", {"kind": kind, "request": request}), "POST /jobs")
        if not answer.is_success:
            raise SystemExit(f"{kind}: {answer.text}")
        return str(answer.json()["id"])

    def pids(self, role: str) -> list[int]:
        """Processes of this lab's by what they do."""
        if role == "server":
            return [self.process.pid] if self.process and self.process.poll() is None else []
        return [pid for pid, line in command_lines() if runs_as(line, role) and str(self.runs) in environment(pid)]

    def children(self) -> Counter[str]:
        """How many processes are at each job, by the lock that a task holds for as long as it lives."""
        locks = (lock for pid in self.pids("child") if (lock := held_lock(pid)))
        return Counter(locks)

    def kill(self, role: str, away: float) -> bool:
        """Whether there was one to be killed; what nobody starts again is started again."""
        if role == "database" and self.database is not None:
            self.database.kill()
            time.sleep(away)
            self.database.start_again()
            return True
        victims = [pid for each in (("worker", "server") if role == "database" else (role,)) for pid in self.pids(each)]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if role in ("server", "database") and self.process is not None:
            self.process.wait()
            self.start()
        return bool(victims)

    def close(self) -> None:
        self.http.close()
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


def command_lines() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes().replace(b"\0", b" ").decode(errors="replace")


def runs_as(line: str, role: str) -> bool:
    return f"-m backend.jobs.{role} " in line and (role == "guard" or "-m backend.jobs.guard" not in line)


def environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return ""


def held_lock(pid: int) -> str | None:
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if (file := os.readlink(link)).endswith("/lock") and "/jobs/" in file:
                return file
    return None


def wait(holds: Any, what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := holds():
            return value
        time.sleep(0.2)
    raise SystemExit(f"{what}: nothing for {PATIENCE:.0f} s")


@contextmanager
def lab_in(folder: Path, database: Cluster | None, plan: Plan) -> Iterator[Lab]:
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "checkpoints" / "fmnist-resnet10-w16-natural", folder / "zoo" / "measured")
    (folder / "zoo" / "measured" / "evaluation.json").unlink()
    config = folder / "zoo" / "measured" / "config.json"
    config.write_text(config.read_text().replace('"fashion_mnist"', '"fashion_mnist_mini"'))  # which is embedded
    made = Lab(folder, database, plan.tasks)
    made.start()
    try:
        yield made
    finally:
        made.close()


# The work ------------------------------------------------------------------------------------------------------------
def traces(lab: Lab) -> dict[str, str]:
    """What jobs left: weights and verdicts, without what tells the time; and what a task that counts has counted."""
    left = {str(p.relative_to(lab.folder)): p.read_bytes().hex() for p in lab.folder.glob("zoo/*/model.safetensors")}
    for path in lab.runs.glob("*.count"):
        left[path.name] = " ".join(line.split()[0] for line in path.read_text().splitlines())
    for path in lab.folder.glob("zoo/*/evaluation.json"):
        evaluation = json.loads(path.read_text())
        left[str(path.relative_to(lab.folder))] = json.dumps(without_time(evaluation), sort_keys=True)
    return left


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_time(v) for key, v in value.items() if "seconds" not in key and key != "time"}
    return [without_time(v) for v in value] if isinstance(value, list) else value


def all_work(plan: Plan) -> Iterator[Work]:
    return (work for number in itertools.count() for work in plan.work(number))


def undisturbed(folder: Path, jobs: int, plan: Plan) -> dict[str, str]:
    with lab_in(folder, None, plan) as lab:
        for kind, request in itertools.islice(all_work(plan), jobs):
            until_over(lab, lab.submit(kind, **request))
        return traces(lab)


def until_over(lab: Lab, job: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        now = lab.get(f"/jobs/{job}")
        return now if now is not None and now["state"] in OVER else None

    job_now: dict[str, Any] = wait(over, f"job {job}")
    return job_now


def pull(
    folder: Path,
    *,
    kills: int,
    seed: int,
    plan: Plan = USUAL,
    database: Cluster | None = None,
) -> Report:
    """Kills until it has killed so often, and then lets everything come to its end."""
    report, chance = Report(), random.Random(seed)
    with lab_in(folder / "disturbed", database, plan) as lab:
        for kind, request in all_work(plan):
            most = min(report.killed + plan.each, kills)
            disturb(lab, lab.submit(kind, **request), most, chance, report, plan)
            if report.killed >= kills or report.seconds > plan.seconds:
                break
        disturbed = traces(lab)
    expected = undisturbed(folder / "undisturbed", report.jobs, plan)
    report.different = sum(disturbed.get(name) != what for name, what in expected.items())
    return report


def disturb(lab: Lab, job: str, most: int, chance: random.Random, report: Report, plan: Plan) -> None:
    """One job, from the queue to its end: what is killed and says so is resumed."""
    report.jobs += 1
    deadline, strike = time.monotonic() + PATIENCE * 4, Strike(chance, plan)
    while time.monotonic() < deadline:
        now = lab.get(f"/jobs/{job}")
        if now is not None and now["state"] == "finished":
            report.attempts += now["attempt"]
            return
        if now is not None and now["resumable"]:
            lab.post(f"/jobs/{job}/resume")
        report.doubled += twice_at_once(lab)
        if report.killed < most and strike.is_due(lab):
            state = "no answer" if now is None else f"{now['kind']} {now['state']}"
            report.kills[strike.role] += lab.kill(strike.role, chance.uniform(*plan.away))
            print(f"{report.seconds:5.0f} s: kill {report.killed}: {strike.role}, {state}", file=sys.stderr, flush=True)
            strike = Strike(chance, plan)
        time.sleep(0.2)
    report.lost += 1


class Strike:
    """What is killed next, and when: some time after the last kill or, as often, after the task's process is there."""

    def __init__(self, chance: random.Random, plan: Plan) -> None:
        self.role = chance.choice(plan.roles)
        self.pause = chance.uniform(*plan.between)
        self.began = time.monotonic() if chance.random() < 0.5 else None

    def is_due(self, lab: Lab) -> bool:
        if self.began is None and lab.pids("child"):
            self.began = time.monotonic()
        return self.began is not None and time.monotonic() > self.began + self.pause


def twice_at_once(lab: Lab) -> bool:
    """Whether two processes are at one job. One that has just been killed takes a moment to go."""
    if max(lab.children().values(), default=0) < 2:
        return False
    time.sleep(1.0)
    return max(lab.children().values(), default=0) > 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10, help="of each training")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which it begins no other job")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    plan = Plan(partial(usual_work, epochs=options.epochs), seconds=60 * options.minutes)
    with (
        tempfile.TemporaryDirectory(prefix="cifs-plug-") as folder,
        cluster() if options.database == "postgresql" else nullcontext() as database,
    ):
        report = pull(Path(folder), kills=options.kills, seed=options.seed, plan=plan, database=database)
    killed = ", ".join(f"{role} {number}" for role, number in report.kills.most_common())
    print(f"{options.database}, seed {options.seed}: {report.killed} kills in {report.seconds:.0f} s ({killed})")
    print(f"of {report.jobs} jobs, which took {report.attempts} attempts:")
    print(f"{report.lost} lost, {report.doubled} doubled, {report.different} with another result")
    return 0 if report.fine else 1


if __name__ == "__main__":
    sys.exit(main())
