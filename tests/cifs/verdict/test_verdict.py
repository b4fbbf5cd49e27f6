"""The verdict against the standard AutoAttack, against the same trial done by hand, and after a kill."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifs.attacks import Annealed, AnnealedT, autoattack, survives
from cifs.attacks.autoattack import AutoAttack
from cifs.errors import CIFSError, InvalidParameter
from cifs.progress import Cancelled, Progress
from cifs.verdict import MISTAKEN, STAGES, STANDS, Hearing, Stage, Trial, Verdict, stages_for, verdict
from tests.cifs.learned import first, first_images, learned
from tests.cifs.tiny import images, tiny
from tests.cifs.verdict.deceiving import Crowded, Noisy, Saturated

EPS = 0.05
QUICK = (
    Stage("free", Annealed(steps=4, random_start=False, beta=0.0)),
    Stage("targets", AnnealedT(steps=4, targets=1, random_start=False, beta=0.0), (1.0, 0.5)),
    Stage("last", AnnealedT(steps=4, targets=1, beta=0.0), (0.3,)),
)


def hearing(folder: Path, model: nn.Module | None = None, **options: Any) -> Hearing:
    defaults = {"stages": QUICK, "indicators": ("ascent", "budget"), "batch_size": 16, "about": {"model": "learned"}}
    return Hearing(model or learned(), first_images(40), EPS, folder, **{**defaults, **options})


def outcomes(result: Verdict) -> list[int]:
    return result.fell.tolist()


# ---- how strong it is -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("eps", [0.03, 0.06])
def test_no_more_images_stand_than_after_the_standard_autoattack(eps: float) -> None:
    pytest.importorskip("pyautoattack")
    x, y = first(80)
    few = AutoAttack(eps=eps, queries=500)  # of Square alone, which comes last and is slow
    standard = autoattack(learned(), x, y, few).robust
    ours = verdict(learned(), x, y, eps=eps).standing
    assert 10 < int(standard.sum()) < 70
    assert int(ours.sum()) <= int(standard.sum())
    assert int((ours != standard).sum()) <= 1


@pytest.mark.slow
def test_on_probes_it_is_as_strong_as_autoattack_and_each_adaptive_attack_together() -> None:
    pytest.importorskip("pyautoattack")
    model = tiny("cifs")
    x, _ = images(48)
    y = model(x).argmax(dim=1)
    standard = autoattack(model, x, y, AutoAttack(eps=0.01, queries=100, iterations=30)).robust
    adaptive = [
        Annealed(eps=0.01, steps=30, beta=beta, through_mask=mask) for beta in (0.0, 2.0) for mask in (False, True)
    ]
    for attack in adaptive:
        standard &= survives(model, x, y, attack)
    ours = verdict(model, x, y, eps=0.01, precision="float32").standing
    assert 0 < int(standard.sum()) < 48
    assert int(ours.sum()) <= int(standard.sum()) + 1


def test_saturated_logits_do_not_protect() -> None:
    x, y = first(60)
    assert torch.equal(
        verdict(Saturated(), x, y, eps=EPS, stages=QUICK).standing,
        verdict(learned(), x, y, eps=EPS, stages=QUICK).standing,
    )


# ---- what a trial does ----------------------------------------------------------------------------------------------


def test_who_fell_is_fooled_and_who_stands_is_right() -> None:
    x, y = first(40)
    trial = Trial(learned(), x, y, EPS, stages=QUICK)
    trial.run()
    right = learned()(x).argmax(dim=1) == y
    assert torch.equal(trial.fell == MISTAKEN, ~right)
    assert torch.equal(learned()(trial.x_adv).argmax(dim=1) == y, trial.standing)
    assert (trial.x_adv - x).abs().max() <= EPS + 1e-6
    assert trial.x_adv.min() >= 0
    assert trial.x_adv.max() <= 1
    assert torch.equal(trial.x_adv[trial.fell < 0], x[trial.fell < 0])


@pytest.mark.parametrize("eps", [1e-6, 0.01, 0.5])
def test_the_model_is_never_asked_about_no_images(eps: float) -> None:
    """Networks with windows of attention cannot answer that."""
    model, sizes = learned(), []
    hook = model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    try:
        verdict(model, *first(8), eps=eps, stages=QUICK)
    finally:
        hook.remove()
    assert sizes
    assert min(sizes) > 0


def test_margins_are_the_largest_of_every_class_and_never_less_than_the_images_own() -> None:
    x, y = first(20)
    trial = Trial(learned(), x, y, EPS, precision="float32", stages=QUICK)
    own = trial.margins.clone()
    trial.run()
    assert (trial.margins >= own).all()
    assert (trial.margins > own).any(dim=1)[trial.standing].all()
    assert (trial.margins.gather(1, y[:, None]) == -torch.inf).all()
    assert (trial.margins.amax(dim=1)[trial.standing] <= 0).all()


class Watched(nn.Module):
    """Notes how many images each differentiated pass is of."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.sizes = learned(), []

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            self.sizes.append(len(x))
        return self.inner(x)


def test_a_share_of_the_images_that_stand_is_attacked_and_every_pass_is_counted() -> None:
    x, y = first(40)
    model = Watched()
    trial = Trial(model, x, y, 1e-6, precision="float32", stages=QUICK)
    standing = int(trial.standing.sum())
    model.sizes.clear()
    trial.attack(1, QUICK[1])
    assert model.sizes == [standing] * 4 + [-(-standing // 2)] * 4  # rounded up
    assert trial.passes == sum(model.sizes)


def test_a_targeted_stage_pushes_no_image_twice_towards_the_same_class() -> None:
    x, y = first(12)
    many = replace(QUICK[1], shares=(1.0,) * 12)
    model = Watched()
    trial = Trial(model, x, y, 1e-6, precision="float32", stages=(many,))
    model.sizes.clear()
    trial.run()
    assert len(model.sizes) == 9 * 4  # after nine of the other classes there is none left


def test_stages_for_probes_are_run_on_models_with_probes_alone() -> None:
    plain, cas, cifs = (stages_for(tiny(method)) for method in ("plain", "cas", "cifs"))
    assert {stage.needs for stage in plain} == {"nothing"}
    assert {stage.needs for stage in cas} == {"nothing", "probes"}  # its mask does not depend on the features
    assert cifs == STAGES


@pytest.mark.parametrize("cls", [Noisy, Crowded])
def test_what_is_no_function_of_the_image_is_refused(cls: type[nn.Module]) -> None:
    x, y = first(20)
    with pytest.raises(CIFSError, match="a verdict is of a function"):
        verdict(cls(), x, y, eps=EPS, stages=QUICK)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_no_numbers_are_refused_wherever_they_are(value: float) -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            last = (x == worst).flatten(1).all(dim=1, keepdim=True)
            return learned()(x).masked_fill(last & (torch.arange(10) == 3), value)

    x, y = first(80)
    worst = x[-1]  # one that is not asked twice
    with pytest.raises(CIFSError, match="logits of 1 of 80 images are nan or infinite"):
        verdict(Broken(), x, y, eps=EPS, stages=QUICK)


def test_what_has_no_gradients_at_all_is_refused() -> None:
    class Opaque(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return learned()(x)

    x, y = first(4)
    with pytest.raises(CIFSError, match="cut off from the image"):
        verdict(Opaque(), x, y, eps=EPS, stages=QUICK)


def test_a_verdict_of_nothing_is_refused(tmp_path: Path) -> None:
    x, y = first(0)
    with pytest.raises(InvalidParameter, match="no images"):
        verdict(learned(), x, y, eps=EPS)
    with pytest.raises(InvalidParameter, match="no images"):
        Hearing(learned(), first_images(0), EPS, tmp_path)


# ---- batch by batch -------------------------------------------------------------------------------------------------


def test_batches_add_up(tmp_path: Path) -> None:
    result = hearing(tmp_path).run()
    by_hand = []
    for start in (0, 16, 32):
        x, y = first(40)
        trial = Trial(learned(), x[start : start + 16], y[start : start + 16], EPS, first=start, stages=QUICK)
        trial.run()
        by_hand += trial.fell.tolist()
    assert outcomes(result) == by_hand
    cell = result.measurement(10)
    assert cell.n == 40
    assert cell.correct == sum(fell == STANDS for fell in by_hand)
    assert cell.after is not None
    assert [stage.correct for stage in cell.after][-1] == cell.correct
    assert json.loads(json.dumps(cell.as_json(), allow_nan=False))["settings"]["ensemble"][1]["shares"] == [1.0, 0.5]


def test_a_killed_verdict_goes_on_after_the_last_whole_batch(tmp_path: Path) -> None:
    whole = hearing(tmp_path / "whole").run()
    folder = tmp_path / "killed"

    def kill(progress: Progress) -> None:
        if progress.done >= 32:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        hearing(folder, report=kill).run()
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("batch-*.npz")}
    assert sorted(before) == ["batch-00000.npz", "batch-00001.npz"]
    (folder / "batch-00001.npz").write_bytes((folder / "batch-00001.npz").read_bytes()[:-100])  # torn while written
    assert outcomes(hearing(folder).run()) == outcomes(whole)
    assert (folder / "batch-00000.npz").stat().st_mtime_ns == before["batch-00000.npz"]


@pytest.mark.parametrize("change", [{"about": {"model": "other"}}, {"seed": 1}, {"stages": QUICK[:2]}])
def test_batches_of_anything_else_are_not_taken_over(tmp_path: Path, change: dict[str, Any]) -> None:
    hearing(tmp_path).run()
    written = (tmp_path / "batch-00000.npz").stat().st_mtime_ns
    hearing(tmp_path, **change).run()
    assert (tmp_path / "batch-00000.npz").stat().st_mtime_ns != written


def test_progress_names_the_stage_and_counts_the_images(tmp_path: Path) -> None:
    notes: list[Progress] = []
    hearing(tmp_path, report=notes.append).run()
    assert {note.total for note in notes} == {40}
    assert [note.done for note in notes] == sorted(note.done for note in notes)
    assert {"verdict, free", "verdict, targets", "verdict, last"} <= {note.doing for note in notes}
    assert {0, 16, 16 + 16 // 3, 32 + 16 // 3} <= {note.done for note in notes}


def test_what_is_random_is_a_function_of_seed_and_image(tmp_path: Path) -> None:
    first_time, again, other = (hearing(tmp_path / str(i), seed=seed).run() for i, seed in enumerate((0, 0, 1)))
    assert outcomes(first_time) == outcomes(again)
    assert np.isfinite(other.seconds)
