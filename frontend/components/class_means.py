"""A class's channels, model beside model: which class, layer and quantity, and the claim as a number."""

import streamlit as st

from backend.schemas import ModelInfo
from cifs.plot.labels import eps_text
from cifs.plot.shift import shift_figure, shift_info
from cifs.report import groups
from cifs_client import BackendRefused
from frontend import state
from frontend.components.charts import draw, files_are_about
from frontend.components.figure_one import Found, answer, in_order, network, show_figure, statistics_of
from frontend.components.gallery import at_hand
from frontend.components.lab import Lab
from frontend.components.problems import readable_errors

QUANTITIES = {
    "activation": "Mean activation over a class's images",
    "frequency": "The share of a class's images on which a channel exceeds 1 % of the largest activation",
}


def show_class_means(lab: Lab) -> None:
    models = in_order(model for model in lab.models() if model.has_channel_statistics)
    if not models:
        st.info("No model has channel statistics yet.", icon=":material/inventory_2:")
        return
    shown = at_hand(lab.datasets(), models)
    networks = sorted(set(map(network, models)), key=lambda name: (name not in set(map(network, shown)), name))
    place, controls = st.container(), st.container(horizontal=True, vertical_alignment="bottom", key="figure-controls")
    with controls:
        chosen = pick_network(lab, networks)
        models = [model for model in models if network(model) == chosen]  # others have other classes and layers
        first = most_parted(lab, models[0])
        class_index = state.choose(
            st.selectbox, "Class", "class", list(range(len(models[0].classes))), default=first,
            format_func=models[0].classes.__getitem__,
        )  # fmt: skip
        found = statistics_of(lab, models, class_index, None)
        layers = layers_of_all(found)
        layer = state.choose(st.selectbox, "Layer", "statistics-layer", layers, default=layers[-1])
        quantity = state.choose(
            st.segmented_control, "Of every channel", "quantity", list(QUANTITIES), default="activation", required=True
        )
    if any(of.layer != layer for of in found.values()):
        found = statistics_of(lab, models, class_index, layer)
    files_are_about(f"{models[0].dataset}, ε = {eps_text(found[models[0].id].attack['eps'])}")
    with place:
        st.markdown(answer(models, found))
        if class_index == first:
            st.caption(why(models[0], first))
    st.caption(QUANTITIES[quantity])
    show_figure(models, found, quantity)
    with readable_errors("statistics-shift"):
        show_shift(lab, models, found)


def most_parted(lab: Lab, model: ModelInfo) -> int:
    """The class to begin with: whose NR and PR channels the attack parts furthest, at the model's last layer."""
    try:
        statistics = lab.channel_statistics(model.id, class_index=0, all_classes=False)
    except BackendRefused:  # none of its images are of that class
        return 0
    partings = [parting or 0.0 for parting in statistics.partings]
    return max(range(len(partings)), key=partings.__getitem__, default=0)


def why(model: ModelInfo, class_index: int) -> str:
    return (
        f"**{model.classes[class_index]}** is shown first: of the {len(model.classes)} classes the one whose NR and PR "
        f"channels the attack parts furthest in {model.title} at its last layer."
    )


def pick_network(lab: Lab, networks: list[str]) -> str:
    """That of the table chosen in the other views; a network chosen here is theirs too from then on."""
    group = state.recall("group").text or ""
    default = next((name for name in networks if group.startswith(f"{name}, ")), networks[0])
    chosen = state.choose(st.selectbox, "Data set and network", "statistics-of", networks, default=default)
    if not group.startswith(f"{chosen}, "):
        group = next((name for name in groups(lab.robustness()) if name.startswith(f"{chosen}, ")), "")
        if group:  # else the network was never evaluated, and no table can stand for it
            state.keep_unless_default("group", group, None if chosen != networks[0] else group)
            state.keep("statistics-of", None)
    return chosen


def layers_of_all(found: Found) -> list[str]:
    """Layers every model has statistics of, in the first one's order."""
    known = [statistics.layers for statistics in found.values()]
    return [layer for layer in known[0] if all(layer in layers for layers in known)]


def show_shift(lab: Lab, models: list[ModelInfo], found: Found) -> None:
    st.header("The claim as a number", anchor=False)
    st.caption(
        "How far the attack over-activated NR channels and under-activated PR ones, with 95 % intervals; below 0 it "
        "did the opposite. NR and PR by each natural image's own relevance; in per cent of the layer's mean "
        "activation, so that models compare."
    )
    of = state.choose(
        st.segmented_control, "Images of", "shift-of", ["the class", "all classes"], default="the class", required=True
    )
    if of == "all classes":
        first = found[models[0].id]
        waiting = lab.waiting("Drawing the intervals of all classes …")
        everything = statistics_of(waiting, models, first.class_index, first.layer, all_classes=True)
        info = shift_info({id_: statistics.shift_all for id_, statistics in everything.items()})
    else:
        info = shift_info({id_: statistics.shift for id_, statistics in found.items()})
    figure = shift_figure(info, {model.id: model.title for model in models})
    draw(figure, key="statistics-shift", alt="NR over-activation and PR under-activation of each model")
