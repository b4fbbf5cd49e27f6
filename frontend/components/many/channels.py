"""What the attack does to every channel of a layer, class by class."""

import streamlit as st

from backend.schemas.survey import ChangeByClass
from cifs.plot.change_by_class import ChangeInfo, change_figure, change_info, shares
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.laboratory.common import kind
from frontend.components.many.asked import Asked
from frontend.components.tables import keep_table


def show_change(lab: Lab, asked: Asked) -> None:
    model, layer = asked.subject.model, asked.subject.layer.name
    info = change_info(model.classes, asked.survey.channels)
    words = sentence(info, layer)
    st.markdown(words)
    draw(change_figure(info), key="change", alt=words.replace("*", ""), name=f"change by class, {layer}")
    keep_table(table_rows(asked.survey.channels, model.classes), key="change-table", name=f"channels by class {layer}")
    st.caption(
        "Each row has its own order: left the channels most relevant for the class (PR), right of the black line "
        "those that are not (NR). Red: more active than on the natural images; blue: less."
    )


def sentence(info: ChangeInfo, layer: str) -> str:
    """What is shown, and the control beside it."""
    found, control = shares(info, info.attack), shares(info, info.noise)
    return (
        f"At {layer} the attack raises **{found.nr_raised:.0%} of NR** channels (by {found.nr_change:+.3g} on average) "
        f"and lowers **{found.pr_lowered:.0%} of PR** ({found.pr_change:+.3g}), counted over {len(info.classes)} "
        f"classes. The control, noise as large with signs by chance: {control.nr_raised:.0%} "
        f"({control.nr_change:+.3g}) and {control.pr_lowered:.0%} ({control.pr_change:+.3g})."
    )


def table_rows(change: ChangeByClass, classes: list[str]) -> list[dict[str, object]]:
    """Every class and channel."""
    rows: list[dict[str, object]] = []
    for k, name in enumerate(classes):
        columns = (change.relevance[k], change.natural[k], change.adversarial[k], change.noise[k])
        for channel, (g, natural, attacked, noise) in enumerate(
            zip(*(column or () for column in columns), strict=True)
        ):
            rows.append(
                {
                    "class": name, "images": change.counts[k], "channel": channel, "kind": kind(g), "relevance": g,
                    "natural": natural, "attacked": attacked, "noise": noise,
                }
            )  # fmt: skip
    return rows
