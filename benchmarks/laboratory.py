"""What each question of the laboratory takes, on one image and the embedded natural network."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.circuit import flips, measured
from benchmarks.claim import Claim
from benchmarks.subjects import CHECKPOINTS
from benchmarks.turns import Scale, shown
from cifs.attacks import PGD, perturb
from cifs.channels import (
    Edits,
    Patching,
    Reselected,
    Scaled,
    Surveyor,
    attack_again,
    circuits,
    film,
    grad_cam,
    integrated_gradients,
    margin_split,
    masks_of,
    transfer,
)
from cifs.channels.exemplars import exemplars
from cifs.channels.faithfulness import faithfulness
from cifs.channels.response import response
from cifs.channels.visualisation import channel_direction, optimise
from cifs.data import Images, dataset, load_images
from cifs.models import CNN, build
from cifs.selection.imgf import Softmax
from cifs.tasks.analysing import Subject, analyse
from cifs.zoo import Zoo

MODEL, DATA, INDEX = "fmnist-resnet10-w16-natural", "fashion_mnist_mini", 34
OTHER, SURVEYED = "fmnist-resnet10-w16-vanilla", 32
STREAMED, ATTACKED, IN_ALL = 1_000, 250, 10_000  # images looked through here; those attacked too; of the claim


class Question(NamedTuple):
    key: str
    text: str
    ask: Callable[[], object]
    times: float = 1  # what a round is multiplied by


def claims(scale: Scale) -> Iterator[Claim]:
    model = Zoo(CHECKPOINTS).entry(MODEL).load()
    x, y = load_images(DATA, "test").batch(slice(INDEX, INDEX + 1))
    for question in (
        *questions(model, x, y, PGD(eps=dataset(DATA).eps)),
        *streams(scale.of(STREAMED, 2), scale.of(ATTACKED, 2)),
    ):
        (once,) = scale.in_turns(question.ask, rounds=2, seconds=20)
        taken = question.times * once
        yield Claim(f"laboratory/{question.key}", question.text, shown(taken), "", taken, " s")
    yield restored(model, scale.of(50, 2))


def questions(model: CNN, x: Tensor, y: Tensor, attack: PGD) -> Iterator[Question]:
    x_adv = perturb(model, x, y, attack)
    last, inner = model.layers[-1], model.layers[-2]

    def circuit(layers: list[str]) -> object:
        return circuits(Patching(model, layers, x_adv, x, y, restoring=True))

    def edited_and_attacked() -> object:
        return attack_again(model, x, y, attack, Edits(masks_of(model, x, y, [Scaled(inner, "NR", 0.0)])))

    def along_eps() -> object:
        return response(model, last, x, y, attack, [i / 40 for i in range(9)])

    yield Question("margin", f"margin by channel at {last}, one image", lambda: margin_split(model, last, x, x_adv, y))
    yield Question("integral", f"margin by channel at {inner}", lambda: margin_split(model, inner, x, x_adv, y))
    yield Question("circuit", f"circuit at {last}", lambda: circuit([last]))
    yield Question("circuit of all", "circuit over all layers", lambda: circuit(list(model.layers)))

    def saliency() -> object:
        return grad_cam(model, inner, x, y), integrated_gradients(model, x, y)

    def other_imgf() -> object:
        return attack_again(model, x, y, attack, Edits({}, [Reselected(last, Softmax())]))

    yield Question("saliency", "Grad-CAM and Integrated Gradients", saliency)
    yield Question("edited", "edited network, attacked again", edited_and_attacked)
    yield Question("imgf", "another IMGF in the network, attacked again", other_imgf)
    yield Question("film", "film of PGD-20", lambda: film(model, x, y, attack))
    yield Question("response", "response along 9 ε", along_eps)

    def many() -> object:
        surveyor, (images, labels) = Surveyor(model), load_images(DATA, "test").batch(slice(SURVEYED))
        surveyor.add(images, perturb(model, images, labels, attack), labels)
        return surveyor.survey()

    def page() -> object:
        return analyse(Subject(model, last, x, y, attack))

    def optimised() -> object:
        return optimise(model, inner, channel_direction(model.shapes[inner][0], 10, x.device), model.image_shape)

    yield Question("page", "all findings of one image's page", page)
    yield Question("optimised", f"an image optimised for a channel of {inner}", optimised)
    others = {"one": model, "another": Zoo(CHECKPOINTS).entry(OTHER).load()}
    yield Question("survey", f"survey of {SURVEYED} images", many)
    yield Question("models", "two models, what fools which", lambda: transfer(others, x, y, attack))
    yield Question("faithfulness", "notions of relevance on one image", lambda: faithfulness(model, inner, x, y))


def streams(n: int, attacked: int) -> Iterator[Question]:
    """What the exemplars of all channels cost: of natural images, and of attacked ones beside them."""
    network = build("resnet18", width=16).to(memory_format=torch.channels_last).eval()
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, 3, 32, 32), generator=random, dtype=torch.uint8)
    images = Images(pixels, torch.randint(10, (n,), generator=random))

    def ask(count: int, attack: PGD | None = None) -> object:
        batches = (images[index] for index in torch.arange(count).split(250))
        return exemplars(network, batches, dataset="random", split="test", attack=attack, precision="bf16")

    of = f"ResNet-18 of width 16, {IN_ALL:,} images"
    yield Question("exemplars", f"exemplars of all channels, {of} (from {n:,})", lambda: ask(n), IN_ALL / n)
    text, pgd = f"exemplars of all channels, natural and under PGD-20, {of} (from {attacked:,})", PGD(eps=8 / 255)
    yield Question("exemplars attacked", text, lambda: ask(attacked, pgd), IN_ALL / attacked)


def restored(model: CNN, n: int) -> Claim:
    """How many labels of flips their circuits bring back; beside it random sets of channels."""
    x, x_adv, y = flips(model, DATA, n)
    outcome = measured(model, [model.layers[-1]], x_adv, x, y, restoring=True)
    text = f"labels that circuits at {model.layers[-1]} bring back, of {n} flips, against random sets of their size"
    ours, by_chance = (f"{100 * outcome[key]:.1f} %" for key in ("share", "random_share"))
    return Claim("laboratory/restored", text, ours, by_chance, 100 * outcome["share"], " %", 1)
