"""`evaluate`, `curves` and `autoattack`: the robustness table of a model, and what is measured on top of it.

Only what is of the model's own data, its test images and the usual ε is saved, in evaluation.json; anything else is
measured and handed back. `cifs.evaluation.merge` knows what may replace what.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from cifs.attacks import ATTACKS, STAGES, GradientAttack, check_stages
from cifs.data import SPLITS, Images, dataset, load_images
from cifs.errors import InvalidParameter, UnknownName
from cifs.evaluation import (
    COLUMNS,
    TABLE,
    Bench,
    accuracy_curves,
    autoattack_cell,
    robustness_table,
    standing_of,
)
from cifs.evaluation.merge import (
    larger,
    merge_cell,
    merge_columns,
    merge_curves,
    merge_table,
    obstacle,
    stands_beside,
)
from cifs.files import write_json
from cifs.methods import METHODS, options_of
from cifs.models import CNN
from cifs.precision import Precision
from cifs.progress import Report
from cifs.records import Evaluation, LastMeasurements
from cifs.registry import configure, settings
from cifs.report.card import write_card
from cifs.selection import IMGFS
from cifs.tasks.base import TASKS, Budget, Prepared, Workspace, budget_of, evaluated, exclusively, first_images
from cifs.zoo import Entry

FIRST = 1000  # images of the suites that add to a table, by default
Destiny = Literal["table", "more"] | None  # what becomes of a table: it is the row, stands beside it, is not saved


@TASKS.register("evaluate")
@settings
class Evaluate:
    """The robustness table: adaptive attacks, the strongest counts."""

    model: str = Field(description="id in the zoo")
    data: str | None = Field(default=None, description="data set; default: the model's own. Any other is not saved")
    split: str = Field(default="test", description="train or test; train is not saved")
    n: int | None = Field(default=None, ge=1, description="first n images only; default: all")
    eps: Budget | None = Field(default=None, description="ε; default: the data set's. Any other is not saved")
    column: tuple[str, ...] = Field(
        default=(), description="only these columns; saved beside a table of fewer images, else not"
    )
    sweep: int | None = Field(
        default=None, ge=1, description="measure adaptive settings on the first images, the best two on all"
    )
    imgf: str | None = Field(
        default=None, description="another IMGF in its CIFS layers, compared with its own; not saved"
    )
    set: dict[str, Any] = Field(default_factory=dict, description="that IMGF's parameters")
    precision: Precision = Field(default="bf16", description="of the gradients; success is confirmed in float32")

    def prepare(self, workspace: Workspace) -> Prepared:
        for key in self.column:
            _ = COLUMNS[key]
        case = _case(self, workspace)
        model = self._network(workspace, case)
        destiny, note = self._destiny(case)
        saves = None if destiny is None else case.entry.evaluation_path
        run = partial(self._run, workspace, case, model, destiny)
        prepared = Prepared(run, (note,) if note else (), destiny is not None, saves, divides=True)
        return exclusively(workspace, prepared, self.model, destiny or "")

    def _network(self, workspace: Workspace, case: "_Case") -> CNN:
        """The model, with the IMGF that is asked for."""
        if self.imgf is None:
            if self.set:
                raise InvalidParameter(f"set {next(iter(self.set))}: parameters of which IMGF? Name it with --imgf")
            return workspace.load(case.entry, case.data)
        imgf = configure(IMGFS, self.imgf, self.set)
        model = workspace.load(case.entry, case.data)
        if "imgf" not in options_of(METHODS[case.entry.info.method]):
            raise InvalidParameter(f"imgf {self.imgf}: the model has no CIFS layers (method {case.entry.info.method})")
        for layer in model.modified:
            model.selector(layer).imgf = imgf
        return model

    def _destiny(self, case: "_Case") -> tuple[Destiny, str | None]:
        """What becomes of the result, and what is to be said of it beforehand."""
        previous = case.entry.evaluation()
        same = previous is not None and case.is_subject_of(previous)
        if self.imgf is not None or not case.usual:
            return None, None
        if self.column:
            return ("more" if same and stands_beside(previous, case.n) else None), None
        if previous is not None and same and larger(previous.n, case.n):
            path = case.entry.evaluation_path
            return None, f"{path} is of {previous.n:,} images; what is measured on {case.n:,} is not saved"
        return "table", None

    def _run(self, workspace: Workspace, case: "_Case", model: CNN, destiny: Destiny, report: Report) -> Evaluation:
        before = case.entry.evaluation()
        what = "more" if destiny == "more" else "table1"
        bench = case.bench(what, model, self.precision, report, saved=destiny is not None)
        result = robustness_table(bench, self.column or TABLE, sweep=self.sweep).with_(of=case.of)
        if destiny == "more":
            assert before is not None
            _save(case.entry, merge_columns(evaluated(case.entry), before, result), case.partial(what))
        if destiny == "table":
            if case.entry.last_path.exists():
                result = result.with_(last=self._last(workspace, case, report))
            result = merge_table(case.entry.evaluation(), result)
            _save(case.entry, result, case.partial(what), case.partial("last"))
        return result

    def _last(self, workspace: Workspace, case: "_Case", report: Report) -> LastMeasurements:
        """What the table says beside the best checkpoint: where its training ended."""
        model = workspace.load(case.entry, case.data, last=True)
        bench = case.bench("last", model, self.precision, report)
        cells = robustness_table(bench, ("natural", "pgd20"), sweep=self.sweep).cells
        return LastMeasurements(epoch=(case.entry.info.training or {})["recipe"]["epochs"], cells=cells)


@TASKS.register("curves")
@settings
class AccuracyCurves:
    """Accuracy against ε and against steps, of the strongest PGD-20 of the table."""

    model: str = Field(description="id in the zoo")
    n: int | None = Field(default=None, ge=1, description=f"first n images; default: {FIRST}")
    precision: Precision = Field(default="bf16", description="of the gradients; success is confirmed in float32")

    def prepare(self, workspace: Workspace) -> Prepared:
        case, table = _on_top(self, workspace)
        model = workspace.load(case.entry, case.data)
        prepared = _addition(case, table, "curves", (), partial(self._run, case, table, model))
        return exclusively(workspace, prepared, self.model, "curves")

    def _run(self, case: "_Case", table: Evaluation, model: CNN, saved: bool, report: Report) -> Evaluation:
        strongest = dict(table.cells["pgd20"].settings or {})
        attack = configure(ATTACKS, strongest.pop("name"), strongest)
        assert isinstance(attack, GradientAttack)  # as every column's is
        curves = accuracy_curves(case.bench("curves", model, self.precision, report, saved=saved), attack)
        result = merge_curves(evaluated(case.entry), table, curves)
        if saved:
            _save(case.entry, result, case.partial("curves"))
        return result


@TASKS.register("autoattack")
@settings
class AutoAttackLeft:
    """AutoAttack (arXiv 2003.01690) on those of the first images that withstand all else; float32."""

    model: str = Field(description="id in the zoo")
    n: int | None = Field(default=None, ge=1, description=f"first n images; default: {FIRST}")
    stage: tuple[str, ...] = Field(default=STAGES, min_length=1, description=f"of {', '.join(STAGES)}; default: all")

    def prepare(self, workspace: Workspace) -> Prepared:
        check_stages(self.stage)
        case, table = _on_top(self, workspace)
        model = workspace.load(case.entry, case.data)
        prepared = _addition(case, table, "autoattack", self.stage, partial(self._run, case, table, model))
        return exclusively(workspace, prepared, self.model, "autoattack")

    def _run(self, case: "_Case", table: Evaluation, model: CNN, saved: bool, report: Report) -> Evaluation:
        bench = case.bench("autoattack", model, "float32", report, saved=saved)
        standing = bench.counted(standing_of(table.cells["worst"], case.n))
        result = merge_cell(evaluated(case.entry), table, "autoattack", autoattack_cell(bench, standing, self.stage))
        if saved:
            _save(case.entry, result, case.partial("autoattack"))
        return result


# ---- what they share ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """A model and the images it is measured on."""

    entry: Entry
    data: str
    split: str
    images: Images  # the first n
    of: int  # images the split has
    eps: float
    digests: Mapping[str, str]
    shards: Path | None  # where processes that divide it meet

    @property
    def n(self) -> int:
        return len(self.images)

    @property
    def subject(self) -> dict[str, Any]:
        return {"model": self.entry.id, "dataset": self.data, "split": self.split, **self.digests}

    @property
    def usual(self) -> bool:
        """What evaluation.json speaks of."""
        own = self.entry.info.dataset
        return (self.data, self.split, self.eps) == (own, "test", dataset(own).eps)

    def is_subject_of(self, evaluation: Evaluation) -> bool:
        return evaluation.same_subject(evaluation.with_(**self.subject, norm="linf", eps=self.eps))

    def partial(self, what: str) -> Path:
        """Where unfinished results are, by what is measured and on how many images."""
        return self.entry.folder / f"evaluation.{what}-{self.n}.partial.json"

    def bench(self, what: str, model: CNN, precision: Precision, report: Report, *, saved: bool = True) -> Bench:
        """That keeps what is finished: beside the model, if it is to be saved there, or where processes divide it."""
        partial_file = self.partial(what) if saved and self.shards is None else None
        shards = None if self.shards is None else self.shards / what
        return Bench(
            model, self.images, self.eps, self.subject,
            partial=partial_file, shards=shards, precision=precision, report=report,
        )  # fmt: skip


def _case(task: Evaluate, workspace: Workspace) -> _Case:
    if task.split not in SPLITS:
        raise UnknownName("split", task.split, SPLITS)
    entry = workspace.zoo.entry(task.model)
    data = task.data or entry.info.dataset
    eps = budget_of(task.eps, data)
    split = SPLITS[SPLITS.index(task.split)]
    images = first_images(data, split, task.n)
    of = len(load_images(data, split))
    return _Case(entry, data, split, images, of, eps, entry.digests(), workspace.shards)


def _on_top(task: AccuracyCurves | AutoAttackLeft, workspace: Workspace) -> tuple[_Case, Evaluation]:
    """The case of a measurement that adds to a table, and the table."""
    entry = workspace.zoo.entry(task.model)
    table = evaluated(entry)
    images = load_images(entry.info.dataset, "test")[: task.n or FIRST]
    of = len(load_images(entry.info.dataset, "test"))
    eps = dataset(entry.info.dataset).eps
    case = _Case(entry, entry.info.dataset, "test", images, of, eps, entry.digests(), workspace.shards)
    if not case.is_subject_of(table) or case.n > table.n:
        raise InvalidParameter(
            f"{entry.evaluation_path} is of other weights, ε or images, or of fewer; evaluate the table first"
        )
    return case, table


def _addition(case: _Case, table: Evaluation, key: str, stages: tuple[str, ...], run: Any) -> Prepared:
    """A measurement that adds to a table, saved unless something better is there."""
    there = obstacle(table, key, case.n, stages)
    notes = (f"{case.entry.evaluation_path} has {there}; what is measured now is not saved",) if there else ()
    saves = None if there else case.entry.evaluation_path
    return Prepared(partial(run, there is None), notes, there is None, saves, divides=True)


def _save(entry: Entry, evaluation: Evaluation, *partial_files: Path) -> None:
    write_json(entry.evaluation_path, evaluation.as_json())
    write_card(entry)
    for path in partial_files:
        path.unlink(missing_ok=True)


def own_counterpart(task: Evaluate, workspace: Workspace, result: Evaluation) -> Evaluation | None:
    """What is saved of the model's own IMGF on the same images, to hold another against; None without any."""
    own = workspace.zoo.entry(task.model).evaluation()
    if task.imgf is None or own is None or own.n < result.n or not own.same_subject(result):
        return None
    return own
