"""The circuit of a failure: which channels' natural activations, patched into the attacked pass, bring the label back.

Greedy: of the channels that promise most by a first-order estimate, the one that moves the margin most is patched,
until the label is back; then every channel that turns out not to be needed is taken out again. What is left is
irreducible: no channel of it can be spared. In reverse, attacked activations patched into the natural pass make the
label fall.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cifs.channels.capture import capture, editing
from cifs.errors import InvalidParameter
from cifs.losses import cw_margin
from cifs.modes import eval_mode, frozen
from cifs.precision import generator
from cifs.progress import Progress, Report, unreported
from cifs.selection import attached_importance

CANDIDATES = 8  # channels of the best estimate, of which a step takes the one that is best indeed
AT_ONCE = 256  # images in one pass
CURVE_POINTS = 33  # of a curve against channels patched
RANDOM_ORDERS = 5


class Circuit(NamedTuple):
    """Of one image. Channels are numbered through the layers asked for, as `Patching.name` tells."""

    channels: Tensor  # (size,) in the order they were patched; the set is irreducible
    reached: bool  # whether patching them gives the prediction wanted
    order: Tensor  # (P,) the circuit, then all other channels by their estimate


class Patching:
    """Passes of images in which chosen channels have the activations they have for other images, the donors.

    Channels of all layers are numbered through: P in all. Raises UnknownName for a layer there is not.

    Args:
        layers: one or several names, in forward order.
        x: (N, C₀, H₀, W₀) images whose pass is patched.
        donors: (N, C₀, H₀, W₀) images whose activations are put in.
        labels: (N,) the margin is max_{i≠y} f_i − f_y.
        restoring: whether the label is to come back (margin < 0), else to fall (margin > 0).
    """

    def __init__(
        self, model: nn.Module, layers: Sequence[str], x: Tensor, donors: Tensor, labels: Tensor, *, restoring: bool
    ) -> None:
        if not layers or len(set(layers)) < len(layers):
            raise InvalidParameter(f"layers {list(layers)}: name at least one, and none twice")
        self.model, self.layers, self.x, self.labels = model, tuple(layers), x, labels
        self.sign = 1 if restoring else -1
        with torch.no_grad(), eval_mode(model), ExitStack() as stack:
            captured = [stack.enter_context(capture(model, layer)) for layer in layers]
            model(donors)
        self.donated = [features.features for features in captured]  # (N, C_l, H, W) each
        self.sizes = [z.shape[1] for z in self.donated]

    def __len__(self) -> int:
        """P"""
        return sum(self.sizes)

    def name(self, channel: int) -> tuple[str, int]:
        """The layer, and the channel's number in it."""
        for layer, size in zip(self.layers, self.sizes, strict=True):
            if channel < size:
                return layer, channel
            channel -= size
        raise InvalidParameter(f"channel {channel + len(self)}: there are {len(self)}")

    @contextmanager
    def _patched(self, images: Tensor, masks: Tensor) -> Iterator[None]:
        """images (M,) which of the batch, masks (M, P) bool."""
        with eval_mode(self.model), ExitStack() as stack:
            for layer, donated, mask in zip(self.layers, self.donated, masks.split(self.sizes, dim=1), strict=True):
                patch = partial(_put_in, donated[images], mask)
                stack.enter_context(editing(self.model, layer, patch))
            yield

    @torch.no_grad()
    def logits(self, images: Tensor, masks: Tensor) -> Tensor:
        """images (M,) which of the batch, masks (M, P) which channels are patched → (M, K)."""
        parts = []
        for i, mask in zip(images.split(AT_ONCE), masks.split(AT_ONCE), strict=True):
            with self._patched(i, mask):
                parts.append(self.model(self.x[i]))
        return torch.cat(parts)

    def margins(self, images: Tensor, masks: Tensor) -> Tensor:
        """images (M,), masks (M, P) → the margin of each (M,), signed so that below 0 is what is wanted."""
        return self.sign * cw_margin(self.logits(images, masks), self.labels[images])

    def estimates(self, images: Tensor, masks: Tensor) -> Tensor:
        """How far patching each further channel would move the signed margin, to first order: (M, P).

        Σ_j ∇_z M · (donated − z), of each channel in the pass patched so far.
        """
        leaves: list[Tensor] = []

        def keep(z: Tensor) -> Tensor:
            leaves.append(z if z.requires_grad else z.requires_grad_())
            return leaves[-1].clone()  # a layer above may work in place, as ReLU(inplace=True)

        with frozen(self.model), attached_importance(self.model), torch.enable_grad(), self._patched(images, masks):
            with ExitStack() as stack:
                for layer in self.layers:  # hooks run in the order they were attached: after the patch
                    stack.enter_context(editing(self.model, layer, keep))
                moved = self.sign * cw_margin(self.model(self.x[images]), self.labels[images]).sum()
            gradients = torch.autograd.grad(moved, leaves)
        pairs = zip(gradients, leaves, self.donated, strict=True)
        with torch.no_grad():
            return torch.cat([(g * (d[images] - z)).sum(dim=(2, 3)) for g, z, d in pairs], dim=1)


def _put_in(donated: Tensor, mask: Tensor, z: Tensor) -> Tensor:
    """donated and z (M, C, H, W), mask (M, C) bool"""
    return torch.where(mask[:, :, None, None], donated, z)


def circuits(
    patching: Patching, *, most: int | None = None, candidates: int = CANDIDATES, report: Report = unreported
) -> list[Circuit]:
    """Of every image of the batch; `most`: how many channels may be patched at most, by default all."""
    when = _grow(patching, most or len(patching), candidates, report)
    every = torch.arange(len(when), device=when.device)
    reached = patching.margins(every, when >= 0) < 0
    finished = []
    for i in every.tolist():
        report(Progress("sparing channels", i, len(when)))
        finished.append(_finish(patching, i, when[i], bool(reached[i]), report))
    return finished


def _grow(patching: Patching, most: int, candidates: int, report: Report) -> Tensor:
    """When each channel was patched, (N, P): 0 for the first, −1 for never."""
    n, channels = len(patching.x), len(patching)
    when = torch.full((n, channels), -1, device=patching.x.device)
    every = torch.arange(n, device=when.device)
    todo = every[patching.margins(every, when >= 0) >= 0]
    for step in range(min(most, channels)):
        if not len(todo):
            break
        report(Progress("patching channels", n - len(todo), n))
        now = when[todo] >= 0
        estimates = patching.estimates(todo, now).masked_fill(now, torch.inf)
        offered = estimates.topk(min(candidates, channels - step), dim=1, largest=False).indices  # (M, B)
        trials = now[:, None].repeat(1, offered.shape[1], 1).scatter_(2, offered[:, :, None], True)
        signed = patching.margins(todo.repeat_interleave(offered.shape[1]), trials.flatten(0, 1)).view(offered.shape)
        best, which = signed.min(dim=1)
        when[todo, offered.gather(1, which[:, None])[:, 0]] = step
        todo = todo[best >= 0]
    return when


def _finish(patching: Patching, image: int, when: Tensor, reached: bool, report: Report) -> Circuit:
    chosen = when.argsort()[(when < 0).sum() :]  # in the order they were patched
    if reached:
        chosen = _spare(patching, image, chosen, report)
    mask = torch.zeros_like(when, dtype=torch.bool)
    mask[chosen] = True
    index = torch.tensor([image], device=when.device)
    estimates = patching.estimates(index, mask[None])[0].masked_fill(mask, torch.inf)
    rest = estimates.argsort(stable=True)[: len(when) - len(chosen)]
    return Circuit(chosen, reached, torch.cat([chosen, rest]))


def _spare(patching: Patching, image: int, chosen: Tensor, report: Report) -> Tensor:
    """The chosen channels (S,) without those that are not needed, one after the other."""
    while len(chosen):
        report(Progress("sparing channels", image, len(patching.x)))
        without = torch.zeros(len(chosen), len(patching), dtype=torch.bool, device=chosen.device)
        without[:, chosen] = True
        without[torch.arange(len(chosen)), chosen] = False
        signed = patching.margins(torch.full_like(chosen, image), without)
        if signed.min() >= 0:
            break
        chosen = chosen[torch.arange(len(chosen), device=chosen.device) != signed.argmin()]
    return chosen


def first_of(order: Tensor, counts: Sequence[int], channels: int) -> Tensor:
    """Masks (len(counts), channels) of the first k of `order`, k in counts."""
    masks = torch.zeros(len(counts), channels, dtype=torch.bool, device=order.device)
    for mask, k in zip(masks, counts, strict=True):
        mask[order[:k]] = True
    return masks


def margin_curve(patching: Patching, image: int, order: Tensor, counts: Sequence[int]) -> Tensor:
    """The margin max_{i≠y} f_i − f_y of one image when the first k channels of `order` are patched, k in counts."""
    images = torch.full((len(counts),), image, device=order.device)
    return patching.sign * patching.margins(images, first_of(order, counts, len(patching)))


class MarginCurves(NamedTuple):
    """The margin max_{i≠y} f_i − f_y of one image against the number of channels patched, in several orders."""

    counts: list[int]  # (Q,) every one up to the circuit's size or so, then spread to all
    circuit: Tensor  # (Q,) the circuit first
    relevance: Tensor  # (Q,) by |relevance|
    random: Tensor  # (R, Q) random orders, the control


def margin_curves(patching: Patching, image: int, found: Circuit, relevance: Tensor) -> MarginCurves:
    """relevance (P,) of the channels, numbered as the circuit's."""
    size, channels = len(found.channels), len(patching)
    spread = torch.linspace(0, channels, CURVE_POINTS).round().int().tolist()
    counts = sorted({*spread, *range(0, min(size + 1, CURVE_POINTS)), size})
    by_relevance = relevance.abs().argsort(descending=True, stable=True)
    orders = random_orders(channels, RANDOM_ORDERS).to(by_relevance.device)
    return MarginCurves(
        counts,
        margin_curve(patching, image, found.order, counts),
        margin_curve(patching, image, by_relevance, counts),
        torch.stack([margin_curve(patching, image, order, counts) for order in orders]),
    )


def random_orders(channels: int, n: int, seed: int = 0) -> Tensor:
    """n orders of the channels, (n, channels); always the same ones for a seed."""
    random = generator(seed, channels)
    return torch.stack([torch.randperm(channels, generator=random) for _ in range(n)])


def share_of_random_sets(patching: Patching, image: int, size: int, *, draws: int = 20, seed: int = 0) -> float:
    """The share of random sets of `size` channels that do for this image what its circuit does."""
    masks = torch.zeros(draws, len(patching), dtype=torch.bool)
    masks.scatter_(1, random_orders(len(patching), draws, seed)[:, :size], True)
    images = torch.full((draws,), image)
    device = patching.x.device
    return float((patching.margins(images.to(device), masks.to(device)) < 0).float().mean())
