"""The API: what was attacked once is not attacked again."""

import statistics
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from fastapi.testclient import TestClient

from backend.app import create_app
from backend.settings import Settings
from benchmarks.claim import Claim
from benchmarks.passes import counting
from benchmarks.subjects import CHECKPOINTS
from benchmarks.turns import Scale, duration, shown

MODEL = "fmnist-resnet10-w16-cifs-softmax"
IMAGES = [{"dataset": "fashion_mnist_mini", "index": i} for i in range(4)]


def claims(scale: Scale) -> Iterator[Claim]:
    threads, app = torch.get_num_threads(), create_app(Settings(checkpoints=CHECKPOINTS, device="cpu"))
    try:
        with TestClient(app) as client:
            yield from _attack(scale, client)
            yield from _channels(client)
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
    post(client, "/attack", request(seed=0))
    new, again = [], []
    for seed in range(1, scale.of(21, 2)):
        ask = partial(post, client, "/attack", request(seed))
        new.append(duration(ask))
        again.append(duration(ask))
    text = f"`POST /attack`, {len(IMAGES)} images, PGD-20, asked again, against the first time (medians)"
    known, fresh = statistics.median(again), statistics.median(new)
    yield Claim("serving/attack", text, shown(known), shown(fresh), 1000 * known, " ms", 1)


def _channels(client: TestClient) -> Iterator[Claim]:
    """How often the network runs for `/channels` of images that `/attack` has attacked."""
    about = {"layer": "layer4.0", "target": "label"}
    post(client, "/attack", request(seed=0))
    with counting(1) as after:
        post(client, "/channels", request(seed=0) | about)
    with counting(1) as anew:
        post(client, "/channels", request(seed=10_000) | about)
    text = "`POST /channels` after `/attack`, natural and attacked, against without it"
    yield Claim("serving/passes", text, f"{len(after)}", f"{len(anew)}", len(after), " passes", 0)
