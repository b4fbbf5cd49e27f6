"""How models, budgets and settings are written on a chart and beside it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Titled(Protocol):
    """A model by its id and what people call it."""

    @property
    def model(self) -> str: ...

    @property
    def title(self) -> str: ...


def labels(rows: Sequence[Titled]) -> dict[str, str]:
    """What to call each model, by id: its title, with the id where two share it."""
    shared = Counter(row.title for row in rows)
    return {row.model: row.title if shared[row.title] == 1 else f"{row.title} ({row.model})" for row in rows}


def eps_text(eps: float, like: float | None = None) -> str:
    """8/255 rather than 0.03137; `like`: another budget, beside whose decimals 0.2 stays 0.2."""
    return f"{255 * eps:.0f}/255" if eps and all(map(_whole_levels, (eps, like or eps))) else f"{eps:.4g}"


def _whole_levels(eps: float) -> bool:
    return abs(255 * eps - round(255 * eps)) < 1e-4


def settings_label(settings: Mapping[str, Any]) -> str:
    """What sets one setting of a sweep apart."""
    label = f"β = {float(settings['beta']):g}".replace("inf", "∞") if "beta" in settings else "no β"  # JSON says "inf"
    return label + (", through the map" if settings.get("through_mask") else "")
