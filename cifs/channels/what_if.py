"""What-if networks: hypothesis H by hand (arXiv 2102.05311, section 3.1).

Channels are suppressed, promoted or scaled, or another importance map selects features, at test time and without any
weight changed. What is attached comes off with the `with` block, so the edited network is a network like any other: it
predicts, and it can be attacked.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from cifs.attacks import Attack, Step, perturb
from cifs.channels.capture import capture, editing, intervene
from cifs.channels.margin import linear_head
from cifs.channels.relevance import RELEVANCES
from cifs.channels.selected import handed_on
from cifs.errors import InvalidParameter
from cifs.models import CNN
from cifs.modes import eval_mode
from cifs.precision import generator
from cifs.progress import Progress, Report, unreported
from cifs.selection import CIFS, IMGF, LinearProbe

WHAT_IF = "what_if"  # name of the module that selects features at a plain layer, while it is there


class Scaled(NamedTuple):
    """Channels of a layer times a factor: 0 suppresses them, 1 changes nothing, more than 1 promotes them."""

    layer: str
    channels: Literal["NR", "PR"] | Sequence[int]  # NR, PR: by each image's own true relevance for its label
    factor: float


class Reselected(NamedTuple):
    """Another importance map: its IMGF, and how many classes its relevance is assessed for."""

    layer: str
    imgf: IMGF
    k: int = 2


class Edits(NamedTuple):
    """What is changed about a network. Masks stand for a batch, (N, C), or for every image, (C,)."""

    masks: Mapping[str, Tensor]
    reselected: Sequence[Reselected] = ()

    def of(self, image: int) -> "Edits":
        """For one image of the batch."""
        return Edits({layer: mask[image] for layer, mask in self.masks.items()}, self.reselected)


def masks_of(model: nn.Module, x: Tensor, labels: Tensor, scaled: Sequence[Scaled]) -> dict[str, Tensor]:
    """Multipliers by layer, (N, C) each; several edits of one layer multiply.

    x (N, C₀, H₀, W₀) and labels (N,) say which channels are NR and PR: knowledge a defence would not have. Raises
    UnknownName for a layer there is not, and InvalidParameter for a channel it does not have.
    """
    masks: dict[str, Tensor] = {}
    for edit in scaled:
        chosen = _chosen(model, x, labels, edit)
        factor = torch.where(chosen, edit.factor, 1.0)
        masks[edit.layer] = masks.get(edit.layer, 1.0) * factor
    return masks


def _chosen(model: nn.Module, x: Tensor, labels: Tensor, edit: Scaled) -> Tensor:
    """(N, C) bool"""
    if isinstance(edit.channels, str):
        positive = RELEVANCES["true"]()(model, edit.layer, x, labels) > 0
        return positive if edit.channels == "PR" else ~positive
    with torch.no_grad(), eval_mode(model), capture(model, edit.layer) as captured:
        model(x[:1])
    chosen = torch.zeros(len(x), captured.features.shape[1], dtype=torch.bool, device=x.device)
    for channel in edit.channels:
        if not 0 <= channel < chosen.shape[1]:
            last = chosen.shape[1] - 1
            raise InvalidParameter(f"channel {channel}: layer {edit.layer!r} has channels 0 to {last}")
        chosen[:, channel] = True
    return chosen


def shuffled(masks: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The control: the same multipliers on randomly chosen channels of the same layer, for each image anew."""
    random = generator(seed)
    orders = {layer: torch.rand(mask.shape, generator=random).argsort(dim=1) for layer, mask in masks.items()}
    return {layer: mask.gather(1, orders[layer].to(mask.device)) for layer, mask in masks.items()}


@contextmanager
def edited(model: nn.Module, edits: Edits) -> Iterator[None]:
    """Within the block the model is the edited one. Masks act on the features, before any selection."""
    changes = [_change(model, reselected) for reselected in edits.reselected]  # before any mask is on the model
    with ExitStack() as stack:
        for layer, mask in edits.masks.items():
            stack.enter_context(intervene(model, layer, mask))
        for change in changes:
            stack.enter_context(change)
        yield


def _change(model: nn.Module, reselected: Reselected) -> AbstractContextManager[None]:
    if not isinstance(model, CNN):
        raise InvalidParameter("another IMGF needs a model of this project")
    if not 1 <= reselected.k <= model.num_classes:
        raise InvalidParameter(f"k = {reselected.k}: the number of classes must be from 1 to {model.num_classes}")
    if reselected.layer in model.modified:
        return _swapped(model.selector(reselected.layer), reselected)
    return _selecting(model, reselected, _head_as_probe(model, reselected.layer))


def _head_as_probe(model: CNN, layer: str) -> LinearProbe:
    blank = torch.zeros(2, *model.image_shape, device=model.mean.device)
    blank[1] = 1
    head = linear_head(model, handed_on(model, layer, blank))
    if head is None:
        raise InvalidParameter(f"layer {layer!r} has no probe, and no linear head follows that could stand in for one")
    probe = LinearProbe(head.in_features, head.out_features)
    probe.output = head
    return probe


@contextmanager
def _swapped(selector: CIFS, reselected: Reselected) -> Iterator[None]:
    before = selector.imgf, selector.k
    selector.imgf, selector.k = reselected.imgf, reselected.k
    try:
        yield
    finally:
        selector.imgf, selector.k = before


@contextmanager
def _selecting(model: CNN, reselected: Reselected, probe: LinearProbe) -> Iterator[None]:
    """CIFS at a plain layer before the linear head: the head is its own probe, for there the two are the same."""
    if hasattr(model, WHAT_IF):
        raise InvalidParameter(f"layer {reselected.layer!r} is given another IMGF twice")
    selection = CIFS(probe, reselected.imgf, k=reselected.k).eval()
    model.add_module(WHAT_IF, selection)  # so that an attack through the mask attaches this one too
    try:
        with editing(model, reselected.layer, lambda z: selection(z).selected):
            yield
    finally:
        delattr(model, WHAT_IF)


@torch.no_grad()
def predict(model: nn.Module, x: Tensor, edits: Edits) -> Tensor:
    """Logits (N, K) of the edited network."""
    with eval_mode(model), edited(model, edits):
        return model(x)


def attack_again(
    model: nn.Module, x: Tensor, labels: Tensor, attack: Attack, edits: Edits, *, report: Report = unreported
) -> Tensor:
    """Adversarial images (N, C₀, H₀, W₀) of the edited network: did the first attack only miss, or is it robust?

    One by one where the masks differ: an attack may drop images on its way, and each has its own.
    """

    def record(step: Step) -> None:
        report(Progress("attacking the edited network", step.step, attack.length))

    if all(bool((mask == mask[:1]).all()) for mask in edits.masks.values()):
        with edited(model, edits.of(0)):
            return perturb(model, x, labels, attack, record=record)
    adversarial = []
    for i in range(len(x)):
        with edited(model, edits.of(i)):
            adversarial.append(perturb(model, x[i : i + 1], labels[i : i + 1], attack, record=record))
    return torch.cat(adversarial)
