"""Class means of every channel, model beside model (Figures 1 and 2 of the paper)."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from backend.schemas import ChannelShift, ChannelStatistics, Estimate, ModelInfo
from cifs.plot.activation import CROWDED, ActivationInfo, Ranges, activation_figure, activation_info, common_ranges
from cifs.plot.colours import method_rank
from cifs.plot.labels import eps_text, settings_label
from cifs.plot.shift import shift_figure, shift_info
from cifs.records import network_text
from cifs.report import groups
from frontend import state
from frontend.components.charts import draw
from frontend.components.gallery import at_hand
from frontend.components.lab import Lab
from frontend.components.problems import readable_errors

QUANTITIES = {
    "activation": "Mean activation over a class's images",
    "frequency": "The share of a class's images on which a channel exceeds 1 % of the largest activation",
}


def show_class_means(lab: Lab) -> None:
    measured = [model for model in lab.models() if model.has_channel_statistics]
    models = sorted(measured, key=lambda model: method_rank(model.method))  # the natural network first
    if not models:
        st.info("No model has channel statistics yet.", icon=":material/inventory_2:")
        return
    shown = at_hand(lab.datasets(), models)
    networks = sorted(set(map(network, models)), key=lambda name: (name not in set(map(network, shown)), name))
    chosen = pick_network(lab, networks)
    models = [model for model in models if network(model) == chosen]  # others have other classes and layers
    which_class, which_layer, which_quantity = st.columns(3)
    with which_class:
        classes = models[0].classes
        class_index = state.choose(
            st.selectbox, "Class", "class", list(range(len(classes))), default=min(1, len(classes) - 1),
            format_func=classes.__getitem__,
        )  # fmt: skip
    with which_layer:
        layers = layers_of_all(lab, models, class_index)
        layer = state.choose(st.selectbox, "Layer", "statistics-layer", layers, default=layers[-1])
    with which_quantity:
        quantity = state.choose(
            st.segmented_control, "Of every channel", "quantity", list(QUANTITIES), default="activation", required=True
        )
    st.caption(
        f"{QUANTITIES[quantity]}, channels ordered by relevance for the class: PR left, NR right. Where training made "
        "the network robust, the adversarial curve follows the natural one. All charts have the same axes."
    )
    abreast = charts_abreast(models[0], layer)
    kept = {m.id: lab.channel_statistics(m.id, class_index=class_index, layer=layer) for m in models}
    ranges = common_ranges([info_of(statistics, quantity) for statistics in kept.values()])
    for start in range(0, len(models), abreast):
        for column, model in zip(st.columns(abreast, gap="medium"), models[start : start + abreast], strict=False):
            with column:
                show_model(model, kept[model.id], quantity, ranges)
    with readable_errors("statistics-shift"):
        show_shift(lab, models, class_index, layer)


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


def network(model: ModelInfo) -> str:
    return f"{model.dataset}, {network_text(model.arch, model.width)}"


def layers_of_all(lab: Lab, models: list[ModelInfo], class_index: int) -> list[str]:
    """Layers every model has statistics of, in the first one's order."""
    known = [lab.channel_statistics(model.id, class_index=class_index).layers for model in models]
    return [layer for layer in known[0] if all(layer in layers for layers in known)]


def charts_abreast(model: ModelInfo, layer: str) -> int:
    return 1 if any(found.name == layer and found.channels > CROWDED for found in model.layers) else 2


def info_of(found: ChannelStatistics, quantity: str) -> ActivationInfo:
    natural, adversarial = (getattr(summary, quantity) for summary in (found.natural, found.adversarial))
    return activation_info(found.natural.relevance, natural, adversarial)


def show_model(model: ModelInfo, found: ChannelStatistics, quantity: str, ranges: Ranges) -> None:
    st.header(model.title, anchor=False)
    st.caption(summary(model, found))
    figure = activation_figure(info_of(found, quantity), quantity=quantity, ranges=ranges, height=330)
    draw(
        figure, key=f"statistics-{model.id}", name=f"{found.class_name}, {found.layer}, {model.id}",
        alt=f"{quantity} of every channel of {found.layer} for {found.class_name}, natural and attacked: {model.title}",
    )  # fmt: skip
    st.caption(in_words(found.shift) if found.shift else f"`cifs statistics {model.id}` measures its shift.")


def in_words(shift: ChannelShift) -> str:
    nr, pr = estimate(shift.nr_over_activation), estimate(shift.pr_under_activation)
    how = "mean over the images, 95 % bootstrap interval"
    return f"NR over-activation {nr}, PR under-activation {pr}, in units of activation ({how})."


def estimate(found: Estimate | None) -> str:
    return f"{found.mean:+.3g} [{found.low:+.3g}, {found.high:+.3g}]" if found else "–"


def show_shift(lab: Lab, models: list[ModelInfo], class_index: int, layer: str) -> None:
    st.header("The claim as a number", anchor=False)
    st.caption(
        "An attack over-activates NR and under-activates PR channels: by how much, with 95 % intervals, told apart by "
        "each natural image's own relevance. In per cent of the layer's mean activation, so that models compare."
    )
    of = state.choose(
        st.segmented_control, "Images of", "shift-of", ["the class", "all classes"], default="the class", required=True
    )
    found = {m.id: lab.channel_statistics(m.id, class_index=class_index, layer=layer) for m in models}
    info = shift_info({id_: s.shift if of == "the class" else s.shift_all for id_, s in found.items()})
    figure = shift_figure(info, {model.id: model.title for model in models})
    draw(figure, key="statistics-shift", alt="NR over-activation and PR under-activation of each model")


def summary(model: ModelInfo, found: ChannelStatistics) -> str:
    """How robust the model is on all classes, and what the chart below is of."""
    robust = (model.evaluation or {}).get("pgd20")
    attack = in_short(found.attack, probes=any(layer.modified for layer in model.layers))
    shown = f"Shown: {found.n:,} {found.split} images of {found.class_name}, natural and under {attack}."
    if robust is None:
        return shown
    return f"Right on {robust.accuracy:.1%} of {robust.n:,} images of all classes under its strongest PGD-20. {shown}"


def in_short(attack: Mapping[str, Any], *, probes: bool) -> str:
    """PGD-20, ε = 8/255, β = 2; without probes β means nothing."""
    text = f"{attack['name'].upper()}-{attack['steps']}, ε = {eps_text(attack['eps'])}"
    return f"{text}, {settings_label(attack)}" if probes else text
