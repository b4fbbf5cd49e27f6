"""`train`: a recipe becomes a model of the zoo, with its card."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from pydantic import BaseModel, Field

from cifs.data import dataset
from cifs.errors import InvalidParameter
from cifs.files import locked
from cifs.precision import usable_device
from cifs.progress import Report
from cifs.registry import settings
from cifs.report.card import write_card
from cifs.tasks.base import TASKS, Prepared, Workspace
from cifs.training import Recipe, Run, check_processes, finish, gather, joined, load_recipe
from cifs.zoo import checked_id


class TrainedModel(BaseModel):
    """What came out of a training: an entry of the zoo."""

    id: str
    folder: str
    epoch: int = Field(description="that the weights are of")
    epochs: int
    score: float | None = Field(description="on the validation images, by which the epoch was chosen; null without any")
    seconds: float


@TASKS.register("train")
@settings
class Train:
    """Train by a recipe; resume where a killed run of the same recipe stopped."""

    recipe: str = Field(description="a name under `cifs recipes`; on the command line also a .toml file")
    set: tuple[str, ...] = Field(default=(), description="overrides, e.g. epochs=2 or attack.steps=3")
    id: str | None = Field(default=None, description="id in the zoo; default: the recipe's last part")
    tensorboard: bool = Field(default=False, description="write events for TensorBoard beside the run's metrics")

    @property
    def model_id(self) -> str:
        return checked_id(self.id or Path(self.recipe).stem)

    def prepare(self, workspace: Workspace) -> Prepared:
        recipe = self._recipe(workspace)
        model_id = self.model_id
        usable_device(workspace.device)
        check_processes(workspace.processes, recipe.batch_size, workspace.device)
        gather(recipe, workspace.zoo)  # all it needs is there
        notes = [f"{recipe.dataset}: {note}" for note in dataset(recipe.dataset).notes]
        if (workspace.runs / model_id / "state.pt").exists():
            notes.append(f"{workspace.runs / model_id} holds a run that this goes on with")
        run, saves = partial(self._run, recipe, workspace), workspace.checkpoints / model_id
        return Prepared(run, tuple(notes), True, saves, distributes=True)

    def _recipe(self, workspace: Workspace) -> Recipe:
        """Raises InvalidParameter where a request names a file of a machine that is not its own."""
        if self.recipe.endswith(".toml") and not workspace.files:
            raise InvalidParameter(f"recipe {self.recipe!r}: a name is needed here, no file")
        recipe = load_recipe(self.recipe, self.set)
        if recipe.init is not None and not workspace.files and recipe.init not in workspace.zoo.ids():
            raise InvalidParameter(f"init = {recipe.init!r} is no model here; train or import it first")
        return recipe

    def _run(self, recipe: Recipe, workspace: Workspace, report: Report) -> TrainedModel:
        """By torchrun every process does this; the first alone writes."""
        model_id, folder = self.model_id, workspace.runs / self.model_id
        with joined(workspace.device) as (ranks, device), locked(folder) if ranks.first else nullcontext():
            run = Run(recipe, folder, device, ranks, workspace.zoo, self.tensorboard)
            run.train(report)
            if ranks.first:
                write_card(finish(run, workspace.zoo, model_id, self.recipe, self.set))
            ranks.wait()  # torchrun ends all processes when one ends badly: none leaves before the model is saved
        training = workspace.zoo.entry(model_id).info.training or {}
        return TrainedModel(
            id=model_id,
            folder=str(workspace.checkpoints / model_id),
            epoch=training["kept_epoch"],
            epochs=recipe.epochs,
            score=training["validation_score"],
            seconds=training["seconds"],
        )
