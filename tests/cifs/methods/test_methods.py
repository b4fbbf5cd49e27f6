"""Every registered method: words, options, loss, and that a new one is one class."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cifs.attacks import PGD, perturb
from cifs.errors import InvalidParameter
from cifs.methods import METHODS, Method, selecting
from cifs.models import build
from cifs.registry import settings
from cifs.selection import LinearProbe, Selection, SelectionLayer, Trace, attached_importance, mask_matters, pool
from tests.cifs.tiny import K, images, liven, tiny

JOINT = [name for name, method in METHODS.items() if "loss" not in vars(method)]  # those without a loss of their own
SELECTING = [name for name, method in METHODS.items() if method.selects]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_is(name: str) -> None:
    assert METHODS[name].title
    assert METHODS[name].sentence


@pytest.mark.parametrize("name", SELECTING)
def test_a_methods_layer_selects_features_of_the_same_shape_with_logits_of_every_class(name: str) -> None:
    layer = METHODS[name]().layer(6, K, {"layer": "any"})
    assert isinstance(layer, SelectionLayer)
    z = torch.rand(3, 6, 4, 4)
    selection = layer.eval()(z)
    assert selection.selected.shape == z.shape
    assert selection.raw_prediction.shape == (3, K)
    assert selection.relevance.shape == selection.importance.shape == (3, 6)


def test_the_papers_methods_have_no_loss_of_their_own() -> None:
    assert {"natural", "vanilla", "cas", "cifs"} <= set(JOINT)


@pytest.mark.parametrize("name", JOINT)
def test_a_method_of_the_paper_minimises_the_joint_loss(name: str) -> None:
    """ℓ_β written out: 1/(1+β)·CE(p, y) + β/((1+β)|I|)·Σ CE(p^l, y)."""
    model, (x, y) = tiny(name if METHODS[name].selects else "plain"), images(5)
    traced, beta = model.trace(x, y), 2.0
    expected = F.cross_entropy(traced.logits, y, reduction="none")
    if traced.layers:
        probes = [F.cross_entropy(s.raw_prediction, y, reduction="none") for s in traced.layers.values()]
        expected = expected / (1 + beta) + beta / ((1 + beta) * len(probes)) * sum(probes)
    torch.testing.assert_close(METHODS[name]().loss(traced, y, beta), expected)


def test_a_method_without_layers_refuses_to_make_one() -> None:
    with pytest.raises(InvalidParameter, match="method 'vanilla' selects no features; choose from: cas, cifs"):
        METHODS["vanilla"]().layer(4, K, {"layer": "stem"})


def test_an_option_no_method_has_is_refused_and_one_of_another_is_passed_over() -> None:
    with pytest.raises(
        InvalidParameter, match="no method takes depth; known options: attached, .*hidden, imgf, k, label_in_training, "
    ):
        selecting("plain", {"depth": 3})
    assert selecting("plain", {"k": 3}) is None
    assert selecting("cas", {"imgf": None, "k": 2, "label_in_training": True}) == METHODS["cas"]()


@pytest.mark.parametrize(
    ("name", "probe", "matters"), [("cas", "mlp", False), ("cifs", "linear", False), ("cifs", "mlp", True)]
)
def test_the_map_matters_where_it_depends_on_the_features(name: str, probe: str, matters: bool) -> None:
    """Told by the gradient itself, attached and detached."""
    model, (x, y) = tiny(name, sites=[{"layer": "layer2.0", "probe": {"name": probe}}]), images(2)
    gradients = []
    for attached in (False, True):
        with attached_importance(model, attached):
            leaf = x.clone().requires_grad_()
            gradients.append(torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)[0])
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-7) != matters
    assert mask_matters(model) == matters


class Gate(SelectionLayer):
    """m = σ(z), position by position; what it damps is classified too."""

    carries_gradient = True

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.probe = LinearProbe(channels, num_classes)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Selection:
        mask = (z if self.attached else z.detach()).sigmoid()  # (N, C, H, W)
        damped, selected = (1 - mask) * z, mask * z
        auxiliary = {"damped": self.probe(damped)}
        return Selection(z, self.probe(selected), pool(z), pool(mask), selected, mask, auxiliary)


@pytest.fixture
def gating() -> Iterator[str]:
    """A method of somebody else's, registered for a while."""

    @METHODS.register("gating")
    @settings
    class Gating(Method):
        title: ClassVar[str] = "Gating"
        sentence: ClassVar[str] = "gated"
        selects: ClassVar[bool] = True

        weight: float = 0.5

        def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> Gate:
            return Gate(channels, num_classes)

        def loss(self, trace: Trace, labels: Tensor, beta: float) -> Tensor:
            loss = F.cross_entropy(trace.logits, labels, reduction="none")
            for selection in trace.layers.values():
                assert selection.auxiliary is not None
                loss = loss + self.weight * F.cross_entropy(selection.auxiliary["damped"], labels, reduction="none")
            return loss

    yield "gating"
    del METHODS._things["gating"]


def test_a_new_method_is_one_class(gating: str) -> None:
    """It is built, configured, traced, attacked through its masks and trained by what it says of itself alone."""
    model, (x, y) = build("resnet10", width=4, image_size=8, method=gating, weight=0.25).eval(), images(4)
    liven(model)
    assert model.config["weight"] == 0.25
    traced = model.trace(x)
    mask = traced.layers["layer4.0"].mask
    assert mask is not None
    assert torch.equal(traced.layers["layer4.0"].selected, mask * traced.layers["layer4.0"].features)
    assert mask_matters(model)
    attacked = [perturb(model, x, y, PGD(eps=0.1, steps=2, through_mask=through)) for through in (False, True)]
    assert not torch.equal(*attacked)
    assert model.selecting is not None
    model.selecting.loss(traced, y, 2.0).sum().backward()
    assert model.selector("layer4.0").probe.output.weight.grad.abs().sum() > 0
