"""A model of ours inside of another is attacked as itself, or refused: never by a weaker attack without a word."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import APGDCE, PGD, Square, fooled_at, perturb, survives
from cifs.data import load_images
from cifs.errors import CIFSError, InvalidParameter
from cifs.models import CNN
from cifs.models.trace import trace, unwrap
from cifs.selection import CIFS
from cifs.zoo import Zoo
from tests.cifs.tiny import images, tiny


class Halved(nn.Module):
    """A normalisation that somebody puts in front of a model."""

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * 2 / 2 + 0.5


class Twice(nn.Module):
    """The mean of two passes, of the images and of their mirror images."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return (self.model(x) + self.model(x.flip(3))) / 2


def compiled(model: nn.Module) -> Any:
    return torch.compile(model, backend="eager")


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "Sequential": lambda model: nn.Sequential(Halved(), model),
    "DataParallel": nn.DataParallel,
    "compiled": compiled,
    "compiled in Sequential": lambda model: nn.Sequential(Halved(), compiled(model)),
    "Sequential compiled": lambda model: compiled(nn.Sequential(Halved(), model)),
    "compiled DataParallel": lambda model: compiled(nn.DataParallel(model)),
}


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_a_wrapped_model_falls_to_the_same_adversarial_images(wrap: str, method: str) -> None:
    model, (x, y) = tiny(method), images(12)
    wrapped = WRAPPERS[wrap](model)
    with torch.no_grad():
        wrapped(x)  # compiled before anything of ours is attached
    attack = PGD(eps=0.05, steps=4, beta=float("inf"))
    torch.testing.assert_close(perturb(wrapped, x, y, attack), perturb(model, x, y, attack), atol=1e-5, rtol=0)
    assert torch.equal(fooled_at(wrapped, x, y, attack), fooled_at(model, x, y, attack))
    assert not torch.equal(perturb(model, x, y, attack), perturb(model, x, y, PGD(eps=0.05, steps=4, beta=0)))


def test_the_probes_of_every_pass_count() -> None:
    model, (x, _) = tiny("cas"), images(4)
    raw = trace(Twice(model), x).raw_predictions
    one, mirrored = (model.trace(z).layers.values() for z in (x, x.flip(3)))
    for found, expected in zip(raw, [*one, *mirrored], strict=True):
        torch.testing.assert_close(found, expected.raw_prediction)


def test_through_the_mask_reaches_a_model_inside() -> None:
    model, (x, y) = tiny("cifs"), images(6)
    attack = PGD(eps=0.1, steps=3, beta=0, through_mask=True)
    wrapped = perturb(nn.Sequential(Halved(), model), x, y, attack)
    torch.testing.assert_close(wrapped, perturb(model, x, y, attack), atol=1e-5, rtol=0)


def test_what_wraps_a_model_is_taken_off() -> None:
    model = tiny()
    assert unwrap(compiled(nn.DataParallel(compiled(model)))) is model


class Hidden(nn.Module):
    """A model that is no submodule: neither eval mode nor frozen weights reach it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.call = [model]
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.call[0](x)


class Cropped(nn.Module):
    """Two crops an image: what a probe says is not of one image any more."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(torch.cat([x, x.flip(3)])).view(2, len(x), -1).mean(dim=0)


class Unused(nn.Module):
    """A modified layer that the forward pass goes around, as in a replica that runs elsewhere."""

    def __init__(self, model: CNN) -> None:
        super().__init__()
        self.model = model
        self.plain = tiny()

    def forward(self, x: Tensor) -> Tensor:
        return self.plain(x)


@pytest.mark.parametrize(
    ("wrap", "reason"),
    [
        (Hidden, "none of its modules"),
        (Cropped, "saw 4 images where Cropped was given 2"),
        (Unused, "did not run"),
        (torch.fx.symbolic_trace, "probes are no layers any more"),
        (lambda model: torch.jit.trace(model, images(2)[0], check_trace=False), "probes are no layers any more"),
    ],
    ids=["hidden", "cropped", "unused", "fx", "jit"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_a_model_that_hides_its_probes_is_refused_with_the_reason(
    wrap: Callable[[Any], nn.Module], reason: str
) -> None:
    x, y = images(2)
    wrapped = wrap(tiny("cifs"))
    for attack in (PGD(steps=2), APGDCE(steps=2), Square(queries=2)):
        with pytest.raises(CIFSError, match=reason):
            perturb(wrapped, x, y, attack)


def test_nothing_stays_attached() -> None:
    model, (x, y) = tiny("cifs"), images(2)
    perturb(nn.Sequential(Halved(), model), x, y, PGD(steps=2, through_mask=True))
    assert not torch.nn.modules.module._global_forward_hooks
    assert not any(module.attached for module in model.modules() if isinstance(module, CIFS))


def test_a_target_that_is_no_class_of_a_foreign_model_is_refused() -> None:
    foreign = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    x, _ = images(2)
    with pytest.raises(InvalidParameter, match="target = 4: the model's classes are 0 to 3"):
        perturb(foreign, x, torch.tensor([0, 1]), PGD(target=4))


@pytest.mark.slow
def test_the_flattering_figure_of_a_wrapped_cas_network_is_impossible() -> None:
    """CAS at β = ∞: an attack that does not see the probes leaves about ten points more."""
    model = Zoo(Path("checkpoints")).load("fmnist-resnet10-w16-cas")
    x, y = load_images("fashion_mnist_mini", "test")[:60].batch(slice(None))
    attack = PGD(eps=0.1, steps=10, beta=float("inf"))
    bare = survives(model, x, y, attack, precision="bf16")
    for wrap in ("Sequential", "compiled"):
        wrapped = survives(WRAPPERS[wrap](model), x, y, attack, precision="bf16")
        assert abs(int(wrapped.sum()) - int(bare.sum())) <= 1
    logits_alone = survives(model, x, y, PGD(eps=0.1, steps=10, beta=0), precision="bf16")
    assert int(logits_alone.sum()) > int(bare.sum())
