"""Which class is taken for which, natural beside attacked."""

import streamlit as st

from cifs.plot.confusion import ConfusionInfo, confusion_figure, confusion_info
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.many.asked import Asked


def show_confusion(lab: Lab, asked: Asked) -> None:
    classes, survey = asked.subject.model.classes, asked.survey
    sides = [
        ("Natural images", "natural", confusion_info(classes, survey.confusion.natural)),
        ("Attacked images", "adversarial", confusion_info(classes, survey.confusion.adversarial)),
    ]
    noise = confusion_info(classes, survey.confusion.noise)
    st.markdown(sentence(sides[1][2], noise, survey.n))
    for column, (title, name, info) in zip(st.columns(2, gap="medium"), sides, strict=True):
        with column:
            st.header(title, anchor=False)
            st.caption(f"Right on {info.right:,} of {survey.n:,}.")
            draw(
                confusion_figure(info), key=f"confusion-{name}", alt=f"{title} by label and prediction: {told(info)}",
                name=f"confusion, {name}",
            )  # fmt: skip
    st.caption("A row is a label; the colour is the share of its images, from 0 to 100 % in both.")


def sentence(attacked: ConfusionInfo, noise: ConfusionInfo, n: int) -> str:
    """The answer, and the control."""
    return (
        f"Under the attack **{told(attacked)}**. The control, noise as large in every pixel with signs by chance: "
        f"{told(noise)}, right on {noise.right:,} of {n:,}."
    )


def told(info: ConfusionInfo) -> str:
    label, prediction, count = info.most_confused()
    if not count:
        return "no image is taken for another class"
    total = int(info.counts[label].sum())
    return f"{count:,} of {total:,} {info.classes[label]} are taken for {info.classes[prediction]}"
