"""`python -m benchmarks.laboratory`: how long each question of the laboratory takes, on the embedded natural network.

Prints seconds beside what is claimed, and exits with 1 where a claim does not hold. Run it on a machine that has
nothing else to do.
"""

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.__main__ import CHECKPOINTS, seconds
from cifs.attacks import PGD, perturb
from cifs.channels import Edits, Patching, Scaled, attack_again, circuits, film, margin_split, masks_of
from cifs.channels.exemplars import exemplars
from cifs.channels.faithfulness import faithfulness
from cifs.channels.response import response
from cifs.data import Images, dataset, load_images
from cifs.models import CNN, build
from cifs.zoo import Zoo

MODEL, DATA, INDEX = "fmnist-resnet10-w16-natural", "fashion_mnist_mini", 34
ROUNDS = 3
STREAMED, IN_ALL = 1_000, 10_000  # images looked through here, and of the claim


class Question(NamedTuple):
    name: str
    ask: Callable[[], object]
    claimed: float  # seconds
    times: float = 1  # what a round is multiplied by


def questions(model: CNN, x: Tensor, y: Tensor, attack: PGD) -> Iterator[Question]:
    x_adv = perturb(model, x, y, attack)
    last, inner = model.layers[-1], model.layers[-2]

    def circuit(layers: list[str]) -> object:
        return circuits(Patching(model, layers, x_adv, x, y, restoring=True))

    def edited_and_attacked() -> object:
        return attack_again(model, x, y, attack, Edits(masks_of(model, x, y, [Scaled(inner, "NR", 0.0)])))

    yield Question(f"margin by channel at {last}", lambda: margin_split(model, last, x, x_adv, y), 0.3)
    yield Question(f"margin by channel at {inner}", lambda: margin_split(model, inner, x, x_adv, y), 1.0)
    yield Question(f"circuit at {last}", lambda: circuit([last]), 2.0)
    yield Question("circuit over all layers", lambda: circuit(list(model.layers)), 2.0)
    yield Question("edited network, attacked again", edited_and_attacked, 2.5)
    yield Question("film of PGD-20", lambda: film(model, x, y, attack), 2.5)
    yield Question("response along 9 ε", lambda: response(model, last, x, y, attack, [i / 40 for i in range(9)]), 2.5)
    yield Question("notions of relevance on one image", lambda: faithfulness(model, inner, x, y), 2.5)
    yield stream()


def stream() -> Question:
    network = build("resnet18", width=16).to(memory_format=torch.channels_last).eval()
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (STREAMED, 3, 32, 32), generator=random, dtype=torch.uint8)
    images = Images(pixels, torch.randint(10, (STREAMED,), generator=random))

    def ask() -> object:
        batches = (images[index] for index in torch.arange(STREAMED).split(250))
        return exemplars(network, batches, dataset="random", split="test")

    name = f"exemplars of all channels, ResNet-18 of width 16, {IN_ALL:,} images (from {STREAMED:,})"
    return Question(name, ask, 300.0, IN_ALL / STREAMED)


def main() -> int:
    model = Zoo(CHECKPOINTS).entry(MODEL).load()
    x, y = load_images(DATA, "test").batch(slice(INDEX, INDEX + 1))
    table = Table("question", "seconds", "claimed", "holds", title=f"{MODEL}, image {INDEX} of {DATA}")
    failed = False
    for question in questions(model, x, y, PGD(eps=dataset(DATA).eps)):
        question.ask()
        taken = question.times * min(seconds(question.ask) for _ in range(ROUNDS))
        failed |= taken > question.claimed
        holds = "yes" if taken <= question.claimed else "NO"
        table.add_row(question.name, f"{taken:.3f}", f"≤ {question.claimed:g}", holds)
    console = Console(width=max(100, Console().width))
    console.print(table)
    console.print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
