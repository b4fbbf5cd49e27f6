"""Robustness tables."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class StageLeft(BaseModel):
    """What a stage of AutoAttack left standing."""

    stage: str
    through_mask: bool = Field(description="whether gradients flowed through the importance maps")
    correct: int
    remarks: list[str] = Field(description="the reference implementation's own warnings")


class Cell(BaseModel):
    """A measured accuracy. Fractions in [0, 1], not per cent."""

    model_config = ConfigDict(allow_inf_nan=False)

    accuracy: float
    low: float = Field(description="lower end of the 95 % Wilson interval")
    high: float
    n: int
    correct: int | None = None
    by_class: list[int] | None = Field(None, description="images of each class that were predicted right")
    settings: dict[str, Any] | None = Field(
        None, description="exact settings of the attack counted; null for natural accuracy"
    )
    after: list[StageLeft] | None = Field(None, description="of AutoAttack: what each stage left standing, in order")


class SweepEntry(Cell):
    column: str
    counted: bool = Field(description="whether it is the strongest of its column, the one the table shows")


class EpsPoint(Cell):
    eps: float


class StepsPoint(Cell):
    steps: int


class Curves(BaseModel):
    """One attack on the first n images, with its budget varied and with its steps varied."""

    n: int
    settings: dict[str, Any] = Field(description="of the attack at the row's own ε")
    eps: list[EpsPoint]
    steps: list[StepsPoint]


class LastCheckpoint(BaseModel):
    """Of a training whose best checkpoint on the validation images was kept: where it ended."""

    epoch: int
    cells: dict[str, Cell]


class MoreImages(BaseModel):
    """Some columns on more images than the row's n, where the whole table would take too long."""

    n: int
    cells: dict[str, Cell]


class CheckResult(BaseModel):
    """A gradient-masking check. Passing proves nothing; failing says that the figures are not to be trusted."""

    name: str
    title: str
    passed: bool | None = Field(description="null: it does not apply to this model")
    statement: str = Field(description="what was found, in one sentence")


class Checks(BaseModel):
    """All checks of a model, on the first n images of its split."""

    n: int
    eps: float
    criterion: str = Field(description="when one attack is taken to be stronger than another")
    results: list[CheckResult]


class Column(BaseModel):
    key: str
    title: str
    description: str


class RobustnessRow(BaseModel):
    model: str
    title: str
    method: str
    imgf: str | None = Field(None, description="name of a CIFS model's own; null for every other method")
    dataset: str
    arch: str
    width: int
    epochs: int | None = Field(None, description="of its training, its start's included; null where that is not known")
    eps: float = Field(description="the budget it was evaluated at")
    trained_eps: float | None = Field(None, description="the budget it was trained at; null for a natural model")
    split: str
    n: int = Field(description="images; a cell with another n was measured on the first ones")
    classes: list[str] = []
    class_counts: list[int] | None = Field(None, description="images of each class among the n")
    cells: dict[str, Cell]
    strongest: str | None = Field(description="key of the column with the lowest accuracy among the attacks")
    sweep: list[SweepEntry] = Field(description="every setting that was tried, for CAS and CIFS")
    notes: list[str]
    curves: Curves | None = None
    last: LastCheckpoint | None = Field(None, description="null where it is the one kept, or was not measured")
    more: MoreImages | None = Field(None, description="null where the row's own n are all that was measured")
    checks: Checks | None = Field(None, description="of gradient masking; null where `cifs check` did not run")


class PaperRow(BaseModel):
    """What the paper reports (arXiv 2102.05311): not measured here, and under its own attacks."""

    source: str = Field(description="where the paper says so: its poster's table, or Figure 2")
    title: str
    method: str
    imgf: str | None = None
    dataset: str
    arch: str
    width: int
    epochs: int
    eps: float
    accuracy: dict[str, float] = Field(description="fractions, by the key of a column; without intervals")
    strongest: str | None = Field(description="key of the column the poster underlines; null where it tells but one")


class RobustnessTable(BaseModel):
    columns: list[Column]
    rows: list[RobustnessRow] = Field(description="measured here")
    paper: list[PaperRow] = Field([], description="of the same data set, or of all; within a network the poster first")


class ComparedOutcomes(BaseModel):
    """Two models on the first n images, those both were measured on."""

    model_config = ConfigDict(allow_inf_nan=False)

    n: int
    first: float = Field(description="accuracy of the first model, as a fraction")
    second: float
    only_first: int = Field(description="images only the first model withstands the attack on")
    only_second: int
    low: float = Field(description="lower end of the 95 % interval of first − second (Bonett and Price 2012)")
    high: float
    p_value: float = Field(description="McNemar's exact test: how likely so uneven a split is if both are as robust")


class ComparedColumn(ComparedOutcomes):
    """Each under its own strongest attack."""

    column: str


class ComparedSetting(ComparedOutcomes):
    """The first under one setting of its sweep, the second under its strongest attack of the same column."""

    column: str
    settings: dict[str, Any]
    counted: bool = Field(description="whether it is the first model's strongest, the one the table shows")


class Comparison(BaseModel):
    first: str
    second: str
    dataset: str
    split: str
    eps: float
    columns: list[ComparedColumn]
    settings: list[ComparedSetting] = Field(
        [], description="what an attacker of the first model would find who knew but one setting; empty without a sweep"
    )
