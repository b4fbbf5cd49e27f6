"""The API: what was attacked once is not attacked again."""

import time
from collections.abc import Iterator
from typing import Any

import torch
from fastapi.testclient import TestClient

from backend.app import create_app
from backend.settings import Settings
from benchmarks.claim import Claim
from benchmarks.passes import counting
from benchmarks.subjects import CHECKPOINTS
from benchmarks.turns import Scale, shown

LAYER = {"layer": "layer4.0"}
MODEL = "fmnist-resnet10-w16-cifs-softmax"
IMAGES = [{"dataset": "fashion_mnist_mini", "index": i} for i in range(4)]


def claims(scale: Scale) -> Iterator[Claim]:
    threads, app = torch.get_num_threads(), create_app(Settings(checkpoints=CHECKPOINTS, device="cpu"))
    try:
        with TestClient(app) as client:
            yield from _attack(scale, client)
            yield from _slider(scale, client)
            yield from _passes(client)
    finally:
        torch.set_num_threads(threads)  # the server has its own opinion


def request(seed: int) -> dict[str, Any]:
    attack = {"name": "pgd", "eps": 0.1, "steps": 20, "random_start": True, "seed": seed}
    return {"model": MODEL, "images": IMAGES, "attack": attack}


def post(client: TestClient, path: str, body: dict[str, Any]) -> None:
    response = client.post(path, json=body)
    if response.status_code != 200:
        raise RuntimeError(f"POST {path}: {response.status_code} {response.text}")


def _attack(scale: Scale, client: TestClient) -> Iterator[Claim]:
    """The same request twice, in turns with requests that are new."""
    new, again = [], []
    for seed in range(scale.of(21, 2)):
        new.append(timed(client, "/attack", request(seed)))
        again.append(timed(client, "/attack", request(seed)))
    (known, cpu), (fresh, _) = min(again), min(new)
    text = f"`POST /attack`, {len(IMAGES)} images, PGD-20, asked again, against the first time"
    yield Claim("serving/attack", text, f"{shown(known)} (CPU {shown(cpu)})", shown(fresh), 1000 * known, " ms", 1)


def _slider(scale: Scale, client: TestClient) -> Iterator[Claim]:
    """What the dashboard asks for whenever a channel's slider has moved."""
    moves = scale.of(21, 2)
    channels = client.app.state.lab.model(MODEL).shapes["layer4.0"][0]  # type: ignore[attr-defined]
    masks = [[move / moves, *[1.0] * (channels - 1)] for move in range(moves)]
    post(client, "/attack", request(seed=0))
    took, cpu = min(timed(client, "/channels/intervene", request(seed=0) | LAYER | {"mask": mask}) for mask in masks)
    text = "`POST /channels/intervene` after `/attack`: a slider is moved"
    yield Claim("serving/slider", text, f"{shown(took)} (CPU {shown(cpu)})", "", 1000 * took, " ms", 1)


def timed(client: TestClient, path: str, body: dict[str, Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processor: a machine that is shared lengthens the first."""
    wall, cpu = time.perf_counter(), time.process_time()
    post(client, path, body)
    return time.perf_counter() - wall, time.process_time() - cpu


def _passes(client: TestClient) -> Iterator[Claim]:
    """How often the network runs for `/channels` of images that `/attack` has attacked."""
    about = LAYER | {"target": "label"}
    post(client, "/attack", request(seed=0))
    with counting(1) as after:
        post(client, "/channels", request(seed=0) | about)
    with counting(1) as anew:
        post(client, "/channels", request(seed=10_000) | about)
    text = "`POST /channels` after `/attack`, natural and attacked, against without it"
    yield Claim("serving/passes", text, f"{len(after)}", f"{len(anew)}", len(after), " passes", 0)
