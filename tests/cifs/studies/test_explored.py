"""Explorations: what is measured was seen by no training, and the verdict is the judge."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cifs.attacks import PGD, survives
from cifs.data import load_images
from cifs.errors import InvalidParameter
from cifs.evaluation import unpack
from cifs.files import write_json
from cifs.records import StudyRecord
from cifs.studies import conduct, markdown, result_of, summary
from cifs.studies.measure import BOUNDS, Range, measure_bounds, measure_verdict
from cifs.studies.plan import parse_study
from cifs.verdict import verdict
from tests.cifs.studies.test_conduct import RECIPE, plan
from tests.cifs.tiny import npz, tiny


@pytest.fixture
def recipe(data: Path) -> Path:
    npz(data)  # 96 training images
    path = data.parent / "tiny.toml"
    path.write_text(RECIPE + "images = 64\n", encoding="utf-8")
    return path


def exploring(recipe: Path, **changes: Any) -> dict[str, Any]:
    return plan(recipe, **{"held_out": True, "levels": "verdict", **changes})


def test_held_out_images_lie_between_what_is_trained_on_and_what_chooses_the_epoch(recipe: Path) -> None:
    study = parse_study("x", exploring(recipe))
    images = study.images_of(study.recipe_of(next(study.cells())))
    train = load_images("tiny", "train")
    assert torch.equal(images.images, train.images[72:80])  # 8 before the last 16
    assert torch.equal(images.labels, train.labels[72:80])


def test_more_held_out_images_than_training_leaves_are_refused(recipe: Path) -> None:
    study = parse_study("x", exploring(recipe, test_images=17))
    with pytest.raises(InvalidParameter, match="test_images = 17: of 96 training images, 64 are trained on and 16"):
        study.images_of(study.recipe_of(next(study.cells())))


def test_the_verdict_is_a_level_of_its_own(data: Path) -> None:
    npz(data)
    images, model = load_images("tiny", "test"), tiny("cifs")
    found = measure_verdict(Range(model, images, "float32"), 8 / 255)
    expected = verdict(model, *images.batch(torch.arange(len(images))), eps=8 / 255, precision="float32")
    standing = {level: unpack(value["standing"], found["n"]) for level, value in found["levels"].items()}
    assert torch.equal(standing["verdict"], expected.standing)
    right = model(images.batch(torch.arange(len(images)))[0]).argmax(dim=1) == images.labels
    assert torch.equal(standing["natural"], right)
    assert found["trusted"] == expected.trusted


def test_an_exploration_is_run_and_summed_up(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla", "cifs"], "seeds": [1]}]
    study = parse_study("x", exploring(recipe, blocks=blocks))
    assert conduct(study, tmp_path)
    record = summary("x", study, tmp_path)
    assert record.levels == ["natural", "verdict"]
    assert {accuracy.level for accuracy in record.accuracies} == {"natural", "verdict"}
    result = result_of(study, next(study.cells()), tmp_path)
    assert result is not None
    assert result["checkpoints"]["last"]["settings"]["name"] == "verdict"


def test_bounds_are_what_the_trainings_own_loss_and_the_verdict_leave_of_one_network(data: Path) -> None:
    npz(data)
    images, model = load_images("tiny", "test"), tiny("cifs")
    x, y = images.batch(torch.arange(len(images)))
    found = measure_bounds(Range(model, images, "float32"), 8 / 255)
    standing = {level: unpack(value["standing"], found["n"]) for level, value in found["levels"].items()}
    assert set(standing) == set(BOUNDS)
    assert torch.equal(standing["verdict"], verdict(model, x, y, eps=8 / 255, precision="float32").standing)
    assert torch.equal(standing["unadaptive"], survives(model, x, y, PGD(eps=8 / 255, steps=20)))


@pytest.mark.parametrize("levels", ["attacks", "verdict", "bounds"])
def test_a_training_that_collapsed_is_measured_as_one_that_keeps_nothing(
    levels: str, recipe: Path, tmp_path: Path
) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla"], "seeds": [1]}]
    collapsing = {"common": {"lr": 1e30, "schedule": "multistep"}}
    study = parse_study("x", exploring(recipe, blocks=blocks, levels=levels, **collapsing))
    assert conduct(study, tmp_path)
    record = summary("x", study, tmp_path)
    assert {accuracy.level: accuracy.mean for accuracy in record.accuracies if accuracy.checkpoint == "last"} == (
        dict.fromkeys(study.measured_levels, 0.0)
    )


def test_a_verdict_that_is_not_to_be_trusted_is_marked_in_the_report(recipe: Path, tmp_path: Path) -> None:
    blocks = [{"regime": "short", "arms": ["vanilla"], "seeds": [1, 2]}]
    study = parse_study("x", exploring(recipe, blocks=blocks, levels="bounds"))
    assert conduct(study, tmp_path)
    trusted = summary("x", study, tmp_path)
    assert "not trusted" not in markdown(trusted)
    path = tmp_path / f"{next(study.cells()).id}.json"
    result = json.loads(path.read_text())
    result["checkpoints"]["last"]["trusted"] = False
    write_json(path, result)
    record = summary("x", study, tmp_path)
    doubted = {(a.checkpoint, a.level): a.untrusted for a in record.accuracies if a.untrusted}
    assert doubted == {("last", "verdict"): 1}
    assert "(1 not trusted)" in markdown(record)


def test_images_of_earlier_studies_are_passed_over(recipe: Path) -> None:
    study = parse_study("x", plan(recipe, test_from=4))
    images, test = study.images_of(study.recipe_of(next(study.cells()))), load_images("tiny", "test")
    assert torch.equal(images.images, test.images[4:12])


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ({}, "2,000 test images"),
        ({"held_out": True}, "2,000 held-out images"),
        ({"test_from": 2000}, "test images 2,000 to 3,999"),
    ],
)
def test_a_record_says_which_images_it_speaks_of(which: dict[str, Any], said: str) -> None:
    fields = {"name": "s", "title": "", "question": "", "test_images": 2000, "alpha": 0.01, "measured": 0, "planned": 0}
    many = {key: [] for key in ("levels", "accuracies", "gains", "tests", "curves")} | {"arms": {}, "regimes": {}}
    assert StudyRecord(**{**fields, **many, **which}).images_said == said
