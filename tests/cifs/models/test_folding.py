"""A folded model is the same function, with fewer operations, wherever that is true."""

import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import PGD, survives
from cifs.models import CNN, MODELS
from cifs.models.folding import folded
from cifs.models.trace import trace
from cifs.selection import CIFS, attached_importance
from tests.cifs.tiny import METHODS, fingerprint, images, liven, tiny


def batch_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("arch", MODELS)
@pytest.mark.parametrize("method", METHODS)
def test_logits_and_selections_stay_what_they_were(arch: str, method: str) -> None:
    model, (x, _) = tiny(method, arch=arch), images(16)
    twin = folded(model, x)
    before, after = trace(model, x), trace(twin, x)
    torch.testing.assert_close(after.logits, before.logits, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(after.layers.values(), before.layers.values(), strict=True):
        torch.testing.assert_close(ours.raw_prediction, theirs.raw_prediction, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.importance, theirs.importance, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_resnet_has_no_batch_norm_left_and_a_pre_activation_network_those_after_a_sum(method: str) -> None:
    x, _ = images(2)
    assert batch_norms(tiny(method, arch="resnet18")) == 20
    assert batch_norms(folded(tiny(method, arch="resnet18"), x)) == 0
    wide = tiny(method, arch="wrn16")  # 6 blocks of two, and the final one
    assert batch_norms(wide) == 13
    assert batch_norms(folded(wide, x)) < 8


@pytest.mark.parametrize("method", METHODS)
def test_a_stem_whose_output_a_shortcut_takes_too_is_all_that_is_left_of_a_wide_resnet(method: str) -> None:
    """As in WRN-28-1, whose first block has the stem's 16 channels: for that one pair nothing was folded once."""
    model, (x, _) = tiny(method, arch="wrn16", width=16), images(16)
    twin = folded(model, x)
    assert batch_norms(twin) == batch_norms(model) - 6  # one in each block
    torch.testing.assert_close(twin(x), model(x), atol=1e-5, rtol=1e-5)


def test_the_model_is_left_as_it_was_and_shares_what_is_not_folded() -> None:
    model, (x, _) = tiny("cifs").train(), images(4)
    before = {name: fingerprint(tensor) for name, tensor in model.state_dict().items()}
    twin = folded(model, x)
    assert {name: fingerprint(tensor) for name, tensor in model.state_dict().items()} == before
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(module.training for module in twin.modules())
    assert not any(parameter.requires_grad for parameter in twin.parameters())
    assert isinstance(twin, CNN)
    assert twin.fc.weight.data_ptr() == model.fc.weight.data_ptr()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_importance_map_stays_attached_in_the_copy() -> None:
    model, (x, _) = tiny("cifs"), images(2)
    with attached_importance(model):
        twin = folded(model, x)
    assert all(module.attached for module in twin.modules() if isinstance(module, CIFS))
    assert not any(module.attached for module in model.modules() if isinstance(module, CIFS))


class Shared(nn.Module):
    """A convolution whose output more than one module uses."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        z = self.conv(x)
        return self.fc((self.bn(z) + z).mean(dim=(2, 3)))


class InPlace(nn.Sequential):
    """A network that changes the images it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5))


class Uncopyable(nn.Sequential):
    def __deepcopy__(self, memo: object) -> "Uncopyable":
        raise RuntimeError("there is only one of me")


def convolution(cls: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    return cls(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))


def test_a_foreign_network_is_folded_too() -> None:
    model, (x, _) = convolution().eval(), images(8)
    liven(model)
    twin = folded(model, x)
    assert batch_norms(twin) == 0
    torch.testing.assert_close(twin(x), model(x), atol=1e-5, rtol=1e-5)


def test_a_network_that_changes_its_images_in_place_is_folded_and_the_images_stay() -> None:
    model, (x, _) = convolution(InPlace).eval(), images(8)
    liven(model)
    given = x.clone()
    twin = folded(model, x)
    assert torch.equal(x, given)
    assert batch_norms(twin) == 0
    torch.testing.assert_close(twin(x.clone()), model(x.clone()), atol=1e-5, rtol=1e-5)


def test_what_cannot_be_folded_safely_comes_back_itself() -> None:
    x, _ = images(4)
    hooked = convolution().eval()
    hooked[0].register_forward_hook(lambda module, args, output: output * 2)
    without_statistics = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    for model in (Shared().eval(), convolution(Uncopyable).eval(), hooked, without_statistics, nn.Flatten()):
        liven(model) if model is not without_statistics else None
        assert folded(model, x) is model
    model = tiny()
    assert folded(model, x[:0]) is model
    compiled = torch.compile(model, backend="eager")
    assert folded(compiled, x) is compiled


def test_of_a_folded_copy_only_what_the_model_confirms_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that says every image is fooled changes nothing: the model itself decides, in float32."""
    model, (x, _) = tiny(), images(12)
    y = model(x).argmax(dim=1)
    wrong = nn.Sequential(tiny(), nn.Flatten(), nn.Linear(10, 10))
    monkeypatch.setattr("cifs.attacks.loop.folded", lambda model, x: wrong)
    assert survives(model, x, y, PGD(eps=1e-6, steps=20), precision="bf16").all()
