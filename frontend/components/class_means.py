"""Class means of every channel, model beside model (Figures 1 and 2 of the paper)."""

import streamlit as st

from backend.schemas import ChannelStatistics, ModelInfo
from frontend import state
from frontend.components.lab import Lab
from frontend.components.problems import readable_errors
from frontend.figures.activations import activation_figure, activation_info, shift


def show_class_means(lab: Lab) -> None:
    models = [model for model in lab.models() if model.has_channel_statistics]
    if not models:
        st.info("No model has channel statistics yet.", icon=":material/inventory_2:")
        return
    which_class, which_layer = st.columns(2)
    with which_class:
        classes = models[0].classes
        class_index = state.choose(
            st.selectbox, "Class", "class", list(range(len(classes))), default=min(1, len(classes) - 1),
            format_func=classes.__getitem__,
        )  # fmt: skip
    with which_layer:
        layers = layers_of_all(lab, models, class_index)
        layer = state.choose(st.selectbox, "Layer", "statistics-layer", layers, default=layers[-1])
    st.caption(
        "Mean activation over a class's images, channels ordered by relevance for the class: PR left, NR right. Where "
        "training made the network robust, the adversarial curve follows the natural one."
    )
    for start in range(0, len(models), 2):
        for column, model in zip(st.columns(2, gap="medium"), models[start : start + 2], strict=False):
            with column, readable_errors(f"statistics-{model.id}"):
                show_model(lab, model, class_index, layer)


def layers_of_all(lab: Lab, models: list[ModelInfo], class_index: int) -> list[str]:
    """Layers every model has statistics of, in the first one's order."""
    known = [lab.channel_statistics(model.id, class_index=class_index).layers for model in models]
    return [layer for layer in known[0] if all(layer in layers for layers in known)]


def show_model(lab: Lab, model: ModelInfo, class_index: int, layer: str) -> None:
    found = lab.channel_statistics(model.id, class_index=class_index, layer=layer)
    info = activation_info(found.natural.relevance, found.natural.activation, found.adversarial.activation)
    st.subheader(model.title)
    st.caption(summary(model, found))
    st.plotly_chart(
        activation_figure(info, height=330), key=f"statistics-{model.id}", alt=f"class means of {model.title}"
    )
    moved = shift(info)
    if moved is not None:
        over, under = moved.nr_over_activation, -moved.pr_under_activation
        st.caption(f"NR channels {over:+.3g} by the attack, PR channels {under:+.3g}, on average.")


def summary(model: ModelInfo, found: ChannelStatistics) -> str:
    robust = (model.evaluation or {}).get("pgd20")
    accuracy = f"PGD-20 accuracy {robust.accuracy:.1%}; " if robust else ""
    return f"{accuracy}{found.n:,} {found.split} images of {found.class_name}"
