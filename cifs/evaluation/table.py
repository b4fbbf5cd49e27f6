"""The robustness table (arXiv 2102.05311, Table 1): its columns, and the adaptive settings each is measured with.

Several settings of each attack are measured, the strongest is counted, the sweep stays in the record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cifs.attacks import CW, FGSM, PGD, GradientAttack
from cifs.evaluation.bench import CRITERION, Bench, standing_of
from cifs.records import Evaluation, Measurement, SweepMeasurement
from cifs.registry import Registry
from cifs.selection import SelectionLayer, mask_matters

BETAS = (2.0, 0.0, 0.5, 1.0, 10.0, 100.0, inf)  # β_atk: the training's own first, ∞ the probes alone
FINALISTS = 2  # of a sweep on the first images, so many settings are measured on all


@dataclass(frozen=True)
class ColumnSpec:
    """A column, and what it is measured with."""

    key: str
    title: str
    description: str
    attack: Callable[[float], GradientAttack] | None  # of ε; None: natural images, or derived from the other columns
    settings_of: str | None = None  # take the strongest setting of this column's sweep instead of sweeping


COLUMNS: Registry[ColumnSpec] = Registry("column")


def _column(
    key: str,
    title: str,
    description: str,
    attack: Callable[[float], GradientAttack] | None,
    settings_of: str | None = None,
) -> None:
    COLUMNS.register(key)(ColumnSpec(key, title, description, attack, settings_of))


_column("natural", "Natural", "accuracy on unattacked images", None)
_column("fgsm", "FGSM", "one step of size ε, no random start", lambda eps: FGSM(eps=eps))
_column("pgd20", "PGD-20", "20 steps of ε/10, no random start", lambda eps: PGD(eps=eps, steps=20))
_column("cw", "C&W", "CW margin, 30 steps of ε/10, no random start, ℓ∞", lambda eps: CW(eps=eps, steps=30))
_column("pgd100", "PGD-100", "100 steps of ε/10, no random start", lambda eps: PGD(eps=eps, steps=100), "pgd20")
_column("worst", "Worst case", "images that withstand every attack and setting to the left", None)
_column("autoattack", "+ AutoAttack", "of the first images, those that withstand AutoAttack as well", None)

_column(
    "verdict",
    "Verdict",
    "images that withstand the verdict, an ensemble made to be of AutoAttack's strength in minutes",
    None,
)

ENSEMBLES = ("autoattack", "verdict")
TABLE = tuple(key for key in COLUMNS if key not in ENSEMBLES)  # Table 1 and what follows from it


def robustness_table(bench: Bench, columns: Sequence[str] = TABLE, *, sweep: int | None = None) -> Evaluation:
    """The table of one model.

    sweep: measure the settings on the first so many images, and the most promising on all; None: all on all. Raises
    UnknownName for a column, before anything is measured.
    """
    specs = [COLUMNS[key] for key in columns]
    cells = {"natural": bench.natural()}
    sweeps: dict[str, Sweep] = {}
    for spec in specs:
        if spec.attack is not None:
            sweeps[spec.key] = _swept(bench, spec, spec.attack(bench.eps), sweeps, sweep)
            cells[spec.key] = sweeps[spec.key].counted
    cells["worst"] = bench.counted(_worst(cells["natural"], sweeps)).with_(settings=None)
    attacks = [key for key in COLUMNS if key in sweeps]
    return Evaluation(
        **bench.setting,
        criterion=CRITERION,
        precision=f"gradients in {bench.precision}, success confirmed in float32",
        class_counts=torch.bincount(bench.images.labels, minlength=bench.classes).tolist(),
        cells={key: cells[key] for key in COLUMNS if key in columns},
        strongest=min(attacks, key=lambda key: cells[key].accuracy, default=None),
        sweep=[entry for key in sweeps for entry in sweeps[key].entries(key)],
    )


class Sweep(NamedTuple):
    """One attack in several settings, and which of those measured on all images is the strongest."""

    attacks: Sequence[GradientAttack]
    cells: list[Measurement]
    best: int
    adaptive: bool  # whether there was anything to choose

    @property
    def counted(self) -> Measurement:
        return self.cells[self.best]

    def entries(self, column: str) -> list[SweepMeasurement]:
        """Of an attack with but one setting there is nothing to tell beside the cell."""
        entries = enumerate(self.cells) if self.adaptive else ()
        return [SweepMeasurement(column=column, counted=i == self.best, **_but_by_class(cell)) for i, cell in entries]


def _but_by_class(cell: Measurement) -> dict[str, Any]:
    return {key: value for key, value in cell.as_json().items() if key != "by_class"}


def _swept(bench: Bench, spec: ColumnSpec, attack: GradientAttack, before: dict[str, Sweep], few: int | None) -> Sweep:
    settings = settings_to_try(bench.model, attack)
    adaptive = len(settings) > 1
    if adaptive and spec.settings_of in before:
        strongest = before[spec.settings_of]
        chosen = strongest.attacks[strongest.best]
        settings = [replace(attack, beta=chosen.beta, through_mask=chosen.through_mask)]
    cells, finalists = _measured(bench, settings, few if len(settings) > FINALISTS else None)
    return Sweep(settings, cells, min(finalists, key=lambda i: cells[i].accuracy), adaptive)


def _measured(bench: Bench, settings: Sequence[GradientAttack], few: int | None) -> tuple[list[Measurement], list[int]]:
    """A cell for each setting, and the indices of those measured on all images."""
    cells = [bench.under(attack, n=few) for attack in settings]
    finalists = sorted(range(len(cells)), key=lambda i: cells[i].accuracy)[: None if few is None else FINALISTS]
    for i in finalists:
        cells[i] = bench.under(settings[i])
    return cells, finalists


def _worst(natural: Measurement, sweeps: dict[str, Sweep]) -> Tensor:
    """(N,) bool: which images withstand every setting that was measured, on however many images."""
    standing = standing_of(natural)
    for swept in sweeps.values():
        for cell in swept.cells:
            standing[: cell.n] &= standing_of(cell)
    return standing


def settings_to_try(model: nn.Module, attack: GradientAttack) -> list[GradientAttack]:
    """The attack itself; on a model with probes also every β_atk, and through the importance maps if that matters."""
    if not attack.adaptive or not any(isinstance(module, SelectionLayer) for module in model.modules()):
        return [attack]
    swept = [replace(attack, beta=beta) for beta in BETAS]
    if mask_matters(model):
        swept += [replace(attack, beta=beta, through_mask=True) for beta in (2.0, 0.0)]
    return swept
