"""A claim about speed: what was measured of ours and of a peer, and the bar it has to clear."""

from dataclasses import dataclass
from typing import Literal, NamedTuple


class Bar(NamedTuple):
    """What a figure has to be: at least, at most, or within ± of nothing."""

    kind: Literal["≥", "≤", "±"]
    value: float

    def cleared_by(self, figure: float) -> bool:
        size, rounding = abs(figure) if self.kind == "±" else figure, 1e-9
        return size >= self.value - rounding if self.kind == "≥" else size <= self.value + rounding


@dataclass(frozen=True)
class Claim:
    """One row. `figure` is what the bar under `key` in benchmarks.bars is about, in `unit`; None: nothing to judge."""

    key: str
    text: str
    ours: str
    peer: str = ""
    figure: float | None = None
    unit: str = "×"
    digits: int = 2
    bar: Bar | None = None

    @property
    def holds(self) -> bool:
        return self.bar is None or self.figure is None or self.bar.cleared_by(self.figure)

    @property
    def cells(self) -> tuple[str, str, str, str, str, str]:
        """claim, ours, peer, figure, bar, holds"""
        figure = "" if self.figure is None else f"{self.figure:.{self.digits}f}{self.unit}"
        if self.bar is None or self.figure is None:
            return self.text, self.ours, self.peer, figure, "", ""
        bar = f"{self.bar.kind} {self.bar.value:g}{self.unit}"
        return self.text, self.ours, self.peer, figure, bar, "yes" if self.holds else "NO"


def skipped(key: str, text: str, why: str) -> Claim:
    return Claim(key, text, f"skipped: {why}")
