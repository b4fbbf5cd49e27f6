"""`cifs check`: the checks of gradient masking."""

from contextlib import suppress
from typing import Annotated

import typer
from rich.table import Table

from cifs.card import MARKS, write_card
from cifs.cli.arguments import budget_of, load, more_images
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, console, measuring
from cifs.data import dataset, load_images
from cifs.errors import CIFSError
from cifs.evaluation import CHECKS, digest, run_checks
from cifs.files import write_json
from cifs.models import CNN
from cifs.precision import Precision
from cifs.registry import configure
from cifs.zoo import Entry, Zoo


def check(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    data: Annotated[str | None, typer.Option(help="data set; default: the model's own. Any other is not kept")] = None,
    n: Annotated[int, typer.Option(help="first n test images; kept checks of more stay", min=1)] = 500,
    eps: Annotated[str | None, typer.Option(help="ε, a number or a fraction; default: the data set's")] = None,
    queries: Annotated[int, typer.Option(help="queries of Square per image", min=1)] = 1000,
    source: Annotated[
        list[str] | None, typer.Option(help="model to transfer attacks from; default: all others of its data set")
    ] = None,
    precision: Annotated[Precision, typer.Option(help="of the white-box gradients")] = "bf16",
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Is the model robust, or are its gradients hard to follow? Writes checks.json. Resumes where it was stopped."""
    zoo = Zoo(checkpoints)
    entry = zoo.entry(model)
    name = data or entry.info.dataset
    budget = budget_of(eps, name)
    own = (name, budget) == (entry.info.dataset, dataset(name).eps)  # what checks.json speaks of
    weights = digest(entry.folder / "model.safetensors")
    if own and (more := more_images(entry.checks(), weights, n)):
        console.print(f"{entry.checks_path} is of {more:,} images; what is found on {n:,} is not kept")
        own = False
    partial = entry.folder / f"checks-{n}.partial.json" if own else None
    network, sources = load(entry, device, name), _sources(zoo, entry, source, device, name)
    counted = (entry.evaluation() or {}).get("cells", {}).get("pgd20", {})
    chosen = [configure(CHECKS, key, {"queries": queries} if key == "square" else {}) for key in CHECKS]
    after_a_stop = "the same command goes on after the last finished check" if partial else "nothing was written"
    with measuring(model, after_a_stop) as tell:
        result = run_checks(
            network,
            load_images(name, "test")[:n],
            budget,
            checks=chosen,
            about={
                "model": model,
                "dataset": name,
                "split": "test",
                "weights": weights,
                "sources": {key: digest(zoo.root / key / "model.safetensors") for key in sources},
            },
            sources=sources,
            partial=partial,
            reported_through_mask=bool((counted.get("settings") or {}).get("through_mask")),
            precision=precision,
            report=lambda checking: tell(f"{checking.check}: {checking.doing}", checking.done, checking.total),
        )
    table = Table("", "", "found", title=f"{model}: {result['n']} test images of {name}, ε = {result['eps']:g}")
    for found in result["checks"].values():
        colour = {True: "green", False: "red", None: "dim"}[found["passed"]]
        table.add_row(found["title"], f"[{colour}]{MARKS[found['passed']]}[/]", found["statement"])
    console.print(table)
    if partial:
        write_json(entry.checks_path, result)
        write_card(entry)
        partial.unlink(missing_ok=True)


def _sources(zoo: Zoo, target: Entry, chosen: list[str] | None, device: str, data: str) -> dict[str, CNN]:
    """The chosen models; by default every other one of the target's data set that can be loaded and fits."""
    if chosen:
        return {model_id: load(zoo.entry(model_id), device, data) for model_id in chosen}
    found = {}
    for model_id in zoo.ids():
        with suppress(CIFSError):
            entry = zoo.entry(model_id)
            if model_id != target.id and entry.info.dataset == target.info.dataset:
                found[model_id] = load(entry, device, data)
    return found
