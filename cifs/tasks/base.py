"""What a task is: a typed, JSON-safe request that knows what to measure and what becomes of it.

A command of the command line, a job of the backend and a test all do the same three steps:

    task = configure(TASKS, "evaluate", {"model": "fmnist-resnet10-w16-vanilla", "n": 500})
    prepared = task.prepare(Workspace())  # refuses what cannot be done, before anything is measured
    record = prepared.run(report)  # `report` may raise Cancelled; the same task goes on from there
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import BaseModel

from cifs.data import Images, Split, dataset, load_images
from cifs.errors import CheckpointError, CIFSError, InvalidParameter
from cifs.files import locked
from cifs.models import CNN
from cifs.progress import Report, unreported
from cifs.records import Evaluation
from cifs.registry import Registry, configure, fraction
from cifs.zoo import Entry, Zoo

Budget = Annotated[float, *fraction(ge=0, le=1)]


@dataclass(frozen=True)
class Workspace:
    """Where tasks find models and leave results."""

    checkpoints: Path = Path("checkpoints")
    runs: Path = Path("runs")
    device: str = "cpu"
    processes: int = 1  # that torchrun starts to do a task together, where it can be
    shards: Path | None = None  # a folder where other processes that do the same task meet this one, to divide it
    files: bool = False  # whether a request may name files of this machine: on its own command line, never over HTTP

    @property
    def zoo(self) -> Zoo:
        return Zoo(self.checkpoints)

    def load(self, entry: Entry, data: str, *, last: bool = False) -> CNN:
        """The model, if images of this data set fit it. Raises InvalidParameter."""
        model, spec = entry.load(self.device, last=last), dataset(data)
        if spec.image_shape != model.image_shape or len(spec.classes) != model.num_classes:
            raise InvalidParameter(
                f"data set {data!r} has images of {spec.image_shape} in {len(spec.classes)} classes; "
                f"{entry.id!r} takes {model.image_shape} and knows {model.num_classes}"
            )
        return model


class Prepared(NamedTuple):
    """A task that can be done: everything it names is there and fits."""

    run: Callable[[Report], BaseModel]  # → the record
    notes: tuple[str, ...] = ()  # what to know before it starts, for people
    resumes: bool = False  # whether the same task goes on from where a stop left it
    saves: Path | None = None  # where the result will be
    divides: bool = False  # whether processes that meet in a folder can divide it
    distributes: bool = False  # whether processes that torchrun starts can do it together


def exclusively(workspace: Workspace, prepared: Prepared, *names: str) -> Prepared:
    """The same, but what is saved is done by one process at a time, or by those who divide it.

    Raises InUse, from `run`, where others do it.
    """
    if not prepared.resumes:
        return prepared

    def run(report: Report) -> BaseModel:
        with locked(workspace.runs.joinpath("measuring", *names), shared=workspace.shards is not None):
            return prepared.run(report)

    return prepared._replace(run=run)


class Task(Protocol):
    def prepare(self, workspace: Workspace) -> Prepared:
        """Raises CIFSError where the task cannot be done."""
        ...


TASKS: Registry[type[Task]] = Registry("task")


def task_of(kind: str, request: Mapping[str, Any]) -> Task:
    """The task of this kind with this request. Raises UnknownName, or InvalidParameter that names field and value."""
    return configure(TASKS, kind, request)


def run_task(task: Task, workspace: Workspace, report: Report = unreported) -> BaseModel:
    """Prepares and does it."""
    return task.prepare(workspace).run(report)


# ---- what requests have in common -----------------------------------------------------------------------------------


def budget_of(eps: float | None, data: str) -> float:
    """ε, by default the data set's usual one."""
    return dataset(data).eps if eps is None else eps


def first_images(data: str, split: Split, n: int | None) -> Images:
    """The first n images of a split, or all of fewer, to measure on. InvalidParameter for drawings."""
    if dataset(data).drawn:
        raise InvalidParameter(f"{data} holds drawings, to look at: nothing is measured on them")
    images = load_images(data, split)
    return images if n is None else images[:n]


def evaluated(entry: Entry) -> Evaluation:
    """Raises CheckpointError where the model was not evaluated."""
    if (evaluation := entry.evaluation()) is None:
        raise CheckpointError(f"{entry.id} has not been evaluated; `cifs evaluate {entry.id}` does it")
    return evaluation


def other_models(workspace: Workspace, target: Entry, data: str, chosen: tuple[str, ...]) -> dict[str, CNN]:
    """The chosen models; by default every other one of the target's data set that can be loaded and fits."""
    zoo = workspace.zoo
    if chosen:
        return {model_id: workspace.load(zoo.entry(model_id), data) for model_id in chosen}
    models = {}
    for model_id in zoo.ids():
        with suppress(CIFSError):
            entry = zoo.entry(model_id)
            if model_id != target.id and entry.info.dataset == target.info.dataset:
                models[model_id] = workspace.load(entry, data)
    return models
