"""A page of the dashboard under test, and what can be read on it."""

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

FRONTEND = Path(__file__).parents[2] / "frontend"


def open_app(**address: str) -> AppTest:
    return _open(FRONTEND / "app.py", address)


def open_among_pages(name: str, **address: str) -> AppTest:
    """With the other pages around it, which it has links to; they do not run."""
    return _open(FRONTEND / "app.py", address, f"app_pages/{name}.py")


def open_page(name: str, **address: str) -> AppTest:
    return _open(FRONTEND / "app_pages" / f"{name}.py", address)


def _open(path: Path, address: dict[str, str], shown: str | None = None) -> AppTest:
    page = AppTest.from_file(str(path), default_timeout=90)
    if shown is not None:
        page.switch_page(shown)
    for key, value in address.items():
        page.query_params[key] = value
    return page.run()


def unfold(page: AppTest, key: str) -> AppTest:
    """With the box of that key open: what is closed is not written."""
    page.session_state[key] = True
    return fine(page.run())


def charts(page: AppTest) -> dict[str, Any]:
    """Plotly figures on the page, by the key of the element."""
    return {key_of(chart): json.loads(chart.proto.spec) for chart in page.get("plotly_chart")}


def key_of(chart: Any) -> str:
    return chart.proto.id.rsplit("-", 1)[-1] if chart.proto.id else ""


def texts(page: AppTest) -> str:
    kinds = (page.title, page.header, page.markdown, page.caption, page.error, page.info, page.success, page.toast)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def fine(page: AppTest) -> AppTest:
    assert not page.exception
    return page


def address(page: AppTest, key: str) -> str | None:
    values = page.query_params.get(key)
    return values[0] if isinstance(values, list) else values


def attack_button(page: AppTest) -> Any:
    return next(button for button in page.button if button.label == "Attack")


def field(page: AppTest, label: str) -> Any:
    """The widget of the attack form with this label."""
    widgets = [*page.text_input, *page.number_input, *page.selectbox, *page.toggle]
    return next(widget for widget in widgets if widget.label == label)


def labels(page: AppTest) -> list[str]:
    return [widget.label for widget in [*page.text_input, *page.number_input, *page.selectbox, *page.toggle]]
