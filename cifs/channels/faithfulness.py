"""Relevance held to account: which notion of a channel's relevance says what happens when the channel is taken away?

Each notion orders the channels of an image. It is compared with ablation (rank correlation), and by taking channels
away, or putting them in, in its order while the score of the class is watched: the less is left when the first are gone
(deletion, arXiv 1806.07421), and the more is there when only the first are in (insertion), the more faithful it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.capture import capture, intervene
from cifs.channels.circuit import first_of
from cifs.channels.gradient import gradient_at
from cifs.channels.relevance import RELEVANCES
from cifs.channels.shift import Estimate, bootstrap
from cifs.errors import InvalidParameter
from cifs.modes import eval_mode
from cifs.precision import generator
from cifs.progress import Progress, Report, unreported
from cifs.registry import Registry, configure

AT_ONCE = 256  # images in one pass
FEW = 4  # images between two reports
CONDUCTANCE_STEPS = 32
POINTS = 17  # of a curve against the share of channels

Notion = Callable[[nn.Module, str, Tensor, Tensor], Tensor]  # model, layer, x, classes (N,) → (N, C)
NOTIONS: Registry[Notion] = Registry("notion of relevance")


@NOTIONS.register("true")
def true_relevance(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """True relevance g: the gradient of the score, summed over positions."""
    return RELEVANCES["true"]()(model, layer, x, classes)


@NOTIONS.register("assessed")
def assessed_relevance(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """Assessed relevance: by the layer's probe. InvalidParameter where there is none."""
    return configure(RELEVANCES, "assessed", {"k": 1})(model, layer, x, classes)


@NOTIONS.register("gradient_x_activation")
def gradient_x_activation(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """Gradient × activation: Σ_j ∇_z f_c · z, what the channel carries of the score to first order."""
    z, gradient = gradient_at(model, layer, x, classes)
    return (z * gradient).sum(dim=(2, 3))


@NOTIONS.register("conductance")
def conductance(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """Conductance (arXiv 1805.12233): ∇_z f_c · dz summed along the straight way from a black image to x."""
    total = torch.zeros(())
    before = _features(model, layer, torch.zeros_like(x))
    for k in range(CONDUCTANCE_STEPS):
        _, gradient = gradient_at(model, layer, x * (k + 0.5) / CONDUCTANCE_STEPS, classes)
        after = _features(model, layer, x * (k + 1) / CONDUCTANCE_STEPS)
        total = total + (gradient * (after - before)).sum(dim=(2, 3))
        before = after
    return total


@NOTIONS.register("ablation")
@torch.no_grad()
def ablation(model: nn.Module, layer: str, x: Tensor, classes: Tensor) -> Tensor:
    """Ablation: how far the score falls when the channel alone is silenced."""
    channels = _features(model, layer, x[:1]).shape[1]
    without = 1 - torch.eye(channels, device=x.device)
    with eval_mode(model):
        whole = model(x).gather(1, classes[:, None])
    return torch.stack([whole[i] - _scores(model, layer, x[i], classes[i], without) for i in range(len(x))])


@torch.no_grad()
def _features(model: nn.Module, layer: str, x: Tensor) -> Tensor:
    with eval_mode(model), capture(model, layer) as captured:
        model(x)
    return captured.features


@torch.no_grad()
def _logits(model: nn.Module, layer: str, x: Tensor, masks: Tensor) -> Tensor:
    """Of one image x (C₀, H₀, W₀) under each of the masks (M, C): (M, K)."""
    parts = []
    for mask in masks.split(AT_ONCE):
        with eval_mode(model), intervene(model, layer, mask):
            parts.append(model(x.expand(len(mask), *x.shape)))
    return torch.cat(parts)


def _scores(model: nn.Module, layer: str, x: Tensor, label: Tensor, masks: Tensor) -> Tensor:
    return _logits(model, layer, x, masks)[:, label]


class NotionReport(NamedTuple):
    """How faithful one notion is, over n images. Areas are under curves of the class's probability."""

    correlation: Estimate  # Spearman's rank correlation with ablation
    deletion: Estimate  # area: small is faithful
    insertion: Estimate  # area: large is faithful
    deletion_curve: Tensor  # (P,) mean probability when that share of channels is gone
    insertion_curve: Tensor  # (P,) when only that share is in


class Faithfulness(NamedTuple):
    shares: Tensor  # (P,) of the channels, 0 to 1
    notions: dict[str, NotionReport]  # by name, and "random" for the control
    correlations: Tensor  # (notions, notions) mean rank correlation of each with each, without the control


def faithfulness(
    model: nn.Module,
    layer: str,
    x: Tensor,
    classes: Tensor,
    *,
    notions: Sequence[str] | None = None,
    report: Report = unreported,
) -> Faithfulness:
    """x (N, C₀, H₀, W₀), classes (N,): whose score is explained. By default every notion the layer has.

    Raises UnknownName, and InvalidParameter for a notion that the layer does not have.
    """
    scores: dict[str, Tensor] = {}
    for name in notions or NOTIONS:
        try:
            scores[name] = _scored(name, model, layer, x, classes, report)
        except InvalidParameter:
            if notions:
                raise
    reference = scores.get("ablation")
    if reference is None:
        reference = _scored("ablation", model, layer, x, classes, report)
    scores["random"] = torch.rand(reference.shape, generator=generator(0, len(x))).to(x.device)
    counts = torch.linspace(0, reference.shape[1], min(POINTS, reference.shape[1] + 1)).round().int().tolist()
    reports = {}
    for name, values in scores.items():
        curves = []
        for i in range(len(x)):
            report(Progress(f"taking channels away by {name}", i, len(x)))
            curves.append(_curves(model, layer, x[i], classes[i], values[i], counts))
        reports[name] = _summary(torch.stack(curves), rank_correlation(values, reference))
    shares = torch.tensor(counts) / reference.shape[1]
    return Faithfulness(shares, reports, _matrix({k: v for k, v in scores.items() if k != "random"}))


def _scored(name: str, model: nn.Module, layer: str, x: Tensor, classes: Tensor, report: Report) -> Tensor:
    """(N, C), a few images at a time, so that it can be stopped."""
    parts: list[Tensor] = []
    for images, of_images in zip(x.split(FEW), classes.split(FEW), strict=True):
        report(Progress(f"attributing by {name}", FEW * len(parts), len(x)))
        parts.append(NOTIONS[name](model, layer, images, of_images))
    return torch.cat(parts)


def _curves(model: nn.Module, layer: str, x: Tensor, label: Tensor, values: Tensor, counts: list[int]) -> Tensor:
    """Probability of the class when the first k channels are gone, and when only they are in: (2, P)."""
    first = first_of(values.argsort(descending=True, stable=True), counts, len(values)).float()
    probabilities = _logits(model, layer, x, torch.cat([1 - first, first])).softmax(dim=1)[:, label]
    return probabilities.view(2, -1)


def _summary(curves: Tensor, correlation: Tensor) -> NotionReport:
    """curves (N, 2, P), correlation (N,)"""
    areas = ((curves[..., 1:] + curves[..., :-1]) / 2).mean(dim=2)  # trapezia, (N, 2)
    deletion, insertion = (_estimate(area) for area in areas.T)
    mean = curves.mean(dim=0)
    return NotionReport(_estimate(correlation), deletion, insertion, mean[0], mean[1])


def _estimate(values: Tensor) -> Estimate:
    estimate = bootstrap(values.double().cpu().numpy())
    return estimate or Estimate(float("nan"), float("nan"), float("nan"), 0)


def rank_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Spearman's, of each row of a and b (N, C), ties by their mean rank: (N,). NaN where a row has one value."""
    ranks = [_ranks(values) - (values.shape[1] - 1) / 2 for values in (a, b)]
    product = (ranks[0] * ranks[1]).sum(dim=1)
    return product / (ranks[0].norm(dim=1) * ranks[1].norm(dim=1))


def _ranks(values: Tensor) -> Tensor:
    """(N, C) float64; equal values share the mean of their ranks."""
    smaller = (values[:, :, None] > values[:, None, :]).sum(dim=2)
    equal = (values[:, :, None] == values[:, None, :]).sum(dim=2)
    return smaller.double() + (equal.double() - 1) / 2


def _matrix(scores: Mapping[str, Tensor]) -> Tensor:
    """Mean over images of the rank correlation of each notion with each."""
    every = list(scores.values())
    return torch.tensor([[float(rank_correlation(a, b).nanmean()) for b in every] for a in every])
