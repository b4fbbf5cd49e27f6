"""Many images of one survey: rows, and what is chosen of them. No Streamlit."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from backend.schemas.survey import SurveyResponse


class Row(NamedTuple):
    """One image. A margin above 0: the label is lost."""

    place: int  # in the survey
    image: int  # its number in the data set
    label: int
    natural: int  # predictions
    adversarial: int
    noise: int
    natural_margin: float
    adversarial_margin: float

    @property
    def fate(self) -> str:
        if self.natural != self.label:
            return WRONG
        return STOOD if self.adversarial == self.label else FLIPPED


FLIPPED, STOOD, WRONG = "flipped", "stood", "wrong before"
# By margins: the best wrong class's logit less the label's, natural and attacked.
ORDERS: Mapping[str, Callable[[Row], float]] = {
    "furthest gone under attack": lambda row: -row.adversarial_margin,
    "safest under attack": lambda row: row.adversarial_margin,
    "surest before the attack": lambda row: row.natural_margin,
    "least sure before it": lambda row: -row.natural_margin,
    "moved most by the attack": lambda row: row.natural_margin - row.adversarial_margin,
    "number": lambda row: row.image,
}


def rows_of(survey: SurveyResponse) -> list[Row]:
    columns = (
        range(survey.n), survey.index, survey.label, survey.prediction.natural, survey.prediction.adversarial,
        survey.prediction.noise, survey.margin.natural, survey.margin.adversarial,
    )  # fmt: skip
    return [Row(*values) for values in zip(*columns, strict=True)]


class Filter(NamedTuple):
    """None: any."""

    fate: str | None = None
    label: int | None = None
    taken_for: int | None = None  # under attack

    def takes(self, row: Row) -> bool:
        wanted = ((self.fate, row.fate), (self.label, row.label), (self.taken_for, row.adversarial))
        return all(asked is None or asked == value for asked, value in wanted)


def chosen(rows: Sequence[Row], which: Filter, order: str) -> list[Row]:
    """Those the filter takes, in one of ORDERS."""
    return sorted(filter(which.takes, rows), key=ORDERS[order])


class Tally(NamedTuple):
    n: int
    right: int  # before any attack
    flipped: int  # of those
    flipped_by_noise: int  # of those, by the control


def tally(rows: Sequence[Row]) -> Tally:
    right = [row for row in rows if row.natural == row.label]
    flipped, by_noise = (sum(getattr(row, inputs) != row.label for row in right) for inputs in ("adversarial", "noise"))
    return Tally(len(rows), len(right), flipped, by_noise)


def table_rows(rows: Sequence[Row], classes: Sequence[str]) -> list[dict[str, object]]:
    return [
        {
            "image": row.image, "label": classes[row.label], "natural prediction": classes[row.natural],
            "attacked prediction": classes[row.adversarial], "prediction under noise": classes[row.noise],
            "natural margin": row.natural_margin, "attacked margin": row.adversarial_margin, "fate": row.fate,
        }
        for row in rows
    ]  # fmt: skip
