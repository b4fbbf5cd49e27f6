"""The robustness table: what is counted, what is kept, what is not measured again."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cifs.attacks import ATTACKS, PGD, AutoAttack, AutoAttacked, GradientAttack, autoattack, survives
from cifs.data import Images
from cifs.errors import InvalidParameter, UnknownName
from cifs.evaluation import (
    BETAS,
    COLUMNS,
    Bench,
    accuracy_curves,
    autoattack_cell,
    pack,
    robustness_table,
    settings_to_try,
    unpack,
    wilson,
)
from cifs.models import CNN
from cifs.progress import Cancelled, Progress, Report
from cifs.registry import configure
from tests.cifs.tiny import METHODS, images, tiny

EPS = 0.03
FEW = ("natural", "fgsm", "pgd20", "worst")
SUBJECT = {"model": "tiny", "dataset": "tiny", "split": "test", "weights": "a"}


def labelled(model: CNN, n: int = 24) -> Images:
    """Images the model is right about, but for some."""
    x, _ = images(n, seed=3)
    x = (x * 255).byte()
    with torch.no_grad():
        y = model(x.float() / 255).argmax(dim=1)
    y[:3] = (y[:3] + 1) % 10
    return Images(x, y)


@pytest.fixture(scope="module", params=METHODS)
def model(request: pytest.FixtureRequest) -> CNN:
    return tiny(request.param)


@pytest.fixture(scope="module")
def result(model: CNN) -> dict[str, Any]:
    return table(Bench(model, labelled(model), EPS, SUBJECT, precision="float32", batch_size=7))


def table(bench: Bench, columns: Sequence[str] = FEW, **options: Any) -> dict[str, Any]:
    """As evaluation.json has it."""
    return robustness_table(bench, columns, **options).as_json()


@given(st.lists(st.booleans(), max_size=70))
def test_outcomes_come_back_from_their_hexadecimal(robust: list[bool]) -> None:
    text = pack(torch.tensor(robust, dtype=torch.bool))
    assert len(text) == 2 * ((len(robust) + 7) // 8)
    assert unpack(text, len(robust)).tolist() == robust


def test_the_first_image_is_the_highest_bit() -> None:
    assert pack(torch.tensor([True] + 7 * [False] + [False, True])) == "8040"


def test_measuring_nothing_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="at least one"):
        Bench(tiny(), labelled(tiny())[:0], EPS)


@pytest.mark.parametrize("key", COLUMNS)
def test_every_column_is_the_papers_attack_at_this_eps(key: str) -> None:
    attack = COLUMNS[key].attack
    steps = {"fgsm": 1, "pgd20": 20, "cw": 30, "pgd100": 100}
    if attack is None:
        assert key in ("natural", "worst", "autoattack", "verdict")
        return
    settings = attack(0.1).resolved()
    assert settings["eps"] == 0.1
    if key in steps:
        assert settings["steps"] == steps[key]
        assert settings["step_size"] == pytest.approx(0.1 if key == "fgsm" else 0.01)
        assert settings["loss"] == ("margin" if key == "cw" else "ce")
        assert not settings["random_start"]


def test_every_beta_is_swept_where_there_are_probes_and_the_mask_where_it_matters() -> None:
    assert settings_to_try(tiny(), PGD()) == [PGD()]
    cas, cifs = settings_to_try(tiny("cas"), PGD()), settings_to_try(tiny("cifs"), PGD())
    assert {attack.beta for attack in cas} == set(BETAS) == {0.0, 0.5, 1.0, 2.0, 10.0, 100.0, float("inf")}
    assert not any(attack.through_mask for attack in cas)
    assert cifs[: len(cas)] == cas
    assert {(attack.beta, attack.through_mask) for attack in cifs[len(cas) :]} == {(2.0, True), (0.0, True)}


def test_natural_accuracy_is_the_share_of_right_predictions(model: CNN, result: dict[str, Any]) -> None:
    cell = result["cells"]["natural"]
    assert (cell["correct"], cell["n"], result["n"]) == (21, 24, 24)
    assert cell["accuracy"] == 21 / 24
    assert (cell["low"], cell["high"]) == wilson(21, 24)
    assert unpack(cell["robust"], 24).tolist() == 3 * [False] + 21 * [True]
    assert cell["settings"] is None


def test_a_cell_is_what_its_settings_leave_standing(model: CNN, result: dict[str, Any]) -> None:
    x, y = labelled(model).batch(slice(None))
    for key in ("fgsm", "pgd20"):
        cell = result["cells"][key]
        settings = dict(cell["settings"])
        robust = survives(model, x, y, configure(ATTACKS, settings.pop("name"), settings))
        assert unpack(cell["robust"], 24).tolist() == robust.tolist()
        assert cell["correct"] == int(robust.sum())
        assert (cell["low"], cell["high"]) == wilson(cell["correct"], 24)


def test_the_strongest_of_the_sweep_counts(model: CNN, result: dict[str, Any]) -> None:
    for key in ("fgsm", "pgd20"):
        swept = [entry for entry in result["sweep"] if entry["column"] == key]
        expected = len(settings_to_try(model, PGD()))
        assert len(swept) == (expected if expected > 1 else 0)
        if swept:
            assert result["cells"][key]["accuracy"] == min(entry["accuracy"] for entry in swept)
            (counted,) = (entry for entry in swept if entry["counted"])
            assert counted["settings"] == result["cells"][key]["settings"]
            assert all(int(unpack(entry["robust"], 24).sum()) == entry["correct"] for entry in swept)
    assert result["cells"][result["strongest"]]["accuracy"] == min(
        result["cells"][key]["accuracy"] for key in ("fgsm", "pgd20")
    )


def test_the_worst_case_is_what_withstands_everything_that_was_tried(model: CNN, result: dict[str, Any]) -> None:
    x, y = labelled(model).batch(slice(None))
    with torch.no_grad():
        standing = model(x).argmax(dim=1) == y
    for key in ("fgsm", "pgd20"):
        attack = COLUMNS[key].attack
        assert attack is not None
        for settings in settings_to_try(model, attack(EPS)):
            standing &= survives(model, x, y, settings)
    worst = result["cells"]["worst"]
    assert unpack(worst["robust"], 24).tolist() == standing.tolist()
    assert all(worst["accuracy"] <= cell["accuracy"] for cell in result["cells"].values())
    assert 0 < worst["accuracy"] < result["cells"]["natural"]["accuracy"]


def test_pgd100_takes_the_strongest_setting_of_pgd20() -> None:
    model = tiny("cifs")
    found = table(Bench(model, labelled(model, 4), EPS, SUBJECT, precision="float32"), ("pgd20", "pgd100"))
    swept = [entry for entry in found["sweep"] if entry["column"] == "pgd100"]
    assert len(swept) == 1
    for parameter in ("beta", "through_mask"):
        assert found["cells"]["pgd100"]["settings"][parameter] == found["cells"]["pgd20"]["settings"][parameter]


def test_a_result_says_what_it_is_of_and_is_json(result: dict[str, Any]) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["model"] == "tiny"
    assert result["eps"] == EPS
    assert "float32" in result["criterion"]
    assert list(result["cells"]) == [key for key in COLUMNS if key in FEW]


def test_an_unknown_column_is_answered_with_the_known_ones(model: CNN) -> None:
    asked: list[Progress] = []
    with pytest.raises(UnknownName, match="'pgd7'.*pgd20"):
        robustness_table(Bench(model, labelled(model), EPS, SUBJECT, report=asked.append), ("pgd7",))
    assert asked == []  # nothing was measured first


def test_right_images_are_counted_by_class(model: CNN, result: dict[str, Any]) -> None:
    labels = labelled(model).labels
    assert result["class_counts"] == [int((labels == k).sum()) for k in range(10)]
    for cell in result["cells"].values():
        robust = unpack(cell["robust"], 24)
        assert cell["by_class"] == [int(robust[labels == k].sum()) for k in range(10)]


def test_a_sweep_on_the_first_images_measures_its_two_best_settings_on_all() -> None:
    model = tiny("cas")
    bench = Bench(model, labelled(model), EPS, SUBJECT, precision="float32")
    found = table(bench, sweep=8)
    whole = table(Bench(model, labelled(model), EPS, SUBJECT, precision="float32"))
    for key in ("fgsm", "pgd20"):
        swept, everywhere = ([e for e in r["sweep"] if e["column"] == key] for r in (found, whole))
        assert [e["settings"] for e in swept] == [e["settings"] for e in everywhere]
        finalists = [i for i, e in enumerate(swept) if e["n"] == 24]
        first = [bench.under(a, n=8).correct for a in settings_to_try(model, whole_attack(key))]
        assert len(finalists) == 2
        assert sorted(first[i] for i in finalists) == sorted(first)[:2]
        assert [swept[i]["correct"] for i in finalists] == [everywhere[i]["correct"] for i in finalists]
        assert all(e["n"] == 8 and e["correct"] == first[i] for i, e in enumerate(swept) if i not in finalists)
        assert found["cells"][key]["n"] == 24
        assert found["cells"][key]["correct"] == min(swept[i]["correct"] for i in finalists)
    assert found["cells"]["worst"]["correct"] >= whole["cells"]["worst"]["correct"]


def whole_attack(key: str) -> GradientAttack:
    attack = COLUMNS[key].attack
    assert attack is not None
    return attack(EPS)


# ---- curves and AutoAttack -------------------------------------------------------------------------------------------


def test_curves_are_what_the_attack_leaves_at_each_eps_and_after_each_number_of_steps(model: CNN) -> None:
    few = labelled(model, 12)
    x, y = few.batch(slice(None))
    bench = Bench(model, few, EPS, precision="float32", batch_size=5)
    found = accuracy_curves(bench, PGD(eps=EPS, steps=20)).model_dump(exclude_unset=True)
    standing = model(x).argmax(dim=1) == y
    assert found["eps"][0] | {"eps": 0.0, "correct": int(standing.sum()), "n": 12} == found["eps"][0]
    for point in found["eps"][1:]:
        standing &= survives(model, x, y, PGD(eps=point["eps"], steps=20))
        assert point["correct"] == int(standing.sum())
        assert (point["low"], point["high"]) == wilson(point["correct"], 12)
    assert [point["eps"] / EPS for point in found["eps"]] == pytest.approx(
        [0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1, 5 / 4, 3 / 2, 7 / 4, 2]
    )
    assert found["eps"][-1]["correct"] < found["eps"][0]["correct"]
    for point in found["steps"][::4]:
        expected = survives(model, x, y, PGD(eps=EPS, steps=point["steps"]))
        assert point["correct"] == int(expected.sum())
    assert found["steps"][-1]["steps"] == 100
    assert found["n"] == 12
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("method", ["plain", "cifs"])
def test_autoattack_attacks_what_stands_once_more_through_the_mask(method: str) -> None:
    pytest.importorskip("pyautoattack")
    model = tiny(method)
    few = labelled(model, 8)
    x, y = few.batch(slice(None))
    standing = torch.tensor([True, True, False, True, True, True, True, True]) & (model(x).argmax(dim=1) == y)
    eps = 0.01
    bench = Bench(model, few, eps, precision="float32")
    cell = autoattack_cell(bench, bench.counted(standing), ["apgd-ce"]).as_json()
    expected, left = standing.clone(), []
    for mask in (False, True) if method == "cifs" else (False,):
        todo = expected.nonzero()[:, 0]
        expected[todo] = autoattack(
            model, x[todo], y[todo], AutoAttack(eps=eps, stages=("apgd-ce",), through_mask=mask)
        ).robust
        left.append({"stage": "apgd-ce", "through_mask": mask, "correct": int(expected.sum()), "remarks": []})
    assert unpack(cell["robust"], 8).tolist() == expected.tolist()
    assert 0 < cell["correct"] < int(standing.sum())  # some fall, some stand
    assert cell["after"] == left
    stated = {"stages": ["apgd-ce"], "version": "custom", "through_mask": [*range(len(left))], "n": int(standing.sum())}
    assert cell["settings"].items() >= stated.items()


def test_autoattack_goes_on_after_the_last_finished_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Square follows no gradient, so nothing is gained by opening the maps to it: it is run once."""
    ran: list[str] = []

    def all_but_one_stand(model: CNN, x: Tensor, y: Tensor, attack: AutoAttack, *, report: Report) -> AutoAttacked:
        stage = f"{attack.stages[0]} {attack.through_mask}"
        if stage == "square False" and stage not in ran:
            ran.append(stage)
            raise Cancelled
        ran.append(stage)
        robust = torch.arange(len(y)) > 0
        return AutoAttacked(robust, x, {}, ("a remark", "a remark"), {"name": "autoattack", "eps": attack.eps})

    monkeypatch.setattr("cifs.evaluation.autoattacked.autoattack", all_but_one_stand)
    model, standing = tiny("cifs"), torch.arange(9) > 0
    for _ in range(2):
        bench = Bench(model, labelled(model, 9), EPS, partial=tmp_path / "partial.json")
        with suppress(Cancelled):
            stages = ["square", "apgd-ce"]  # run in the standard order
            cell = autoattack_cell(bench, bench.counted(standing), stages).as_json()
    assert ran == ["apgd-ce False", "square False", "square False", "apgd-ce True"]
    assert unpack(cell["robust"], 9).tolist() == [False] * 4 + [True] * 5
    assert [(after["correct"], after["remarks"]) for after in cell["after"]] == [(n, ["a remark"]) for n in (7, 6, 5)]
    assert (cell["settings"]["n"], cell["settings"]["eps"], cell["settings"]["through_mask"]) == (8, EPS, [False, True])
    autoattack_cell(bench, bench.counted(torch.arange(9) > 1), stages)  # of other images it is another measurement
    assert len(ran) == 7


def test_an_unknown_stage_is_refused_before_any_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifs.evaluation.autoattacked.autoattack", lambda *args, **options: pytest.fail("was run"))
    model = tiny()
    with pytest.raises(UnknownName, match="stage of AutoAttack 'sqare'"):
        bench = Bench(model, labelled(model, 9), EPS)
        autoattack_cell(bench, bench.counted(torch.ones(9).bool()), ["apgd-ce", "sqare"])


def test_a_measurement_can_be_stopped_within_a_batch() -> None:
    """Of minutes, for AutoAttack."""
    pytest.importorskip("pyautoattack")
    model, told = tiny(), []

    def report(progress: Progress) -> None:
        told.append(progress.done)
        if len(told) == 5:
            raise Cancelled

    few = labelled(model, 9)
    bench = Bench(model, few, EPS, report=report)
    with pytest.raises(Cancelled):
        autoattack_cell(bench, bench.counted(torch.ones(9).bool()))
    assert told == [0] * 5  # not one batch was done
    model(few.batch(slice(None))[0])  # nobody is told of it any more
    assert len(told) == 5


# ---- partial results ------------------------------------------------------------------------------------------------


def measured(
    model: CNN, partial: Path | None, stop_after: int | None = None, **changed: Any
) -> tuple[list[str], dict[str, Any] | None]:
    """The settings that were measured now, and the result unless it was stopped."""
    seen: list[str] = []

    def report(progress: Progress) -> None:
        if len(seen) == stop_after:
            raise Cancelled
        if progress.done == progress.total:
            seen.append(progress.doing)

    options = {"eps": EPS, "subject": SUBJECT, "precision": "float32", "batch_size": 10} | changed
    try:
        return seen, table(Bench(model, labelled(model), partial=partial, report=report, **options))
    except Cancelled:
        return seen, None


def without_time(result: dict[str, Any] | None) -> Any:
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(v) for key, v in value.items() if key != "seconds"}
        return [clean(v) for v in value] if isinstance(value, list) else value

    assert result is not None
    return clean(result)


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_what_was_measured_before_a_stop_is_not_measured_again(stop_after: int, tmp_path: Path) -> None:
    model, partial = tiny("cifs"), tmp_path / "partial.json"
    everything, whole = measured(model, None)
    before, stopped = measured(model, partial, stop_after)
    assert stopped is None
    after, resumed = measured(model, partial)
    assert before + after == everything
    assert without_time(resumed) == without_time(whole)
    assert measured(model, partial)[0] == []


@pytest.mark.parametrize("changed", [{"eps": 0.05}, {"subject": SUBJECT | {"weights": "b"}}, {"precision": "bf16"}])
def test_partial_results_of_something_else_are_not_taken(changed: dict[str, Any], tmp_path: Path) -> None:
    model, partial = tiny(), tmp_path / "partial.json"
    measured(model, partial)
    assert measured(model, partial)[0] == []
    assert len(measured(model, partial, **changed)[0]) == 3


@pytest.mark.parametrize("content", ["", "{", "[]", '{"identity": {}}'])
def test_a_damaged_file_of_partial_results_is_measured_again(content: str, tmp_path: Path) -> None:
    model, partial = tiny(), tmp_path / "partial.json"
    partial.write_text(content, encoding="utf-8")
    assert len(measured(model, partial)[0]) == 3
    assert measured(model, partial)[0] == []
