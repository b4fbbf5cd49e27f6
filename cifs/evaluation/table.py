"""The columns of the robustness table (arXiv 2102.05311, Table 1), and the settings each is measured with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

from cifs.attacks import CW, FGSM, PGD, Linf
from cifs.models import CNN
from cifs.registry import Registry
from cifs.selection import mask_matters

BETAS = (2.0, 0.0, 0.5, 1.0, 10.0, 100.0, inf)  # β_atk: the training's own first, ∞ the probes alone


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    description: str
    attack: Callable[[float], Linf] | None  # of ε; None: natural images, or derived from the other columns
    settings_of: str | None = None  # take the strongest setting of this column's sweep instead of sweeping


COLUMNS: Registry[Column] = Registry("column")


def _column(
    key: str, title: str, description: str, attack: Callable[[float], Linf] | None, settings_of: str | None = None
) -> None:
    COLUMNS.register(key)(Column(key, title, description, attack, settings_of))


_column("natural", "Natural", "accuracy on unattacked images", None)
_column("fgsm", "FGSM", "one step of size ε, no random start", lambda eps: FGSM(eps=eps))
_column("pgd20", "PGD-20", "20 steps of ε/10, no random start", lambda eps: PGD(eps=eps, steps=20))
_column("cw", "C&W", "CW margin, 30 steps of ε/10, no random start, ℓ∞", lambda eps: CW(eps=eps, steps=30))
_column("pgd100", "PGD-100", "100 steps of ε/10, no random start", lambda eps: PGD(eps=eps, steps=100), "pgd20")
_column("worst", "Worst case", "images that withstand every attack and setting to the left", None)
_column("autoattack", "+ AutoAttack", "of the first images, those that withstand AutoAttack as well", None)

TABLE = tuple(key for key in COLUMNS if key != "autoattack")  # Table 1 and what follows from it


def settings_to_try(model: CNN, attack: Linf) -> list[Linf]:
    """The attack itself; on a model with probes also every β_atk, and through the importance maps if that matters."""
    if not model.modified:
        return [attack]
    swept = [replace(attack, beta=beta) for beta in BETAS]
    if mask_matters(model):
        swept += [replace(attack, beta=beta, through_mask=True) for beta in (2.0, 0.0)]
    return swept
