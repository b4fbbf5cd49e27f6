"""CAS: the mask is a weight row of its probe, as is."""

import torch

from cifs.selection import CAS, LinearProbe
from tests.cifs.tiny import K, liven


def module() -> CAS:
    cas = CAS(LinearProbe(6, K))
    liven(cas, seed=3)
    return cas


def test_in_training_the_mask_is_the_weight_row_of_the_label() -> None:
    cas, z, labels = module().train(), torch.randn(8, 6, 3, 4), torch.arange(8)
    selection = cas(z, labels)
    expected = torch.stack([cas.probe.output.weight[y] for y in labels])
    assert torch.equal(selection.importance, expected)
    assert torch.equal(selection.selected, expected[:, :, None, None] * z)


def test_at_test_time_the_mask_is_the_weight_row_of_the_prediction_whatever_the_label() -> None:
    cas, z = module().eval(), torch.randn(8, 6, 3, 4)
    logits = z.mean(dim=(2, 3)) @ cas.probe.output.weight.T + cas.probe.output.bias
    wrong = logits.argmin(dim=1)
    expected = torch.stack([cas.probe.output.weight[c] for c in logits.argmax(dim=1)])
    assert torch.equal(cas(z).importance, expected)
    assert torch.equal(cas(z, wrong).importance, expected)


def test_the_mask_may_be_negative() -> None:
    assert (module()(torch.randn(8, 6, 3, 4)).importance < 0).any()
