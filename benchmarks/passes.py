"""How often a network runs, counted and not timed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from benchmarks.claim import Claim
from benchmarks.subjects import EMBEDDED, missing, subject
from benchmarks.turns import Scale
from cifs.attacks import FGSM, perturb
from cifs.channels import views
from cifs.channels.statistics import Gathered

DEEP = "cifar10-wrn28-w16-cifs-softmax"


@contextmanager
def counting(model: nn.Module) -> Iterator[list[int]]:
    """Within the block, a number is added for every forward pass: how many images its first convolution took."""
    passes: list[int] = []
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    handle = first.register_forward_hook(lambda module, args, z: passes.append(len(z)))
    try:
        yield passes
    finally:
        handle.remove()


def claims(scale: Scale) -> Iterator[Claim]:
    given = subject(EMBEDDED if scale.tiny or missing(DEEP) else DEEP, scale.of(50, 2))
    model, layers = given.model, given.model.layers
    x_adv = perturb(model, given.x, given.y, FGSM(eps=given.eps))
    with counting(model) as ours:
        Gathered(model).add(given.x, x_adv, given.y)
    with counting(model) as singly:
        for layer in layers:
            for x in (given.x, x_adv):
                views(model, [layer], x, classes=given.y)
    text = f"channel statistics of all {len(layers)} layers of `{given.name}`, a batch, against layer by layer"
    yield Claim("channels/passes", text, f"{len(ours)}", f"{len(singly)}", len(ours), " passes", 0)
