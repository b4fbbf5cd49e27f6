"""Below a view: its figures as PNG, SVG, HTML; its tables as CSV, Markdown, LaTeX; its requests as curl and Python."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from cifs.report.as_code import Writer, as_curl, as_python
from cifs.report.figure_page import figure_page
from cifs_client import ClientSettings
from frontend.shelf import AskedRequest, Shelf, ShownFigure, ShownTable, opened

TITLE = "Figures, tables and requests to take away"
FORMATS = {
    ".csv": ("CSV", "text/csv"), ".md": ("Markdown", "text/markdown"), ".tex": ("LaTeX", "application/x-tex"),
}  # fmt: skip
# A chart's own button saves a PNG; the same button with another format saves an SVG.
SAVE = """<script>
if (!window.savesCharts) {
  window.savesCharts = true;
  document.addEventListener("click", (event) => {
    const asked = event.target.closest("[data-save]");
    const chart = asked && document.querySelector(`.st-key-${asked.dataset.of} .js-plotly-plot`);
    if (!chart) return;
    const usual = chart._context.toImageButtonOptions;
    const scale = asked.dataset.save === "svg" ? 1 : usual.scale;  // drawings need no more pixels
    chart._context.toImageButtonOptions = { ...usual, format: asked.dataset.save, scale };
    chart.querySelector('.modebar-btn[data-title^="Download"]').click();
    chart._context.toImageButtonOptions = usual;
  });
}
</script>"""


@contextmanager
def to_take_away(key: str, also: Shelf | None = None) -> Iterator[None]:
    """Around a view. `also`: what was shown and asked above it. `key` is unique on its page."""
    with opened() as shelf:
        if also is not None:
            shelf.take(also)
        yield
    offer(shelf, key)


def offer(shelf: Shelf, key: str) -> None:
    """Written when it is opened, not before."""
    if not (shelf.figures or shelf.tables or shelf.requests):
        return
    with st.expander(TITLE, key=f"exports-{key}", on_change="rerun", icon=":material/download:") as box:
        if not box.open:
            return
        if shelf.figures:
            st.html(SAVE, unsafe_allow_javascript=True)
        for figure in shelf.figures.values():
            _figure(figure)
        for table in shelf.tables.values():
            _table(table)
        if shelf.requests:
            _requests(list(shelf.requests))


def class_of(key: str) -> str:
    """What Streamlit makes of a key in a class's name, behind `st-key-`."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())


def _figure(shown: ShownFigure) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"take-{shown.key}"):
        st.markdown(f"`{shown.name}`", width="stretch")
        st.html(
            "".join(
                f'<button data-save="{form}" data-of="{class_of(shown.key)}">{form.upper()}</button>'
                for form in ("png", "svg")
            ),
            width="content",
        )
        st.download_button(
            "HTML", lambda: figure_page(shown.alt, shown.figure), f"{shown.name}.html", "text/html", type="tertiary",
            key=f"html-{shown.key}", on_click="ignore",
        )  # fmt: skip


def _table(shown: ShownTable) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"take-{shown.key}"):
        st.markdown(f"`{shown.name}`", width="stretch")
        for ending, write in shown.writers.items():
            title, mime = FORMATS[ending]
            st.download_button(
                title, write, f"{shown.name}{ending}", mime, key=f"{title}-{shown.key}", type="tertiary",
                on_click="ignore",
            )  # fmt: skip


def _requests(asked: list[AskedRequest]) -> None:
    """One after the other, each as it was asked."""
    settings = ClientSettings.from_environment()
    keyed = settings.api_key is not None

    def written(write: Writer) -> str:
        return "\n".join(
            write(settings.base_url, path, None if body is None else json.loads(body), keyed=keyed, method=method)
            for method, path, body in asked
        )

    st.code(written(as_curl), language="bash", wrap_lines=True)
    st.code(written(as_python), language="python", wrap_lines=True)
