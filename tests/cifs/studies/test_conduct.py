"""A study of the smallest kind, end to end: cells in order, resumed where stopped, measured as the protocol says."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cifs.attacks import PGD, survives
from cifs.data import load_images
from cifs.errors import CheckpointError, CIFSError, InvalidParameter, UnknownName
from cifs.evaluation import unpack
from cifs.files import locked
from cifs.progress import Cancelled, Progress
from cifs.records import StudyRecord
from cifs.studies import conduct, load_study, result_of, study_names
from cifs.studies.measure import LEVELS, Range, measure, sweep
from cifs.studies.plan import parse_study
from cifs.tasks import Workspace, prepared_study, task_of
from tests.cifs.tiny import npz, tiny

RECIPE = """
title = "Tiny"
method = "vanilla"
dataset = "tiny"
epochs = 2
batch_size = 16
lr = 0.05
padding = 1
validation = 16
model = { arch = "resnet10", width = 4 }
attack = { name = "pgd", eps = "8/255", steps = 1, random_start = true }
validation_attack = { name = "fgsm", eps = "8/255" }
"""


def plan(recipe: Path, **changes: Any) -> dict[str, Any]:
    cifs = {"method": "cifs", "model": {"method": "cifs", "imgf": {"name": "softmax", "per_channel": True}}}
    return {
        "title": "Tiny",
        "question": "?",
        "recipe": str(recipe),
        "test_images": 8,
        "regimes": {"short": {"title": "short"}},
        "arms": {"vanilla": {"title": "Vanilla"}, "cifs": {"title": "CIFS", "recipe": cifs}},
        "blocks": [{"regime": "short", "arms": ["vanilla", "cifs"], "seeds": [1, 2]}],
        **changes,
    }


@pytest.fixture
def recipe(data: Path) -> Path:
    npz(data)
    path = data.parent / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", study_names())
def test_every_study_that_ships_describes_trainings_that_differ_in_arm_regime_and_seed_alone(name: str) -> None:
    study = load_study(name)
    first = next(iter(study.cells()))
    recipes = {cell.id: study.recipe_of(cell).as_dict() for cell in study.cells()}
    assert len({json.dumps(recipe, sort_keys=True) for recipe in recipes.values()}) == len(recipes)
    for cell in study.cells():
        own = recipes[cell.id]
        assert own["seed"] == cell.seed
        if study.arms[cell.arm].extends is not None:
            continue  # a recipe of its own
        of_arms = study.arms[cell.arm].recipe.keys() | study.arms[first.arm].recipe.keys()
        allowed = of_arms | study.regimes[cell.regime].recipe.keys() | {"seed", "title"}
        assert {key for key in own if own[key] != recipes[first.id][key]} <= allowed


def test_a_study_goes_seed_by_seed_and_names_every_training_once(recipe: Path) -> None:
    blocks = [
        {"regime": "short", "arms": ["vanilla", "cifs"], "seeds": [1, 2]},
        {"regime": "short", "arms": ["cifs", "vanilla"], "seeds": [2, 3]},
    ]
    cells = [cell.id for cell in parse_study("x", plan(recipe, blocks=blocks)).cells()]
    assert cells == [f"short-{name}" for name in ("vanilla-1", "cifs-1", "vanilla-2", "cifs-2", "cifs-3", "vanilla-3")]


def unknown(**changes: str) -> list[dict[str, str]]:
    whole = {"name": "?", "regime": "short", "arm": "cifs", "against": "vanilla", "checkpoint": "last"}
    return [{**whole, "level": "adaptive", **changes}]


def supposing(**changes: str) -> dict[str, Any]:
    whole = {"hypothesis": "H", "regime": "short", "arm": "vanilla", "level": "adaptive", "loses": 0.05}
    return {"hypotheses": {"H": "?"}, "premise": {**whole, **changes}}


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"blocks": [{"regime": "long", "arms": ["cifs"], "seeds": [1]}]}, UnknownName, "regime 'long'"),
        ({"blocks": [{"regime": "short", "arms": ["fsr"], "seeds": [1]}]}, UnknownName, "arm 'fsr'"),
        ({"comparisons": unknown(against="none")}, UnknownName, "arm 'none'"),
        ({"comparisons": unknown(level="square")}, UnknownName, "level 'square'"),
        ({"comparisons": unknown(checkpoint="first")}, InvalidParameter, "checkpoint = 'first'"),
        ({"comparisons": 2 * unknown()}, InvalidParameter, r"'\?' names two comparisons"),
        (supposing(hypothesis="H9"), UnknownName, "hypothesis 'H9'"),
        (supposing(regime="long"), UnknownName, "regime 'long'"),
        (supposing(arm="none"), UnknownName, "arm 'none'"),
        (supposing(level="verdict"), UnknownName, "level 'verdict'"),
        ({"test_images": 0}, InvalidParameter, "test_images = 0"),
        ({"common": {"validation": 0}}, InvalidParameter, "validation = 0 in short-vanilla-1, but levels = 'attacks'"),
        ({"regimes": {"short": {"title": "short", "recipe": {"epochs": 0}}}}, InvalidParameter, "epochs = 0"),
    ],
)
def test_what_is_wrong_in_a_study_is_named_before_anything_is_run(
    changes: dict[str, Any], error: type[Exception], match: str, recipe: Path
) -> None:
    with pytest.raises(error, match=match):
        parse_study("x", plan(recipe, **changes))


@pytest.mark.slow
def test_a_study_that_was_stopped_goes_on_and_ends_in_what_one_run_gives(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla", "cifs"], "seeds": [1]}]
    study = parse_study("x", plan(recipe, blocks=blocks))
    words = 0

    def report(progress: Progress) -> None:
        nonlocal words
        words += 1
        if words % 30 == 0:
            raise Cancelled("enough for now")

    times, complete = 0, False
    while not complete:
        try:
            complete = conduct(study, tmp_path / "stopped", report=report)
        except Cancelled:
            times += 1
    assert times >= 1
    assert conduct(study, tmp_path / "whole")
    for cell in study.cells():
        whole, stopped = result_of(study, cell, tmp_path / "whole"), result_of(study, cell, tmp_path / "stopped")
        assert whole is not None
        assert stopped is not None
        assert whole["checkpoints"] == stopped["checkpoints"]
        assert [point["epoch"] for point in whole["curve"]] == [1, 2]


def test_a_cell_another_process_is_at_is_left_to_it_and_the_next_is_taken(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla", "cifs"], "seeds": [1]}]
    study = parse_study("x", plan(recipe, blocks=blocks))
    with locked(tmp_path / "runs" / "short-vanilla-1" / "claim"):
        assert not conduct(study, tmp_path)
        assert [path.stem for path in tmp_path.glob("*.json")] == ["short-cifs-1"]
    assert conduct(study, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.json")} == {"short-cifs-1", "short-vanilla-1"}


def test_as_a_task_it_tells_of_its_progress_and_writes_what_people_read(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla"], "seeds": [1, 2]}]
    prepared = prepared_study("x", parse_study("x", plan(recipe, blocks=blocks)), Workspace(runs=tmp_path))
    doing: list[str] = []
    record = prepared.run(lambda progress: doing.append(progress.doing))
    assert isinstance(record, StudyRecord)
    assert (record.measured, record.planned, prepared.resumes) == (2, 2, True)
    assert {"short-vanilla-1: training", "short-vanilla-2, last: attacks"} <= set(doing)
    written = {path.name for path in (tmp_path / "studies" / "x").glob("*.*")}
    assert {"record.json", "report.md", "short.html", "short-vanilla-1.json"} <= written


@pytest.mark.parametrize(
    ("given", "instead"),
    [("validation = 16\n", "validation = 0\n"), ('validation_attack = { name = "fgsm", eps = "8/255" }\n', "")],
)
def test_trainings_that_are_not_attacked_on_the_way_are_summed_up_without_curves(
    given: str, instead: str, recipe: Path, tmp_path: Path
) -> None:
    recipe.write_text(RECIPE.replace(given, instead), encoding="utf-8")
    blocks = [{"regime": "short", "arms": ["vanilla"], "seeds": [1, 2]}]
    study = parse_study("x", plan(recipe, blocks=blocks, levels="bounds"))
    record = prepared_study("x", study, Workspace(runs=tmp_path)).run(lambda progress: None)
    assert isinstance(record, StudyRecord)
    assert (record.measured, record.curves) == (2, [])
    assert (tmp_path / "studies" / "x" / "short-arms.html").exists()


@pytest.mark.parametrize("name", ["../x", "a/b.toml", "x.toml", ""])
def test_a_request_names_no_file(name: str) -> None:
    with pytest.raises(InvalidParameter, match="study = "):
        task_of("study", {"study": name})


def test_a_result_of_another_recipe_is_not_taken_for_this_ones(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla"], "seeds": [1]}]
    conduct(parse_study("x", plan(recipe, blocks=blocks)), tmp_path)
    changed = parse_study("x", plan(recipe, blocks=blocks, common={"lr": 0.01}))
    with pytest.raises(CheckpointError, match="of another recipe"):
        conduct(changed, tmp_path)


def test_a_result_of_other_images_or_other_levels_is_not_taken_for_this_ones(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla"], "seeds": [1]}]
    conduct(parse_study("x", plan(recipe, blocks=blocks)), tmp_path)
    for changes, match in (
        ({"test_from": 1}, "of other images"),
        ({"held_out": True}, "of other images"),
        ({"levels": "bounds"}, "lacks verdict: it was measured otherwise than at levels = 'bounds'"),
    ):
        changed = parse_study("x", plan(recipe, blocks=blocks, **changes))
        with pytest.raises(CheckpointError, match=match):
            result_of(changed, next(changed.cells()), tmp_path)


@pytest.mark.parametrize("text", ["", '{"recipe": {"ti', "{}", "[]"])
def test_a_result_that_is_damaged_is_named(text: str, recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "short-vanilla-1.json").write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"short-vanilla-1\.json is damaged"):
        conduct(parse_study("x", plan(recipe)), tmp_path)


@pytest.mark.parametrize(
    ("model", "match"),
    [
        ({"arch": "resnet10", "width": 4, "method": "cifs", "imgf": {"name": "softmx"}}, "softmx"),
        ({"arch": "resnt10", "width": 4, "method": "cifs"}, "resnt10"),
    ],
)
def test_a_network_that_cannot_be_built_is_named_before_any_is_trained(
    model: dict[str, Any], match: str, recipe: Path, tmp_path: Path
) -> None:
    arms = {"vanilla": {"title": "Vanilla"}, "cifs": {"title": "CIFS", "recipe": {"method": "cifs", "model": model}}}
    with pytest.raises(CIFSError, match=match):
        prepared_study("x", parse_study("x", plan(recipe, arms=arms)), Workspace(runs=tmp_path))


@pytest.mark.parametrize("changes", [{"test_images": 10_000}, {"test_from": 10_000}])
def test_more_test_images_than_there_are_is_an_error_before_anything_is_trained(
    changes: dict[str, int], recipe: Path, tmp_path: Path
) -> None:
    study = parse_study("x", plan(recipe, **changes))
    with pytest.raises(InvalidParameter, match="10000.*: tiny has only [0-9]+ test images"):
        conduct(study, tmp_path)
    assert not [*tmp_path.rglob("metrics.jsonl")]


def test_each_level_stands_within_the_one_before_and_four_attacks_are_made(data: Path) -> None:
    npz(data)
    images = load_images("tiny", "test")
    for method in ("plain", "cifs"):
        model = tiny(method)
        tries = sweep(Range(model, images[:8], "float32"), 8 / 255)
        assert [share for _, share in tries] == sorted(share for _, share in tries)
        assert len(tries) == (9 if method == "cifs" else 1)
        found = measure(Range(model, images, "float32"), tries[0][0])
        standing = [unpack(found["levels"][level]["standing"], found["n"]) for level in LEVELS]
        natural, unadaptive, adaptive, strongest = standing
        assert not (unadaptive & ~natural).any()
        assert not (strongest & ~(unadaptive & adaptive)).any()
        assert len({json.dumps(attack) for attack in found["attacks"]}) == 4


def test_the_adaptive_level_is_the_sweeps_strongest_setting_alone(data: Path) -> None:
    npz(data)
    images, model = load_images("tiny", "test"), tiny("cifs")
    chosen = PGD(eps=8 / 255, beta=0.0, through_mask=True)
    found = measure(Range(model, images, "float32"), chosen)
    expected = survives(model, *images.batch(torch.arange(len(images))), chosen)
    assert torch.equal(unpack(found["levels"]["adaptive"]["standing"], found["n"]), expected)
    assert found["attacks"][1] == chosen.resolved()
