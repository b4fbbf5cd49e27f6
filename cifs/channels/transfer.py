"""Transfer: what one model's adversarial images do to the others."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.attacks import Attack, perturb
from cifs.modes import eval_mode
from cifs.progress import Progress, Report, unreported


class TransferMatrix(NamedTuple):
    """S models, N images. Row: the model that was attacked; column: the one that is shown the image."""

    models: tuple[str, ...]
    natural: Tensor  # logits (S, N, K) of the natural images
    adversarial: Tensor  # logits (S, S, N, K)

    def fooled(self, labels: Tensor) -> Tensor:
        """Of the images the shown model gets right, the share it gets wrong once attacked, (S, S); NaN where none."""
        right = self.natural.argmax(dim=2) == labels  # (S, N)
        wrong = self.adversarial.argmax(dim=3) != labels  # (S, S, N)
        return (wrong & right).sum(dim=2) / right.sum(dim=1).float()


def transfer(
    models: Mapping[str, nn.Module], x: Tensor, labels: Tensor, attack: Attack, *, report: Report = unreported
) -> TransferMatrix:
    """x (N, C, H, W) and labels (N,) suit every model."""
    attacked = []
    for done, model in enumerate(models.values()):
        report(Progress("attacking each model in turn", done, len(models)))
        attacked.append(perturb(model, x, labels, attack, record=lambda step: report(Progress("attacking", step.step))))
    return shown_to_all(models, x, attacked)


def shown_to_all(models: Mapping[str, nn.Module], x: Tensor, attacked: Sequence[Tensor]) -> TransferMatrix:
    """attacked: of each model in turn what an attack on it made of x (N, C, H, W)."""
    natural = torch.stack([_logits(model, x) for model in models.values()])
    rows = [torch.stack([_logits(shown, x_adv) for shown in models.values()]) for x_adv in attacked]
    return TransferMatrix(tuple(models), natural, torch.stack(rows))


@torch.no_grad()
def _logits(model: nn.Module, x: Tensor) -> Tensor:
    with eval_mode(model):
        return model(x)
