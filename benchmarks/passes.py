"""How often a network runs, counted and not timed."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from benchmarks.claim import Claim
from benchmarks.subjects import EMBEDDED, missing, subject
from benchmarks.turns import Scale
from cifs.attacks import FGSM, perturb
from cifs.channels import views
from cifs.channels.statistics import Gathered

DEEP = "cifar10-wrn28-w16-cifs-softmax"


@contextmanager
def counting(channels: int) -> Iterator[list[int]]:
    """Within the block, every forward pass of a network of images of so many channels adds how many images it took.

    Of any network in the process, for a server has its own: told by the convolution that takes the images.
    """
    passes: list[int] = []

    def note(module: nn.Module, args: tuple[Tensor, ...], z: object) -> None:
        if isinstance(module, nn.Conv2d) and module.in_channels == channels:
            passes.append(len(args[0]))

    handle = register_module_forward_hook(note)
    try:
        yield passes
    finally:
        handle.remove()


def claims(scale: Scale) -> Iterator[Claim]:
    given = subject(EMBEDDED if scale.tiny or missing(DEEP) else DEEP, scale.of(50, 2))
    model, layers = given.model, given.model.layers
    x_adv = perturb(model, given.x, given.y, FGSM(eps=given.eps))
    channels = given.x.shape[1]
    with counting(channels) as ours:
        Gathered(model).add(given.x, x_adv, given.y)
    with counting(channels) as singly:
        for layer in layers:
            for x in (given.x, x_adv):
                views(model, [layer], x, classes=given.y)
    text = f"channel statistics of all {len(layers)} layers of `{given.name}`, a batch, against layer by layer"
    yield Claim("channels/passes", text, f"{len(ours)}", f"{len(singly)}", len(ours), " passes", 0)
