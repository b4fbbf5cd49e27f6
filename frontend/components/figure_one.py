"""Figure 1 of the paper: every channel's mean over a class's images, natural and attacked, model beside model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from backend.schemas import ChannelShift, ChannelStatistics, Estimate, ModelInfo
from cifs.plot.activation import (
    CROWDED,
    ActivationInfo,
    Ranges,
    activation_figure,
    activation_info,
    common_ranges,
    mean_shift,
)
from cifs.plot.colours import method_rank
from cifs.plot.labels import eps_text, settings_label
from cifs.records import network_text
from frontend.captions import class_sentence
from frontend.components.asking import ask_attack
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.scene import Scene

Found = Mapping[str, ChannelStatistics]  # by model


def show_its_class(lab: Lab, scene: Scene) -> None:
    """What the attack does to all images of the shown image's class, in its model and in one trained otherwise."""
    models = [model for model in lab.models() if network(model) == network(scene.model)]
    models = in_order(model for model in models if model.has_channel_statistics)
    if scene.model not in models:
        st.info(f"`cifs statistics {scene.model.id}` measures them class by class.", icon=":material/bar_chart:")
        return
    class_index = ask_attack(lab, scene).results[0].label
    shown = [scene.model, *(model for model in models if model.method != scene.model.method)][:2]
    found = statistics_of(lab, in_order(shown), class_index, scene.layer.name)
    st.header(f"What PGD does to all images of {scene.model.classes[class_index]}", anchor=False)
    st.markdown(answer(in_order(shown), found))
    show_figure(in_order(shown), found)


def in_order(models: Iterable[ModelInfo]) -> list[ModelInfo]:
    """The natural network first, as in the paper."""
    return sorted(models, key=lambda model: method_rank(model.method))


def network(model: ModelInfo) -> str:
    return f"{model.dataset}, {network_text(model.arch, model.width)}"


def statistics_of(
    lab: Lab, models: Sequence[ModelInfo], class_index: int, layer: str | None, *, all_classes: bool = False
) -> Found:
    """At a layer, or where that is None at each model's last."""
    about: dict[str, Any] = {"class_index": class_index, "layer": layer, "all_classes": all_classes}
    return {m.id: lab.channel_statistics(m.id, **about) for m in models}


def answer(models: Sequence[ModelInfo], found: Found) -> str:
    """By how much the NR channels rise, model by model."""
    rises = []
    for model in models:
        shift = mean_shift(info_of(found[model.id], "activation"))
        if shift is not None and shift.nr_natural:
            rises.append(f"**{shift.nr_over_activation / abs(shift.nr_natural):+.0%}** in {model.title}")
    first = found[models[0].id]
    return (
        f"Under attack the mean activation of the NR channels of {first.layer} on images of **{first.class_name}** "
        f"changes by {', '.join(rises)}."
    )


def show_figure(models: Sequence[ModelInfo], found: Found, quantity: str = "activation") -> None:
    """A chart a model, all with the same axes."""
    ranges = common_ranges([info_of(statistics, quantity) for statistics in found.values()])
    abreast = charts_abreast(found)
    for start in range(0, len(models), abreast):
        for column, model in zip(st.columns(abreast, gap="medium"), models[start : start + abreast], strict=False):
            with column:
                show_model(model, found[model.id], quantity, ranges)
    st.caption(
        "Channels stand in order of their relevance for the class, PR left, NR right; all charts have the same axes. "
        "The control has as many channels as the NR ones, drawn at random."
    )


def charts_abreast(found: Found) -> int:
    return 1 if any(len(statistics.natural.activation) > CROWDED for statistics in found.values()) else 2


def info_of(found: ChannelStatistics, quantity: str) -> ActivationInfo:
    natural, adversarial = (getattr(summary, quantity) for summary in (found.natural, found.adversarial))
    return activation_info(found.natural.relevance, natural, adversarial)


def show_model(model: ModelInfo, found: ChannelStatistics, quantity: str, ranges: Ranges) -> None:
    st.header(model.title, anchor=False)
    info = info_of(found, quantity)
    draw(
        activation_figure(info, quantity=quantity, ranges=ranges, height=300), key=f"statistics-{model.id}",
        name=f"{found.class_name}, {found.layer}, {model.id}",
        alt=f"{quantity} of every channel of {found.layer} for {found.class_name}, natural and attacked: {model.title}",
    )  # fmt: skip
    shift = mean_shift(info)
    if shift is not None:
        st.markdown(class_sentence(info, shift, quantity))
    st.caption(summary(model, found))
    st.caption(in_words(found.shift) if found.shift else f"`cifs statistics {model.id}` measures its shift.")


def in_words(shift: ChannelShift) -> str:
    nr, pr = estimate(shift.nr_over_activation), estimate(shift.pr_under_activation)
    how = "mean over the images, 95 % bootstrap interval"
    return f"NR over-activation {nr}, PR under-activation {pr}, in units of activation ({how})."


def estimate(found: Estimate | None) -> str:
    return f"{found.mean:+.3g} [{found.low:+.3g}, {found.high:+.3g}]" if found else "–"


def summary(model: ModelInfo, found: ChannelStatistics) -> str:
    """How robust the model is on all classes, and what the chart is of."""
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
