"""A run that was killed equals one left alone, bit for bit; a step is the textbook's; validation images stay out."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cifs.attacks import loop, perturb
from cifs.errors import CheckpointError, InvalidParameter, NoSpace
from cifs.methods import METHODS
from cifs.precision import generator
from cifs.progress import Cancelled, Progress
from cifs.selection import Selection, Trace
from cifs.training import Recipe, Run, adversarial, estimate_seconds
from cifs.training.adversarial import NOISE
from cifs.zoo import Zoo
from tests.cifs.tiny import fingerprint, npz

from .conftest import STEPS

Load = Callable[..., Recipe]


class Killed(Exception):
    pass


def raising_at(step: int, error: type[Exception], doing: str = "training") -> Callable[[Progress], None]:
    """A report that raises once this step was made; or so far into what else is being done."""

    def report(progress: Progress) -> None:
        if progress.doing == doing and progress.done == step:
            raise error

    return report


def stop_at(run: Run, step: int) -> None:
    """Trains to this step, in order."""
    with pytest.raises(Cancelled):
        run.train(raising_at(step, Cancelled))
    assert run.step == step


def flat(value: Any) -> list[Any]:
    """Every leaf of a state, tensors by their bytes."""
    if isinstance(value, Tensor):
        return fingerprint(value)
    if isinstance(value, dict):
        return [(key, flat(v)) for key, v in value.items() if key not in ("seconds", "cpu_seconds")]
    return [flat(v) for v in value] if isinstance(value, list | tuple) else value


def outcome(folder: Path) -> tuple[Any, str]:
    """All of state.pt but the time it took, and metrics.jsonl."""
    return flat(torch.load(folder / "state.pt", weights_only=True)), (folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize("step", [1, 3, 5, 6, 9])
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_run_interrupted_at_any_step_and_resumed_equals_one_left_alone(
    how: str, step: int, recipe: Load, tmp_path: Path
) -> None:
    plan = recipe()
    alone = Run(plan, tmp_path / "alone")
    assert alone.steps == STEPS
    alone.train()

    run = Run(plan, tmp_path / how)
    if how == "stopped":
        stop_at(run, step)
    else:  # after the step was logged and before it was saved
        with pytest.raises(Killed):
            run.train(raising_at(step, Killed), save_every=2)
    resumed = Run(plan, tmp_path / how)
    saved = [s for s in range(step + (how == "stopped")) if s % 2 == 0 or s % 5 == 0]
    assert resumed.step == (step if how == "stopped" else saved[-1])
    resumed.train(save_every=2)

    assert outcome(tmp_path / how) == outcome(tmp_path / "alone")
    weights = (r.finished_model()[0].state_dict() for r in (alone, resumed))
    assert flat(next(weights)) == flat(next(weights))


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_cancelled_while_it_validates_does_so_first_when_it_goes_on(
    epoch: int, recipe: Load, tmp_path: Path
) -> None:
    """The step is made and saved; its line of the log waits for the validation."""
    plan = recipe()
    Run(plan, tmp_path / "alone").train()
    run = Run(plan, tmp_path / "stopped")
    if epoch == 2:
        stop_at(run, 6)
        run = Run(plan, tmp_path / "stopped")
    with pytest.raises(Cancelled):
        run.train(raising_at(0, Cancelled, "validation"))
    assert run.step == 5 * epoch
    assert len((tmp_path / "stopped" / "metrics.jsonl").read_text().splitlines()) == 5 * epoch - 1
    reported: list[Progress] = []
    Run(plan, tmp_path / "stopped").train(reported.append)
    assert reported[0].doing == "validation"
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "alone")


def test_every_step_is_reported_with_how_far_it_is_and_what_it_measured(recipe: Load, tmp_path: Path) -> None:
    reported: list[Progress] = []
    Run(recipe(), tmp_path).train(reported.append)
    steps = [progress for progress in reported if progress.doing == "training"]
    assert [(progress.done, progress.total) for progress in steps] == [(i, STEPS) for i in range(1, STEPS + 1)]
    assert [progress.metrics["epoch"] for progress in steps] == [1] * 5 + [2] * 5
    assert {"validation_natural", "validation_robust"} < set(steps[-1].metrics)
    assert {"lr", "loss", "accuracy", "probe layer3.0", "probe layer4.0", "epoch"} == set(steps[0].metrics)


def test_a_full_disk_is_a_clear_error_and_the_run_goes_on_from_its_last_save(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = recipe()
    Run(plan, tmp_path / "alone").train()
    save = torch.save

    def full(state: Any, path: Path) -> None:
        if state["step"] > 5:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        NoSpace, match=r"no space left for .*state\.pt: the disk is full; what was there before is untouched"
    ):
        Run(plan, tmp_path / "full").train()
    monkeypatch.undo()
    monkeypatch.setenv("CIFS_DATA", str(tmp_path / "data"))
    resumed = Run(plan, tmp_path / "full")
    assert resumed.step == 5
    resumed.train()
    assert outcome(tmp_path / "full") == outcome(tmp_path / "alone")
    assert not list((tmp_path / "full").glob(".cifs-*"))


def test_what_a_killed_process_left_half_written_is_removed(recipe: Load, tmp_path: Path) -> None:
    for name in (".cifs-state-abc.pt", ".cifs-metrics-abc.jsonl"):
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / ".cifs-state-abc.pt", (1, 1))
    Run(recipe(), tmp_path)
    assert [path.name for path in tmp_path.glob(".cifs-*")] == [".cifs-metrics-abc.jsonl"]


def test_a_resumed_run_remembers_its_best_epoch(recipe: Load, tmp_path: Path) -> None:
    """Told with a rate so high that the last epoch is not the best."""
    plan = recipe("epochs=4", "lr=2", "warm_up=0", "schedule=multistep", "milestones=[1]")
    alone = Run(plan, tmp_path / "alone")
    alone.train()
    best = alone.finished_model()[1]
    assert best < 4
    run = Run(plan, tmp_path / "stopped")
    stop_at(run, run.steps - 1)
    resumed = Run(plan, tmp_path / "stopped")
    resumed.train()
    assert resumed.finished_model()[1] == best
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "alone")


def test_every_step_crops_and_flips_anew(data: Path, recipe: Load, tmp_path: Path) -> None:
    """Told with images that are all one image, so that batches differ by their augmentation alone."""
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    npz(data, train_images=np.stack([image] * 96))
    run = Run(recipe(), tmp_path)
    batches = []
    for x, _ in run.batches():
        batches.append(fingerprint(x))
        run.step += 1
    assert len(set(batches)) == STEPS


def test_a_half_written_line_of_the_log_is_forgotten(recipe: Load, tmp_path: Path) -> None:
    run = Run(recipe(), tmp_path)
    stop_at(run, 2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "epoch": 1, "lo')
    Run(recipe(), tmp_path).train()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))


def test_a_finished_run_has_nothing_left_to_do(recipe: Load, tmp_path: Path) -> None:
    Run(recipe(), tmp_path).train()
    before = outcome(tmp_path)
    Run(recipe(), tmp_path).train()
    assert outcome(tmp_path) == before


def test_the_same_seed_gives_the_same_run_and_another_seed_another(recipe: Load, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        Run(recipe(f"seed={seed}"), tmp_path / name).train()
    metrics = {name: outcome(tmp_path / name)[1] for name in "abc"}
    assert metrics["a"] == metrics["b"] != metrics["c"]


@pytest.mark.parametrize("method", ["cifs", "vanilla"])
def test_training_attacks_the_model_as_it_stands(
    method: str, recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGD-10 in bf16, where folding always were worth it, gives the weights that training without folding gives."""
    plain = ("method=vanilla", 'model={arch = "resnet10", width = 4}') if method == "vanilla" else ()
    pgd_10 = recipe(
        "precision=bf16", "epochs=1", "batch_size=32", "attack.steps=10", "validation_attack.name=pgd", *plain
    )
    monkeypatch.setattr(loop, "WORTH_FOLDING", 0)
    Run(pgd_10, tmp_path / "worth folding").train()
    monkeypatch.setattr(loop, "WORTH_FOLDING", float("inf"))
    Run(pgd_10, tmp_path / "never folded").train()
    assert outcome(tmp_path / "worth folding") == outcome(tmp_path / "never folded")


def test_a_recipe_that_folds_follows_the_gradients_of_the_same_function(
    recipe: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch norm is gone from what is attacked, nearly every pixel goes the same way, and the model is left alone."""
    attacked, norms = [], []

    def noting(model: nn.Module, *args: Any, **options: Any) -> Tensor:
        norms.append(sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()))
        return perturb(model, *args, **options)

    monkeypatch.setattr(adversarial, "perturb", noting)
    for fold in ("false", "true"):
        run = Run(recipe("precision=float32", f"fold={fold}"), tmp_path / fold)
        run.model.train()
        attacked.append(run.attacked(*next(iter(run.batches()))))
        assert all(module.training for module in run.model.modules())
        assert all(parameter.requires_grad for parameter in run.model.parameters())
    assert norms[0] > 0 == norms[1]
    assert (attacked[0] - attacked[1]).abs().gt(1e-6).float().mean() < 0.01


def test_a_run_leaves_the_global_random_state_alone(recipe: Load, tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    Run(recipe("epochs=1"), tmp_path).train()
    assert torch.equal(torch.rand(3), expected)


# ---- averages, smooth labels, estimates ------------------------------------------------------------------------------


def test_the_average_is_what_its_equation_says_and_is_validated_and_stored(recipe: Load, tmp_path: Path) -> None:
    """w̄ ← d·w̄ + (1 − d)·w with d = min(0.5, (1 + t) / (10 + t)), from the weights after every step."""
    run = Run(recipe("ema=0.5", "keep=last"), tmp_path)
    expected = {name: tensor.double() for name, tensor in run.model.state_dict().items()}

    def report(progress: Progress) -> None:
        if progress.doing == "training":
            step = progress.done - 1
            d = min(0.5, (1 + step) / (10 + step))
            for name, tensor in run.model.state_dict().items():
                expected[name] = d * expected[name] + (1 - d) * tensor.double()

    run.train(report)
    model, _ = run.finished_model()
    assert not model.training
    assert model is run.candidate is not run.model
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor.double(), expected[name], atol=1e-6, rtol=1e-5)
            if "weight" in name:
                assert not torch.equal(tensor, run.model.state_dict()[name])
        else:
            assert torch.equal(tensor, run.model.state_dict()[name])


def test_the_best_of_an_averaged_run_is_an_average(recipe: Load, tmp_path: Path) -> None:
    run = Run(recipe("ema=0.9", "epochs=1"), tmp_path)
    run.train()
    assert run.best is not None
    average = flat(run.candidate.state_dict())
    assert flat(run.best["model"]) == average != flat(run.model.state_dict())


@pytest.mark.parametrize("step", [3, 6])
def test_an_averaged_run_that_was_stopped_equals_one_left_alone(step: int, recipe: Load, tmp_path: Path) -> None:
    plan = recipe("ema=0.9", "label_smoothing=0.1")
    Run(plan, tmp_path / "alone").train()
    stop_at(Run(plan, tmp_path / "stopped"), step)
    Run(plan, tmp_path / "stopped").train()
    assert outcome(tmp_path / "stopped") == outcome(tmp_path / "alone")


def test_with_noise_the_attack_is_n_fgsm(recipe: Load, tmp_path: Path) -> None:
    """x' = x + η + α·sign ∇ℓ(x + η), η uniform in [−2ε, 2ε]: written out."""
    plan = recipe("noise=2", "attack.name=fgsm", "attack.eps=0.05", "attack.beta=0", "precision=float32")
    run = Run(plan, tmp_path)
    x, y = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(16) % 3
    x = 0.3 + 0.4 * x  # so that nothing is clipped at 0 or 1
    x_adv = run.attacked(x, y)
    moved = (x_adv - x).abs()
    assert 0.1 < float(moved.max()) <= 0.15 + 1e-6  # beyond ε, up to (k + 1)·ε
    eta = plan.noise * 0.05 * (2 * torch.rand(x.shape, generator=generator(plan.seed, NOISE, 0)) - 1)
    noisy = (x + eta).requires_grad_()
    F.cross_entropy(run.model.eval()(noisy), y).backward()
    assert noisy.grad is not None
    torch.testing.assert_close(x_adv, (x + eta + 0.05 * noisy.grad.sign()).detach())
    run.step = 1
    assert not torch.equal(run.attacked(x, y), x_adv)  # every step has noise of its own


def test_a_smooth_label_is_a_mixture_with_the_uniform_distribution(recipe: Load) -> None:
    """−Σ_c q_c log p_c with q = 0.9 of the label and 0.1 of all classes alike, for logits and probes."""
    random = torch.Generator().manual_seed(0)
    logits, probe = torch.randn(2, 5, 4, generator=random)
    y = torch.tensor([0, 3, 1, 1, 2])
    q = 0.9 * F.one_hot(y, 4) + 0.1 / 4
    of_logits, of_probe = (-(q * scores.log_softmax(dim=1)).sum(dim=1) for scores in (logits, probe))
    trace = Trace(logits, {"layer": Selection(*([probe] * len(Selection._fields)))})
    loss = METHODS["cifs"]().loss(trace, y, 2.0, 0.1)
    torch.testing.assert_close(loss, of_logits / 3 + 2 * of_probe / 3)


@pytest.mark.parametrize("changed", [("epochs=4",), ("validation=32",)])
def test_an_estimate_counts_the_steps_and_the_validations_there_are(
    changed: tuple[str, ...], recipe: Load, tmp_path: Path
) -> None:
    """By a clock on which everything takes a second."""
    ticks = itertools.count()
    plan = recipe(*changed)
    expected = {"epochs=4": 20 + 4, "validation=32": 8 + 2}[changed[0]]
    assert estimate_seconds(plan, Zoo(tmp_path), clock=lambda: float(next(ticks))) == pytest.approx(expected)


def test_an_estimate_leaves_no_trace_and_refuses_what_the_run_would(recipe: Load, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert estimate_seconds(recipe(), Zoo(tmp_path), steps=1) > 0
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(InvalidParameter, match="validation = 96"):
        estimate_seconds(recipe("validation=96"), Zoo(tmp_path))


def test_a_step_is_the_textbooks(data: Path, recipe: Load, tmp_path: Path) -> None:
    """SGD with momentum and decay on the joint loss, written out. All images are one: their order does not matter."""
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)  # its last layer has more than one position
    one = {"train_images": np.stack([image] * 9), "train_labels": np.ones(9, int), "test_labels": np.ones(12, int)}
    npz(data, size=16, **one)
    overrides = [
        "batch_size=4",
        "validation=0",
        "flip=false",
        "padding=0",
        "precision=float32",
        "warm_up=0",
        "nesterov=true",
        "weight_decay=0.01",
    ]
    plan = recipe(*overrides, "attack.random_start=false", "beta=3")
    run = Run(plan, tmp_path)
    twin = Run(plan, tmp_path / "twin").model.train()
    run.train()

    x = torch.from_numpy(image).permute(2, 0, 1)[None].float().div(255).repeat(4, 1, 1, 1)
    y = torch.ones(4, dtype=torch.long)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        logits, layers = twin.trace(images, labels)
        probes = [F.cross_entropy(s.raw_prediction, y) for s in layers.values()]
        return F.cross_entropy(logits, y) / 4 + 3 / 4 * sum(probes) / 2

    momentum = {name: torch.zeros_like(p) for name, p in twin.named_parameters()}
    for step in range(4):
        lr = 0.05 * 0.5 * (1 + np.cos(np.pi * step / 4))
        x_adv = x
        for _ in range(2):  # PGD in eval mode, β = 2 by default: written out for this model's two probes
            twin.eval()
            x_adv = x_adv.detach().requires_grad_()
            logits, layers = twin.trace(x_adv)
            probes = [F.cross_entropy(s.raw_prediction, y) for s in layers.values()]
            (F.cross_entropy(logits, y) / 3 + 2 / 3 * sum(probes) / 2).backward()
            x_adv = x_adv + 0.8 / 255 * x_adv.grad.sign()
            x_adv = (x + (x_adv - x).clamp(-8 / 255, 8 / 255)).clamp(0, 1).detach()
        twin.train().zero_grad()
        loss_of(x_adv, y).backward()
        for name, p in twin.named_parameters():
            if p.grad is not None:
                gradient = p.grad + 0.01 * p.data
                momentum[name] = 0.9 * momentum[name] + gradient if step else gradient.clone()
                p.data -= lr * (gradient + 0.9 * momentum[name])
    for (name, mine), its in zip(twin.state_dict().items(), run.model.state_dict().values(), strict=True):
        torch.testing.assert_close(its, mine, atol=1e-4, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


def test_validation_images_are_never_trained_on(data: Path, recipe: Load, tmp_path: Path) -> None:
    """Other validation images, the same weights. (The normalisation, by default that of the whole split, is given.)"""
    with np.load(data / "tiny.npz") as file:
        pixels = file["train_images"].copy()
    found = []
    for name in ("a", "b"):
        run = Run(recipe("keep=last", "model.mean=[0.5, 0.5, 0.5]", "model.std=[0.2, 0.2, 0.2]"), tmp_path / name)
        run.train()
        found.append((flat(run.finished_model()[0].state_dict()), outcome(tmp_path / name)[1]))
        pixels[-16:] = 255 - pixels[-16:]
        npz(data, train_images=pixels)
    assert (len(run.images), len(run.validation)) == (80, 16)
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]  # what the log says of the validation did change


def test_training_teaches(recipe: Load, tmp_path: Path) -> None:
    """Three classes told apart by brightness."""
    run = Run(recipe("epochs=8", "lr=0.1", "attack.eps=0.01"), tmp_path)
    run.train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["validation_natural"] > 0.9
    assert lines[-1]["loss"] < lines[0]["loss"] / 2


def test_the_log_says_the_rate_of_the_recipe_and_validates_after_every_epoch(recipe: Load, tmp_path: Path) -> None:
    plan = recipe("epochs=3")
    run = Run(plan, tmp_path)
    run.train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["lr"] for line in lines] == [plan.lr_at(step / 15) for step in range(15)]
    assert [line["step"] for line in lines if "validation_robust" in line] == [5, 10, 15]
    assert all(line["validation_robust"] <= line["validation_natural"] for line in lines if "validation_robust" in line)


def test_a_validation_may_rest_for_epochs_but_not_after_the_last(recipe: Load, tmp_path: Path) -> None:
    Run(recipe("epochs=5", "validate_every=2"), tmp_path).train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if "validation_robust" in line] == [2, 4, 5]


def test_further_attacks_of_the_validation_are_on_what_its_own_leaves_and_choose_the_best(
    recipe: Load, tmp_path: Path
) -> None:
    further = 'further_attacks=[{name="pgd", eps=0.2, steps=3, beta=0.0}]'
    run = Run(recipe("epochs=3", "lr=0.2", further), tmp_path)
    run.train()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scores = {line["epoch"]: line["validation_adaptive"] for line in lines if "validation_adaptive" in line}
    assert all(
        line["validation_adaptive"] <= line["validation_robust"] for line in lines if "validation_robust" in line
    )
    assert run.best is not None
    assert run.best["score"] == max(scores.values()) == scores[run.best["epoch"]]


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_model_kept_is_the_best_on_the_validation_images_or_the_last(
    keep: str, recipe: Load, tmp_path: Path
) -> None:
    run = Run(recipe("epochs=5", f"keep={keep}", "lr=0.5"), tmp_path)
    weights: dict[int, Any] = {}
    scores: dict[int, float] = {}

    def report(progress: Progress) -> None:
        if "validation_robust" in progress.metrics:
            epoch = int(progress.metrics["epoch"])
            scores[epoch] = progress.metrics["validation_robust"]
            weights[epoch] = flat(run.model.state_dict())

    run.train(report)
    model, epoch = run.finished_model()
    assert epoch == (
        5 if keep == "last" else max(epoch for epoch, score in scores.items() if score == max(scores.values()))
    )
    assert flat(model.state_dict()) == weights[epoch]
    assert not model.training


def test_a_folder_of_another_recipe_is_refused(recipe: Load, tmp_path: Path) -> None:
    Run(recipe("epochs=1"), tmp_path).train()
    with pytest.raises(CheckpointError, match="a run of another recipe"):
        Run(recipe("epochs=2"), tmp_path)


def test_a_layer_that_draws_noise_draws_the_same_after_a_stop(recipe: Load, tmp_path: Path) -> None:
    plan = recipe("epochs=1", "method=fsr", 'model={arch = "resnet10", width = 4, method = "fsr"}')
    weights = []
    with pytest.raises(Cancelled):
        Run(plan, tmp_path / "stopped").train(raising_at(2, Cancelled))
    for name in ("whole", "stopped"):
        again = Run(plan, tmp_path / name)
        again.train()
        weights.append(flat(again.model.state_dict()))
    assert weights[0] == weights[1]


@pytest.mark.parametrize("damage", [b"", b"no state", None])
def test_a_damaged_state_is_a_clear_error(damage: bytes | None, recipe: Load, tmp_path: Path) -> None:
    Run(recipe("epochs=1"), tmp_path).train()
    path = tmp_path / "state.pt"
    path.write_bytes(path.read_bytes()[:1000] if damage is None else damage)
    with pytest.raises(CheckpointError, match=r"state\.pt is missing or damaged"):
        Run(recipe("epochs=1"), tmp_path)


def test_a_state_of_which_one_weight_changed_is_not_gone_on_from(recipe: Load, tmp_path: Path) -> None:
    """Every part of the file is told apart by its checksum; torch reads what is there."""
    Run(recipe("epochs=1"), tmp_path).train()
    path = tmp_path / "state.pt"
    with ZipFile(path) as held:
        weights = max(held.infolist(), key=lambda part: part.file_size)
    content = bytearray(path.read_bytes())
    content[weights.header_offset + weights.file_size // 2] ^= 1
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)
    with pytest.raises(CheckpointError, match=r"state\.pt is missing or damaged"):
        Run(recipe("epochs=1"), tmp_path)


def test_a_state_without_its_recipe_is_a_clear_error(recipe: Load, tmp_path: Path) -> None:
    Run(recipe("epochs=1"), tmp_path).train()
    (tmp_path / "recipe.json").unlink()
    with pytest.raises(CheckpointError, match=r"recipe\.json or state\.pt is missing"):
        Run(recipe("epochs=1"), tmp_path)


def test_an_attack_on_the_probes_alone_can_be_trained_with_and_resumed(recipe: Load, tmp_path: Path) -> None:
    """β_atk = ∞ is no number of JSON."""
    plan = recipe("attack.beta=inf", "epochs=1")
    run = Run(plan, tmp_path)
    stop_at(run, 2)
    Run(plan, tmp_path).train()


@pytest.mark.parametrize("validation", [81, 96, 1000])
def test_more_validation_images_than_there_are_is_refused(validation: int, recipe: Load, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=f"validation = {validation}: tiny has only 96"):
        Run(recipe(f"validation={validation}"), tmp_path)


def test_few_images_are_the_first_and_leave_the_validation_images(recipe: Load, tmp_path: Path) -> None:
    whole, few = Run(recipe(), tmp_path / "whole"), Run(recipe("images=40"), tmp_path / "few")
    assert (len(whole.images), len(few.images), few.steps_per_epoch) == (80, 40, 2)
    assert torch.equal(few.images.images, whole.images.images[:40])
    assert torch.equal(few.validation.images, whole.validation.images)


@pytest.mark.parametrize("images", [15, 81])
def test_too_few_or_too_many_images_are_refused(images: int, recipe: Load, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=f"images = {images}: at least one batch of 16, at most 80"):
        Run(recipe(f"images={images}"), tmp_path)


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sigterm_leaves_a_run_that_the_same_command_finishes_as_if_never_stopped(
    recipe_file: Path, tmp_path: Path
) -> None:
    def command(name: str) -> list[str]:
        where = ["--runs", str(tmp_path / name), "--checkpoints", str(tmp_path / name / "zoo")]
        return [sys.executable, "-m", "cifs", "train", str(recipe_file), "--set", "epochs=40", *where]

    environment = os.environ | {"OMP_NUM_THREADS": "1", "CIFS_DATA": os.environ["CIFS_DATA"]}
    folder = tmp_path / "stopped" / "tiny"
    process = subprocess.Popen(
        command("stopped"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() or len((folder / "metrics.jsonl").read_text().splitlines()) < 3:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert not (tmp_path / "stopped" / "zoo").exists()

    again = subprocess.run(command("stopped"), env=environment, capture_output=True, text=True, timeout=240, check=True)
    assert "tiny holds a run that this goes on with" in again.stderr
    subprocess.run(command("alone"), env=environment, capture_output=True, timeout=240, check=True)
    assert outcome(folder) == outcome(tmp_path / "alone" / "tiny")
    weights = [(tmp_path / name / "zoo" / "tiny" / "model.safetensors").read_bytes() for name in ("stopped", "alone")]
    assert weights[0] == weights[1]


def test_a_method_of_pairs_sees_the_natural_images_beside_the_attacked(recipe: Load, tmp_path: Path) -> None:
    """Damped channels: without an attack nothing moves, with one every channel that is used does."""
    movement = {}
    for given in ('attack.eps="8/255"', "attack.eps=0"):
        run = Run(recipe('method="damped"', "model.method=damped", given), tmp_path / given[-2:])
        x, y = next(run.batches())
        run.model.train()
        run.train_on(x, y)
        movement[given] = max(run.model.selector(name).movement.max().item() for name in run.model.modified)
    moved, still = movement.values()
    assert moved > 1e-3
    assert still == 0


def test_consistency_is_added_to_the_loss(recipe: Load, tmp_path: Path) -> None:
    losses = []
    for weight in (0.0, 1e-9, 5.0):
        run = Run(recipe(f"model.consistency={weight}"), tmp_path / str(weight))
        x, y = next(run.batches())
        run.model.train()
        losses.append(run.train_on(x, y)["loss"])
    without, hardly, much = losses
    assert hardly == pytest.approx(without, rel=1e-4)
    assert much > without
