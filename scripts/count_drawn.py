"""Prints, as Markdown, how many of the embedded drawings each CIFAR-10 model gets right."""

from pathlib import Path

import torch

from cifs.data import load_images
from cifs.zoo import Zoo


@torch.no_grad()
def table(zoo: Zoo) -> str:
    x, y = load_images("cifar10_drawn", "test").batch(slice(None))
    lines = [f"| model | right, of {len(y)} |", "| --- | ---: |"]
    for model_id in zoo.ids():
        if zoo.entry(model_id).info.dataset == "cifar10":
            lines.append(f"| {model_id} | {int((zoo.load(model_id)(x).argmax(dim=1) == y).sum())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Zoo(Path("checkpoints"))))
