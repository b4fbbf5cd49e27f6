"""A disk that fills up: a clear error, what was there stays as it was, and the work goes on when there is space."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cifs.cli import app
from cifs.errors import NoSpace
from cifs.progress import Progress
from cifs.tasks import Evaluate, Workspace, run_task, task_of
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import npz, tiny
from tests.cifs.training.conftest import RECIPE
from tests.disks import fill, small_disk

INFO = Info(title="One", dataset="tiny", method="vanilla", eps=8 / 255)


@pytest.fixture
def disk(data: Path) -> Iterator[Path]:
    npz(data)
    (data.parent / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    with small_disk(data.parent / "disk", 2048) as folder:
        yield folder


def contents(folder: Path) -> dict[str, bytes]:
    left = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in left.items() if path.name not in ("filler", "lock")}


def trained(checkpoints: Path, runs: Path, report: Callable[[Progress], None] = lambda progress: None) -> bytes:
    """The weights of the tiny recipe."""
    workspace = Workspace(checkpoints, runs, files=True)
    run_task(task_of("train", {"recipe": str(checkpoints.parents[0] / "tiny.toml")}), workspace, report)
    return (checkpoints / "tiny" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("leave", [0, 4096, 40_000], ids=["nothing", "a page", "a part of the state"])
@pytest.mark.parametrize("before", [True, False], ids=["before a save", "during a save"])
def test_a_training_goes_on_from_its_last_save_when_there_is_space_again(
    before: bool, leave: int, disk: Path, data: Path
) -> None:
    """Full before anything is saved (step 3), or for the save that follows the first (step 5)."""
    zoo, runs = data.parent / "zoo", disk / "runs"
    saved: dict[str, bytes] = {}

    def report(progress: Progress) -> None:
        if progress.doing == "training" and progress.done == (3 if before else 8):
            saved.update(contents(disk))
            fill(disk, leave)

    with pytest.raises(
        NoSpace, match=r"no space left for .*disk/runs/tiny/.*: the disk is full; what was there before"
    ):
        trained(zoo, runs, report)
    now = contents(disk)
    assert set(now) - set(saved) <= {"runs/tiny/recipe.json"}  # written whole, before the state
    assert {name for name in saved if now[name] != saved[name]} <= {"runs/tiny/metrics.jsonl"}
    assert ("runs/tiny/state.pt" in now) is not before
    (disk / "filler").unlink()
    assert trained(zoo, runs) == trained(data.parent / "other", data.parent / "runs")


def test_a_finished_training_waits_for_a_place_in_the_zoo(disk: Path, data: Path) -> None:
    zoo, runs = Zoo(disk / "zoo"), data.parent / "runs"
    zoo.save("tiny", tiny(width=8, num_classes=3), INFO)  # another network, which this training is to replace
    before = contents(disk)
    (disk / "tiny.toml").write_text(RECIPE)
    filler = fill(disk, 40_000)
    with pytest.raises(NoSpace, match=r"no space left for .*disk/zoo/tiny:"):
        trained(zoo.root, runs)
    assert {name: before[name] for name in before} == {k: v for k, v in contents(disk).items() if k != "tiny.toml"}
    zoo.load("tiny")
    filler.unlink()
    assert trained(zoo.root, runs) == trained(data.parent / "other", data.parent / "other runs")


def test_the_command_line_says_so_in_one_line(disk: Path, data: Path) -> None:
    filler = fill(disk)
    command = [
        "train",
        str(data.parent / "tiny.toml"),
        "--runs",
        str(disk / "runs"),
        "--checkpoints",
        str(disk / "zoo"),
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    said = " ".join(result.stderr.splitlines()[-1].split())
    assert said.startswith(f"error: no space left for {disk}/runs/tiny/")
    assert "the disk is full" in said
    filler.unlink()
    assert CliRunner().invoke(app, command).exit_code == 0


@pytest.mark.parametrize("leave", [0, 4096])
def test_an_evaluation_leaves_the_record_of_before_and_goes_on(leave: int, disk: Path, data: Path) -> None:
    zoo = Zoo(disk / "zoo")
    entry = zoo.save("one", tiny(num_classes=3, seed=1), INFO)
    workspace = Workspace(zoo.root, data.parent / "runs")
    run_task(Evaluate(model="one", n=6, precision="float32"), workspace)
    before = contents(disk)
    filler = fill(disk, leave)
    task = Evaluate(model="one", precision="float32")
    with pytest.raises(NoSpace, match=r"no space left for .*disk/zoo/one.*: the disk is full"):
        run_task(task, workspace)
    now = contents(disk)
    assert {name: now[name] for name in before} == before
    assert all(name.endswith(".partial.json") for name in set(now) - set(before))
    filler.unlink()
    resumed = run_task(task, workspace)
    entry.evaluation_path.unlink()
    assert robust(resumed) == robust(run_task(task, workspace))


def robust(record: object) -> object:
    return {key: (cell.robust, cell.settings) for key, cell in record.cells.items()}  # type: ignore[attr-defined]
