"""What a study costs before it is run: FLOPs by closed form, and seconds at a stated throughput.

FLOPs = 2 · multiply-adds of a forward pass · passes · images. A step of an attack and a step of training are each three
forward passes (forward, and a backward pass of twice its size; arXiv 2001.08361, section 2.1). The attacks
of validation and measuring drop images that are fooled: `standing` says which share they go on with, and 1 is an upper
bound. Batch norm, activations and augmentation are not counted.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from cifs.attacks import PGD, Attack
from cifs.data import dataset, load_images
from cifs.evaluation import settings_to_try
from cifs.models import CNN, build
from cifs.models.cost import multiply_adds
from cifs.modes import eval_mode, frozen
from cifs.precision import autocast, usable_device
from cifs.studies.plan import CHECKPOINTS, Cell, Study
from cifs.training import Recipe
from cifs.verdict import stages_for

STEP = 3  # forward passes that a gradient step costs
MEASURED_BY = 4  # attacks that every network meets on the measured images
TRAINING_IMAGES = {"cifar10": 50_000, "cifar100": 50_000, "svhn": 73_257, "fashion_mnist": 60_000}
BATCH, TIMED = 64, 3  # of the measurement of a machine


@dataclass(frozen=True)
class CellCost:
    """FLOPs of one cell."""

    cell: str
    training: float
    validating: float
    measuring: float

    @property
    def total(self) -> float:
        return self.training + self.validating + self.measuring


def costs(study: Study, *, standing: float = 1.0) -> Iterator[CellCost]:
    """Of every cell in the study's order."""
    known: dict[Any, CellCost] = {}
    for cell in study.cells():
        alike = cell.regime, cell.arm
        if alike not in known:
            known[alike] = cost_of(study, cell, standing=standing)
        yield replace(known[alike], cell=cell.id)


def cost_of(study: Study, cell: Cell, *, standing: float = 1.0) -> CellCost:
    """Raises UnknownName, InvalidParameter or DataError."""
    recipe = study.recipe_of(cell)
    model = network_of(recipe)
    forward = 2.0 * multiply_adds(model)
    return CellCost(
        cell.id,
        training=forward * training_passes(recipe),
        validating=forward * standing * validation_passes(recipe),
        measuring=forward * standing * measuring_passes(study, recipe, model),
    )


def network_of(recipe: Recipe) -> CNN:
    """As training would build it, with weights that mean nothing."""
    data = dataset(recipe.dataset)
    shape = {"num_classes": len(data.classes), "in_channels": data.image_shape[0], "image_size": data.image_size}
    with torch.random.fork_rng(devices=[]):
        return build(**{**shape, **recipe.model}).eval()


def training_passes(recipe: Recipe) -> int:
    """Forward passes of one image in a whole training; the images that fill no batch are left out, as in training."""
    images = recipe.images or _training_images(recipe.dataset) - recipe.validation
    steps = recipe.epochs * (images // recipe.batch_size)
    method = network_of(recipe).selecting
    gradients = _steps(recipe.training_attack) + 1 + (method is not None and method.pairs)
    return steps * recipe.batch_size * gradients * STEP


def validation_passes(recipe: Recipe) -> int:
    """Natural predictions, and every attack on all images with a look at its end."""
    times = -(-recipe.epochs // recipe.validate_every)
    attacks = [recipe.checking_attack, *recipe.further_checking_attacks]
    return times * recipe.validation * (1 + sum(_steps(attack) * STEP + 1 for attack in attacks if attack is not None))


def measuring_passes(study: Study, recipe: Recipe, model: CNN) -> int:
    """Of the best and the last network."""
    attack = PGD(steps=20)
    if study.levels != "attacks":
        steps = sum(stage.attack.length * share for stage in stages_for(model) for share in stage.shares)
        steps += attack.length * (study.levels == "bounds")
        return round(len(CHECKPOINTS) * study.test_images * (1 + steps * STEP))
    sweep = len(settings_to_try(model, attack)) * recipe.validation
    measured = MEASURED_BY * study.test_images
    return len(CHECKPOINTS) * (study.test_images + (sweep + measured) * attack.length * STEP)


def _steps(attack: Attack | None) -> int:
    return 0 if attack is None else attack.length


def _training_images(name: str) -> int:
    """Also where the images are not at hand."""
    return TRAINING_IMAGES.get(name) or len(load_images(name, "train"))


def throughput(
    recipe: Recipe, *, device: str = "cpu", clock: Callable[[], float] = time.perf_counter, steps: int = TIMED
) -> float:
    """FLOPs a second of this machine, as busy as it is now, in gradient steps of this recipe's network.

    Raises InvalidParameter for a device that cannot be used.
    """
    at = usable_device(device)
    model = network_of(recipe).to(at).to(memory_format=torch.channels_last)
    x = torch.rand(BATCH, *model.image_shape, device=at).contiguous(memory_format=torch.channels_last)
    began = clock()
    with eval_mode(model), frozen(model):
        for step in range(steps + 1):
            if step == 1:  # the first chooses kernels
                began = clock()
            leaf = x.clone().requires_grad_()
            with autocast(at, recipe.precision):
                loss = model(leaf).float().logsumexp(dim=1).sum()
            float(torch.autograd.grad(loss, leaf)[0].sum())  # waits for the device
    return steps * BATCH * STEP * 2.0 * multiply_adds(model) / (clock() - began)
