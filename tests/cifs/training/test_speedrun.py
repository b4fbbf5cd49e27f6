"""`cifs bench-training`: the row is what training and verdict say of the same network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cifs.cli import app
from cifs.cli.train import speedrun_row
from cifs.data import load_images
from cifs.tasks import SpeedrunEntry
from cifs.training import load_recipe
from cifs.training.validation import natural_accuracy
from cifs.zoo import Zoo

Bench = Callable[..., Result]


@pytest.fixture
def bench(recipe_file: Path, tmp_path: Path) -> Bench:
    """`cifs bench-training` of one epoch, in folders of the test's own."""
    text = recipe_file.read_text("utf-8").replace("epochs = 2", "epochs = 1")
    recipe_file.write_text(text, "utf-8")

    def run(*arguments: str) -> Result:
        where = ["--runs", tmp_path / "runs", "--checkpoints", tmp_path / "zoo", "--n", 4]
        return CliRunner().invoke(app, ["bench-training", str(recipe_file), *map(str, where), *arguments])

    return run


def test_an_entry_is_of_the_network_that_was_trained(bench: Bench, tmp_path: Path) -> None:
    result = bench("--json")
    assert result.exit_code == 0, result.output
    entry = SpeedrunEntry.model_validate(json.loads(result.stdout))
    saved = Zoo(tmp_path / "zoo").entry("tiny")
    training = saved.info.training
    assert training is not None
    assert (entry.epochs, entry.seconds, entry.cpu_seconds) == (1, training["seconds"], training["cpu_seconds"])
    assert entry.cpu_seconds > 0
    assert entry.natural == natural_accuracy(saved.load(), load_images("tiny", "test")[:4])
    assert entry.low <= entry.verdict <= entry.natural
    assert entry.n == 4
    again = bench()  # nothing is trained or attacked anew
    assert speedrun_row(entry) in again.stdout


def test_a_recipe_that_starts_from_other_weights_is_refused(bench: Bench, recipe_file: Path) -> None:
    recipe_file.write_text('init = "elsewhere"\n' + recipe_file.read_text("utf-8"), "utf-8")
    result = bench()
    assert result.exit_code == 1
    assert "starts from 'elsewhere'" in result.output


def test_a_verdict_that_is_not_trusted_says_so_in_its_row() -> None:
    fields = {"recipe": "r", "model": "m", "network": "ResNet-18", "epochs": 2, "seconds": 60, "cpu_seconds": 90}
    fields |= {"threads": 2, "validation_score": 0.5, "n": 1000, "natural": 0.7, "verdict": 0.381, "low": 0.35}
    row = speedrun_row(SpeedrunEntry(**fields, high=0.41, trusted=False, minutes_of_verdict=1.0))
    assert row == "| `r` | ResNet-18 | 2 | 1.0 (2) | 1.5 | 70.0 | 38.1 (35.0 – 41.0), not trusted | 1,000 |"


def test_every_row_of_the_board_is_of_an_outcome_that_is_kept() -> None:
    """The measured columns too: a row is printed by the command, never written by hand."""
    docs = Path(__file__).parents[3] / "docs"
    outcomes = [SpeedrunEntry.model_validate_json(path.read_bytes()) for path in (docs / "speedrun").glob("*.json")]
    board = (docs / "speedrun.md").read_text("utf-8").partition("## Board\n")[2].partition("\n\n")[0]
    assert sorted(board.splitlines()[2:]) == sorted(map(speedrun_row, outcomes))
    assert outcomes
    for outcome in outcomes:
        assert load_recipe(outcome.recipe).epochs == outcome.epochs
