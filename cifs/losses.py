"""Losses an attack maximises and training minimises. All are per image: (N,)."""

from collections.abc import Callable, Sequence
from math import isinf

import torch
import torch.nn.functional as F
from torch import Tensor

from cifs.errors import InvalidParameter
from cifs.registry import Registry

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (N, K), labels (N,) → (N,)
LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.register("ce")
def cross_entropy(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy."""
    return F.cross_entropy(logits, labels, reduction="none", label_smoothing=label_smoothing)


@LOSSES.register("margin")
def cw_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """CW margin max_{i≠y} f_i − f_y (arXiv 1608.04644, f_6).

    With CIFS's confidence of 50 the clamp never acts, so there is none.
    """
    score = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - score


@LOSSES.register("dlr")
def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """Difference of logits ratio (arXiv 2003.01690, eq. 6): the margin, free of the logits' scale.

    Raises InvalidParameter for K < 3.
    """
    if logits.shape[1] < 3:
        raise InvalidParameter(f"loss 'dlr': it needs 3 classes, there are {logits.shape[1]}; take 'ce' or 'margin'")
    ordered = logits.sort(dim=1, descending=True).values
    return cw_margin(logits, labels) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def dlr_targeted(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """Difference of logits ratio of the label and one other class (arXiv 2003.01690, eq. 7); rivals (N,).

    Raises InvalidParameter for K < 4.
    """
    if logits.shape[1] < 4:
        raise InvalidParameter(f"the targeted DLR loss needs 4 classes, there are {logits.shape[1]}; take 'apgd_ce'")
    ordered = logits.sort(dim=1, descending=True).values
    margin = logits.gather(1, rivals[:, None])[:, 0] - logits.gather(1, labels[:, None])[:, 0]
    return margin / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + 1e-12)


def margin_to(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """The margin f_r − f_y to one other class of each image's own; rivals (N,)."""
    return (logits.gather(1, rivals[:, None]) - logits.gather(1, labels[:, None]))[:, 0]


@LOSSES.register("probability_margin")
def probability_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Margin of probabilities max_{i≠y} p_i − p_y (PMA, arXiv 2411.15210)."""
    return cw_margin(logits.softmax(dim=1), labels)


def joint(loss: Loss, logits: Tensor, raw_predictions: Sequence[Tensor], labels: Tensor, beta: float) -> Tensor:
    """ℓ_β = 1/(1+β)·ℓ(p, y) + β/((1+β)|I|)·Σ_{l∈I} ℓ(p^l, y) (arXiv 2102.05311, eq. 5); β = ∞ is the probes alone.

    Without modified layers it is ℓ(p, y).
    """
    logits = logits.float()
    if not raw_predictions or beta == 0:
        return loss(logits, labels)
    probes = sum(loss(p.float(), labels) for p in raw_predictions) / len(raw_predictions)
    assert isinstance(probes, Tensor)
    share = 1.0 if isinf(beta) else beta / (1 + beta)  # not β·probes, which overflows for a large β
    return (1 - share) * loss(logits, labels) + share * probes
