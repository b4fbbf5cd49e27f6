"""Records read what earlier versions wrote, write it back unchanged, and need no torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import cifs
from cifs.records import Cell, Evaluation, MaskingChecks, Measurement, RobustnessRow

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINTS = sorted(path for path in (ROOT / "checkpoints").iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
@pytest.mark.parametrize(("file", "kind"), [("evaluation.json", Evaluation), ("checks.json", MaskingChecks)])
def test_what_is_beside_a_checkpoint_is_read_and_written_back_unchanged(folder: Path, file: str, kind: type) -> None:
    written = json.loads((folder / file).read_text(encoding="utf-8"))
    assert kind.model_validate(written).as_json() == written


def test_what_a_newer_version_wrote_beside_is_not_lost() -> None:
    written = json.loads((CHECKPOINTS[0] / "evaluation.json").read_text(encoding="utf-8")) | {"novelty": {"n": 3}}
    assert Evaluation.model_validate(written).with_(device="cuda").as_json() == written | {"device": "cuda"}


def test_a_cell_travels_without_the_images_it_is_made_of() -> None:
    cell = Measurement(accuracy=0.5, low=0.1, high=0.9, n=2, robust="80", seconds=1.0)
    row = RobustnessRow(
        model="m", title="M", method="cifs", dataset="d", arch="a", eps=0.1, split="test", n=2, cells={"pgd20": cell},
        strongest=None, sweep=[], notes=[],
    )  # fmt: skip
    assert {*row.model_dump()["cells"]["pgd20"]} == {*Cell.model_fields}


def test_evaluations_of_other_weights_configurations_or_budgets_are_of_another_subject() -> None:
    one = Evaluation.model_validate_json((CHECKPOINTS[0] / "evaluation.json").read_text(encoding="utf-8"))
    assert one.same_subject(one.with_(n=5, configuration="a"))  # earlier versions did not tell the configuration
    assert not one.with_(configuration="b").same_subject(one.with_(configuration="a"))
    assert not one.same_subject(one.with_(weights="0"))
    assert not one.same_subject(one.with_(norm="l2"))


@pytest.mark.parametrize("module", ["cifs", "cifs.records", "cifs.progress", "cifs.errors", "backend.schemas"])
def test_what_needs_no_torch_loads_without_it(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    assert [name for name in cifs.__all__ if not hasattr(cifs, name)] == []
    assert {*cifs.__all__} <= {*dir(cifs)}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = cifs.nothing


def test_results_show_themselves_in_a_few_lines() -> None:
    evaluation = Evaluation.model_validate_json((CHECKPOINTS[0] / "evaluation.json").read_text(encoding="utf-8"))
    checks = MaskingChecks.model_validate_json((CHECKPOINTS[0] / "checks.json").read_text(encoding="utf-8"))
    assert f"natural {100 * evaluation.cells['natural'].accuracy:.2f}" in repr(evaluation)
    assert len(repr(evaluation).splitlines()) == 2
    assert len(repr(checks).splitlines()) == 1 + len(checks.checks)
    assert "robust" not in repr(evaluation.cells["natural"])


def test_a_view_shows_its_shapes() -> None:
    model = cifs.build("resnet10", width=4, image_size=8, method="cifs")
    view = cifs.view(model.eval(), "layer4.0", torch.rand(2, 3, 8, 8), relevance=cifs.RELEVANCES["true"]())
    assert repr(view).startswith("View(logits (2, 10), features (2, 32, 1, 1), activation (2, 32)")
    assert "importance (2, 32)" in repr(model.trace(torch.rand(2, 3, 8, 8)).layers["layer4.0"])
