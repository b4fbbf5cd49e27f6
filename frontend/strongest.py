"""The attack that did most harm when a model was evaluated, to be tried on the image at hand."""

from typing import Any

from backend.schemas import Choice, RobustnessRow
from cifs.records import Cell
from frontend import state
from frontend.components.schema_form import AttackForm
from frontend.parameters import check_all


def strongest_attack(form: AttackForm, row: RobustnessRow, shown: Choice) -> Choice | None:
    """With the budget of the attack shown; None where no other attack the form knows was measured."""
    cells = sorted((cell for cell in _attacked(row) if _known(form, cell)), key=lambda cell: cell.accuracy)
    for cell in cells:
        settings: dict[str, Any] = dict(cell.settings or {})
        parameters = form.parameters(settings["name"])
        budget = {key: shown.parameters[key] for key in ("eps",) if key in shown.parameters}
        values, complaints = check_all(parameters, settings | {"step_size": None} | budget)
        stronger = state.choice(settings["name"], values)
        if not complaints and stronger != shown:
            return stronger
    return None


def _attacked(row: RobustnessRow) -> list[Cell]:
    return [cell for cell in row.cells.values() if cell.settings]


def _known(form: AttackForm, cell: Cell) -> bool:
    return (cell.settings or {}).get("name") in form.by_name
