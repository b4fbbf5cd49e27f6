"""The zoo's robustness table: what is kept beside every checkpoint, as one record."""

from collections.abc import Iterable
from contextlib import suppress

from cifs.data import Dataset, dataset
from cifs.errors import CIFSError
from cifs.evaluation import paper
from cifs.evaluation.comparison import compare_verdict
from cifs.evaluation.table import COLUMNS
from cifs.methods import METHODS, options_of
from cifs.records import (
    CheckResult,
    Checks,
    Column,
    Evaluation,
    LastCheckpoint,
    MaskingChecks,
    RobustnessRow,
    RobustnessTable,
)
from cifs.zoo import Entry, Info


def robustness_row(entry: Entry, evaluation: Evaluation, checks: MaskingChecks | None) -> RobustnessRow:
    """One model's row."""
    info, config = entry.info, entry.config
    shared = (RobustnessRow.model_fields.keys() & Evaluation.model_fields.keys()) - {"model", "last"}
    imgf = config.get("imgf") or {"name": "softmax"}
    return RobustnessRow(
        **{key: getattr(evaluation, key) for key in shared},
        model=entry.id,
        title=info.title,
        method=info.method,
        imgf=imgf["name"] if "imgf" in options_of(METHODS[info.method]) else None,
        arch=config["arch"],
        width=config.get("width"),
        epochs=epochs_of(info),
        kept=kept_of(info),
        last=last_of(info, evaluation),
        trained_eps=info.eps,
        classes=class_names(info.dataset, len(evaluation.class_counts or [])),
        notes=[evaluation.criterion, evaluation.precision],
        checks=None if checks is None else summary(checks),
        agreement=compare_verdict(evaluation),
    )


def row_of(entry: Entry) -> RobustnessRow | None:
    """A checkpoint's row, None where it was not evaluated. Raises CheckpointError where a record is malformed."""
    evaluation = entry.evaluation()
    return None if evaluation is None else robustness_row(entry, evaluation, entry.checks())


def robustness_columns(rows: Iterable[RobustnessRow], dataset: str | None = None) -> RobustnessTable:
    """A table of rows of one data set, or of all, with what the paper reports."""
    columns = [Column(key=spec.key, title=spec.title, description=spec.description) for spec in COLUMNS.values()]
    return RobustnessTable(
        columns=columns,
        rows=[row for row in rows if dataset in (None, row.dataset)],
        paper=list(paper.REPORTED) if dataset in (None, paper.DATASET) else [],
    )


def summary(checks: MaskingChecks) -> Checks:
    """What the table says of a model's gradient-masking checks."""
    results = [
        CheckResult(name=name, title=check.title, passed=check.passed, statement=check.statement)
        for name, check in checks.checks.items()
    ]
    return Checks(n=checks.n, norm=checks.norm, eps=checks.eps, criterion=checks.criterion, results=results)


def epochs_of(info: Info) -> int | None:
    """Of a model's training, its start's included; None where that is not known."""
    with suppress(KeyError, TypeError, ValueError):
        training = info.training or {}
        return int(training.get("total_epochs") or training["recipe"]["epochs"])
    return None


def kept_of(info: Info) -> str | None:
    """Which of a training's networks a model is; None where that is not known."""
    with suppress(KeyError, TypeError, ValueError):
        training = info.training or {}
        after, kept = training["recipe"]["epochs"] - training["kept_epoch"], training["recipe"]["keep"]
        chosen = ", best on validation images" if kept == "best" else ""
        epochs = epochs_of(info) or 0
        return f"epoch {epochs - after} of {epochs}{chosen}"
    return None


def last_of(info: Info, evaluation: Evaluation) -> LastCheckpoint | None:
    """Where a training ended, the epochs of its start counted as `epochs_of` does."""
    last = evaluation.last
    return None if last is None else last.model_copy(update={"epoch": epochs_of(info) or last.epoch})


def class_names(name: str, classes: int) -> list[str]:
    """Of a model's data, which need not be at hand."""
    with suppress(CIFSError):
        data: Dataset = dataset(name)
        if len(data.classes) == classes:
            return list(data.classes)
    return [f"class {index}" for index in range(classes)]
