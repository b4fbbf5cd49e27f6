"""kill -9 of server, worker, guard or task, again and again, while jobs run: is any lost, doubled, or another result?

    python -m benchmarks.pull_the_plug [--kills 100] [--seed 0] [--database postgresql://…]

A training, an evaluation and AutoAttack run as jobs of a real server; what they leave behind has to be, byte for byte,
what they leave when nobody disturbs them. Prints what was killed how often; exits with 1 where something was lost.
"""

import argparse
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx

ROOT = Path(__file__).parents[1]
KINDS = ("train", "evaluate", "autoattack")
ROLES = ("server", "worker", "guard", "child")
RECIPE = "cpu/fmnist-mini-vanilla-lesson"
SET = ["model.width=4", "images=400", "validation=100", "attack.steps=1", "validate_every=5"]
BETWEEN = (2.0, 16.0)  # seconds from one kill to the next: some strike at the start of a process, some at its work
PATIENCE = 300.0  # seconds for anything to go on
OVER = ("finished", "failed", "cancelled")


class Plan(NamedTuple):
    epochs: int = 10  # of each training
    kinds: tuple[str, ...] = KINDS
    between: tuple[float, float] = BETWEEN


USUAL = Plan()


@dataclass
class Report:
    kills: Counter[str] = field(default_factory=Counter)
    jobs: int = 0
    lost: int = 0  # did not come to their end
    different: int = 0  # came to another
    doubled: int = 0  # were found running twice at once
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        return self.lost == self.different == self.doubled == 0


class Lab:
    """A server with its worker, on folders of its own, that is started again when it was killed."""

    def __init__(self, folder: Path, database: str | None) -> None:
        self.folder, self.database = folder, database
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def start(self) -> None:
        settings = {"CIFS_JOBS": "embedded", "CIFS_RUNS": str(self.runs), "CIFS_CHECKPOINTS": str(self.folder / "zoo")}
        if self.database:
            settings["CIFS_DATABASE_URL"] = self.database
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

    def submit(self, kind: str, **request: object) -> str:
        answer = self.http.post("/jobs", json={"kind": kind, "request": request})
        if not answer.is_success:
            raise SystemExit(f"{kind}: {answer.text}")
        return str(answer.json()["id"])

    def pids(self, role: str) -> list[int]:
        """Processes of this lab's by what they do."""
        if role == "server":
            return [self.process.pid] if self.process and self.process.poll() is None else []
        return [pid for pid, line in command_lines() if runs_as(line, role) and str(self.runs) in environment(pid)]

    def kill(self, role: str) -> int:
        pids = self.pids(role)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if role == "server" and self.process is not None:
            self.process.wait()
            self.start()
        return len(pids)

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


def wait(holds: Any, what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := holds():
            return value
        time.sleep(0.2)
    raise SystemExit(f"{what}: nothing for {PATIENCE:.0f} s")


@contextmanager
def lab_in(folder: Path, database: str | None) -> Iterator[Lab]:
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "checkpoints" / "fmnist-resnet10-w16-natural", folder / "zoo" / "measured")
    (folder / "zoo" / "measured" / "evaluation.json").unlink()
    made = Lab(folder, database)
    made.start()
    try:
        yield made
    finally:
        made.close()


# The work ------------------------------------------------------------------------------------------------------------
def work(lab: Lab, number: int, plan: Plan) -> Iterator[str]:
    """Jobs submitted one after the other, for one worker does one at a time."""
    n = 40 + number  # others each time, for what is measured already is not measured again
    overrides = [*SET, f"epochs={plan.epochs}", f"seed={number}"]
    requests: dict[str, dict[str, object]] = {
        "train": {"recipe": RECIPE, "set": overrides, "id": f"trained-{number}"},
        "evaluate": {"model": "measured", "n": n},
        "autoattack": {"model": "measured", "n": n},
    }
    for kind in plan.kinds:
        yield lab.submit(kind, **requests[kind])


def traces(lab: Lab) -> dict[str, str]:
    """What jobs left: weights and verdicts, without what tells the time."""
    left = {str(p.relative_to(lab.folder)): p.read_bytes().hex() for p in lab.folder.glob("zoo/*/model.safetensors")}
    for path in lab.folder.glob("zoo/*/evaluation.json"):
        evaluation = json.loads(path.read_text())
        left[str(path.relative_to(lab.folder))] = json.dumps(without_time(evaluation), sort_keys=True)
    return left


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_time(v) for key, v in value.items() if "seconds" not in key and key != "time"}
    return [without_time(v) for v in value] if isinstance(value, list) else value


def undisturbed(folder: Path, rounds: int, plan: Plan) -> dict[str, str]:
    with lab_in(folder, None) as lab:
        for number in range(rounds):
            for job in work(lab, number, plan):
                until_over(lab, job)
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
    database: str | None = None,
) -> Report:
    """Kills until it has killed so often, and then lets everything come to its end."""
    report, chance, began = Report(), random.Random(seed), time.monotonic()
    rounds = 0
    with lab_in(folder / "disturbed", database) as lab:
        while sum(report.kills.values()) < kills:
            for job in work(lab, rounds, plan):
                disturb(lab, job, kills, chance, report, plan.between)
            rounds += 1
        disturbed = traces(lab)
    expected = undisturbed(folder / "undisturbed", rounds, plan)
    report.different = sum(disturbed.get(name) != what for name, what in expected.items())
    report.seconds = time.monotonic() - began
    return report


def disturb(
    lab: Lab, job: str, kills: int, chance: random.Random, report: Report, between: tuple[float, float]
) -> None:
    """One job, from the queue to its end: what is killed and says so is resumed."""
    report.jobs += 1
    deadline = time.monotonic() + PATIENCE * 4
    pause = time.monotonic() + chance.uniform(*between)
    while time.monotonic() < deadline:
        now = lab.get(f"/jobs/{job}")
        if now is not None and now["state"] == "finished":
            return
        if now is not None and now["resumable"]:
            lab.http.post(f"/jobs/{job}/resume")
        report.doubled += len(lab.pids("child")) > 1 and still_two(lab)
        if time.monotonic() > pause and sum(report.kills.values()) < kills:
            role = chance.choice(ROLES)
            report.kills[role] += lab.kill(role) > 0
            pause = time.monotonic() + chance.uniform(*between)
        time.sleep(0.2)
    report.lost += 1


def still_two(lab: Lab) -> bool:
    """One that has just been killed takes a moment to go; what waits for a lock has not begun."""
    time.sleep(1.0)
    return len(lab.pids("child")) > 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10, help="of each training")
    parser.add_argument("--database", help="by default a SQLite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cifs-plug-") as folder:
        report = pull(
            Path(folder), kills=options.kills, seed=options.seed, plan=Plan(options.epochs), database=options.database
        )
    killed = ", ".join(f"{role} {number}" for role, number in report.kills.most_common())
    print(f"{sum(report.kills.values())} kills in {report.seconds:.0f} s ({killed}) of {report.jobs} jobs:")
    print(f"{report.lost} lost, {report.doubled} doubled, {report.different} with another result")
    return 0 if report.fine else 1


if __name__ == "__main__":
    sys.exit(main())
