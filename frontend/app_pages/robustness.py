"""Robustness: how often each model is right, on natural images and under each attack."""

import streamlit as st

from backend.schemas import RobustnessRow, RobustnessTable
from frontend import state
from frontend.components.class_means import show_class_means
from frontend.components.lab import Lab, connect
from frontend.components.problems import readable_errors
from frontend.export import DOWNLOADS, PrintedTable, printed, printed_paper, to_html
from frontend.figures.robustness import robustness_figure, robustness_info, sweep_figure, sweep_info
from frontend.paper import COLUMNS, RESULTS

TABLE_STYLE = """<style>
table.robustness { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; margin-bottom: .6rem }
table.robustness th, table.robustness td { padding: .5rem .7rem; text-align: right }
table.robustness tr { border-bottom: 1px solid rgba(128,128,128,.25) }
table.robustness th:first-child { text-align: left }
table.robustness thead th { font-weight: 600; border-bottom: 2px solid rgba(128,128,128,.5) }
table.robustness small { display: block; opacity: .65 }
table.robustness u { text-underline-offset: 3px; text-decoration-thickness: 2px }
</style>"""


def page(lab: Lab) -> None:
    st.title("How robust is it, really?")
    st.markdown(
        "The share of test images each model gets right, in per cent: untouched (*Natural*) and under attacks of "
        "growing strength. Each row's strongest attack is underlined; it is the one that counts."
    )
    views = {
        "table": show_table,
        "bars": show_bars,
        "channels by class": show_class_means,
        "the paper's numbers": show_paper,
    }
    name = state.choose(st.segmented_control, "Look at", "show", list(views), default="table", required=True)
    with readable_errors(f"view-{name}"):
        views[name](lab)


def show_table(lab: Lab) -> None:
    table = lab.robustness()
    if not table.rows:
        st.info("No model has been evaluated yet.", icon=":material/inventory_2:")
        return
    draw(printed(table))
    st.caption("Below each accuracy its 95 % Wilson interval. " + sizes(table))
    downloads(table)
    details(table)


def draw(table: PrintedTable) -> None:
    st.html(TABLE_STYLE + to_html(table))


def sizes(table: RobustnessTable) -> str:
    """As in "10,000 test images of fashion_mnist, ε = 0.1."."""
    kinds = dict.fromkeys(f"{row.n:,} {row.split} images of {row.dataset}, ε = {row.eps:.4g}" for row in table.rows)
    return "; ".join(kinds) + "."


def downloads(table: RobustnessTable) -> None:
    with st.container(horizontal=True):
        for kind in DOWNLOADS:
            st.download_button(
                kind.name, kind.write(table), kind.file, kind.mime, icon=":material/download:", on_click="ignore"
            )


def details(table: RobustnessTable) -> None:
    titles = {column.key: column.title for column in table.columns}
    with st.expander("What the columns mean"):
        for column in table.columns:
            st.markdown(f"**{column.title}**: {column.description}")
    for row in table.rows:
        with st.expander(f"{row.title}: settings, sweep and notes"):
            row_details(row, titles)


def row_details(row: RobustnessRow, titles: dict[str, str]) -> None:
    st.caption(f"{row.model}: {row.arch}, width {row.width}, {row.method}. {row.n:,} images, ε = {row.eps:.4g}.")
    for note in row.notes:
        st.markdown(f"- {note}")
    if row.sweep:
        st.markdown("**Every setting that was tried.** The attacker may choose, so the strongest one counts.")
        st.plotly_chart(sweep_figure(sweep_info(row), titles), key=f"sweep-{row.model}", alt="accuracies of the sweep")
    settings = {titles.get(key, key): cell.settings for key, cell in row.cells.items() if cell.settings}
    if settings:
        shown = [{"column": name} | {k: str(v) for k, v in values.items()} for name, values in settings.items()]
        st.dataframe(shown, hide_index=True)


def show_bars(lab: Lab) -> None:
    st.caption("The table as bars, with 95 % intervals. A model is as robust as its lowest orange bar.")
    st.plotly_chart(
        robustness_figure(robustness_info(lab.robustness())), key="bars", alt="accuracies by model and attack"
    )


def show_paper(lab: Lab) -> None:
    st.info(
        "From the paper (Yan et al., ICML 2021) and its poster: **CIFAR-10**, large networks trained on GPUs. Not "
        "measured here, and not to be compared with another data set's numbers.",
        icon=":material/menu_book:",
    )
    for arch, results in RESULTS.items():
        draw(printed_paper(arch, COLUMNS, results))


with readable_errors("page"):
    page(connect())
