"""Who carried the flip: how far each channel of a layer moved the margin from the natural to the attacked image.

The margin is M = f_rival − f_label. With z̃ what the layer hands on and G the mean of ∇_z̃ M on the straight way from
the natural z̃ to the attacked z̃', channel i carried Σ_j G_ij (z̃'_ij − z̃_ij), and all channels together the whole
change that passes through the layer (integrated gradients, arXiv 1703.01365, taken at the layer). Before a linear head
on pooled features G is the difference of two weight rows, so the sum is exact; elsewhere the integral is computed.

Where CIFS or CAS selects features, z̃ = m ⊙ z, and Δ(m z) = m̄ Δz + z̄ Δm splits it into what the features did and what
the importance did; m̄ and z̄ are the means of natural and attacked. Importance maps above the layer jump where the
classes they are assessed for change, and an integral misses jumps. So they walk a straight way of their own from
natural to attacked, and what they did stands beside the channels.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.gradient import gauss_legendre
from cifs.channels.selected import HandedOn, editing_selected, handed_on, holding_importance
from cifs.errors import InvalidParameter
from cifs.models import CNN
from cifs.modes import eval_mode, frozen
from cifs.progress import Progress, Report, unreported
from cifs.selection import pool

STEPS = 64
AT_ONCE = 64  # images in one pass


class MarginSplit(NamedTuple):
    """The change of the margin of each image, by channel."""

    rivals: Tensor  # (N,) the class whose score is compared with the label's
    natural: Tensor  # (N,) margin of the natural image
    adversarial: Tensor  # (N,)
    passed: Tensor  # (N,) the change when z̃' is put in the place of z̃: what passes through the layer
    by_features: Tensor  # (N, C)
    by_importance: Tensor | None  # (N, C); None at a plain layer
    by_maps_above: dict[str, Tensor]  # (N,) what the importance map of each modified layer above did
    exact: bool  # whether a linear head follows; else it is an integral

    @property
    def by_channel(self) -> Tensor:
        """(N, C)"""
        return self.by_features if self.by_importance is None else self.by_features + self.by_importance

    @property
    def change(self) -> Tensor:
        """(N,)"""
        return self.adversarial - self.natural

    @property
    def bypassed(self) -> Tensor:
        """The part of the change that goes around the layer, by a residual path (N,); 0 where there is none."""
        return self.change - self.passed

    @property
    def completeness_error(self) -> Tensor:
        """How far the parts' sum is from the change that passes through the layer, (N,)."""
        above = sum(self.by_maps_above.values(), torch.zeros_like(self.passed))
        return (self.by_channel.sum(dim=1) + above - self.passed).abs()


def margin(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    """f_rival − f_label: logits (N, K), labels and rivals (N,) → (N,)."""
    return (logits.gather(1, rivals[:, None]) - logits.gather(1, labels[:, None]))[:, 0]


def strongest_rivals(logits: Tensor, labels: Tensor) -> Tensor:
    """The class of largest logit that is not the label: (N, K), (N,) → (N,)."""
    return logits.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)


def margin_split(
    model: nn.Module,
    layer: str,
    x: Tensor,
    x_adv: Tensor,
    labels: Tensor,
    *,
    rivals: Tensor | None = None,
    steps: int = STEPS,
    report: Report = unreported,
) -> MarginSplit:
    """Who moved the margin between x and x_adv (N, C₀, H₀, W₀) at a layer of any CNN.

    labels (N,); rivals (N,), by default the strongest wrong class of the attacked image; steps: points of the integral
    (Gauss-Legendre) where no linear head follows. Raises UnknownName for a layer there is not, and InvalidParameter.
    """
    if steps < 1:
        raise InvalidParameter(f"steps = {steps}: the integral needs at least 1 point")
    natural, adversarial = handed_on(model, layer, x), handed_on(model, layer, x_adv)
    if rivals is None:
        rivals = strongest_rivals(adversarial.logits, labels)
    with editing_selected(model, layer, partial(_instead, adversarial.selected)):
        swapped = handed_on(model, layer, x)
    head = linear_head(model, natural)
    above: dict[str, Tensor] = {}
    if head is not None:
        rows = head.weight[rivals] - head.weight[labels]  # (N, C)
        slope = rows.detach()[:, :, None, None] / natural.selected[0, 0].numel()
    else:
        way = Way(natural.selected, adversarial.selected, _maps_above(model, layer, natural, swapped))
        slope, above = _walk(model, layer, x, way, (labels, rivals), steps, report)
    before, between, after = (margin(of.logits, labels, rivals) for of in (natural, swapped, adversarial))
    by_features, by_importance = _split(slope, natural, adversarial)
    return MarginSplit(rivals, before, after, between - before, by_features, by_importance, above, head is not None)


def _maps_above(model: nn.Module, layer: str, natural: HandedOn, swapped: HandedOn) -> dict[str, tuple[Tensor, Tensor]]:
    """Importance (N, C_l) of each modified layer above, of the natural image and once z̃' is handed on."""
    if not isinstance(model, CNN):
        return {}
    order = list(model.shapes)
    above = order[order.index(layer) + 1 :]
    both = natural.importances.keys() & swapped.importances.keys()
    return {name: (natural.importances[name], swapped.importances[name]) for name in above if name in both}


def _split(slope: Tensor, natural: HandedOn, adversarial: HandedOn) -> tuple[Tensor, Tensor | None]:
    """slope (N, C, H or 1, W or 1) → what features and importance did, each (N, C)."""
    if natural.importance is None or adversarial.importance is None:
        return (slope * (adversarial.selected - natural.selected)).sum(dim=(2, 3)), None
    grown = adversarial.features - natural.features
    mean_m = (natural.importance + adversarial.importance) / 2  # (N, C)
    mean_z = (natural.features + adversarial.features) / 2  # (N, C, H, W)
    by_features = mean_m * (slope * grown).sum(dim=(2, 3))
    return by_features, (adversarial.importance - natural.importance) * (slope * mean_z).sum(dim=(2, 3))


@torch.no_grad()
def linear_head(model: nn.Module, seen: HandedOn) -> nn.Linear | None:
    """The linear layer whose logits, of the pooled z̃, are the network's own on these images.

    None where more stands between the layer and the logits. It is told by computing, so it needs no knowledge of the
    architecture.
    """
    pooled, logits = pool(seen.selected), seen.logits
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for module in reversed(linear):
        fits = (module.in_features, module.out_features) == (pooled.shape[1], logits.shape[1])
        if fits and torch.allclose(module(pooled), logits, rtol=1e-4, atol=1e-4):
            return module
    return None


class Way(NamedTuple):
    """From the natural image's to the attacked image's."""

    start: Tensor  # z̃ (N, C, H, W)
    end: Tensor
    maps: Mapping[str, tuple[Tensor, Tensor]]  # m (N, C_l) of the modified layers above


def _walk(
    model: nn.Module, layer: str, x: Tensor, way: Way, classes: tuple[Tensor, Tensor], steps: int, report: Report
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean of ∇_z̃ M (N, C, H, W) on the straight way, the layer's input being that of x; what each map above did."""
    labels, rivals = classes
    slope = torch.zeros_like(way.start)
    above = {name: torch.zeros_like(labels, dtype=slope.dtype) for name in way.maps}
    points, weights = gauss_legendre(steps)
    per_pass = max(1, AT_ONCE // len(x))
    for t, weight in zip(points.to(slope).split(per_pass), weights.to(slope).split(per_pass), strict=True):
        report(Progress("integrating", total=steps))
        n = len(t)
        leaves = [_between(start, end, t) for start, end in ((way.start, way.end), *way.maps.values())]
        with eval_mode(model), frozen(model), torch.enable_grad(), ExitStack() as stack:
            stack.enter_context(editing_selected(model, layer, partial(_instead, leaves[0])))
            for name, m in zip(way.maps, leaves[1:], strict=True):
                assert isinstance(model, CNN)
                stack.enter_context(holding_importance(model, name, m))
            moved = margin(model(x.repeat(n, 1, 1, 1)), labels.repeat(n), rivals.repeat(n)).sum()
            gradients = torch.autograd.grad(moved, leaves)
        means = [torch.einsum("t,t...->...", weight, gradient.unflatten(0, (n, -1))) for gradient in gradients]
        slope += means[0]
        for (name, (start, end)), mean in zip(way.maps.items(), means[1:], strict=True):
            above[name] += (mean * (end - start)).sum(dim=1)
    return slope, above


def _instead(other: Tensor, z: Tensor) -> Tensor:
    return other.clone()  # a layer above may work in place, as ReLU(inplace=True)


def _between(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """Points t (T,) of the way from start to end (N, …), a leaf (T·N, …)."""
    t = t.view(-1, *[1] * start.ndim)
    return (start + t * (end - start)).flatten(0, 1).requires_grad_()
