"""Robustness tables."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Cell(BaseModel):
    """A measured accuracy. Fractions in [0, 1], not per cent."""

    model_config = ConfigDict(allow_inf_nan=False)

    accuracy: float
    low: float = Field(description="lower end of the 95 % Wilson interval")
    high: float
    n: int
    settings: dict[str, Any] | None = Field(
        None, description="exact settings of the attack counted; null for natural accuracy"
    )


class SweepEntry(Cell):
    column: str
    counted: bool = Field(description="whether it is the strongest of its column, the one the table shows")


class Column(BaseModel):
    key: str
    title: str
    description: str


class RobustnessRow(BaseModel):
    model: str
    title: str
    method: str
    dataset: str
    arch: str
    width: int
    eps: float = Field(description="the budget it was evaluated at")
    split: str
    n: int
    cells: dict[str, Cell]
    strongest: str | None = Field(description="key of the column with the lowest accuracy among the attacks")
    sweep: list[SweepEntry] = Field(description="every setting that was tried, for CAS and CIFS")
    notes: list[str]


class RobustnessTable(BaseModel):
    columns: list[Column]
    rows: list[RobustnessRow]
