"""Accuracies on the validation images, by which the best checkpoint is chosen."""

from functools import partial

import torch
from torch import Tensor

from cifs.attacks import Attack, survives
from cifs.data import Images
from cifs.models import CNN
from cifs.modes import eval_mode
from cifs.precision import device_of
from cifs.progress import Progress, Report, unreported
from cifs.training.recipe import Recipe

BATCH = 500


def validate(model: CNN, images: Images, recipe: Recipe, report: Report = unreported) -> dict[str, float]:
    """{"validation_natural"}, with the recipe's attacks {…, "validation_robust", "validation_adaptive"} as well."""
    if len(images) == 0:
        return {}
    scores = {"validation_natural": natural_accuracy(model, images)}
    if recipe.checking_attack is not None:
        among = torch.ones(len(images), dtype=torch.bool)
        robust = _standing(model, images, among, recipe.checking_attack, recipe, report)
        scores["validation_robust"] = robust.float().mean().item()
        for attack in recipe.further_checking_attacks:
            robust = _standing(model, images, robust, attack, recipe, report)
            scores["validation_adaptive"] = robust.float().mean().item()
    return scores


def _standing(model: CNN, images: Images, among: Tensor, attack: Attack, recipe: Recipe, report: Report) -> Tensor:
    """Which of the images `among` (N,) bool withstand an attack, (N,) bool."""
    standing = torch.zeros_like(among)
    done, total = 0, int(among.sum())
    for index in among.nonzero()[:, 0].split(BATCH):
        tell = partial(_tell, report, Progress("validation", done, total))
        x, y = (t.to(device_of(model)) for t in images.batch(index))
        standing[index] = survives(model, x, y, attack, precision=recipe.precision, report=tell).cpu()
        done += len(index)
    return standing


def _tell(report: Report, validation: Progress, step: Progress) -> None:
    """At every step of an attack, how far the validation is."""
    report(validation)


@torch.no_grad()
def natural_accuracy(model: CNN, images: Images, *, batch_size: int = BATCH) -> float:
    """Share of images the model predicts right, in eval mode and float32."""
    right = 0
    with eval_mode(model):
        for index in torch.arange(len(images)).split(batch_size):
            x, y = (t.to(device_of(model)) for t in images.batch(index))
            right += int((model(x).argmax(dim=1) == y).sum())
    return right / len(images)
