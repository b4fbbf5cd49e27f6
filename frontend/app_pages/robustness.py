"""Robustness: how often each model is right, on natural images and under each attack."""

from collections.abc import Callable, Sequence

import streamlit as st

from backend.schemas import RobustnessRow, RobustnessTable
from cifs.plot.by_class import by_class_figure, by_class_info
from cifs.plot.curves import curve_info, eps_figure, steps_figure
from cifs.plot.labels import labels
from cifs.plot.robustness import robustness_figure, robustness_info
from cifs.report import groups, remark, remarks
from frontend import state
from frontend.captions import beyond_sentence, weakest_sentence
from frontend.components.charts import draw, files_are_about
from frontend.components.checks import show_checks
from frontend.components.difference import show_difference
from frontend.components.epochs import show_by_epoch
from frontend.components.exports import to_take_away
from frontend.components.gallery import at_hand
from frontend.components.lab import Lab, connect
from frontend.components.problems import readable_errors
from frontend.components.robustness_table import show_table
from frontend.desk import Desk

EMPTY = ":material/inventory_2:"


MOVED = "channels by class"  # to a page of its own; older links still name it


def page(lab: Lab) -> None:
    if state.recall("show").text == MOVED:
        state.keep("show", None)
        st.switch_page("app_pages/classes.py", query_params=state.link())
    st.title("How robust is it, really?", anchor=False)
    st.markdown(
        "The share of test images each model gets right, in per cent: untouched (*Natural*) and under attacks of "
        "growing strength. Underlined is the strongest single attack on all images of the row: the network is at most "
        "that robust. Lower still may be the *worst case*, where every image meets its own strongest attack, and what "
        "saw the first images only, such as AutoAttack."
    )
    views: dict[str, Callable[[RobustnessTable], None]] = {
        "table": show_table,
        "difference": lambda table: show_difference(lab, table),
        "against ε and steps": show_curves,
        "by class": show_by_class,
        "bars": show_bars,
        "checks": show_checks,
        "by epoch": lambda table: None,  # of no group: studies and trainings of this server
    }
    name = state.choose(
        st.segmented_control, "Look at", "show", list(views), default="table", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    with readable_errors(f"view-{name}"), to_take_away(f"view-{name}"):
        if name == "by epoch":
            show_by_epoch(Desk(lab.settings))
        elif (table := pick_group(lab)) is not None:
            views[name](table)


def pick_group(lab: Lab) -> RobustnessTable | None:
    """Models that may be compared: networks of another size or on other data never share a table."""
    found = groups(lab.robustness())
    if not found:
        st.info("No model has been evaluated yet. `cifs evaluate ID` measures one.", icon=EMPTY)
        return None
    shown = {model.id for model in at_hand(lab.datasets(), lab.models())}
    names = sorted(found, key=lambda name: not any(row.model in shown for row in found[name].rows))
    name = state.choose(st.selectbox, "Data set and network", "group", names, default=names[0])
    files_are_about(name)
    return found[name]


def show_curves(table: RobustnessTable) -> None:
    tell_missing([row for row in table.rows if row.curves is None], " --suite curves")
    by_eps, by_steps = (curve_info(table.rows, axis) for axis in ("eps", "steps"))
    if not by_eps:
        return
    images = ", ".join(sorted({f"{row.curves.n:,}" for row in table.rows if row.curves}))
    st.caption(f"Each model under its own strongest PGD-20, on the first {images} images, with 95 % bands.")
    trained = sorted({row.trained_eps for row in table.rows if row.trained_eps})
    left, right = st.columns(2, gap="medium")
    with left:
        draw(eps_figure(by_eps, trained), key="eps", alt="accuracy against ε")
        if len(trained) == 1 and (said := beyond_sentence(by_eps, trained[0])):
            st.caption(said)
    with right:
        draw(steps_figure(by_steps), key="steps", alt="accuracy against steps")
        st.caption(
            "The step size stays ε/10, so fewer than 10 steps cannot reach ε. Where the line ends flat, more steps "
            "would find little more; where it still falls, it is an upper bound."
        )


def show_by_class(table: RobustnessTable) -> None:
    tell_missing([row for row in table.rows if row.class_counts is None])
    titles = {column.key: column.title for column in table.columns}
    found = {key: info for key in titles if (info := by_class_info(table.rows, key))}
    if not found:
        return
    column = state.choose(
        st.segmented_control, "Under", "column", list(found), default=list(found)[-1], required=True,
        format_func=titles.__getitem__,
    )  # fmt: skip
    draw(by_class_figure(found[column]), key="by-class", alt=f"accuracies by model and class, {titles[column]}")
    st.caption(weakest_sentence(found[column]))
    names = labels(table.rows)
    if said := remarks({names[row.model]: row for row in table.rows}, column):
        st.caption(f"{titles[column]}: {said}.")


def show_bars(table: RobustnessTable) -> None:
    st.caption("The table as bars, with 95 % intervals." + first_images_alone(table))
    draw(robustness_figure(robustness_info(table)), key="bars", alt="accuracies by model and attack")


def first_images_alone(table: RobustnessTable) -> str:
    """Which columns were measured on fewer images than the rest of a row: those bars are no match for the others."""
    found = {
        f"{column.title} on the first {cell.n:,}" + (f" ({said})" if (said := remark(cell)) else "")
        for column in table.columns
        for row in table.rows
        if (cell := row.cells.get(column.key)) and cell.n < row.n
    }
    return f" Not on all images: {'; '.join(sorted(found))}. Compare models in *difference*." if found else ""


def tell_missing(rows: Sequence[RobustnessRow], suite: str = "") -> None:
    if rows:
        commands = ", ".join(f"`cifs evaluate {row.model}{suite}`" for row in rows)
        st.info(f"Not measured yet; these commands do it: {commands}", icon=EMPTY)


with state.address(), readable_errors("page"):
    page(connect())
