"""The guard, alone with a command: nothing below it outlives it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backend.jobs.conftest import command_lines, eventually
from tests.servers import ROOT

SLEEPER = "import sys, time; sys.stdin.readline(); time.sleep(600)"
POLITE = "import sys; print(sys.stdin.readline().strip()); sys.exit(7)"


@contextmanager
def guarded(folder: Path, code: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    guard = [sys.executable, "-m", "backend.jobs.guard", "--lock", str(folder / "lock"), "--log", str(folder / "log")]
    process = subprocess.Popen(
        [*guard, *options, "--", sys.executable, "-c", f"{code}  # {folder}"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    with process:
        yield process
        process.kill()


def say(guard: subprocess.Popen[str], line: str) -> None:
    assert guard.stdin is not None
    guard.stdin.write(f"{line}\n")


def verdict(guard: subprocess.Popen[str]) -> dict[str, Any]:
    """What the guard says at its end, after everything the task said."""
    assert guard.stdout is not None
    said: dict[str, Any] = json.loads(guard.stdout.read().splitlines()[-1])["guard"]
    return said


def alive(folder: Path) -> list[int]:
    """Processes whose command names this folder, but for the guards."""
    return [pid for pid, line in command_lines().items() if f"# {folder}" in line and "backend.jobs.guard" not in line]


def test_a_task_that_stops_when_it_is_asked_ends_with_its_own_exit_code(tmp_path: Path) -> None:
    with guarded(tmp_path, POLITE) as guard:
        say(guard, "cancel")
        assert verdict(guard) == {"code": 7, "killed": None, "busy": False}


def test_a_task_that_does_not_stop_is_killed_when_patience_ends(tmp_path: Path) -> None:
    with guarded(tmp_path, SLEEPER, "--patience", "0.5") as guard:
        eventually(lambda: alive(tmp_path))
        began = time.monotonic()
        say(guard, "cancel")
        assert verdict(guard) == {"code": -9, "killed": "patience", "busy": False}
        assert 0.4 < time.monotonic() - began < 3


BREEDER = (
    "import subprocess, sys, time;"
    "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)' + '  # ' + sys.argv[-1]];"
    "[subprocess.Popen(sleeper, start_new_session=True) for _ in range(3)];"
)


def breed(folder: Path, then: str) -> str:
    """A task with three children, each in a session of its own, as torchrun's ranks are."""
    return f"{BREEDER.replace('sys.argv[-1]', repr(str(folder)))} {then}"


@pytest.mark.parametrize("then", ["time.sleep(600)", "sys.exit(0)", "import os; os.kill(os.getpid(), 9)"])
def test_children_with_sessions_of_their_own_end_with_the_task(tmp_path: Path, then: str) -> None:
    with guarded(tmp_path, breed(tmp_path, f"time.sleep(0.5); {then}")) as guard:
        eventually(lambda: len(alive(tmp_path)) >= 4)
        assert guard.stdin is not None
        if "600" in then:
            guard.stdin.close()  # as when the worker is killed
        verdict(guard)
        assert alive(tmp_path) == []


def test_a_task_does_not_outlive_a_guard_that_is_killed(tmp_path: Path) -> None:
    with guarded(tmp_path, SLEEPER) as guard:
        eventually(lambda: alive(tmp_path))
        guard.send_signal(signal.SIGKILL)
        eventually(lambda: not alive(tmp_path), within=5)


def test_one_lock_is_held_by_one_task_at_a_time(tmp_path: Path) -> None:
    with guarded(tmp_path, SLEEPER) as first:
        eventually(lambda: alive(tmp_path))
        with guarded(tmp_path, POLITE, "--wait", "0.3") as second:
            assert verdict(second) == {"code": None, "killed": None, "busy": True}
        with guarded(tmp_path, POLITE, "--wait", "10") as third:
            say(third, "go on")
            first.send_signal(signal.SIGKILL)  # and its task with it, which holds the lock as well
            assert verdict(third)["code"] == 7


def test_a_log_keeps_what_came_last_within_its_bound(tmp_path: Path) -> None:
    code = "import sys; [print(i, 'x' * 90, file=sys.stderr) for i in range(20000)]"
    with guarded(tmp_path, code, "--log-bytes", "50000") as guard:
        assert verdict(guard)["code"] == 0
    log = (tmp_path / "log").read_text()
    assert len(log) < 50_000 + 65_536
    assert log.splitlines()[-1].startswith("19999 ")


def test_the_guard_takes_no_notice_of_a_terminals_signals(tmp_path: Path) -> None:
    with guarded(tmp_path, SLEEPER) as guard:
        eventually(lambda: alive(tmp_path))
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(guard.pid, signum)
        time.sleep(0.3)
        assert guard.poll() is None
        assert len(alive(tmp_path)) == 1
