"""`cifs demo`: start the backend and the dashboard, say where they are, and end both together."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Annotated, Self

import typer

from cifs.errors import CIFSError

LOGS = Path("runs") / "demo"
HOST = "127.0.0.1"
TICK = 0.2  # seconds between two looks at the children


class DemoError(CIFSError):
    """What the person at the terminal should read; the message is complete."""


@dataclass(frozen=True)
class Service:
    name: str
    command: Sequence[str]
    health: str  # the URL that answers 200 once the service is up
    env: Mapping[str, str] = field(default_factory=dict)


class Stop:
    """True once Ctrl-C, a termination request or a closed terminal has asked for the end.

    A plain flag that the main loop polls: an exception raised out of a signal handler could strike between
    the start of a child and the note that it must be ended.
    """

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.requested = True

    def __bool__(self) -> bool:
        return self.requested

    @contextmanager
    def listening(self) -> Iterator[Self]:
        before = {s: signal.signal(s, self) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield self
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


# --- ports -----------------------------------------------------------------------------------------------------------
def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without this, connections of the previous demo in TIME_WAIT would make the port look busy.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def wanted_port(variable: str, default: int, environ: Mapping[str, str] = os.environ) -> int:
    text = environ.get(variable) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise DemoError(f"{variable}={text!r} is not a port: give a whole number from 1 to 65535.")
    return int(text)


def choose_port(wanted: int, *, taken: Sequence[int] = ()) -> int:
    """The wanted port or, where that is busy, the next free one of the twenty after it."""
    for port in range(wanted, min(wanted + 21, 65536)):
        if port not in taken and is_free(port):
            return port
    raise DemoError(f"Port {wanted} and the twenty after it are busy: choose another one by environment variable.")


def announced_port(name: str, variable: str, default: int, *, taken: Sequence[int] = ()) -> int:
    wanted = wanted_port(variable, default)
    port = choose_port(wanted, taken=taken)
    if port != wanted:
        say(f"Port {wanted} is busy: the {name} takes {port} instead (set {variable} to choose).")
    return port


# --- children --------------------------------------------------------------------------------------------------------
@contextmanager
def running(service: Service, logs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The service in a process group of its own, which is gone when the block is left."""
    with open(logs / f"{service.name}.log", "wb") as log:
        process = subprocess.Popen(
            service.command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **service.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C reaches the demo alone, which ends its children
        )
        try:
            yield process
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes], *, patience: float = 10.0) -> None:
    """Ask the child and everything it started to end; insist when they do not."""
    for signum, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        signal_group(process, signum)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not signal_group(process, 0):
                return
            time.sleep(0.05)


def signal_group(process: subprocess.Popen[bytes], signum: int) -> bool:
    """Whether anything of the group was still there to receive it; signal 0 only asks."""
    process.poll()  # collects a child that has ended: a group in which only that is left counts as gone
    try:
        os.killpg(process.pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


# --- the demo --------------------------------------------------------------------------------------------------------
class Demo:
    """Services that live and die together."""

    def __init__(self, services: Sequence[Service], *, logs: Path = LOGS) -> None:
        self.services = services
        self.logs = logs
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, farewell: str, *, patience: float = 180.0) -> None:
        """Start all, wait until all answer, print `farewell`, and stay until told to stop or until one dies."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with Stop().listening() as stop, ExitStack() as stack:
            self.processes = [stack.enter_context(running(service, self.logs)) for service in self.services]
            self.wait_until_all_answer(stop, patience)
            if not stop:
                say(farewell)
            while not stop:
                self.check_all_live()
                time.sleep(TICK)
            say("\nStopping …")
        say("Stopped.")

    def wait_until_all_answer(self, stop: Stop, patience: float) -> None:
        began = time.monotonic()
        next_word = began + 10
        waiting = list(self.services)
        while waiting and not stop:
            self.check_all_live()
            for service in [s for s in waiting if answers(s.health)]:
                waiting.remove(service)
                say(f"  {service.name} answers ({time.monotonic() - began:.0f} s)")
            now = time.monotonic()
            names = " and ".join(s.name for s in waiting)
            if waiting and now - began > patience:
                raise DemoError(f"No answer from {names} within {patience:.0f} s.\n{self.last_words(waiting[0])}")
            if waiting and now > next_word:
                say(f"  still starting after {now - began:.0f} s: {names}")
                next_word = now + 10
            time.sleep(TICK)

    def check_all_live(self) -> None:
        for service, process in zip(self.services, self.processes, strict=True):
            if (code := process.poll()) is not None:
                how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
                raise DemoError(f"The {service.name} has ended ({how}).\n{self.last_words(service)}")

    def last_words(self, service: Service, lines: int = 20) -> str:
        log = self.logs / f"{service.name}.log"
        said = log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join([f"The last lines of {log}:", *(f"  | {line}" for line in said or ["(nothing)"])])


def say(text: str) -> None:
    print(text, flush=True)


def demo(
    checkpoints: Annotated[
        Path | None, typer.Option(help="folder of the zoo; default: ./checkpoints, or the embedded models")
    ] = None,
) -> None:
    """Start the backend and the dashboard on the embedded models and images; Ctrl-C ends both.

    CIFS_BACKEND_PORT and CIFS_DASHBOARD_PORT choose the ports (8000 and 8501).
    """
    api_port = announced_port("backend", "CIFS_BACKEND_PORT", 8000)
    page_port = announced_port("dashboard", "CIFS_DASHBOARD_PORT", 8501, taken=[api_port])
    api, page = f"http://{HOST}:{api_port}", f"http://{HOST}:{page_port}"
    zoo = str((checkpoints or embedded_zoo()).resolve())
    services = [backend_service(api, api_port, zoo), dashboard_service(api, page, page_port)]
    say("Starting the backend and the dashboard …")
    Demo(services).run(f"\n  Dashboard  {page}\n  API docs   {api}/docs\n\nCtrl-C ends both.")


def backend_service(api: str, port: int, zoo: str) -> Service:
    command = [sys.executable, "-m", "cifs", "serve", "--host", HOST, "--port", str(port)]
    return Service("backend", command, health=f"{api}/health", env={"CIFS_CHECKPOINTS": zoo})


def dashboard_service(api: str, page: str, port: int) -> Service:
    package = find_spec("frontend")  # a name, not an import: the science knows nothing of Streamlit
    if package is None or package.origin is None:
        raise DemoError("The dashboard is not installed: pip install cifs-lab")
    streamlit = [sys.executable, "-m", "streamlit", "run", str(Path(package.origin).with_name("app.py"))]
    where = ["--server.address", HOST, "--server.port", str(port), "--server.headless", "true"]
    quiet = ["--browser.gatherUsageStats", "false", "--server.fileWatcherType", "none"]  # nobody edits it meanwhile
    env = {"CIFS_BACKEND_URL": api}
    return Service("dashboard", [*streamlit, *where, *quiet], health=f"{page}/_stcore/health", env=env)


def embedded_zoo() -> Path:
    """./checkpoints where there is one; else a copy, of one's own to add to, of the models inside the package."""
    if (here := Path("checkpoints")).is_dir():
        return here
    inside = Path(__file__).parents[1] / "checkpoints"
    if not inside.is_dir():
        raise DemoError("There is no folder checkpoints here, and this installation carries no models.")
    own = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cifs-lab" / "checkpoints"
    for model in inside.iterdir():
        if not (own / model.name).exists():
            shutil.copytree(model, own / model.name)
    return own
