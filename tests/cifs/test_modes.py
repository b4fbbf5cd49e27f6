"""Modes are put back as they were found."""

import pytest

from cifs.modes import eval_mode, frozen
from tests.cifs.tiny import tiny


@pytest.mark.parametrize("fails", [False, True])
def test_every_module_is_put_back_into_its_own_mode(fails: bool) -> None:
    model = tiny("cifs").train()
    model.get_submodule("layer2.0.bn1").eval()
    before = [module.training for module in model.modules()]
    try:
        with eval_mode(model):
            assert not any(module.training for module in model.modules())
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert [module.training for module in model.modules()] == before
    assert len(set(before)) == 2


@pytest.mark.parametrize("fails", [False, True])
def test_parameters_ask_for_gradients_again_if_they_did(fails: bool) -> None:
    model = tiny()
    model.fc.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    try:
        with frozen(model):
            assert not any(parameter.requires_grad for parameter in model.parameters())
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert len(set(before)) == 2
