"""`check`: the checks of gradient masking, saved in checks.json."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from cifs.data import dataset
from cifs.evaluation import CHECKS, Bench, Case, run_checks
from cifs.evaluation.merge import larger
from cifs.files import write_json
from cifs.models import CNN
from cifs.precision import Precision
from cifs.progress import Report
from cifs.records import MaskingChecks
from cifs.registry import configure, settings
from cifs.report.card import write_card
from cifs.tasks.base import (
    TASKS,
    Budget,
    Prepared,
    Workspace,
    budget_of,
    exclusively,
    first_images,
    other_models,
)
from cifs.zoo import Entry


@TASKS.register("check")
@settings
class CheckMasking:
    """Is the model robust, or are its gradients hard to follow?"""

    model: str = Field(description="id in the zoo")
    data: str | None = Field(default=None, description="data set; default: the model's own. Any other is not saved")
    n: int = Field(default=500, ge=1, description="first n test images; saved checks of more stay")
    eps: Budget | None = Field(default=None, description="ε; default: the data set's. Any other is not saved")
    queries: int = Field(default=1000, ge=1, description="queries of Square per image")
    source: tuple[str, ...] = Field(
        default=(), description="models to transfer attacks from; default: all others of its data set"
    )
    precision: Precision = Field(default="bf16", description="of the white-box gradients")

    def prepare(self, workspace: Workspace) -> Prepared:
        entry = workspace.zoo.entry(self.model)
        data = self.data or entry.info.dataset
        eps = budget_of(self.eps, data)
        digests = entry.digests()
        saved, note = (data, eps) == (entry.info.dataset, dataset(data).eps), None
        previous = entry.checks()
        if saved and previous and previous.weights == digests["weights"] and larger(previous.n, self.n):
            saved = False
            note = f"{entry.checks_path} is of {previous.n:,} images; what is measured on {self.n:,} is not saved"
        model, sources = workspace.load(entry, data), other_models(workspace, entry, data, self.source)
        subject: dict[str, object] = {
            "model": self.model,
            "dataset": data,
            "split": "test",
            **digests,
            "sources": {key: workspace.zoo.entry(key).digests()["weights"] for key in sources},
        }
        partial_file = entry.folder / f"checks-{self.n}.partial.json" if saved else None
        plan = _Plan(entry, model, sources, data, eps, subject, partial_file)
        saves = entry.checks_path if saved else None
        prepared = Prepared(partial(self._run, plan), (note,) if note else (), saved, saves)
        return exclusively(workspace, prepared, self.model, "checks")

    def _run(self, plan: "_Plan", report: Report) -> MaskingChecks:
        images = first_images(plan.data, "test", self.n)
        bench = Bench(
            plan.model, images, plan.eps, plan.subject, partial=plan.partial, precision=self.precision, report=report
        )
        chosen = [configure(CHECKS, key, {"queries": self.queries} if key == "square" else {}) for key in CHECKS]
        result = run_checks(Case(bench, plan.sources, _reported_through_mask(plan.entry)), chosen)
        if plan.partial is not None:
            write_json(plan.entry.checks_path, result.as_json())
            write_card(plan.entry)
            plan.partial.unlink(missing_ok=True)
        return result


class _Plan(NamedTuple):
    """What is checked, on what, and where it is saved meanwhile."""

    entry: Entry
    model: CNN
    sources: dict[str, CNN]
    data: str
    eps: float
    subject: dict[str, object]
    partial: Path | None


def _reported_through_mask(entry: Entry) -> bool:
    """Whether the model's published PGD-20 figure is that of an attack through the importance maps."""
    cell = (evaluation := entry.evaluation()) and evaluation.cells.get("pgd20")
    return bool(((cell and cell.settings) or {}).get("through_mask"))
