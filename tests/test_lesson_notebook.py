"""The lesson's notebook runs from top to bottom, and shows what the lesson shows."""

import ast
import json
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "lesson.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run(cell: str, names: dict[str, Any]) -> object:
    """As Jupyter does: what the cell ends with is shown, where it is an expression."""
    tree = ast.parse(cell)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names) if last else None


@pytest.mark.slow
def test_the_notebook_tells_the_lesson(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    figures = [figure for cell in code_cells() if isinstance(figure := run(cell, names), go.Figure)]
    said = capsys.readouterr().out
    assert len(figures) == 4
    assert "image 34 is a Bag" in said
    assert f"Bag falls at step {names['shown'].falls_at}" in said
    assert names["circuit"].reached
    assert "channels bring Bag back; of random sets as large 0%" in said
    assert said.index("the attacked image again: Bag") < said.index("attacked anew, the edited network says")
    assert "attacked anew, the edited network says Bag" not in said
    assert "CIFS says Bag" in said


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
