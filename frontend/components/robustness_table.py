"""The robustness table with its downloads, and what stands behind each figure."""

from collections.abc import Callable
from itertools import groupby

import streamlit as st

from backend.schemas import RobustnessRow, RobustnessTable
from cifs.plot.labels import eps_text, labels
from cifs.plot.robustness import sweep_figure, sweep_info
from cifs.records import network_text
from cifs.report import FORMATS, PrintedTable, printed, printed_paper, to_csv, to_html
from frontend.components.charts import draw as draw_figure
from frontend.components.charts import named
from frontend.components.tables import show_rows
from frontend.shelf import ShownTable, put_table, writers

STYLE = """<style>
table.robustness { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-bottom: .6rem }
table.robustness th, table.robustness td { padding: .5rem .7rem; text-align: right }
table.robustness tr { border-bottom: 1px solid rgba(128,128,128,.25) }
table.robustness th:first-child { text-align: left }
table.robustness thead th { font-weight: 600; border-bottom: 2px solid rgba(128,128,128,.5) }
table.robustness tr:is(.last, .more) th { font-weight: 400; padding-left: 1.6rem }
table.robustness tr.paper { background: rgba(128,128,128,.1) }
table.robustness tr:not(.paper) + tr.paper { border-top: 2px solid rgba(128,128,128,.5) }
table.robustness small { display: block; font-weight: 400; opacity: .8 }
table.robustness td small { max-width: 11em; margin-left: auto }
table.robustness u { text-underline-offset: 3px; text-decoration-thickness: 2px }
</style>"""


CAPTIONS = {
    "measured": "Below each accuracy its 95 % Wilson interval, and n where it was measured on the first images only; "
    "of the verdict also what it leaves of AutoAttack's images.",
    "more": "Indented, n = …: what was measured on more images than the rest of the row.",
    "last": "Of each training the best checkpoint on validation images counts; indented, the last one.",
    "paper": "On grey the paper's own figures, of the width and training they name: not measured here. A last "
    "epoch and a best one do not compare: training on lowers what is left under attack.",
}


def show_table(table: RobustnessTable) -> None:
    shown = printed(table)
    draw(shown, key="robustness-table", name="robustness", csv=lambda: to_csv(table))
    kinds = {row.kind for row in shown.rows}
    st.caption(" ".join(text for kind, text in CAPTIONS.items() if kind in kinds))
    bounds = "Every accuracy under attack is an upper bound: a stronger attack may lower it."
    if without := [row.title for row in table.rows if "autoattack" not in row.cells]:
        bounds += f" AutoAttack (`cifs evaluate ID --suite autoattack`) was not run on {', '.join(without)}."
    st.caption(bounds)
    with st.container(horizontal=True):
        for kind in FORMATS:
            st.download_button(
                kind.name, kind.write(table), kind.file(table), kind.mime, icon=":material/download:", on_click="ignore"
            )
    show_details(table)


def draw(table: PrintedTable, *, key: str, name: str, csv: Callable[[], str] | None = None) -> None:
    """`csv`: what a script wants, where that is more than what is printed."""
    put_table(ShownTable(key, named(name), writers(table) | ({".csv": csv} if csv else {})))
    with st.container(key=key):
        st.html(STYLE + to_html(table, name))


def show_details(table: RobustnessTable) -> None:
    """Each written when it is opened, not before: what is closed would take the page most of its time."""
    titles = {column.key: column.title for column in table.columns}
    with st.expander("What the columns mean"):
        for column in table.columns:
            st.markdown(f"**{column.title}**: {column.description}")
    for row, name in zip(table.rows, labels(table.rows).values(), strict=True):
        with st.expander(f"{name}: settings, sweep and notes", key=f"details-{row.model}", on_change="rerun") as box:
            if box.open:
                row_details(row, titles)
    paper = "The paper's numbers: CIFAR-10, large networks trained on GPUs"
    with st.expander(paper, key="details-paper", on_change="rerun") as box:
        if box.open:
            for arch, rows in groupby(table.paper, key=lambda row: row.arch):
                draw(printed_paper(list(rows), table.columns), key=f"paper-{arch}", name=f"paper {arch}")


def row_details(row: RobustnessRow, titles: dict[str, str]) -> None:
    st.caption(
        f"{row.model}: {network_text(row.arch, row.width)}, {row.method}. {row.n:,} {row.split} images of "
        f"{row.dataset}, ε = {eps_text(row.eps)}."
    )
    for note in row.notes:
        st.markdown(f"- {note}")
    if row.sweep:
        st.markdown(
            "**Every setting that was tried.** The attacker may choose, so the strongest one counts, the filled. Those "
            "not chosen on the first images stand on these alone: what they leave does not compare with that of more."
        )
        draw_figure(
            sweep_figure(sweep_info(row), titles), key=f"sweep-{row.model}", name=f"sweep {row.model}",
            alt=f"sweep of {row.model}",
        )  # fmt: skip
    if (found := row.cells.get("autoattack")) and found.after:
        st.markdown(f"**AutoAttack, stage by stage.** Each attacks what was left of the first {found.n:,} images.")
        stages = [stage.model_dump() for stage in found.after]
        rows = [stage | {"remarks": "; ".join(stage["remarks"])} for stage in stages]
        show_rows(st.dataframe, rows, key=f"stages-{row.model}", name=f"autoattack by stage {row.model}")
    settings = {titles.get(key, key): cell.settings for key, cell in row.cells.items() if cell.settings}
    if settings:
        names = dict.fromkeys(name for values in settings.values() for name in values)
        settings_rows: list[dict[str, object]] = [
            {"column": title, **{name: str(values[name]) if name in values else None for name in names}}
            for title, values in settings.items()
        ]
        show_rows(st.dataframe, settings_rows, key=f"settings-{row.model}", name=f"settings {row.model}")
