"""`cifs study`: lists, runs, shows, and names what is wrong in one line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cifs.cli import app
from cifs.studies import study_names
from tests.cifs.tiny import npz

STUDY = """
title = "Tiny"
question = "?"
recipe = "cpu/cifar10-500-resnet10-w16"
test_images = 8
[common]
dataset = "tiny"
images = 32
validation = 16
epochs = 1
batch_size = 16
model = { arch = "resnet10", width = 4 }
[regimes.short]
title = "short"
[arms.vanilla]
title = "Vanilla"
[[blocks]]
regime = "short"
arms = ["vanilla"]
seeds = [1, 2]
"""


def test_the_list_has_every_study() -> None:
    listed = CliRunner().invoke(app, ["study", "list"])
    assert listed.exit_code == 0
    assert all(name in listed.output for name in study_names())


def test_a_study_of_ones_own_is_run_and_shown(data: Path, tmp_path: Path) -> None:
    npz(data)
    plan = tmp_path / "mine.toml"
    plan.write_text(STUDY, encoding="utf-8")
    ran = CliRunner().invoke(app, ["study", "run", str(plan), "--runs", str(tmp_path), "--json"])
    assert ran.exit_code == 0, ran.output
    record = json.loads(ran.stdout)
    assert (record["name"], record["measured"], record["planned"]) == ("mine", 2, 2)
    shown = CliRunner().invoke(app, ["study", "show", str(plan), "--runs", str(tmp_path)])
    assert "2 of 2 trainings" in " ".join(shown.output.split())


@pytest.mark.parametrize("name", ["nothing", "missing.toml"])
def test_a_study_that_is_not_there_is_one_line(name: str) -> None:
    refused = CliRunner().invoke(app, ["study", "run", name])
    assert refused.exit_code == 1
    assert len(refused.stderr.strip().splitlines()) == 1
    assert name in refused.stderr
