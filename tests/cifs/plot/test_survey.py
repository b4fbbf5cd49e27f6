"""Figures of many images: counts where they belong, channels in the order of each class's own relevance."""

from types import SimpleNamespace

import numpy as np
import pytest

from cifs.plot.change_by_class import change_figure, change_info, shares
from cifs.plot.confusion import confusion_figure, confusion_info

CLASSES = ["Bag", "Coat", "Shirt"]
BY_CLASS = SimpleNamespace(
    relevance=[[-1.0, 2.0, 1.0], None, [3.0, -2.0, -1.0]],
    natural=[[1.0, 1.0, 1.0], None, [0.0, 0.0, 0.0]],
    adversarial=[[1.5, 0.5, 1.25], None, [-1.0, 2.0, -0.5]],
    noise=[[1.0, 1.1, 0.9], None, [0.1, 0.0, 0.1]],
)


def test_a_confusion_matrix_says_who_is_taken_for_whom() -> None:
    info = confusion_info(CLASSES, [[3, 1, 0], [0, 0, 0], [0, 4, 2]])
    assert info.right == 5
    assert info.most_confused() == (2, 1, 4)
    assert info.shares[0].tolist() == [75, 25, 0]
    assert info.shares[1].tolist() == [0, 0, 0]
    heat, text = confusion_figure(info).data
    assert (heat.zmin, heat.zmax) == (0, 100)
    assert list(zip(text.y, text.x, text.text, strict=True)) == [
        ("Bag", "Bag", "3"), ("Bag", "Coat", "1"), ("Shirt", "Coat", "4"), ("Shirt", "Shirt", "2"),
    ]  # fmt: skip


def test_channels_are_ordered_by_each_classs_own_relevance() -> None:
    info = change_info(CLASSES, BY_CLASS)
    assert info.classes == ["Bag", "Shirt"]  # no image of a Coat
    assert info.channels.tolist() == [[1, 2, 0], [0, 2, 1]]
    assert info.n_pr.tolist() == [2, 1]
    np.testing.assert_allclose(info.attack, [[-0.5, 0.25, 0.5], [-1.0, -0.5, 2.0]])


def test_the_claim_is_counted_over_pairs_of_class_and_channel() -> None:
    info = change_info(CLASSES, BY_CLASS)
    found, control = shares(info, info.attack), shares(info, info.noise)
    assert (found.nr_raised, found.pr_lowered) == pytest.approx((2 / 3, 2 / 3))
    assert (found.nr_change, found.pr_change) == pytest.approx(((0.5 - 0.5 + 2) / 3, (-0.5 + 0.25 - 1) / 3))
    assert (control.nr_raised, control.pr_lowered) == pytest.approx((1 / 3, 1 / 3))


def test_attack_and_control_share_a_scale_and_mark_where_pr_ends() -> None:
    above, line, below, _ = change_figure(change_info(CLASSES, BY_CLASS)).data
    assert above.coloraxis == below.coloraxis == "coloraxis"
    assert above.z[1].tolist() == [-1.0, -0.5, 2.0]
    assert above.customdata[1][2] == [1, "NR"] or list(above.customdata[1][2]) == ["1", "NR"]
    assert line.x.tolist() == [1.5, 1.5, 0.5, 0.5]
