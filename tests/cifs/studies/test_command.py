"""`cifs study`: lists, runs, shows, and names what is wrong in one line."""

import json
from pathlib import Path

import pytest
import torch
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


def test_one_training_alone_is_run_again_and_held_against_the_outcome_before(data: Path, tmp_path: Path) -> None:
    npz(data)
    plan, ids = tmp_path / "mine.toml", ("short-vanilla-1", "short-vanilla-2")
    plan.write_text(STUDY, encoding="utf-8")
    before, now = tmp_path / "before", tmp_path / "now"
    for runs, only in ((before, []), (now, ["--only", ids[1]])):
        ran = CliRunner().invoke(app, ["study", "run", str(plan), "--runs", str(runs), *only])
        assert ran.exit_code == 0, ran.output
    cell = now / "studies" / "mine" / f"{ids[1]}.json"
    assert not (cell.parent / f"{ids[0]}.json").exists()

    against = ["study", "verify", str(plan), "--runs", str(now), "--against", str(before)]
    same = CliRunner().invoke(app, against)
    assert same.exit_code == 0, same.output
    threads = f"threads {torch.get_num_threads()}"
    assert same.stdout.startswith(f"{ids[1]}: the same, bit for bit (")
    assert threads in same.stdout
    assert ids[0] not in same.stdout

    result = json.loads(cell.read_text(encoding="utf-8"))
    result["instructions"] = "another processor's"
    del result["threads"]  # as of earlier versions
    result["curve"][0]["validation_natural"] += 1e-6
    result["checkpoints"]["last"]["levels"]["natural"]["standing"] = flipped(
        result["checkpoints"]["last"]["levels"]["natural"]["standing"]
    )
    cell.write_text(json.dumps(result), encoding="utf-8")
    other = CliRunner().invoke(app, against)
    assert other.exit_code == 1
    assert f"{ids[1]}: otherwise in points of the curve: 1, epochs kept: 0, images, natural: 2, images," in other.stdout
    assert f"{threads} before, now another processor's, threads not recorded" in other.stdout
    assert "1 of 1 trainings came out otherwise" in other.stderr

    lacking = CliRunner().invoke(app, [*against, "--only", ids[0]])
    assert lacking.exit_code == 1
    assert f"{ids[0]} is not measured in {now}" in " ".join(lacking.stderr.split()).replace("/ ", "/")
    for command in (["study", "run", str(plan)], against):
        unknown = CliRunner().invoke(app, [*command, "--only", "short-vanilla-3"])
        assert unknown.exit_code == 1
        assert "unknown training 'short-vanilla-3'" in unknown.stderr


def flipped(standing: str) -> str:
    """Two images of eight come out otherwise."""
    return f"{int(standing, 16) ^ 0b00010001:02x}"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_one_line_for_an_estimate_too() -> None:
    refused = CliRunner().invoke(app, ["study", "estimate", "overfitting", "--device", "cuda"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: device 'cuda' cannot be used here")
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["nothing", "missing.toml"])
def test_a_study_that_is_not_there_is_one_line(name: str) -> None:
    refused = CliRunner().invoke(app, ["study", "run", name])
    assert refused.exit_code == 1
    assert len(refused.stderr.strip().splitlines()) == 1
    assert name in refused.stderr
