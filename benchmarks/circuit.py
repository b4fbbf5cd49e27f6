"""`python -m benchmarks.circuit`: how many channels' natural activations bring the label back, over many flips.

A flip is an image that the model gets right and PGD-20 at the data's ε turns. Beside the share that circuits restore
stands the control: random sets of the same size, drawn for each flip anew. Prints both directions, layer by layer, and
exits with 1 where less is restored than is claimed (≥ 90 %, random sets ≤ 20 %, ≤ 2 s an image).
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import mean, median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from cifs.attacks import PGD, perturb
from cifs.channels import Patching, circuits, share_of_random_sets
from cifs.data import dataset, load_images
from cifs.models import CNN
from cifs.zoo import Zoo

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
BATCH = 50


def flips(model: CNN, data: str, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first n test images that are flipped: x, x' and their labels."""
    images, attack = load_images(data, "test"), PGD(eps=dataset(data).eps)
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for start in range(0, len(images), BATCH):
        x, y = images.batch(slice(start, start + BATCH))
        x_adv = perturb(model, x, y, attack)
        with torch.no_grad():
            flipped = (model(x).argmax(dim=1) == y) & (model(x_adv).argmax(dim=1) != y)
        kept.append((x[flipped], x_adv[flipped], y[flipped]))
        if sum(len(labels) for *_, labels in kept) >= n:
            break
    x, x_adv, y = (torch.cat(part)[:n] for part in zip(*kept, strict=True))
    return x, x_adv, y


def measured(
    model: CNN, layers: list[str], x: Tensor, donors: Tensor, y: Tensor, *, restoring: bool
) -> dict[str, float]:
    sizes, reached, by_chance, seconds = [], [], [], 0.0
    for part in zip(x.split(BATCH), donors.split(BATCH), y.split(BATCH), strict=True):
        began = time.perf_counter()
        patching = Patching(model, layers, *part, restoring=restoring)
        of_batch = circuits(patching)
        seconds += time.perf_counter() - began
        sizes += [len(circuit.channels) for circuit in of_batch]
        reached += [circuit.reached for circuit in of_batch]
        by_chance += [share_of_random_sets(patching, i, len(c.channels), seed=i) for i, c in enumerate(of_batch)]
    return {
        "n": len(sizes),
        "channels": len(patching),
        "share": mean(reached),
        "median_size": median(sizes),
        "mean_size": mean(sizes),
        "largest": max(sizes),
        "share_within_a_quarter": mean(r and s <= len(patching) / 4 for r, s in zip(reached, sizes, strict=True)),
        "random_share": mean(by_chance),
        "seconds_an_image": seconds / len(sizes),
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.circuit", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", default="fmnist-resnet10-w16-natural", help="id under checkpoints/")
    parser.add_argument("--data", default="fashion_mnist_mini", help="data set that fits the model")
    parser.add_argument("--n", type=int, default=1000, help="flips")
    parser.add_argument("--layer", action="append", help="a layer, or several joined by +; default: the last two")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    model = Zoo(CHECKPOINTS).entry(given.model).load()
    x, x_adv, y = flips(model, given.data, given.n)
    head = ("layers", "patched", "flips", "done", "size: median", "mean", "largest", "random sets", "s an image")
    table = Table(*head, title=f"{given.model} on {given.data}, PGD-20 at ε = {dataset(given.data).eps:g}")
    results, holds = {}, True
    for layers in given.layer or [*reversed(model.layers[-2:]), "+".join(model.layers)]:
        for restoring in (True, False):
            pair = (x_adv, x) if restoring else (x, x_adv)
            found = measured(model, layers.split("+"), *pair, y, restoring=restoring)
            results[f"{layers}/{'restored' if restoring else 'broken'}"] = found
            holds &= found["share"] >= 0.9 and found["random_share"] <= 0.2 and found["seconds_an_image"] <= 2
            table.add_row(
                layers, "natural into attacked" if restoring else "attacked into natural", f"{found['n']:,}",
                f"{found['share']:.1%}", f"{found['median_size']:g} of {found['channels']}",
                f"{found['mean_size']:.1f}", f"{found['largest']}", f"{found['random_share']:.2%}",
                f"{found['seconds_an_image']:.3f}",
            )  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n")
    Console(width=150).print(table)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
