"""How channels answer to an attack of growing ε."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.attacks import Attack, perturb
from cifs.channels.relevance import RELEVANCES
from cifs.channels.view import view
from cifs.progress import Progress, Report, unreported


class Response(NamedTuple):
    """E budgets, N images, C channels of a layer."""

    eps: tuple[float, ...]
    activation: Tensor  # a (E, N, C)
    relevance: Tensor  # true g for the label (E, N, C)
    predictions: Tensor  # (E, N)


def response(
    model: nn.Module,
    layer: str,
    x: Tensor,
    labels: Tensor,
    attack: Attack,
    eps: Sequence[float],
    *,
    report: Report = unreported,
) -> Response:
    """x (N, C₀, H₀, W₀) attacked at every ε, each attack from the natural images anew; ε = 0 is the natural images.

    The attack's step size stays in proportion where it is the default, ε/10.
    """
    true, activation, relevance, predictions = RELEVANCES["true"](), [], [], []
    for done, budget in enumerate(eps):
        report(Progress("attacking at each ε", done, len(eps)))
        x_adv = perturb(model, x, labels, replace(attack, eps=budget)) if budget else x
        seen = view(model, layer, x_adv, relevance=true, classes=labels)
        activation.append(seen.activation)
        relevance.append(seen.relevance)
        predictions.append(seen.logits.argmax(dim=1))
    return Response(tuple(eps), torch.stack(activation), torch.stack(relevance), torch.stack(predictions))
