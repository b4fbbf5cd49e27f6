"""Attacks against closed forms on a linear model and brute force; the properties all of them must have."""

import itertools
import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cifs.attacks import (
    ATTACKS,
    CW,
    FGSM,
    NORMS,
    PGD,
    Attack,
    GradientAttack,
    Step,
    fools,
    goal_of,
    perturb,
    survives,
)
from cifs.errors import InvalidParameter, UnknownName
from cifs.losses import LOSSES, joint
from cifs.models import CNN
from cifs.models.cnn import Select
from cifs.precision import generator
from cifs.progress import Cancelled, Progress
from cifs.registry import configure, json_schema
from tests.cifs.tiny import METHODS, K, fingerprint, images, tiny

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its imports use what numpy and torch deprecate
    import torchattacks

ATTACK = pytest.mark.parametrize("name", ATTACKS)


def correct(model: nn.Module, n: int = 8, seed: int = 0, size: int = 8) -> tuple[Tensor, Tensor]:
    """Images the model is right about."""
    x, _ = images(n, seed=seed, size=size)
    with torch.no_grad():
        return x, model(x).argmax(dim=1)


def of(name: str, **parameters: Any) -> Attack:
    """The attack with those of the parameters that it has and may choose."""
    properties = json_schema(ATTACKS[name])["properties"]
    free = {key for key, schema in properties.items() if "const" not in schema}
    return configure(ATTACKS, name, {key: value for key, value in parameters.items() if key in free})


def loss_of(model: CNN, x: Tensor, y: Tensor, attack: Attack) -> Tensor:
    """What the attack maximises, written out; the margin for those whose loss is none of the registered ones."""
    with torch.no_grad():
        logits, layers = model.trace(x)
    loss = LOSSES[attack.loss if isinstance(attack, GradientAttack) and attack.loss in LOSSES else "margin"]
    beta = attack.beta if isinstance(attack, GradientAttack) else 0
    return joint(loss, logits, [s.raw_prediction for s in layers.values()], y, beta)


# ---- against torchattacks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", ["resnet10", "wrn16"])
@pytest.mark.parametrize("eps", [8 / 255, 0.3])
def test_fgsm_equals_torchattacks_image_for_image(arch: str, eps: float) -> None:
    model = tiny(arch=arch)
    x, y = correct(model, 16)
    expected = torchattacks.FGSM(model, eps=eps)(x, y)
    assert not torch.equal(expected, x)
    assert torch.equal(perturb(model, x, y, FGSM(eps=eps)), expected)


@pytest.mark.parametrize("arch", ["resnet10", "wrn16"])
@pytest.mark.parametrize(("eps", "step_size", "steps"), [(8 / 255, 2 / 255, 10), (0.1, 0.01, 20), (0.3, 0.1, 5)])
def test_pgd_equals_torchattacks_image_for_image(arch: str, eps: float, step_size: float, steps: int) -> None:
    model = tiny(arch=arch)
    x, y = correct(model, 16)
    peer = torchattacks.PGD(model, eps=eps, alpha=step_size, steps=steps, random_start=False)
    assert torch.equal(perturb(model, x, y, PGD(eps=eps, step_size=step_size, steps=steps)), peer(x, y))


def test_targeted_pgd_equals_torchattacks_image_for_image() -> None:
    model = tiny()
    x, y = correct(model, 16)
    peer = torchattacks.PGD(model, eps=0.1, alpha=0.01, steps=10, random_start=False)
    peer.set_mode_targeted_by_function(target_map_function=lambda images, labels: torch.full_like(labels, 3))
    assert torch.equal(perturb(model, x, y, PGD(eps=0.1, steps=10, target=3)), peer(x, y))


def test_pgd_of_a_foreign_classifier_equals_torchattacks() -> None:
    torch.manual_seed(0)
    foreign = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, K)).eval()
    x, y = correct(foreign, 16)
    peer = torchattacks.PGD(foreign, eps=0.1, alpha=0.01, steps=10, random_start=False)
    assert torch.equal(perturb(foreign, x, y, PGD(eps=0.1, steps=10)), peer(x, y))


# ---- against closed forms -------------------------------------------------------------------------------------------


class LinearCNN(CNN):
    """Flatten, then linear: what the best perturbation is, is known."""

    def build(self, arch: str, width: int, in_channels: int, num_classes: int) -> None:
        self.features = nn.Identity()
        self.fc = nn.Linear(in_channels * 8 * 8, num_classes)
        self.seen: list[tuple[bool, int]] = []  # (under autocast, images) of every forward pass

    @property
    def layers(self) -> tuple[str, ...]:
        return ("features",)

    def run(self, x: Tensor, select: Select) -> Tensor:
        self.seen.append((torch.is_autocast_enabled("cpu"), len(x)))
        return self.fc(select("features", self.features(x)).flatten(1))


def linear(num_classes: int = 2, cls: type[CNN] = LinearCNN) -> CNN:
    torch.manual_seed(0)
    return cls("linear", image_size=8, num_classes=num_classes).eval()


@pytest.mark.parametrize("loss", ["ce", "margin"])
@pytest.mark.parametrize("random_start", [False, True])
@given(eps=st.floats(0.001, 0.6), seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_pgd_reaches_the_optimum_of_a_linear_model(loss: str, random_start: bool, eps: float, seed: int) -> None:
    """With two classes both losses rise with (w_other − w_y)·x: the best x' is clip(x + ε·sign(w_other − w_y), 0, 1)"""
    model = linear()
    x, y = images(6, seed=seed)
    y = y % 2
    difference = (model.fc.weight[1 - y] - model.fc.weight[y]).detach().view_as(x)
    optimum = (x + eps * difference.sign()).clamp(0, 1)
    attack = PGD(eps=eps, step_size=eps / 4, steps=8, loss=loss, random_start=random_start)
    torch.testing.assert_close(perturb(model, x, y, attack), optimum, atol=1e-6, rtol=0)


@given(eps=st.floats(0.001, 0.6), target=st.integers(0, 1))
@settings(max_examples=15)
def test_targeted_pgd_reaches_the_optimum_of_a_linear_model(eps: float, target: int) -> None:
    model, (x, y) = linear(), images(6)
    difference = (model.fc.weight[target] - model.fc.weight[1 - target]).detach().view(3, 8, 8)
    optimum = (x + eps * difference.sign()).clamp(0, 1)
    attack = PGD(eps=eps, step_size=eps / 4, steps=8, target=target)
    torch.testing.assert_close(perturb(model, x, y % 2, attack), optimum, atol=1e-6, rtol=0)


@given(eps=st.floats(0.001, 0.3))
@settings(max_examples=15)
def test_a_linear_model_survives_exactly_where_its_margin_exceeds_what_eps_can_do(eps: float) -> None:
    model, (x, _) = linear(), images(40)
    with torch.no_grad():
        y = model(x).argmax(dim=1)
        difference = (model.fc.weight[1 - y] - model.fc.weight[y]).view_as(x)
        worst = (x + eps * difference.sign()).clamp(0, 1)
        expected = model(worst).argmax(dim=1) == y
        clear = LOSSES["margin"](model(worst), y).abs() > 1e-4
    found = survives(model, x, y, PGD(eps=eps, step_size=eps / 4, steps=8))
    assert torch.equal(found[clear], expected[clear])


# ---- properties of every registered attack --------------------------------------------------------------------------


def any_settings(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Any settings, of every registered attack; a parameter that is fixed is left alone."""
    ranges: dict[str, st.SearchStrategy[Any]] = {
        "eps": st.sampled_from([0, 1e-3, "8/255", 0.1, 0.5, 1]),
        "steps": st.integers(1, 3),
        "step_size": st.sampled_from([None, 0, "2/255", 0.3, 1]),
        "random_start": st.booleans(),
        "restarts": st.integers(1, 3),
        "loss": st.sampled_from(list(LOSSES)),
        "beta": st.sampled_from([0, 0.5, 2, math.inf]),
        "target": st.sampled_from([None, 0, K - 1]),
        "through_mask": st.booleans(),
        "keep": st.sampled_from(["last", "best"]),
        "seed": st.integers(0, 2**63 - 1),
        "decay": st.sampled_from([0, 0.5, 1]),
        "targets": st.integers(1, 3),
        "queries": st.integers(1, 12),
        "p": st.sampled_from([0.1, 0.8, 1]),
    }
    free = {key for key, schema in json_schema(ATTACKS[name])["properties"].items() if "const" not in schema}
    assert free <= set(ranges), "a new parameter of the attacks needs a range here"
    return st.fixed_dictionaries({key: values for key, values in ranges.items() if key in free})


@pytest.fixture(scope="module")
def models() -> dict[str, CNN]:
    return {method: tiny(method) for method in METHODS}


@ATTACK
@given(data=st.data())
@settings(max_examples=30)
def test_what_comes_back_is_inside_the_ball_and_the_pixel_range(
    name: str, data: st.DataObject, models: dict[str, CNN]
) -> None:
    attack = configure(ATTACKS, name, data.draw(any_settings(name)))
    model = models[data.draw(st.sampled_from(METHODS))]
    x, y = images(3, seed=data.draw(st.integers(0, 99)))
    x = (1.4 * x - 0.2).clamp(0, 1)  # some pixels at either end
    before = x.clone()
    x_adv = perturb(model, x, y, attack)
    assert x_adv.shape == x.shape
    assert x_adv.dtype == torch.float32
    assert not x_adv.requires_grad
    assert (NORMS[attack.norm].size(x_adv - x) <= attack.eps * (1 + 1e-5) + 1e-6).all()
    assert 0 <= x_adv.min() <= x_adv.max() <= 1
    assert torch.equal(x, before)
    assert torch.equal(perturb(model, x, y, attack), x_adv)  # the same seed gives the same bytes


@ATTACK
def test_an_attack_raises_the_loss(name: str, models: dict[str, CNN]) -> None:
    for model in models.values():
        x, y = correct(model, 8)
        attack = of(name, eps=0.02 if ATTACKS[name]().norm == "linf" else 0.2, beta=0, queries=200, steps=20, targets=1)
        assert (loss_of(model, perturb(model, x, y, attack), y, attack) > loss_of(model, x, y, attack)).all()


@ATTACK
def test_another_seed_gives_another_random_start(name: str) -> None:
    model = tiny()
    x, y = correct(model, 3)
    a, b = (
        perturb(model, x, y, of(name, random_start=True, eps=0.2, step_size=0, seed=s, steps=2, queries=3))
        for s in (0, 1)
    )
    assert not torch.equal(a, b)


def test_a_random_start_is_uniform_in_the_ball() -> None:
    x = torch.full((4, 3, 64, 64), 0.5)
    moved = (
        perturb(
            tiny(size=64), x, torch.zeros(4, dtype=torch.long), PGD(eps=0.2, step_size=0, steps=1, random_start=True)
        )
        - x
    )
    assert abs(float(moved.mean())) < 0.002
    assert float(moved.std()) == pytest.approx(0.2 / math.sqrt(3), rel=0.01)
    assert 0.199 < float(moved.max()) <= 0.2 + 1e-6


@pytest.mark.parametrize("name", ["pgd", "cw"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", [0, 5])
def test_a_targeted_attack_raises_the_targets_probability(
    name: str, method: str, target: int, models: dict[str, CNN]
) -> None:
    # Where the classes assessed change, the map jumps and the last iterate may be worse than the start: keep the best.
    keep = "last" if method == "plain" else "best"
    model, (x, y) = models[method], images(8)
    x_adv = perturb(
        model, x, y, configure(ATTACKS, name, {"eps": 0.1, "target": target, "beta": 0, "loss": "ce", "keep": keep})
    )
    with torch.no_grad():
        before, after = (model(z).softmax(dim=1)[:, target] for z in (x, x_adv))
    assert (after >= before - 1e-7).all()
    assert (after > before).float().mean() > 0.7


@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_beta_turns_the_loss_from_the_prediction_to_the_probes(method: str, models: dict[str, CNN]) -> None:
    model, (x, y) = models[method], images(4)
    traced = model.trace(x)
    own = -traced.logits.log_softmax(dim=1).gather(1, y[:, None])[:, 0]
    probes = [-s.raw_prediction.log_softmax(dim=1).gather(1, y[:, None])[:, 0] for s in traced.layers.values()]
    theirs = (probes[0] + probes[1]) / 2
    for beta, expected in ((0.0, own), (1.0, (own + theirs) / 2), (3.0, (own + 3 * theirs) / 4), (math.inf, theirs)):
        record: list[Step] = []
        perturb(model, x, y, PGD(eps=0.05, steps=1, beta=beta), record=record.append)
        torch.testing.assert_close(record[0].loss, expected)
        torch.testing.assert_close(record[0].logits, traced.logits)


def test_through_the_mask_differs_where_an_mlp_probe_makes_the_map_depend_on_features(models: dict[str, CNN]) -> None:
    x, y = correct(models["cifs"], 4)
    plain, through = (
        perturb(models["cifs"], x, y, PGD(eps=0.1, steps=3, beta=0, through_mask=m)) for m in (False, True)
    )
    assert not torch.equal(plain, through)
    assert not any(models["cifs"].selector(layer).attached for layer in models["cifs"].modified)
    x, y = correct(models["cas"], 4)
    plain, through = (
        perturb(models["cas"], x, y, PGD(eps=0.1, steps=3, beta=0, through_mask=m)) for m in (False, True)
    )
    assert torch.equal(plain, through)


# ---- modes and flags ------------------------------------------------------------------------------------------------


class Spy(nn.Module):
    """Notes the modes it is run in and whether weights ask for gradients; raises at the pass that is asked for."""

    def __init__(self, model: nn.Module, raise_at: int = 10**9) -> None:
        super().__init__()
        self.model, self.raise_at, self.modes, self.asked = model, raise_at, [], []

    def forward(self, x: Tensor) -> Tensor:
        self.modes += [{module.training for module in self.modules()}]
        self.asked += [any(parameter.requires_grad for parameter in self.parameters())]
        if len(self.modes) == self.raise_at:
            raise ZeroDivisionError
        return self.model(x)


def mixed() -> CNN:
    """A model of modules in different modes, whose weights are partly frozen, with gradients already there."""
    model = tiny("cifs").train()
    model.get_submodule("layer2").eval()
    model.selector("layer4.0").probe.eval()
    for parameter in model.get_submodule("layer3").parameters():
        parameter.requires_grad_(False)
    model.fc.bias.grad = torch.ones(K)
    return model


def state(model: nn.Module) -> list[object]:
    tensors = [(name, fingerprint(tensor)) for name, tensor in model.state_dict().items()]
    flags = [p.requires_grad for p in model.parameters()]
    grads = [None if p.grad is None else fingerprint(p.grad) for p in model.parameters()]
    return [tensors, flags, grads, [module.training for module in model.modules()]]


@ATTACK
@pytest.mark.parametrize("function", [perturb, survives])
def test_an_attack_sees_eval_mode_and_leaves_everything_as_it_was(name: str, function: Any) -> None:
    model = Spy(mixed())
    before = state(model)
    function(model, *images(3), of(name, random_start=True, restarts=2, steps=3, queries=5))
    assert model.modes
    assert all(modes == {False} for modes in model.modes)
    assert not any(model.asked)  # no gradient of a weight is ever computed
    assert state(model) == before


@pytest.mark.parametrize("function", [perturb, survives])
@pytest.mark.parametrize("raise_at", [1, 3])
def test_modes_and_flags_come_back_after_an_exception(function: Any, raise_at: int) -> None:
    model = Spy(mixed(), raise_at)
    before = state(model)
    with torch.no_grad():
        y = model.model(images(3)[0]).argmax(dim=1)
    before = state(model)
    with pytest.raises(ZeroDivisionError):
        function(model, images(3)[0], y, PGD(eps=0, steps=5, through_mask=True))
    assert state(model) == before
    assert not any(model.model.selector(layer).attached for layer in model.model.modified)


def test_an_attack_works_under_no_grad() -> None:
    model, (x, y) = tiny(), images(3)
    expected = perturb(model, x, y, PGD(eps=0.1, steps=3))
    with torch.no_grad():
        assert torch.equal(perturb(model, x, y, PGD(eps=0.1, steps=3)), expected)


# ---- what is recorded and kept --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("random_start", [False, True])
def test_the_record_is_of_every_iterate_from_the_start_to_what_comes_back(
    method: str, random_start: bool, models: dict[str, CNN]
) -> None:
    model, (x, y) = models[method], images(4)
    attack = PGD(eps=0.1, step_size=0.02, steps=4, random_start=random_start, seed=5)
    record: list[Step] = []
    x_adv = perturb(model, x, y, attack, record=record.append)
    assert torch.equal(x_adv, perturb(model, x, y, attack))  # watching changes nothing
    assert [step.step for step in record] == [0, 1, 2, 3, 4]
    if not random_start:
        torch.testing.assert_close(record[0].logits, model(x))
    for step in record[1:]:  # an iterate is where a shorter attack ends
        shorter = perturb(model, x, y, PGD(eps=0.1, step_size=0.02, steps=step.step, random_start=random_start, seed=5))
        torch.testing.assert_close(step.logits, model(shorter))
        torch.testing.assert_close(step.loss, loss_of(model, shorter, y, attack))
        assert not step.loss.requires_grad


def test_the_record_of_restarts_ends_with_what_comes_back() -> None:
    """A restart is of the images not fooled yet, and what was recorded of them before is void."""
    model = tiny("cifs")
    x, y = correct(model, 24)
    attack = PGD(eps=0.05, steps=2, restarts=6, random_start=True)
    record: list[Step] = []
    x_adv = perturb(model, x, y, attack, record=record.append)
    runs = [step.images for step in record if step.step == 0]
    assert len(runs) == 6
    assert runs[0].tolist() == [*range(24)]
    assert len(runs[-1]) < 24  # some fell on the way
    last = {int(i): logits for step in record for i, logits in zip(step.images, step.logits, strict=True)}
    torch.testing.assert_close(torch.stack([last[i] for i in range(24)]), model(x_adv))


@pytest.mark.parametrize("target", [None, 4])
def test_the_best_iterate_is_kept_on_request(target: int | None) -> None:
    model = tiny("cifs")
    x, y = correct(model, 16)
    options = {"eps": 0.3, "step_size": 0.25, "steps": 6, "target": target}  # so coarse that the loss goes up and down
    record: list[Step] = []
    last = perturb(model, x, y, PGD(**options), record=record.append)
    best = perturb(model, x, y, PGD(**options, keep="best"))
    goal, sign = goal_of(model, y, PGD(**options)), 1 if target is None else -1
    seen = torch.stack([sign * step.loss for step in record])
    found = sign * loss_of(model, best, goal, PGD())
    torch.testing.assert_close(found, seen.amax(dim=0), atol=1e-5, rtol=1e-5)
    assert (found >= sign * loss_of(model, last, goal, PGD()) - 1e-5).all()
    assert (found > sign * loss_of(model, last, goal, PGD()) + 1e-3).any()


# ---- survives -------------------------------------------------------------------------------------------------------


def brute_force(model: CNN, x: Tensor, y: Tensor, attack: GradientAttack) -> Tensor:
    """Whether no iterate of any restart fools: every restart run in full, every image to the end, in float32."""
    once = type(attack)(**{**attack.__dict__, "restarts": 1})
    random = generator(attack.seed)
    robust = torch.ones(len(y), dtype=torch.bool)
    for _ in range(attack.restarts):
        record: list[Step] = []
        perturb(model, x, y, once, record=record.append, random=random)
        for step in record:
            prediction = step.logits.argmax(dim=1)
            robust &= prediction == y if attack.target is None else prediction != attack.target
    return robust


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.03),
        PGD(eps=0.03, steps=5),
        PGD(eps=0.03, step_size=0.03, steps=5),
        PGD(eps=0.03, steps=3, random_start=True, restarts=3, seed=9),
        CW(eps=0.03, steps=5),
        PGD(eps=0.05, steps=5, target=0),
        PGD(eps=0.03, steps=5, beta=0, through_mask=True),
    ],
    ids=repr,
)
def test_an_image_survives_where_brute_force_finds_no_iterate_that_fools(
    method: str, attack: GradientAttack, models: dict[str, CNN]
) -> None:
    model = models[method]
    x, y = correct(model, 48)
    y[:4] = (y[:4] + 1) % K  # and some it is wrong about from the start
    found = survives(model, x, y, attack)
    assert torch.equal(found, brute_force(model, x, y, attack))
    assert 0 < found.float().mean() < 1


def test_fooled_images_are_dropped_from_the_batch() -> None:
    model = linear()
    x, y = correct(model, 40)
    model.seen.clear()
    survives(model, x, y, PGD(eps=0.01, steps=10))
    sizes = [n for _, n in model.seen]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 40 > sizes[-1] > 0


class Liar(LinearCNN):
    """Under autocast it answers with the wrong class, as bf16 now and then does."""

    def run(self, x: Tensor, select: Select) -> Tensor:
        logits = super().run(x, select)
        return logits.roll(1, dims=1) if torch.is_autocast_enabled("cpu") else logits


@pytest.mark.parametrize("eps", [0, 1e-6])
def test_bf16_never_calls_an_image_fooled_that_float32_does_not_confirm(eps: float) -> None:
    model = linear(cls=Liar)
    x, y = correct(model, 16)
    y[:5] = 1 - y[:5]  # these are wrong in float32 too
    assert survives(model, x, y, PGD(eps=eps, steps=3), precision="bf16").tolist() == 5 * [False] + 11 * [True]
    assert any(under_autocast for under_autocast, _ in model.seen)


def test_bf16_finds_about_what_float32_finds(models: dict[str, CNN]) -> None:
    for model in models.values():
        x, y = correct(model, 64)
        for attack in (PGD(eps=0.03, steps=5), FGSM(eps=0.03)):
            a, b = (survives(model, x, y, attack, precision=p) for p in ("float32", "bf16"))
            assert (a == b).float().mean() > 0.9


def test_nothing_survives_of_no_images() -> None:
    x, y = images(2)
    assert survives(tiny(), x[:0], y[:0], PGD()).tolist() == []


def test_restarts_are_runs_from_new_random_points_on_what_still_stands(models: dict[str, CNN]) -> None:
    model = models["plain"]
    x, y = correct(model, 32)
    once = PGD(eps=0.03, steps=2, random_start=True, seed=4)
    random = generator(4)
    expected = perturb(model, x, y, once, random=random)
    for _ in range(2):
        again = perturb(model, x, y, once, random=random)
        standing = ~fools(model, expected, y, once)
        assert standing.any()
        expected[standing] = again[standing]
    found = perturb(model, x, y, PGD(eps=0.03, steps=2, random_start=True, seed=4, restarts=3))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_restarts_only_help_the_attack(models: dict[str, CNN]) -> None:
    model = models["plain"]
    x, y = correct(model, 32)
    options = {"eps": 0.03, "steps": 2, "random_start": True}
    one, five = PGD(**options), PGD(**options, restarts=5)
    fallen = ~survives(model, x, y, one), ~survives(model, x, y, five)
    assert (fallen[1] | ~fallen[0]).all()
    before = fools(model, perturb(model, x, y, one), y, one)
    after = fools(model, perturb(model, x, y, five), y, five)
    assert (after | ~before).all()
    assert after.sum() > before.sum()


# ---- parameters -----------------------------------------------------------------------------------------------------


@ATTACK
def test_fractions_are_numbers(name: str) -> None:
    assert configure(ATTACKS, name, {"eps": "8/255"}).eps == 8 / 255
    assert configure(ATTACKS, name, {"eps": "0.1"}).eps == 0.1


@ATTACK
@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        *itertools.product(["eps"], ["8/0", "eight/255", "nan", math.nan, -0.1, 1.5, math.inf, None, "8/255/2", [0.1]]),
        *itertools.product(["steps"], [0, -1, 10**9, 2.5, "many", math.nan]),
        *itertools.product(["step_size"], ["1/0", -1, math.nan]),
        *itertools.product(["beta"], [-1, math.nan, "much"]),
        *itertools.product(["restarts"], [0, 101]),
        *itertools.product(["loss", "keep"], ["worst"]),
        *itertools.product(["target", "seed"], [-1, "cat"]),
    ],
)
def test_a_value_out_of_range_is_refused_by_name_and_value(name: str, parameter: str, value: object) -> None:
    if parameter not in json_schema(ATTACKS[name])["properties"] or (name, parameter, value) == ("pgd_l2", "eps", 1.5):
        value = [value]  # which no number is
        parameter = "eps"
    with pytest.raises(InvalidParameter) as refusal:
        configure(ATTACKS, name, {parameter: value})
    assert parameter in str(refusal.value)
    assert repr(value) in str(refusal.value)
    assert name in str(refusal.value)


@pytest.mark.parametrize("value", ["nan/1", "1/nan", "inf/inf", "-1/255", "2/1"])
def test_a_fraction_out_of_range_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameter, match="eps = "):
        configure(ATTACKS, "pgd", {"eps": value})


@ATTACK
def test_unknown_parameters_and_attacks_are_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidParameter, match="'epsilon'") as refusal:
        configure(ATTACKS, name, {"epsilon": 0.1})
    assert all(parameter in str(refusal.value) for parameter in json_schema(ATTACKS[name])["properties"])
    with pytest.raises(UnknownName, match="'deepfool'") as unknown:
        configure(ATTACKS, "deepfool", {})
    assert name in str(unknown.value)


def test_a_target_the_model_has_no_class_for_is_refused() -> None:
    for function in (perturb, survives):
        with pytest.raises(InvalidParameter, match="target = 10: the model's classes are 0 to 9"):
            function(tiny(), *images(2), PGD(target=10))


@ATTACK
def test_resolved_settings_configure_the_same_attack_again(name: str) -> None:
    attack = of(name, eps="8/255", beta="inf", seed=3)
    resolved = json.loads(json.dumps(attack.resolved()))
    assert (resolved["name"], resolved["norm"], resolved["eps"]) == (name, attack.norm, 8 / 255)
    if attack.adaptive:
        shares = {"fgsm": 1, "apgd_ce": 2, "apgd_dlr": 2, "apgd_t": 2, "annealed": 2, "annealed_t": 2}  # of ε
        assert resolved["step_size"] == pytest.approx(shares.get(name, 0.1) * 8 / 255)
        assert resolved["beta"] == "inf"
    again = configure(ATTACKS, resolved.pop("name"), resolved)
    assert again.resolved() == attack.resolved()


def test_the_papers_attacks_are_the_defaults() -> None:
    assert (FGSM().steps, FGSM(eps=0.1).alpha) == (1, 0.1)
    assert (PGD(eps=0.1).steps, PGD(eps=0.1).alpha, PGD().loss, PGD().beta, PGD().random_start) == (
        20,
        0.01,
        "ce",
        2.0,
        False,
    )
    assert (CW(eps=0.1).steps, CW(eps=0.1).alpha, CW().loss) == (30, 0.01, "margin")


# ---- what an attack says of itself ----------------------------------------------------------------------------------


def test_only_attacks_with_beta_and_the_mask_call_themselves_adaptive() -> None:
    for cls in ATTACKS.values():
        has = {"beta", "through_mask"} <= set(json_schema(cls)["properties"])
        assert cls().adaptive == has
    assert [name for name, cls in ATTACKS.items() if not cls().adaptive] == ["square"]


@pytest.mark.parametrize(
    ("name", "parameters", "cost"),
    [
        ("fgsm", {}, 1),
        ("pgd", {"steps": 20, "restarts": 3}, 60),
        ("apgd_ce", {}, 100),
        ("apgd_t", {"steps": 20, "targets": 2, "restarts": 2}, 80),
        ("square", {"queries": 299}, 150),  # without a backward pass
    ],
)
def test_the_cost_is_in_gradient_steps_as_many_as_the_model_is_run_for(
    name: str, parameters: dict[str, Any], cost: int
) -> None:
    attack = of(name, eps=0, **parameters)
    assert attack.cost == cost
    model = Spy(tiny())
    x, y = correct(model.model, 1)
    perturb(model, x, y, attack)
    passes = len(model.modes) if name != "square" else len(model.modes) / 2
    assert passes == pytest.approx(cost, rel=0.03, abs=3 * attack.runs)  # and a look before and after each run


def test_losses_are_named_by_their_registry_in_schema_and_refusal() -> None:
    @LOSSES.register("toy")
    def toy(logits: Tensor, labels: Tensor) -> Tensor:
        return -logits.gather(1, labels[:, None])[:, 0]

    try:
        assert json_schema(PGD)["properties"]["loss"]["enum"] == ["ce", "margin", "dlr", "probability_margin", "toy"]
        assert configure(ATTACKS, "pgd", {"loss": "toy"}).loss == "toy"
    finally:
        LOSSES._things.pop("toy")
    with pytest.raises(InvalidParameter, match="loss = 'toy': .*ce, margin, dlr"):
        configure(ATTACKS, "pgd", {"loss": "toy"})


@pytest.mark.parametrize("word", ["inf", "Infinity", math.inf])
def test_an_infinite_beta_is_read_in_every_spelling_and_written_in_one(word: object) -> None:
    attack = configure(ATTACKS, "pgd", {"beta": word})
    assert attack.beta == math.inf
    assert attack.resolved()["beta"] == "inf"


def test_every_attack_that_was_ever_kept_is_still_read() -> None:
    def settings_in(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("name") in ATTACKS and isinstance(value.get("eps"), float):
                yield dict(value)
            value = list(value.values())
        for inner in value if isinstance(value, list) else ():
            yield from settings_in(inner)

    files = [path for name in ("evaluation", "checks") for path in Path("checkpoints").glob(f"*/{name}.json")]
    written = [s for path in files for s in settings_in(json.loads(path.read_text("utf-8")))]
    assert len(written) > 100
    for stated in written:
        name = stated.pop("name")
        if isinstance(stated.get("step_size"), str):
            continue  # of a ladder of ε: "ε/10"
        resolved = configure(ATTACKS, name, stated).resolved()
        assert {**stated, "norm": "linf"}.items() <= resolved.items()


# ---- APGD on models with probes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["apgd_ce", "apgd_dlr", "apgd_t"])
@pytest.mark.parametrize("method", ["cas", "cifs"])
def test_apgd_follows_the_probes_and_the_mask_where_it_is_told_to(
    name: str, method: str, models: dict[str, CNN]
) -> None:
    model = models[method]
    x, y = correct(model, 6)
    settings = {"eps": 0.03, "steps": 8, "targets": 1}
    alone, probes = (perturb(model, x, y, of(name, beta=beta, **settings)) for beta in (0, math.inf))
    assert not torch.equal(alone, probes)
    if method == "cifs":
        assert not torch.equal(perturb(model, x, y, of(name, beta=0, through_mask=True, **settings)), alone)


def test_apgd_returns_an_iterate_of_the_largest_loss_it_saw(models: dict[str, CNN]) -> None:
    model = models["cifs"]
    x, y = correct(model, 8)
    record: list[Step] = []
    attack = of("apgd_ce", eps=0.05, steps=30)
    x_adv = perturb(model, x, y, attack, record=record.append)
    highest = torch.stack([step.loss for step in record]).amax(dim=0)
    torch.testing.assert_close(loss_of(model, x_adv, y, attack), highest, atol=1e-5, rtol=1e-5)


def test_apgd_t_stops_where_no_class_is_left_and_needs_four() -> None:
    model, (x, _) = tiny(num_classes=4), images(3)
    y = model(x).argmax(dim=1)
    record: list[Step] = []
    perturb(model, x, y, of("apgd_t", eps=0, steps=1, targets=9), record=record.append)
    assert sum(step.step == 0 for step in record) == 3
    with pytest.raises(InvalidParameter, match="needs 4 classes, there are 3"):
        perturb(tiny(num_classes=3), x, torch.zeros_like(y), of("apgd_t", steps=1))


# ---- reports --------------------------------------------------------------------------------------------------------


@ATTACK
def test_every_step_is_reported_and_a_report_that_raises_leaves_nothing_half_done(name: str) -> None:
    model = tiny("cifs").train()
    x, y = images(3)
    attack = of(name, steps=4, queries=4, restarts=2, random_start=True, eps=0)
    before, reports, every = state(model), [], []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 3:
            raise Cancelled("enough")

    perturb(model, x, y, attack, report=every.append)
    assert [progress.done for progress in every] == list(range(len(every)))
    assert all(progress.doing == name for progress in every)
    assert state(model) == before
    if len(every) < 3:  # FGSM, twice
        return
    with pytest.raises(Cancelled):
        perturb(model, x, y, attack, report=report)
    assert state(model) == before
    assert not any(model.selector(layer).attached for layer in model.modified)
