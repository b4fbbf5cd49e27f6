"""Where training starts from when not from random weights: a model of the zoo, plain or modified."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifs.errors import CheckpointError, UnknownName
from cifs.models import CNN
from cifs.records import network_text
from cifs.zoo import Entry, Zoo


@dataclass(frozen=True)
class Start:
    entry: Entry

    @property
    def normalisation(self) -> dict[str, Any]:
        """Its mean and std (None is 0 and 1): weights are of use only behind what they were trained with."""
        return {key: self.entry.config.get(key) for key in ("mean", "std")}

    @property
    def epochs(self) -> int:
        """How many it was trained for here, its own start's included; 0 for what was imported."""
        training = self.entry.info.training or {}
        return int(training.get("total_epochs") or training.get("recipe", {}).get("epochs", 0))

    @property
    def source(self) -> str | None:
        """Where its weights, or those it once started from, were imported from; None if all were trained here."""
        return self.entry.info.source or (self.entry.info.training or {}).get("imported_start")

    def held_out(self, dataset: str) -> int | None:
        """How many of the last training images no training that led to it has used; None: it was of other images."""
        training = self.entry.info.training or {}
        if training.get("recipe", {}).get("dataset") != dataset:
            return None
        return int(training.get("held_out", training["recipe"]["validation"]))

    def give_to(self, model: CNN) -> None:
        """Weights of the same name and shape go to `model`; the others (say, of new probes) keep what they have.

        Raises CheckpointError for another architecture or width.
        """
        theirs, ours = self.entry.network, network_text(model.arch, model.width, " of ")
        if theirs != ours:
            raise CheckpointError(f"init = {self.entry.id!r} is a {theirs}, and a {ours} cannot start from it")
        own = model.state_dict()
        given = {k: v for k, v in self.entry.load().state_dict().items() if k in own and v.shape == own[k].shape}
        model.load_state_dict(given, strict=False)


def starting_point(init: str, zoo: Zoo) -> Start:
    """By id, or by the path of a folder. Raises UnknownName or CheckpointError."""
    if init not in zoo.ids() and (Path(init) / "config.json").exists():
        return Start(Zoo(Path(init).resolve().parent).entry(Path(init).resolve().name))
    try:
        return Start(zoo.entry(init))
    except UnknownName as error:
        raise CheckpointError(
            f"init = {init!r} is neither a model of {zoo.root} ({', '.join(error.choices) or 'none there'}) nor a "
            "folder with a config.json; train or import it first"
        ) from None
