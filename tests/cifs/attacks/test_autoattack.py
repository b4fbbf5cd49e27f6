"""The adapter to AutoAttack against the reference run by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import PGD, STAGES, AutoAttack, autoattack, survives
from cifs.errors import CIFSError, UnknownName
from cifs.progress import Cancelled, Progress
from cifs.selection import CIFS
from cifs.zoo import Zoo
from tests.cifs.learned import first, learned
from tests.cifs.tiny import METHODS, images, tiny

pyautoattack = pytest.importorskip("pyautoattack")

QUICK: dict[str, Any] = {"iterations": 4, "queries": 15}


def by_hand(model: nn.Module, x: Tensor, y: Tensor, eps: float, iterations: int, queries: int) -> Tensor:
    """Which images withstand the reference as its authors run it, (N,) bool."""
    attacker = pyautoattack.AutoAttack(model, eps=eps, seed=0)
    attacker.apgd.n_iter = attacker.apgd_targeted.n_iter = attacker.fab.n_iter = iterations
    attacker.square.n_queries = queries
    with torch.random.fork_rng(devices=[]):
        x_adv, _ = attacker.run_standard_evaluation(x.contiguous(), y)
    return model(x_adv).argmax(dim=1) == y


def test_the_same_images_stand_as_after_the_reference_run_by_hand() -> None:
    x, y = first(24)
    expected = by_hand(learned(), x, y, 0.05, **QUICK)
    found = autoattack(learned(), x, y, AutoAttack(eps=0.05, **QUICK))
    assert torch.equal(found.robust, expected)
    assert 0 < int(expected.sum()) < 24
    assert not (found.robust & ~survives(learned(), x, y, PGD(eps=0.05))).any()


@pytest.mark.slow
def test_the_same_images_of_an_embedded_model_stand_as_after_the_reference_run_by_hand() -> None:
    model = Zoo(Path("checkpoints")).load("fmnist-resnet10-w16-natural")
    x, y = first(16)
    expected = by_hand(model, x, y, 0.01, 10, 50)
    assert torch.equal(autoattack(model, x, y, AutoAttack(eps=0.01, iterations=10, queries=50)).robust, expected)


@pytest.mark.parametrize("method", METHODS)
def test_models_of_ours_are_attacked_without_complaints(method: str) -> None:
    """Channels last, as the zoo loads them. The closed-form relevance asks for no gradient, so none looks dynamic."""
    model = tiny(method).to(memory_format=torch.channels_last)
    x, _ = images(6)
    x = x.to(memory_format=torch.channels_last)
    y = model(x).argmax(dim=1)
    y[0] = (y[0] + 1) % 10  # misclassified, and so never attacked
    model.train()
    modes = [module.training for module in model.modules()]
    random, tracing = torch.get_rng_state(), sys.gettrace()
    found = autoattack(model, x, y, AutoAttack(eps=0.05, **QUICK))
    assert found.remarks == ()
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert sys.gettrace() is tracing
    model.eval()
    assert (found.x_adv - x).abs().max() <= 0.05 + 1e-6
    assert found.x_adv.min() >= 0
    assert found.x_adv.max() <= 1
    assert torch.equal(model(found.x_adv).argmax(dim=1) == y, found.robust)
    assert torch.equal(found.x_adv[0], x[0])
    falling = list(found.accuracy.values())
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == pytest.approx(5 / 6)
    assert falling[-1] == pytest.approx(float(found.robust.double().mean()))


def test_the_importance_map_is_attached_while_it_is_attacked_through() -> None:
    model = tiny("cifs")
    seen = set()
    for module in model.modules():
        if isinstance(module, CIFS):
            module.register_forward_pre_hook(lambda cifs, args: seen.add(cifs.attached))
    x, _ = images(2)
    autoattack(model, x, model(x).argmax(dim=1), AutoAttack(eps=0.05, through_mask=True, stages=["apgd-ce"], **QUICK))
    assert seen == {False, True}  # False: the prediction above
    assert not any(module.attached for module in model.modules() if isinstance(module, CIFS))


def test_it_is_remarked_on_if_square_fools_where_gradients_did_not() -> None:
    """The reference says so of stages run at one go; here each may be run alone. Gradients of 0 are a mask."""

    class Staircase(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = learned()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner((x * 255).round() / 255)

    x, y = first(8)
    found = autoattack(Staircase(), x, y, AutoAttack(eps=0.3, stages=["apgd-ce", "square"], iterations=5, queries=200))
    assert found.accuracy["square"] < found.accuracy["apgd-ce"]
    assert any("Square Attack has decreased the robust accuracy" in remark for remark in found.remarks)
    left = autoattack(Staircase(), x, y, AutoAttack(eps=0.3, stages=["square"], iterations=5, queries=200))
    assert any("Square Attack has decreased the robust accuracy" in remark for remark in left.remarks)


def test_a_model_that_differentiates_in_its_forward_pass_is_remarked_on_and_does_not_taint_the_next() -> None:
    class Dynamic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = learned()

        def forward(self, x: Tensor) -> Tensor:
            with torch.enable_grad():
                point = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(self.inner(point).sum(), point)
            return self.inner(x + 0 * gradient)

    x, y = first(4)
    dynamic, honest = (autoattack(model, x, y, AutoAttack(eps=0.01, **QUICK)) for model in (Dynamic(), learned()))
    assert any("dynamic" in remark for remark in dynamic.remarks)
    assert honest.remarks == ()


def test_the_result_states_every_setting_and_what_was_run() -> None:
    x, y = first(6)
    reports: list[Progress] = []
    found = autoattack(learned(), x, y, AutoAttack(eps=0.01, batch_size=4, **QUICK), report=reports.append)
    stated = json.loads(json.dumps(found.settings))
    assert stated["n"] == 6
    assert stated["version"] == "custom"
    assert stated["stages"] == list(STAGES)
    assert {"eps", "iterations", "queries", "targets", "seed", "pyautoattack", "torch"} <= set(stated)
    assert list(found.accuracy) == ["natural", *STAGES]
    for stage in STAGES:
        of_stage = [report for report in reports if report.doing == f"AutoAttack, {stage}"]
        done = [report.done for report in of_stage]
        assert done == sorted(done)
        assert done[-1] == of_stage[-1].total
        assert len(of_stage) > 4  # every forward pass reports


def test_a_report_that_raises_ends_it_and_leaves_nothing_behind() -> None:
    model, (x, y) = learned(), first(6)
    calls: list[Progress] = []

    def report(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == 3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        autoattack(model, x, y, AutoAttack(eps=0.01, **QUICK), report=report)
    assert len(calls) == 3
    assert not model._forward_pre_hooks
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("classes", [2, 3])
def test_on_two_and_three_classes_what_is_defined_runs_and_the_result_says_so(classes: int) -> None:
    model, (x, _) = tiny(num_classes=classes), images(8)
    y = model(x).argmax(dim=1)
    result = autoattack(model, x, y, AutoAttack(eps=0.1, **QUICK))
    assert result.settings["stages"] == ["apgd-ce", "fab-t", "square"]
    assert result.settings["left_out"] == ["apgd-t"]
    assert result.settings["version"] == "custom"
    assert result.settings["targets"] == classes - 1
    assert any(f"apgd-t is not defined for {classes} classes" in remark for remark in result.remarks)
    assert not (result.robust & ~survives(model, x, y, PGD(eps=0.1))).any()
    assert torch.equal(model(result.x_adv).argmax(dim=1) == y, result.robust)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(CIFSError, match="pip install 'cifs-lab\\[autoattack\\]'"):
        autoattack(learned(), *first(1), AutoAttack(eps=0.01))


def test_wrong_input_is_refused() -> None:
    with pytest.raises(UnknownName, match="stage of AutoAttack 'fgsm'"):
        autoattack(learned(), *first(1), AutoAttack(eps=0.01, stages=["fgsm"]))
