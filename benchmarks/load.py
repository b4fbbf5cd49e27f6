"""`python -m benchmarks.load`: many clients at one server, on mixed /attack and /channels.

Starts two backends, one after the other: as it is, and one that remembers nothing. Every client asks for one of a few
images after the other, waits as long as a refusal says, and asks again. Prints throughput, how long answers took,
refusals, how long /health took meanwhile, how the server's memory grew, and what moving a slider after an attack takes
once all is quiet.
"""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, quantiles
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
LAYER = "layer4.0"
UP_WITHIN = 120  # seconds


@dataclass
class Measured:
    answers: list[float] = field(default_factory=list)  # seconds of each
    health: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)  # (seconds, MiB)
    cpu: float = 0.0  # seconds of the server's
    moves: list[float] = field(default_factory=list)  # seconds of each move of a slider

    def a_second(self, seconds: float) -> float:
        return len(self.answers) / seconds

    def a_cpu_second(self) -> float:
        return len(self.answers) / self.cpu

    def by_the_minute(self) -> str:
        """MiB after each, to see whether it goes on growing."""
        began = self.memory[0][0]
        minutes = range(1, 1 + round((self.memory[-1][0] - began) / 60))
        return ", ".join(f"{min(self.memory, key=lambda at: abs(at[0] - began - 60 * m))[1]:.0f}" for m in minutes)

    def slope(self) -> float:
        """MiB a minute in the second half, once models and libraries are loaded."""
        return 60 * linear_regression(*zip(*self.memory[len(self.memory) // 2 :], strict=True)).slope


@dataclass(frozen=True)
class Load:
    """What the clients ask for."""

    model: str
    images: int  # different ones
    steps: int
    new: float  # share of the attacks that nobody has asked for before
    seconds: float

    def question(self, chance: random.Random) -> tuple[str, dict[str, Any]]:
        image = {"dataset": "fashion_mnist_mini", "index": chance.randrange(self.images)}
        attack = {"name": "pgd", "eps": 0.1, "steps": self.steps, "random_start": True}
        if chance.random() < self.new:
            attack["seed"] = chance.randrange(1, 2**31)
        asked = {"model": self.model, "images": [image], "attack": attack}
        if chance.random() < 0.5:
            return "/attack", asked
        return "/channels", asked | {"layer": LAYER, "target": "label", "relevance": "true"}


@contextmanager
def serving(**settings: object) -> Iterator[tuple[str, int]]:
    """A backend with these settings: its address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "cifs", "serve", "--port", port, "--log-level", "error"]
    given = {"checkpoints": ROOT / "checkpoints", "jobs": "off"} | settings
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | {f"CIFS_{k.upper()}": str(v) for k, v in given.items()}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        _wait_for(f"http://127.0.0.1:{port}/ready")
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + UP_WITHIN
    while time.monotonic() < deadline:
        try:
            if httpx.get(address, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit(f"no backend within {UP_WITHIN} s")


def connected(address: str) -> httpx.AsyncClient:
    """A client with connections of its own: in a pool that all share, most of them idle now and then for seconds."""
    return httpx.AsyncClient(base_url=address, timeout=300, trust_env=False, verify=False)  # no TLS: no certificates


async def client(address: str, load: Load, seed: int, until: float, measured: Measured) -> None:
    chance, name = random.Random(seed), {"X-Client": str(seed)}
    async with connected(address) as http:
        while (now := time.monotonic()) < until:
            path, body = load.question(chance)
            answer = await http.post(path, json=body, headers=name)
            measured.statuses[answer.status_code] += 1
            if answer.is_success:
                measured.answers.append(time.monotonic() - now)
            else:
                await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), max(until - now, 0)))


async def watch(address: str, until: float, pid: int, measured: Measured) -> None:
    """Health four times a second, and the memory with it."""
    async with connected(address) as http:
        while (now := time.monotonic()) < until:
            (await http.get("/health")).raise_for_status()
            measured.health.append(time.monotonic() - now)
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            measured.memory.append((now, pages * os.sysconf("SC_PAGESIZE") / 2**20))
            await asyncio.sleep(0.25)


def cpu_seconds(pid: int) -> float:
    """What a process has used, in all its threads."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def run(address: str, pid: int, load: Load, clients: int) -> Measured:
    measured, until, before = Measured(), time.monotonic() + load.seconds, cpu_seconds(pid)
    asking = [client(address, load, seed, until, measured) for seed in range(clients)]
    await asyncio.gather(watch(address, until, pid, measured), *asking)
    measured.cpu = cpu_seconds(pid) - before
    return measured


def slider(address: str, load: Load, moves: int = 20) -> list[float]:
    """Seconds of each move of a channel's slider, after the attack it is about."""
    image = {"dataset": "fashion_mnist_mini", "index": 0}
    asked = {"model": load.model, "images": [image], "attack": {"name": "pgd", "eps": 0.1, "steps": 20}}
    with httpx.Client(base_url=address, timeout=300, trust_env=False) as http:
        http.post("/attack", json=asked).raise_for_status()
        layers = http.get(f"/models/{load.model}").json()["layers"]
        channels = next(layer["channels"] for layer in layers if layer["name"] == LAYER)
        took = []
        for move in range(moves):
            mask = [move / moves, *[1.0] * (channels - 1)]
            began = time.monotonic()
            http.post("/channels/intervene", json=asked | {"layer": LAYER, "mask": mask}).raise_for_status()
            took.append(time.monotonic() - began)
    return took


def measure(load: Load, clients: int, **settings: object) -> Measured:
    with serving(**settings) as (address, pid):
        measured = asyncio.run(run(address, pid, load, clients))
        measured.moves = slider(address, load)
    return measured


def percentiles(seconds: list[float]) -> str:
    """The 50th and the 95th."""
    if len(seconds) < 2:
        return "–"
    hundredths = quantiles(seconds, n=100, method="inclusive")
    return f"{1000 * hundredths[49]:.0f} ms, {1000 * hundredths[94]:.0f} ms"


def rows(measured: Measured, seconds: float) -> dict[str, str]:
    refused = sum(n for status, n in measured.statuses.items() if status != 200)
    return {
        "answers/s": f"{measured.a_second(seconds):.1f}",
        "answers/s of the server's CPU": f"{measured.a_cpu_second():.1f}",
        "an answer, p50, p95": percentiles(measured.answers),
        "refusals": f"{refused} of {measured.statuses.total()}",
        "/health, p50, p95": percentiles(measured.health),
        "memory at the end": f"{measured.memory[-1][1]:.0f} MiB",
        "memory minute by minute": f"{measured.by_the_minute()} MiB",
        "its slope in the second half": f"{measured.slope():+.1f} MiB/min",
        "a slider's move, p50, p95": percentiles(measured.moves),
    }


def main(
    clients: Annotated[int, typer.Option(min=1, help="at once")] = 64,
    seconds: Annotated[float, typer.Option(min=1, help="how long they ask each server")] = 60,
    images: Annotated[int, typer.Option(min=1, max=2000, help="different ones")] = 100,
    steps: Annotated[int, typer.Option(min=1, help="of PGD")] = 20,
    new: Annotated[float, typer.Option(min=0, max=1, help="share of attacks that nobody asked for before")] = 0,
    model: str = "fmnist-resnet10-w16-cifs-softmax",
    alone: Annotated[bool, typer.Option("--alone", help="not the server that remembers nothing")] = False,
    remembered: Annotated[
        int | None, typer.Option(min=0, help="bytes, of the server as it is; by default its own")
    ] = None,
) -> None:
    """Many clients at one server: `make bench-load`, with which `make bench` begins."""
    load = Load(model, images, steps, new, seconds)
    settings = {} if remembered is None else {"remembered_bytes": remembered}
    sides = {"as it is": measure(load, clients, **settings)}
    if not alone:
        sides["nothing remembered"] = measure(load, clients, remembered_bytes=0)
    table, columns = Table("what", *sides), [rows(side, seconds) for side in sides.values()]
    for what in columns[0]:
        table.add_row(what, *(column[what] for column in columns))
    Console().print(table)
    if not alone:
        ours, theirs = sides.values()
        wall, cpu = ours.a_second(1) / theirs.a_second(1), ours.a_cpu_second() / theirs.a_cpu_second()
        print(f"{wall:.1f} × the answers, {cpu:.1f} × of one second of CPU")


if __name__ == "__main__":
    typer.run(main)
