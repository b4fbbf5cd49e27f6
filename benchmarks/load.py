"""`python -m benchmarks.load`: many clients at one server, on mixed /attack and /channels.

Starts a backend of its own. Every client asks for one of a few images after the other, waits as long as a refusal says,
and asks again. Prints throughput, how long answers took, refusals, how long /health took meanwhile, how the server's
memory grew, and what moving a slider after an attack takes once all is quiet.
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


@dataclass(frozen=True)
class Load:
    """What the clients ask for."""

    model: str
    images: int  # different ones
    steps: int
    until: float  # by time.monotonic

    def question(self, chance: random.Random) -> tuple[str, dict[str, Any]]:
        image = {"dataset": "fashion_mnist_mini", "index": chance.randrange(self.images)}
        attack = {"name": "pgd", "eps": 0.1, "steps": self.steps}
        asked = {"model": self.model, "images": [image], "attack": attack}
        if chance.random() < 0.5:
            return "/attack", asked
        return "/channels", asked | {"layer": LAYER, "target": "label", "relevance": "true"}


@contextmanager
def serving() -> Iterator[tuple[str, int]]:
    """A backend's address and process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "cifs.cli", "serve", "--port", port, "--log-level", "error"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CIFS_CHECKPOINTS": str(ROOT / "checkpoints")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment | {"CIFS_JOBS": "off"})
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


async def client(http: httpx.AsyncClient, load: Load, seed: int, measured: Measured) -> None:
    chance = random.Random(seed)
    while (now := time.monotonic()) < load.until:
        path, body = load.question(chance)
        answer = await http.post(path, json=body)
        measured.statuses[answer.status_code] += 1
        if answer.is_success:
            measured.answers.append(time.monotonic() - now)
        else:
            await asyncio.sleep(min(float(answer.headers.get("Retry-After", 1)), max(load.until - now, 0)))


async def watch(http: httpx.AsyncClient, load: Load, pid: int, measured: Measured) -> None:
    """Health four times a second, and the memory with it."""
    while (now := time.monotonic()) < load.until:
        (await http.get("/health")).raise_for_status()
        measured.health.append(time.monotonic() - now)
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        measured.memory.append((now, pages * os.sysconf("SC_PAGESIZE") / 2**20))
        await asyncio.sleep(0.25)


async def run(address: str, pid: int, load: Load, clients: int) -> Measured:
    measured = Measured()
    options: dict[str, Any] = {"base_url": address, "timeout": 300, "trust_env": False}
    async with (
        httpx.AsyncClient(limits=httpx.Limits(max_connections=clients), **options) as http,
        httpx.AsyncClient(**options) as watcher,
    ):
        asking = [client(http, load, seed, measured) for seed in range(clients)]
        await asyncio.gather(watch(watcher, load, pid, measured), *asking)
    return measured


def slider(address: str, model: str, moves: int = 20) -> list[float]:
    """Seconds of each move of a channel's slider, after the attack it is about."""
    image = {"dataset": "fashion_mnist_mini", "index": 0}
    asked = {"model": model, "images": [image], "attack": {"name": "pgd", "eps": 0.1, "steps": 20}}
    with httpx.Client(base_url=address, timeout=300, trust_env=False) as http:
        http.post("/attack", json=asked).raise_for_status()
        layers = http.get(f"/models/{model}").json()["layers"]
        channels = next(layer["channels"] for layer in layers if layer["name"] == LAYER)
        took = []
        for move in range(moves):
            mask = [move / moves, *[1.0] * (channels - 1)]
            began = time.monotonic()
            http.post("/channels/intervene", json=asked | {"layer": LAYER, "mask": mask}).raise_for_status()
            took.append(time.monotonic() - began)
    return took


def percentile(seconds: list[float], percent: int) -> str:
    return f"{1000 * quantiles(seconds, n=100, method='inclusive')[percent - 1]:.0f} ms" if len(seconds) > 1 else "–"


def show(measured: Measured, seconds: float, moves: list[float]) -> None:
    table = Table("what", "figure")
    table.add_row("answers/s", f"{len(measured.answers) / seconds:.1f}")
    table.add_row("an answer, p50, p95", f"{percentile(measured.answers, 50)}, {percentile(measured.answers, 95)}")
    table.add_row("statuses", ", ".join(f"{status}: {n}" for status, n in sorted(measured.statuses.items())))
    table.add_row("/health, p50, p95", f"{percentile(measured.health, 50)}, {percentile(measured.health, 95)}")
    second_half = measured.memory[len(measured.memory) // 2 :]  # once models and libraries are loaded
    slope = linear_regression(*zip(*second_half, strict=True)).slope
    table.add_row(
        "memory at the end", f"{measured.memory[-1][1]:.0f} MiB, {60 * slope:+.1f} MiB/min in the second half"
    )
    table.add_row("a slider's move, p50, p95", f"{percentile(moves, 50)}, {percentile(moves, 95)}")
    Console().print(table)


def main(
    clients: Annotated[int, typer.Option(min=1, help="at once")] = 64,
    seconds: Annotated[float, typer.Option(min=1, help="how long they ask")] = 60,
    images: Annotated[int, typer.Option(min=1, max=2000, help="different ones: fewer are remembered sooner")] = 2000,
    steps: Annotated[int, typer.Option(min=1, help="of PGD")] = 10,
    model: str = "fmnist-resnet10-w16-cifs-softmax",
) -> None:
    """Many clients at one server. More than one minute: not a part of `make bench`."""
    with serving() as (address, pid):
        load = Load(model, images, steps, time.monotonic() + seconds)
        measured = asyncio.run(run(address, pid, load, clients))
        show(measured, seconds, slider(address, model))


if __name__ == "__main__":
    typer.run(main)
