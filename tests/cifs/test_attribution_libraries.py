"""Libraries of the field run on our models unchanged, and keep what they promise: captum, zennit, grad-cam and the
attack libraries."""

import warnings

import pytest
import torch
import torch.nn.functional as F
import torchattacks
from captum.attr import DeepLift, GuidedBackprop, IntegratedGradients, LayerConductance
from pyautoattack import AutoAttack
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor
from zennit import composites
from zennit.attribution import Gradient

from cifs.attacks import PGD, perturb
from cifs.models import CNN, MODELS
from cifs.selection import attached_importance
from tests.cifs.tiny import K, images, tiny

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports a part of SciPy by its former name
    import foolbox

PLAIN = [(arch, "plain") for arch in MODELS]
EVERY = [*PLAIN, ("resnet10", "cifs"), ("wrn16", "cas")]
DEEP = {"resnet34", "wrn34", "wrn40"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Setting forward:UserWarning"),  # captum, of its hooks on ReLUs
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning"),
    pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients:UserWarning"),
]


def cases(kinds: list[tuple[str, str]]) -> pytest.MarkDecorator:
    of_kind = [pytest.param(*kind, marks=pytest.mark.slow) if kind[0] in DEEP else kind for kind in kinds]
    return pytest.mark.parametrize(("arch", "method"), of_kind)


def change(model: CNN, x: Tensor, baseline: Tensor, y: Tensor) -> Tensor:
    """What an attribution that is complete adds up to, (N,)."""
    with torch.no_grad():
        return (model(x) - model(baseline)).gather(1, y[:, None])[:, 0]


@cases(PLAIN)
def test_deep_lift_is_complete(arch: str, method: str) -> None:
    """With F.relu in the place of modules its error was the whole of the change."""
    model, (x, y) = tiny(method, arch=arch), images(3)
    baseline = torch.zeros_like(x)
    attributions, delta = DeepLift(model).attribute(x, baseline, target=y, return_convergence_delta=True)
    moved = change(model, x, baseline, y)
    assert delta.abs().max() < 1e-4 * moved.abs().max()
    torch.testing.assert_close(attributions.flatten(1).sum(dim=1), moved, atol=1e-6, rtol=1e-3)


@cases(PLAIN)
def test_integrated_gradients_and_conductance_of_every_stage_are_complete(arch: str, method: str) -> None:
    model, (x, y) = tiny(method, arch=arch).double(), images(2)
    x, baseline = x.double(), torch.zeros_like(x).double()
    moved = change(model, x, baseline, y)
    attributed = IntegratedGradients(model).attribute(x, baseline, target=y, n_steps=300, internal_batch_size=64)
    torch.testing.assert_close(attributed.flatten(1).sum(dim=1), moved, atol=2e-4, rtol=2e-2)
    for layer in (model.layers[0], model.layers[-1]):
        conductance = LayerConductance(model, model.get_submodule(layer))
        through = conductance.attribute(x, baseline, target=y, n_steps=300, internal_batch_size=64)
        torch.testing.assert_close(through.flatten(1).sum(dim=1), moved, atol=2e-4, rtol=2e-2)


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_integrated_gradients_are_complete_through_the_maps_while_the_classes_assessed_stay(method: str) -> None:
    """Where the top k change the network jumps, and no integral of its gradient can tell; so the baseline is near."""
    model, (x, y) = tiny(method, arch="resnet10").double(), images(3)
    x, baseline = x.double(), (x + 1e-3 * torch.randn_like(x)).double()
    moved = change(model, x, baseline, y)
    with attached_importance(model):
        attributed = IntegratedGradients(model).attribute(x, baseline, target=y, n_steps=50)
    torch.testing.assert_close(attributed.flatten(1).sum(dim=1), moved, atol=1e-6, rtol=5e-3)


@cases(EVERY)
def test_guided_backpropagation_is_the_same_by_captum_and_by_zennit(arch: str, method: str) -> None:
    model, (x, y) = tiny(method, arch=arch), images(2)
    by_captum = GuidedBackprop(model).attribute(x, target=y)
    with Gradient(model, composite=composites.GuidedBackprop()) as attributor:
        _, by_zennit = attributor(x, torch.eye(K)[y])
    torch.testing.assert_close(by_zennit, by_captum, atol=1e-6, rtol=1e-4)
    plain = torch.autograd.grad(model(leaf := x.clone().requires_grad_()).gather(1, y[:, None]).sum(), leaf)[0]
    assert not torch.allclose(by_captum, plain)  # the ReLUs were hooked


@cases(EVERY)
def test_layerwise_relevance_of_zennit_reaches_the_pixels_and_its_hooks_come_off(arch: str, method: str) -> None:
    model, (x, y) = tiny(method, arch=arch), images(2)
    before = model(x)
    with Gradient(model, composite=composites.EpsilonPlusFlat()) as attributor:
        _, relevance = attributor(x, torch.eye(K)[y])
    assert relevance.shape == x.shape
    assert relevance.isfinite().all()
    assert relevance.abs().sum() > 0
    assert torch.equal(model(x), before)


@cases(EVERY)
def test_grad_cam_is_the_relevance_times_the_features(arch: str, method: str) -> None:
    """At the stem, whose maps have the image's size: ReLU(Σ_i z_i g_i / n_F), scaled to [0, 1]."""
    model, (x, y) = tiny(method, arch=arch), images(2)
    with GradCAM(model=model, target_layers=[model.get_submodule("stem")]) as library:
        theirs = torch.from_numpy(library(input_tensor=x, targets=[ClassifierOutputTarget(int(c)) for c in y]))
    z = model.get_submodule("stem")((x - model.mean) / model.std).detach().requires_grad_()
    with torch.enable_grad():
        handle = model.get_submodule("stem").register_forward_hook(lambda module, args, output: z)
        gradient = torch.autograd.grad(model(x).gather(1, y[:, None]).sum(), z)[0]
        handle.remove()
    cam = F.relu((gradient.mean(dim=(2, 3), keepdim=True) * z).sum(dim=1)).detach()
    cam = cam - cam.amin(dim=(1, 2), keepdim=True)
    cam = cam / cam.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(theirs, cam, atol=1e-4, rtol=1e-3)


@cases(EVERY)
def test_pgd_of_foolbox_and_of_torchattacks_is_ours(arch: str, method: str) -> None:
    """Of models with probes: ours with β = 0, for the libraries see the logits alone."""
    model, (x, y) = tiny(method, arch=arch), images(4)
    ours = perturb(model, x, y, PGD(eps=0.1, steps=4, step_size=0.03, beta=0))
    libraries = foolbox.attacks.LinfPGD(abs_stepsize=0.03, steps=4, random_start=False)
    theirs, _, _ = libraries(foolbox.PyTorchModel(model, bounds=(0, 1)), x, y, epsilons=0.1)
    torch.testing.assert_close(theirs, ours, atol=1e-6, rtol=0)
    peer = torchattacks.PGD(model, eps=0.1, alpha=0.03, steps=4, random_start=False)
    torch.testing.assert_close(peer(x, y), ours, atol=1e-6, rtol=0)


@cases(EVERY)
def test_autoattack_of_its_authors_runs_and_stays_in_the_ball(arch: str, method: str) -> None:
    model, (x, _) = tiny(method, arch=arch), images(4)
    y = model(x).argmax(dim=1)
    attack = AutoAttack(model, eps=0.2, version="custom", attacks=["apgd-ce"])
    attack.apgd.n_iter = 5
    x_adv = attack.run_standard_evaluation(x, y)[0]
    assert (x_adv - x).abs().max() <= 0.2 + 1e-6
    assert (model(x_adv).argmax(dim=1) != y).any()
