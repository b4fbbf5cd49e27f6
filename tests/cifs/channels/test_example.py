"""The image that tells the story is the one a network made by hand says it is."""

import pytest
import torch
from torch import Tensor, nn

from cifs.channels import Retelling, most_telling, retell, telling


class ByHand(nn.Module):
    """Channels are the input's own; class 0 sums the first half of them, class 1 the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        a = self.features(x).mean(dim=(2, 3))
        return torch.stack([a[:, : self.channels // 2].sum(dim=1), a[:, self.channels // 2 :].sum(dim=1)], dim=1)


def image(*channels: float) -> Tensor:
    return torch.tensor(channels).reshape(1, -1, 1, 1).expand(1, -1, 2, 2).clone()


def test_raised_nr_channels_that_flip_the_label_tell_the_story() -> None:
    x, x_adv = image(0.6, 0.6, 0.1, 0.1), image(0.3, 0.3, 0.9, 0.9)
    found = retell(ByHand(4), ["features"], x, x_adv, torch.tensor([0]))
    assert [bool(part) for part in (found.fooled, found.shifted, found.restored)] == [True, True, True]
    assert found.share.item() == 1.0


def test_an_image_that_keeps_its_label_or_was_wrong_before_is_not_fooled() -> None:
    x = torch.cat([image(0.6, 0.6, 0.1, 0.1), image(0.1, 0.1, 0.6, 0.6)])
    found = retell(ByHand(4), ["features"], x, x, torch.tensor([0, 0]))
    assert found.fooled.tolist() == [False, False]


def test_channels_that_moved_the_other_way_do_not_tell_it() -> None:
    x, x_adv = image(0.5, 0.5, 0.2, 0.2), image(0.6, 0.0, 0.1, 0.9)  # one of two each
    found = retell(ByHand(4), ["features"], x, x_adv, torch.tensor([0]))
    assert found.fooled.tolist() == [True]
    assert found.shifted.tolist() == [False]
    assert found.share.item() == pytest.approx(0.5)


def test_random_channels_that_help_as_well_take_the_story_away() -> None:
    chance = retell(ByHand(2), ["features"], image(0.6, 0.1), image(0.3, 0.9), torch.tensor([0]), seed=0)
    seeds = [
        retell(ByHand(2), ["features"], image(0.6, 0.1), image(0.3, 0.9), torch.tensor([0]), seed=s) for s in range(8)
    ]
    assert chance.restored.all()
    assert {bool(found.by_chance) for found in seeds} == {True, False}  # of two channels, one draw in two is the NR one
    assert [bool(telling(found)) for found in seeds] == [not bool(found.by_chance) for found in seeds]


def retelling(fooled: list[bool], tells: list[bool], share: list[float]) -> Retelling:
    yes, no = torch.ones(len(fooled), dtype=torch.bool), torch.zeros(len(fooled), dtype=torch.bool)
    return Retelling(torch.tensor(fooled), yes, torch.tensor(share), torch.tensor(tells), no)


@pytest.mark.parametrize(
    ("fooled", "tells", "chosen"),
    [
        ([True, True, True], [True, False, True], (2, True)),  # the clearest of those that tell it
        ([True, True, False], [False, False, True], (1, False)),  # the clearest of those that are fooled
        ([False, False, False], [True, True, True], (0, False)),
    ],
)
def test_the_clearest_image_is_chosen(fooled: list[bool], tells: list[bool], chosen: tuple[int, bool]) -> None:
    assert most_telling(retelling(fooled, tells, [0.6, 0.9, 0.8])) == chosen
