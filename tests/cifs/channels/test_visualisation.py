"""Optimised images against optima known in closed form, and the control that tells a channel from any other."""

import pytest
import torch
from torch import Tensor, nn

from cifs.channels.visualisation import channel_direction, optimise, random_direction
from cifs.errors import InvalidParameter, UnknownName
from tests.cifs.tiny import images, tiny

SHAPE = (1, 8, 8)


class Matched(nn.Module):
    """Channel c is ⟨w_c, x⟩: over images in [0, 1] it is largest, Σ max(w, 0), where x = 1 wherever w > 0."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.features = nn.Conv2d(weight.shape[1], len(weight), weight.shape[2:], bias=False)
        self.features.weight.data.copy_(weight)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.features(x).mean(dim=(2, 3))
        return logits


@pytest.fixture
def matched() -> Matched:
    """Channel 0 wants the upper half bright, channel 1 the lower half, channel 2 noise."""
    weight = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    weight[0], weight[1] = 0.1, 0.1
    weight[0, :, 4:], weight[1, :, :4] = -0.1, -0.1
    return Matched(weight)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_it_reaches_the_optimum_that_is_known_in_closed_form(matched: Matched, channel: int) -> None:
    found = optimise(matched, "features", channel_direction(3, channel), SHAPE, steps=200, robust=False)
    w = matched.features.weight[channel].detach()
    most = float(w.clamp_min(0).sum())
    assert 0.97 * most < found.reached <= most + 1e-5
    assert found.reached == pytest.approx(float((w * found.image).sum()), abs=1e-5)
    assert float(((found.image[0] > 0.5) == (w > 0)).float().mean()) > 0.9
    assert found.start < found.reached == max(found.climb)
    assert float(found.image.min()) >= 0
    assert float(found.image.max()) <= 1


def test_transformations_leave_an_optimum_that_does_not_depend_on_the_place(matched: Matched) -> None:
    """A 3×3 mean filter is largest on a white image, wherever it is moved to."""
    mean = Matched(torch.full((1, 1, 3, 3), 1 / 9))
    found = optimise(mean, "features", channel_direction(1, 0), SHAPE, steps=200)
    assert found.reached > 0.95
    robust = optimise(matched, "features", channel_direction(3, 0), SHAPE, steps=200)
    assert float(robust.image[..., :4, :].mean()) > 0.85  # still the upper half, though each step saw it moved
    assert float(robust.image[..., 4:, :].mean()) < 0.15


def test_an_image_of_a_random_direction_leaves_the_channel_colder_than_its_own(matched: Matched) -> None:
    own = optimise(matched, "features", channel_direction(3, 0), SHAPE, steps=100)
    direction = random_direction(3, without=0, seed=1)
    control = optimise(matched, "features", direction, SHAPE, steps=100)
    assert direction[0] == 0
    assert float(direction.norm()) == pytest.approx(1)
    assert float(control.activation[0]) < 0.5 * own.reached


def test_a_seed_gives_the_same_image_and_nothing_stays_on_the_model() -> None:
    model = tiny("cifs")
    shape, before = model.image_shape, [p.requires_grad for p in model.parameters()]
    direction = channel_direction(model.shapes["layer3.0"][0], 3)
    first, again, other = (optimise(model, "layer3.0", direction, shape, steps=5, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(first.image, again.image)
    assert not torch.equal(first.image, other.image)
    assert first.image.shape == (1, *shape)
    assert [p.requires_grad for p in model.parameters()] == before
    assert all(p.grad is None for p in model.parameters())
    x, _ = images(1)
    assert not model(x).isnan().any()


def test_what_is_not_there_is_refused_with_its_name() -> None:
    model = tiny()
    with pytest.raises(UnknownName, match="'layer9'"):
        optimise(model, "layer9", channel_direction(4, 0), model.image_shape, steps=1)
    with pytest.raises(InvalidParameter, match="a direction of 3 entries; layer 'layer4.0' has"):
        optimise(model, "layer4.0", channel_direction(3, 0), model.image_shape, steps=1)
