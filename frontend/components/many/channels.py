"""What the attack does to every channel of a layer, class by class."""

import csv
import io

import streamlit as st

from backend.schemas.survey import ChangeByClass
from cifs.plot.change_by_class import ChangeInfo, change_figure, change_info, shares
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.many.asked import Asked


def show_change(lab: Lab, asked: Asked) -> None:
    model, layer = asked.subject.model, asked.subject.layer.name
    info = change_info(model.classes, asked.survey.channels)
    words = sentence(info, layer)
    st.markdown(words)
    draw(change_figure(info), key="change", alt=words.replace("*", ""), name=f"change by class, {layer}, {model.id}")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            "Each row has its own order: left the channels most relevant for the class (PR), right of the black line "
            "those that are not (NR). Red: more active than on the natural images; blue: less.", width="stretch",
        )  # fmt: skip
        st.download_button(
            "Table", to_csv(asked.survey.channels, model.classes), f"change-{layer}-{model.id}.csv", "text/csv",
            type="tertiary", icon=":material/download:", on_click="ignore", help="Every class and channel as CSV",
        )  # fmt: skip


def sentence(info: ChangeInfo, layer: str) -> str:
    """What is shown, and the control beside it."""
    found, control = shares(info, info.attack), shares(info, info.noise)
    return (
        f"At {layer} the attack raises **{found.nr_raised:.0%} of NR** channels (by {found.nr_change:+.3g} on average) "
        f"and lowers **{found.pr_lowered:.0%} of PR** ({found.pr_change:+.3g}), counted over {len(info.classes)} "
        f"classes. The control, noise as large with signs by chance: {control.nr_raised:.0%} "
        f"({control.nr_change:+.3g}) and {control.pr_lowered:.0%} ({control.pr_change:+.3g})."
    )


def to_csv(change: ChangeByClass, classes: list[str]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["class", "images", "channel", "kind", "relevance", "natural", "attacked", "noise"])
    for k, name in enumerate(classes):
        columns = (change.relevance[k], change.natural[k], change.adversarial[k], change.noise[k])
        for channel, values in enumerate(zip(*(column or () for column in columns), strict=True)):
            kind = "PR" if values[0] > 0 else "NR"
            writer.writerow([name, change.counts[k], channel, kind, *(f"{value:.6g}" for value in values)])
    return file.getvalue()
