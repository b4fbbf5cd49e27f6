"""How fast a recipe makes a network robust: seconds of training, and the verdict on test images it never saw."""

from pydantic import BaseModel, Field

from cifs.data import dataset, load_images
from cifs.errors import InvalidParameter
from cifs.progress import Report, unreported
from cifs.tasks.base import Workspace, run_task
from cifs.tasks.training import Train
from cifs.tasks.verdict import subject_of
from cifs.training import load_recipe
from cifs.training.validation import natural_accuracy
from cifs.verdict import Hearing, Verdict
from cifs.zoo import Entry


class SpeedrunEntry(BaseModel):
    """A row of the board (docs/speedrun.md)."""

    recipe: str
    model: str = Field(description="its id in the zoo")
    network: str
    epochs: int
    seconds: float = Field(description="wall time of training, validation on held-out images included")
    cpu_seconds: float = Field(description="of all cores, which others on the machine disturb less")
    threads: int
    validation_score: float | None = Field(description="by which the weights were chosen; null: the last were taken")
    n: int = Field(description="first test images, which nothing was chosen by")
    natural: float
    verdict: float = Field(description="robust accuracy by the verdict")
    low: float = Field(description="of its 95 % interval")
    high: float
    trusted: bool = Field(description="by the verdict's indicators")
    minutes_of_verdict: float


def speedrun(recipe: str, n: int, workspace: Workspace, report: Report = unreported) -> SpeedrunEntry:
    """Trains by the recipe from nothing, or goes on with a run that was stopped, and judges what it keeps once.

    Raises InvalidParameter for a recipe that starts from other weights, whose time would not be counted, and what
    training and verdict raise.
    """
    if (start := load_recipe(recipe).init) is not None:
        raise InvalidParameter(f"recipe {recipe!r} starts from {start!r}: a speedrun starts from random weights")
    model_id = Train(recipe=recipe).model_id
    run_task(Train(recipe=recipe), workspace, report)
    entry = workspace.zoo.entry(model_id)
    natural, result = _judged(entry, n, workspace, report)
    training, cell = entry.info.training or {}, result.measurement(entry.config["num_classes"])
    return SpeedrunEntry(
        recipe=recipe,
        model=model_id,
        network=entry.network,
        epochs=training["total_epochs"],
        seconds=training["seconds"],
        cpu_seconds=training["cpu_seconds"],
        threads=training["threads"],
        validation_score=training["validation_score"],
        n=cell.n,
        natural=natural,
        verdict=cell.accuracy,
        low=cell.low,
        high=cell.high,
        trusted=result.trusted,
        minutes_of_verdict=round(result.seconds / 60, 1),
    )


def _judged(entry: Entry, n: int, workspace: Workspace, report: Report) -> tuple[float, Verdict]:
    """Natural accuracy, and the verdict, on the first n test images; batches that are decided are kept."""
    data = entry.info.dataset
    images, model = load_images(data, "test")[:n], workspace.load(entry, data)
    folder = workspace.runs / "speedrun" / entry.id
    hearing = Hearing(model, images, dataset(data).eps, folder, subject_of(entry), report=report)
    return natural_accuracy(model, images), hearing.run()
