"""kill -9 of server, worker, guard, task or database, again and again: is a job lost, doubled, or another result?

    python -m benchmarks.pull_the_plug [--kills 100] [--seed 0] [--database sqlite | postgresql]

A training, an evaluation and AutoAttack run as jobs of `cifs serve`, round after round; what each of them leaves behind
has to be, byte for byte, what it leaves when nobody disturbs it. The database is a PostgreSQL of its own, whose
postmaster is killed and started again some seconds later; or a SQLite file, which the server and its worker have open:
both are killed at once. Prints what was killed how often and at which work; exits with 1 where something was lost.
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
from collections.abc import Callable, Iterable, Iterator
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
STAGES = ("apgd-t", "square", "fab-t")  # of AutoAttack, after apgd-ce: one a round, for all four take minutes
PATIENCE = 900.0  # seconds for anything to go on
OVER = ("finished", "failed", "cancelled")
Work = tuple[str, dict[str, object]]  # the kind of a job and its request


def usual_work(number: int, epochs: int = 30) -> list[Work]:
    """Other work each time, for what is measured already is not measured again."""
    overrides = [*SET, f"epochs={epochs}", f"seed={number}"]
    training: dict[str, object] = {"recipe": RECIPE, "set": overrides, "id": f"trained-{number}"}
    table: dict[str, object] = {"model": "measured", "n": 60 + number}
    stages = ["apgd-ce", STAGES[number % len(STAGES)]]
    return [("train", training), ("evaluate", table), ("autoattack", {"model": "measured", "n": 4, "stage": stages})]


class Plan(NamedTuple):
    work: Callable[[int], list[Work]] = usual_work  # of one round
    seconds: float = float("inf")  # after which no other job begins
    each: int = 12  # kills at most of one job, so that every kind has its share
    between: tuple[float, float] = (0.5, 6.0)  # seconds: some kills strike at the start of a process, some at its work
    roles: tuple[str, ...] = ROLES
    away: tuple[float, float] = (0.0, 10.0)  # seconds a database stays away: at most longer than a worker waits for it
    tasks: str = "cifs.tasks:TASKS"
    patience: float = 4 * PATIENCE  # seconds for one job, kills included: later it counts as lost


USUAL = Plan()


@dataclass
class Report:
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)  # by what was killed, and at which kind of job
    at_work: int = 0  # of these, while a task's process was there
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
            "CIFS_RUNS": str(self.runs),
            "CIFS_CHECKPOINTS": str(self.folder / "zoo"),
            "CIFS_TASKS": self.tasks,
        }
        if self.database:
            settings["CIFS_DATABASE_URL"] = self.database.url
        serve = [sys.executable, "-m", "cifs", "serve", "--port", str(self.port), "--log-level", "warning"]
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
    shutil.copytree(ROOT / "checkpoints" / "fmnist-resnet10-w16-vanilla", folder / "zoo" / "measured")
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
Traces = dict[str, str]


def traces(lab: Lab) -> Traces:
    """What there is now: weights and verdicts, without what tells the time; and what a task that counts has counted."""
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


def undisturbed(folder: Path, jobs: int, plan: Plan) -> Iterator[Traces]:
    """After each job."""
    with lab_in(folder, None, plan) as lab:
        for kind, request in itertools.islice(all_work(plan), jobs):
            until_over(lab, lab.submit(kind, **request))
            yield traces(lab)


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
    expected: Callable[[Path, int, Plan], Iterable[Traces]] = undisturbed,
) -> Report:
    """Kills until it has killed so often, and then lets everything come to its end.

    expected: what has to be there after each of so many jobs, at least.
    """
    report, chance, disturbed = Report(), random.Random(seed), []
    with lab_in(folder / "disturbed", database, plan) as lab:
        strikes = Strikes(chance, plan)
        for kind, request in all_work(plan):
            most = min(report.killed + plan.each, kills)
            disturb(lab, (kind, lab.submit(kind, **request)), most, strikes, report)
            disturbed.append(traces(lab))
            if report.killed >= kills or report.seconds > plan.seconds or report.lost:
                break
    pairs = zip(disturbed, expected(folder / "undisturbed", report.jobs, plan), strict=True)
    report.different = sum(not theirs.items() <= ours.items() for ours, theirs in pairs)
    return report


def disturb(lab: Lab, job: tuple[str, str], most: int, strikes: "Strikes", report: Report) -> None:
    """One job (its kind, its id), from the queue to its end: what is killed and says so is resumed."""
    report.jobs += 1
    (kind, job_id), deadline = job, time.monotonic() + strikes.plan.patience
    strike = strikes.next()
    while time.monotonic() < deadline:
        now = lab.get(f"/jobs/{job_id}")
        if now is not None and now["state"] == "finished":
            report.attempts += now["attempt"]
            return
        if now is not None and now["resumable"]:
            lab.post(f"/jobs/{job_id}/resume")
        report.doubled += twice_at_once(lab)
        if report.killed < most and strike.is_due(lab):
            at_work, state = bool(lab.pids("child")), "no answer" if now is None else now["state"]
            if lab.kill(strike.role, strike.away):
                report.kills[strike.role, kind] += 1
                report.at_work += at_work
            print(f"{report.seconds:5.0f} s: kill {report.killed}: {strike.role}, {kind} {state}", file=sys.stderr)
            strike = strikes.next()
        time.sleep(0.2)
    print(f"{report.seconds:5.0f} s: lost: {lab.get(f'/jobs/{job_id}')}", file=sys.stderr)
    report.lost += 1


class Strikes:
    """Every role as often as any other, in an order of chance."""

    def __init__(self, chance: random.Random, plan: Plan) -> None:
        self.chance, self.plan = chance, plan
        self.roles: list[str] = []

    def next(self) -> "Strike":
        if not self.roles:
            self.roles = self.chance.sample(self.plan.roles, len(self.plan.roles))
        pause, away = self.chance.uniform(*self.plan.between), self.chance.uniform(*self.plan.away)
        return Strike(self.roles.pop(), pause, away, at_any_time=self.chance.random() < 0.3)


class Strike:
    """The next kill: of whom, and when. Some come at any time; most some time after the task's process is there."""

    def __init__(self, role: str, pause: float, away: float, *, at_any_time: bool) -> None:
        self.role, self.pause, self.away = role, pause, away
        self.began = time.monotonic() if at_any_time else None

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
    parser.add_argument("--epochs", type=int, default=30, help="of each training")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which it begins no other job")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    plan = Plan(partial(usual_work, epochs=options.epochs), seconds=60 * options.minutes)
    with (
        tempfile.TemporaryDirectory(prefix="cifs-plug-") as folder,
        cluster() if options.database == "postgresql" else nullcontext() as database,
    ):
        report = pull(Path(folder), kills=options.kills, seed=options.seed, plan=plan, database=database)
    print(f"{options.database}, seed {options.seed}: {report.killed} kills in {report.seconds:.0f} s,", end=" ")
    print(f"{report.at_work} of them while a task's process was there")
    for role in ROLES:
        at = {kind: number for (killed, kind), number in report.kills.items() if killed == role}
        print(f"{role:>8}: {', '.join(f'{number} at {kind}' for kind, number in at.items())}")
    print(f"{report.jobs} jobs, which took {report.attempts} attempts:")
    print(f"{report.lost} lost, {report.doubled} doubled, {report.different} with another result")
    return 0 if report.fine else 1


if __name__ == "__main__":
    sys.exit(main())
