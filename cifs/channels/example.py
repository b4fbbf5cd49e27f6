"""Which image tells the story: the attack fools the model on it, and holding its NR channels back undoes that."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.activation import activation
from cifs.channels.capture import capture, intervene
from cifs.channels.relevance import RELEVANCES
from cifs.modes import eval_mode


class Retelling(NamedTuple):
    """What an attack and its undoing came to, image by image, each (N,) bool."""

    fooled: Tensor  # right before the attack, wrong after
    shifted: Tensor  # the attack raised most NR channels and lowered most PR channels, at every layer
    share: Tensor  # (N,) of NR channels raised and of PR channels lowered, mean of both kinds and all layers
    restored: Tensor  # right again once the NR channels are zeroed, at every layer
    by_chance: Tensor  # right again once as many random channels are zeroed, at any layer


@torch.no_grad()
def retell(model: nn.Module, layers: Sequence[str], x: Tensor, x_adv: Tensor, y: Tensor, *, seed: int = 0) -> Retelling:
    """x, x_adv (N, C₀, H, W), labels y (N,); NR are the natural image's channels with true relevance g ≤ 0."""
    random = torch.Generator().manual_seed(seed)
    with eval_mode(model):
        fooled = (model(x).argmax(dim=1) == y) & (model(x_adv).argmax(dim=1) != y)
        shifted, restored, by_chance = (torch.full_like(fooled, value) for value in (True, True, False))
        share = torch.zeros(len(x), device=x.device)
        for layer in layers:
            pr = RELEVANCES["true"]()(model, layer, x, y) > 0  # (N, C)
            rose, fell = _moved(pr, _activations(model, layer, x_adv) - _activations(model, layer, x))
            shifted &= (rose > 0.5) & (fell > 0.5)
            share += (rose + fell) / (2 * len(layers))
            shuffled = torch.stack([row[torch.randperm(len(row), generator=random).to(row.device)] for row in pr])
            restored &= _right_under(model, layer, pr, x_adv, y)
            by_chance |= _right_under(model, layer, shuffled, x_adv, y)
    return Retelling(fooled, shifted, share, restored, by_chance)


def _activations(model: nn.Module, layer: str, x: Tensor) -> Tensor:
    with capture(model, layer) as captured:
        model(x)
    return activation(captured.features)  # (N, C)


def _moved(pr: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """Of each image's NR channels the share that rose, of its PR channels the share that fell, each (N,)."""
    rose, fell = ((change > 0) & ~pr).sum(dim=1), ((change < 0) & pr).sum(dim=1)
    return rose / (~pr).sum(dim=1).clamp(min=1), fell / pr.sum(dim=1).clamp(min=1)


def _right_under(model: nn.Module, layer: str, mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
    with intervene(model, layer, mask.float()):
        return model(x).argmax(dim=1) == y


def most_telling(retelling: Retelling) -> tuple[int, bool]:
    """Of the images that tell the whole story the one whose channels moved most as claimed, and whether there is one.

    Where there is none: of the images that are fooled; else the first of all.
    """
    tells = telling(retelling)
    for which in (tells, retelling.fooled):
        if which.any():
            return int(retelling.share.where(which, -1.0).argmax()), which is tells
    return 0, False


def telling(retelling: Retelling) -> Tensor:
    """Fooled, the channels shifted as the paper says, and undone by zeroing NR channels but not by chance: (N,)."""
    return retelling.fooled & retelling.shifted & retelling.restored & ~retelling.by_chance
