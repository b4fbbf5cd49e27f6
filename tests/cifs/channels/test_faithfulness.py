"""Notions of relevance against Captum and closed forms; rank correlation against scipy; curves of a known network."""

import pytest
import torch
from captum.attr import LayerConductance, LayerFeatureAblation, LayerGradientXActivation
from scipy.stats import spearmanr

from cifs.channels.faithfulness import NOTIONS, faithfulness, rank_correlation
from cifs.errors import InvalidParameter, UnknownName
from tests.cifs.channels.test_circuit import Channels, flat
from tests.cifs.tiny import images, tiny


@pytest.mark.parametrize("layer", ["layer2.0", "layer4.0"])
def test_gradient_x_activation_and_conductance_are_captums(layer: str) -> None:
    model, (x, y) = tiny(), images(3)
    module = model.get_submodule(layer)
    for name, peer, tolerance in (
        ("gradient_x_activation", LayerGradientXActivation(model, module).attribute(x, target=y), 1e-5),
        ("conductance", LayerConductance(model, module).attribute(x, target=y, n_steps=400), 2e-3),
    ):
        expected = peer.detach().sum(dim=(2, 3))
        torch.testing.assert_close(NOTIONS[name](model, layer, x, y), expected.float(), atol=tolerance, rtol=0.03)


def test_ablation_is_captums_feature_ablation() -> None:
    model, (x, y) = tiny(), images(2)
    channels = torch.arange(16)[None, :, None, None].expand(1, 16, 2, 2)
    peer = LayerFeatureAblation(model, model.get_submodule("layer3.0"))
    expected = peer.attribute(x, target=y, layer_mask=channels)[:, :, 0, 0]
    torch.testing.assert_close(NOTIONS["ablation"](model, "layer3.0", x, y), expected.detach(), atol=1e-5, rtol=1e-4)


def test_before_a_linear_head_gradient_x_activation_is_ablation() -> None:
    model, (x, y) = tiny(), images(3)
    found = (NOTIONS[name](model, "layer4.0", x, y) for name in ("gradient_x_activation", "ablation"))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-4)
    table = faithfulness(model, "layer4.0", x, y)
    assert table.notions["gradient_x_activation"].correlation.mean == pytest.approx(1, abs=0.02)  # up to near ties


@pytest.mark.parametrize("ties", [False, True])
def test_rank_correlation_is_scipys(ties: bool) -> None:
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 20, generator=random), torch.randn(5, 20, generator=random)
    if ties:
        a, b = a.round(), b.round()
    expected = [spearmanr(p, q).statistic for p, q in zip(a.numpy(), b.numpy(), strict=True)]
    assert rank_correlation(a, b).tolist() == pytest.approx(expected)


def test_taking_away_what_matters_first_leaves_the_least() -> None:
    """The score of class 1 is 4a + 2b + c: a perfect order is known, and so are its curves."""
    model = Channels([1.0, 4.0, 2.0]).eval()
    x = flat(1.0, 1.0, 1.0)
    found = faithfulness(model, "0", x, torch.tensor([1]), notions=["ablation"])
    assert found.shares.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    score = torch.tensor([7.0, 3.0, 1.0, 0.0])
    torch.testing.assert_close(found.notions["ablation"].deletion_curve, score.sigmoid())
    torch.testing.assert_close(found.notions["ablation"].insertion_curve, torch.tensor([0.0, 4.0, 6.0, 7.0]).sigmoid())
    p = score.sigmoid()
    assert found.notions["ablation"].deletion.mean == pytest.approx(float((p[1:] + p[:-1]).mean() / 2))


def test_ablation_correlates_with_itself_and_random_does_not() -> None:
    model, (x, y) = tiny(), images(12)
    found = faithfulness(model, "layer3.0", x, y)
    assert found.notions["ablation"].correlation.mean == pytest.approx(1)
    random = found.notions["random"].correlation
    assert random.low - 0.1 <= 0 <= random.high + 0.1
    assert random.n == 12
    names = [name for name in found.notions if name != "random"]
    assert found.correlations.shape == (len(names),) * 2
    torch.testing.assert_close(found.correlations.diagonal(), torch.ones(len(names)))


def test_the_assessed_notion_is_there_where_there_is_a_probe() -> None:
    x, y = images(2)
    assert "assessed" in faithfulness(tiny("cifs"), "layer4.0", x, y).notions
    assert "assessed" not in faithfulness(tiny("cifs"), "layer1.0", x, y).notions
    with pytest.raises(InvalidParameter, match="no probe"):
        faithfulness(tiny(), "layer4.0", x, y, notions=["assessed"])
    with pytest.raises(UnknownName, match="'shapley'"):
        faithfulness(tiny(), "layer4.0", x, y, notions=["shapley"])
