"""What was measured, of which weights, on which images, under which attack: typed, and free of torch.

The same records are kept beside a checkpoint (evaluation.json, checks.json), served over HTTP and drawn by the
dashboard. Accuracies are fractions in [0, 1]; an interval is Wilson's, 95 %; ε never stands without its norm. Files of
earlier versions are read: what they do not say is None.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Norm = Literal["linf", "l2"]
NORMS: dict[str, str] = {"linf": "ℓ∞", "l2": "ℓ2"}  # as people write them


class Record(BaseModel):
    """Frozen and finite. What a newer version wrote beside is carried along, so that nothing is lost by a rewrite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="allow")

    def with_(self, **changes: Any) -> Self:
        """The same record but for these fields."""
        return self.model_copy(update=changes)

    def as_json(self) -> dict[str, Any]:
        """As a file keeps it: fields that were never set are left out."""
        return self.model_dump(mode="json", exclude_unset=True)


# ---- a figure -------------------------------------------------------------------------------------------------------


class StageLeft(Record):
    """What a stage of an ensemble of attacks left standing."""

    stage: str
    through_mask: bool = Field(description="whether gradients flowed through the importance maps")
    correct: int
    remarks: list[str] = Field(description="the reference implementation's own warnings")


class IndicatorResult(BaseModel):
    """A sign that attacks may not have worked, counted on images; over its limit the figure is not to be trusted."""

    name: str
    title: str = Field(description="what is counted")
    count: int
    of: int
    limit: float = Field(description="share of the images above which it is a bad sign")
    passed: bool


class Cell(BaseModel):
    """A measured accuracy. Fractions in [0, 1], not per cent."""

    model_config = ConfigDict(allow_inf_nan=False)

    accuracy: float
    low: float = Field(description="lower end of the 95 % Wilson interval")
    high: float
    n: int
    correct: int | None = None
    by_class: list[int] | None = Field(None, repr=False, description="images of each class that were predicted right")
    settings: dict[str, Any] | None = Field(
        None, repr=False, description="exact settings of the attack counted; null for natural accuracy"
    )
    after: list[StageLeft] | None = Field(None, description="of an ensemble: what each stage left standing, in order")
    trusted: bool | None = Field(None, description="of the verdict: whether every indicator passed")
    indicators: list[IndicatorResult] | None = Field(None, description="of the verdict")
    passes: int | None = Field(None, description="of the verdict: forward and backward passes of one image")


class Measurement(Record, Cell):
    """A cell, and which images it is made of."""

    robust: str | None = Field(None, repr=False, description="which images stand, packed (`cifs.evaluation.pack`)")
    seconds: float | None = None


class SweepEntry(Cell):
    column: str
    counted: bool = Field(description="whether it is the strongest of its column, the one the table shows")


class SweepMeasurement(Record, SweepEntry):
    """One setting of the sweep, and which images withstood it."""

    robust: str | None = Field(None, repr=False)
    seconds: float | None = None


class EpsPoint(Cell):
    eps: float


class StepsPoint(Cell):
    steps: int


class Curves(Record):
    """One attack on the first n images, with its budget varied and with its steps varied."""

    n: int
    settings: dict[str, Any] = Field(description="of the attack at the row's own ε")
    eps: list[EpsPoint]
    steps: list[StepsPoint]


class ProofCheck(BaseModel):
    """A proof of a verdict, replayed in float32."""

    valid: bool = Field(description="whether every image that is said to be fooled was confirmed to be")
    n: int
    robust: int = Field(description="images the verdict leaves standing: an upper bound, if the proof is valid")
    refuted: list[int] = Field(description="images said to be fooled that are not, by index")
    problems: list[str] = Field(description="why the proof is of something else")
    about: dict[str, Any] = Field(description="what the proof says it is of")


# ---- what is kept of a model ----------------------------------------------------------------------------------------


class LastCheckpoint(Record):
    """Of a training whose best checkpoint on the validation images was kept: where it ended."""

    epoch: int
    cells: dict[str, Cell]


class MoreImages(Record):
    """Some columns on more images than the row's n, where the whole table would take too long."""

    n: int
    cells: dict[str, Cell]


class LastMeasurements(LastCheckpoint):
    cells: dict[str, Measurement]  # type: ignore[assignment]  # the same cells, and which images they are made of


class MoreMeasurements(MoreImages):
    cells: dict[str, Measurement]  # type: ignore[assignment]
    precision: str | None = None
    sweep: list[SweepMeasurement] = []


class Evaluation(Record):
    """evaluation.json: the robustness table of one model, and what was measured beside it."""

    model: str
    dataset: str
    split: str
    weights: str = Field(description="SHA-256 of model.safetensors")
    configuration: str | None = Field(None, description="SHA-256 of the network's arguments")
    n: int = Field(description="images; a cell with another n was measured on the first ones")
    of: int | None = Field(None, description="images the split has")
    norm: Norm = "linf"
    eps: float
    criterion: str
    precision: str
    class_counts: list[int] | None = None
    cells: dict[str, Measurement]
    strongest: str | None = None
    sweep: list[SweepMeasurement] = []
    curves: Curves | None = None
    last: LastMeasurements | None = None
    more: MoreMeasurements | None = None
    seconds: float | None = None
    threads: int | None = None
    device: str | None = None

    def __repr__(self) -> str:
        """A few lines: what, of which images, and every column's accuracy in per cent."""
        place = f"{self.n:,} {self.split} images of {self.dataset}, {NORMS[self.norm]}, ε = {self.eps:.4g}"
        figures = ", ".join(f"{key} {100 * cell.accuracy:.2f}" for key, cell in self.cells.items())
        return f"Evaluation of {self.model} on {place}:\n  {figures}"

    def same_subject(self, other: "Evaluation") -> bool:
        """Whether both are of the same weights, configuration, images and budget, however many images."""
        keys = ("model", "dataset", "split", "weights", "norm", "eps")
        known = {self.configuration, other.configuration} - {None}  # files of earlier versions do not tell
        return len(known) <= 1 and all(getattr(self, key) == getattr(other, key) for key in keys)


class CheckFinding(Record):
    """What a gradient-masking check came to."""

    title: str
    passed: bool | None = Field(description="null: it does not apply to this model")
    statement: str = Field(description="in one sentence, with the figures")
    numbers: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class MaskingChecks(Record):
    """checks.json: every gradient-masking check of one model."""

    model: str | None = None
    dataset: str | None = None
    split: str | None = None
    weights: str | None = None
    configuration: str | None = None
    sources: dict[str, str] = Field({}, description="digests of the weights attacks were transferred from, by model")
    n: int
    norm: Norm = "linf"
    eps: float
    criterion: str
    precision: str | None = None
    natural: dict[str, Any] = {}
    white_box: dict[str, Any] = {}
    failed: list[str] = []
    checks: dict[str, CheckFinding]

    def __repr__(self) -> str:
        """A line for every check."""
        marks = {True: "pass", False: "FAIL", None: "–"}
        lines = [f"  {marks[check.passed]}  {check.title}: {check.statement}" for check in self.checks.values()]
        return "\n".join([f"Gradient-masking checks of {self.model}, n = {self.n:,}, ε = {self.eps:.4g}:", *lines])


# ---- two models -----------------------------------------------------------------------------------------------------


class ComparedOutcomes(BaseModel):
    """Two outcomes on the first n images, those both were measured on: of two models, or of one under two attacks."""

    model_config = ConfigDict(allow_inf_nan=False)

    n: int
    first: float = Field(description="accuracy in the first, as a fraction")
    second: float
    only_first: int = Field(description="images that withstand in the first alone")
    only_second: int
    low: float = Field(description="lower end of the 95 % interval of first − second (Bonett and Price 2012)")
    high: float
    p_value: float = Field(description="McNemar's exact test: how likely so uneven a split is if both keep as many")


class ComparedColumn(ComparedOutcomes):
    """Each under its own strongest attack."""

    column: str


class ComparedSetting(ComparedOutcomes):
    """The first under one setting of its sweep, the second under its strongest attack of the same column."""

    column: str
    settings: dict[str, Any]
    counted: bool = Field(description="whether it is the first model's strongest, the one the table shows")


class ComparedVerdict(ComparedOutcomes):
    """One model, attacked by the verdict (first) and by all of the table with AutoAttack (second)."""

    model: str
    trusted: bool = Field(description="whether every indicator of the verdict passed")
    stages: list[str] = Field(description="of AutoAttack")


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


# ---- the table ------------------------------------------------------------------------------------------------------


class CheckResult(BaseModel):
    """A gradient-masking check. Passing proves nothing; failing says that the figures are not to be trusted."""

    name: str
    title: str
    passed: bool | None = Field(description="null: it does not apply to this model")
    statement: str = Field(description="what came out, in one sentence")


class Checks(BaseModel):
    """All checks of a model, on the first n images of its split."""

    n: int
    norm: Norm = "linf"
    eps: float
    criterion: str = Field(description="when one attack is taken to be stronger than another")
    results: list[CheckResult]


def network_text(arch: str, width: int | None, joined: str = ", ") -> str:
    """An architecture as people read it: "resnet18, width 16"; one of another library has the width its name says."""
    return arch if width is None else f"{arch}{joined}width {width}"


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
    width: int | None = Field(None, description="null where the architecture has none")
    epochs: int | None = Field(None, description="of its training, its start's included; null where that is not known")
    kept: str | None = Field(None, description="which of its training's networks it is; null where that is not known")
    norm: Norm = Field("linf", description="of ε and of every attack in the row")
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
    agreement: ComparedVerdict | None = Field(None, description="null where one of verdict and AutoAttack did not run")


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
    kept: str | None = Field(None, description="which of the training's networks it is; null: the paper does not say")
    eps: float
    accuracy: dict[str, float] = Field(description="fractions, by the key of a column; without intervals")
    strongest: str | None = Field(description="key of the column the poster underlines; null where it tells but one")


class RobustnessTable(BaseModel):
    columns: list[Column]
    rows: list[RobustnessRow] = Field(description="measured here")
    paper: list[PaperRow] = Field([], description="of the same data set, or of all; within a network the poster first")


# ---- a study --------------------------------------------------------------------------------------------------------


class StudyFigure(BaseModel):
    """A mean over seeds and images, as a fraction; the interval is of new seeds and new images."""

    model_config = ConfigDict(allow_inf_nan=False)

    mean: float
    low: float = Field(description="lower end of the interval, at 1 − the study's α")
    high: float
    by_seed: dict[int, float]


class StudyAccuracy(StudyFigure):
    """What an attack leaves of an arm's networks; with one seed alone the interval is of new images."""

    regime: str
    arm: str
    checkpoint: str = Field(description="best (by the validation images) or last")
    level: str
    epochs: list[int] = Field(description="the checkpoint's, seed by seed")
    untrusted: int = Field(0, description="seeds whose verdict its own indicators do not trust")


class StudyGain(StudyFigure):
    """How far `arm` is ahead of `against`, on the same images, over the seeds both have."""

    regime: str
    arm: str
    against: str
    checkpoint: str
    level: str
    minus: str | None = Field(None, description="the gain at this level is taken off")
    p: float = Field(description="t-test of the crossed model, two-sided, not corrected")
    p_bootstrap: float = Field(description="of resampled seeds and images: the cautious companion")


class StudyTest(StudyGain):
    """A comparison the study stated before it was run."""

    name: str
    p_corrected: float = Field(description="Holm's, over all the study's comparisons that could be made")
    seeds_needed: int | None = Field(
        description="to find a difference of one point with 80 % power on as many images; null: no number would do"
    )


class StudyPoint(BaseModel):
    """Accuracies of an arm at an epoch, seed by seed: on validation images, and in training."""

    regime: str
    arm: str
    epoch: int
    training: list[float] = Field(description="on training images under the training's own attack")
    natural: list[float]
    unadaptive: list[float]
    adaptive: list[float]


class StudyCell(BaseModel):
    """How far one training of a study is."""

    id: str
    regime: str
    arm: str
    seed: int
    state: Literal["measured", "running", "begun", "missing"] = Field(
        description="begun: stopped on the way; running: by a process of this machine"
    )
    epoch: int = Field(description="the last that is complete or at work; 0: none")
    epochs: int
    validated: dict[str, float] = Field(description="the latest accuracies on its validation images")


StudyOutcome = Literal["confirmed", "refuted", "undecided", "not measured"]


class StudyVerdict(BaseModel):
    """What the stated comparisons say of a hypothesis, by the rule that was stated with them."""

    name: str
    statement: str
    outcome: StudyOutcome
    sentence: str = Field(description="why, with the figures, for people")


class StudyRecord(Record):
    """What came out of a study so far."""

    name: str
    title: str
    question: str
    test_images: int
    test_from: int = Field(0, description="the first of them")
    held_out: bool = Field(False, description="whether they are training images that no training saw")
    alpha: float
    arms: dict[str, str] = Field(description="titles")
    regimes: dict[str, str]
    levels: list[str]
    measured: int = Field(description="trainings that are done and measured")
    planned: int
    accuracies: list[StudyAccuracy]
    gains: list[StudyGain] = Field(description="of every arm over the first, descriptive")
    tests: list[StudyTest]
    curves: list[StudyPoint]

    @property
    def images_said(self) -> str:
        """Which images it speaks of, for people."""
        if self.held_out or not self.test_from:
            return f"{self.test_images:,} {'held-out' if self.held_out else 'test'} images"
        return f"test images {self.test_from:,} to {self.test_from + self.test_images - 1:,}"
