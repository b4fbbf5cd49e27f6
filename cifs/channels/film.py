"""The attack as a film: what network and channels see at every iterate, and where its path leaves the natural one."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

import torch
from torch import Tensor

from cifs.attacks import Attack, Step, perturb
from cifs.channels.activation import activation
from cifs.channels.capture import capture
from cifs.losses import cw_margin
from cifs.models import CNN, Trace, trace
from cifs.modes import eval_mode
from cifs.progress import Progress, Report, unreported

AT_ONCE = 64  # iterates in one pass


class LayerFilm(NamedTuple):
    """What one layer sees, an iterate a row."""

    activation: Tensor  # a (T, C)
    importance: Tensor | None  # m (T, C) at a modified layer
    divergence: Tensor  # ‖z_t − z‖ / ‖z‖ from the natural image's features z (T,)


class Film(NamedTuple):
    """T iterates of an attack on one image, the starting point first. Of several runs the last one counts."""

    x: Tensor  # (T, C₀, H₀, W₀)
    loss: Tensor  # (T,) as maximised (targeted: minimised)
    logits: Tensor  # (T, K)
    margin: Tensor  # max over wrong classes of f_i − f_label (T,): above 0 the label has fallen
    layers: dict[str, LayerFilm]  # in forward order

    @property
    def falls_at(self) -> int | None:
        """The first iterate that is not predicted as the label."""
        fallen = (self.margin > 0).nonzero()
        return int(fallen[0]) if len(fallen) else None


def film(model: CNN, x: Tensor, label: Tensor, attack: Attack, *, report: Report = unreported) -> Film:
    """Of one image x (1, C₀, H₀, W₀) with its label (1,)."""
    steps: list[Step] = []

    def record(step: Step) -> None:
        report(Progress("attacking", step.step, attack.length))
        if step.step == 0:
            steps.clear()
        steps.append(step)

    perturb(model, x, label, attack, record=record)
    iterates = torch.cat([step.x for step in steps])
    natural = _features(model, x)[1]
    parts = [_seen(model, part, natural) for part in iterates.split(AT_ONCE)]
    logits = torch.cat([of_part for of_part, _ in parts])
    layers = {layer: _joined([seen[layer] for _, seen in parts]) for layer in model.layers}
    margin = cw_margin(logits, label.expand(len(logits)))
    return Film(iterates, torch.cat([step.loss for step in steps]), logits, margin, layers)


@torch.no_grad()
def _features(model: CNN, x: Tensor) -> tuple[Trace, dict[str, Tensor]]:
    """The trace, and the features (N, C, H, W) of every layer."""
    with eval_mode(model), ExitStack() as stack:
        captured = {layer: stack.enter_context(capture(model, layer)) for layer in model.layers}
        return trace(model, x), {layer: of_layer.features for layer, of_layer in captured.items()}


def _seen(model: CNN, x: Tensor, natural: dict[str, Tensor]) -> tuple[Tensor, dict[str, LayerFilm]]:
    (logits, selections), features = _features(model, x)
    layers = {}
    for layer, z in features.items():
        m = selections[layer].importance if layer in selections else None
        distance = (z - natural[layer]).flatten(1).norm(dim=1) / natural[layer].norm().clamp_min(1e-12)
        layers[layer] = LayerFilm(activation(z), m, distance)
    return logits, layers


def _joined(parts: Sequence[LayerFilm]) -> LayerFilm:
    m = [part.importance for part in parts if part.importance is not None]
    return LayerFilm(
        torch.cat([part.activation for part in parts]),
        torch.cat(m) if m else None,
        torch.cat([part.divergence for part in parts]),
    )


def most_moved(film: LayerFilm, n: int) -> Tensor:
    """The n channels whose activation the attack moved most from the first to the last iterate, (n,)."""
    return (film.activation[-1] - film.activation[0]).abs().argsort(descending=True, stable=True)[:n]
