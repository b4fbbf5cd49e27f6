"""Tasks: the same request from a command line, a job and a test does the same, and refuses before anything starts."""

import json
from pathlib import Path

import pytest

from cifs.errors import CIFSError, InvalidParameter, UnknownName
from cifs.files import InUse, locked
from cifs.progress import Cancelled, Progress
from cifs.records import Evaluation
from cifs.registry import json_schema
from cifs.tasks import TASKS, Evaluate, TrainedModel, Workspace, run_task, task_of
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import npz, tiny

RECIPE = """
title = "Mine"
method = "natural"
dataset = "tiny"
epochs = 2
batch_size = 16
validation = 16
model = { arch = "resnet10", width = 4 }
"""


@pytest.fixture
def workspace(data: Path) -> Workspace:
    npz(data)
    zoo = Zoo(data.parent / "zoo")
    for model_id in ("one", "other"):
        info = Info(title=model_id, dataset="tiny", method="vanilla", eps=8 / 255)
        zoo.save(model_id, tiny(num_classes=3, seed=len(model_id)), info)
    zoo.save("cifar", tiny(in_channels=3, image_size=32), Info(title="c", dataset="cifar10", method="natural"))
    return Workspace(zoo.root, data.parent / "runs")


@pytest.mark.parametrize("kind", TASKS)
def test_every_task_has_a_schema_and_a_first_sentence(kind: str) -> None:
    assert json_schema(TASKS[kind])["type"] == "object"
    assert (TASKS[kind].__doc__ or "").strip()


WRONG = {
    "model": ("evaluate", {"model": "nothing"}, UnknownName),
    "drawings": ("evaluate", {"model": "cifar", "data": "cifar10_drawn"}, InvalidParameter),
    "exemplars of drawings": ("exemplars", {"model": "cifar", "data": "cifar10_drawn"}, InvalidParameter),
    "column": ("evaluate", {"model": "one", "column": ["pgd7"]}, UnknownName),
    "split": ("evaluate", {"model": "one", "split": "validation"}, UnknownName),
    "images": ("evaluate", {"model": "one", "n": 0}, InvalidParameter),
    "parameter": ("evaluate", {"model": "one", "nn": 3}, InvalidParameter),
    "stage": ("autoattack", {"model": "one", "stage": ["sqare"]}, UnknownName),
    "no table": ("curves", {"model": "one"}, CIFSError),
    "not evaluated": ("compare", {"first": "one", "second": "other"}, CIFSError),
    "source": ("check", {"model": "one", "source": ["nothing"]}, UnknownName),
    "statistics": ("statistics", {"model": "nothing"}, UnknownName),
    "recipe": ("train", {"recipe": "cpu/nothing"}, UnknownName),
    "override": ("train", {"recipe": "cpu/fmnist-resnet10-w16-natural", "set": ["epochs=0"]}, InvalidParameter),
    "id": ("train", {"recipe": "cpu/fmnist-resnet10-w16-natural", "id": "../x"}, InvalidParameter),
    "file": ("train", {"recipe": "/etc/passwd.toml"}, InvalidParameter),
    "folder": (
        "train",
        {"recipe": "cpu/fmnist-resnet10-w16-natural", "set": ["init=/tmp", "dataset=tiny"]},
        InvalidParameter,
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_done_is_refused_before_anything_is_measured(kind: str, workspace: Workspace) -> None:
    task, request, error = WRONG[kind]
    with pytest.raises(error):
        task_of(task, request).prepare(workspace)
    assert not workspace.runs.exists()


def test_a_cancelled_evaluation_goes_on_and_ends_as_one_left_alone(workspace: Workspace) -> None:
    task = Evaluate(model="one", precision="float32")
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 10:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_task(task, workspace, report)
    entry = workspace.zoo.entry("one")
    assert entry.evaluation() is None
    assert [path.suffixes for path in entry.folder.glob("*.partial.json")]
    resumed = run_task(task, workspace)
    assert isinstance(resumed, Evaluation)
    assert entry.evaluation() == resumed
    entry.evaluation_path.unlink()
    alone = run_task(task, workspace)
    assert isinstance(alone, Evaluation)
    for key, cell in alone.cells.items():
        assert (cell.robust, cell.settings) == (resumed.cells[key].robust, resumed.cells[key].settings)


def test_a_measurement_is_made_by_one_process_at_a_time(workspace: Workspace) -> None:
    prepared = Evaluate(model="one").prepare(workspace)
    with locked(workspace.runs / "measuring" / "one" / "table"), pytest.raises(InUse, match="in use by process"):
        prepared.run(lambda progress: None)


def test_a_request_over_http_is_json_and_names_no_file(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE)
    request = json.loads(json.dumps({"recipe": str(tmp_path / "mine.toml"), "id": "mine"}))
    with pytest.raises(InvalidParameter, match="a name is needed here, no file"):
        task_of("train", request).prepare(workspace)
    own = Workspace(workspace.checkpoints, workspace.runs, files=True)
    trained = run_task(task_of("train", request), own)
    assert isinstance(trained, TrainedModel)
    assert (trained.id, trained.epochs) == ("mine", 2)
    assert "2 epochs, batch 16" in (own.zoo.entry("mine").folder / "README.md").read_text()
