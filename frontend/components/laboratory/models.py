"""Two to four models side by side on one image: what they say, their channels, and what fools which."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import streamlit as st

from backend.schemas import ChannelsRequest, ModelInfo, Prediction
from backend.schemas.laboratory import MarginRequest, TransferRequest, TransferResponse
from cifs.plot.activation import ActivationInfo, activation_figure, common_ranges, mean_shift
from cifs.plot.waterfall import common_span, waterfall_figure
from frontend import state
from frontend.components.channel_view import info_of as channels_of
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.laboratory.margin import info_of as margin_of
from frontend.components.predictions import said
from frontend.components.robustness_table import STYLE
from frontend.components.scene import Scene
from frontend.components.tables import keep_table

MOST = 4
CHANNELS, MARGIN, TRANSFER = "channels", "margin", "transfer"


def show_models(lab: Lab, scene: Scene) -> None:
    siblings = suited(lab.models(), scene.model)
    if len(siblings) < 2:
        st.info(f"No other model here takes the images of {scene.model.title}.", icon=":material/inventory_2:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = _pick_models(siblings)
        view = state.choose(
            st.segmented_control, "Compare", "compare", [CHANNELS, MARGIN, TRANSFER], default=CHANNELS, required=True
        )
    if len(chosen) < 2:
        st.info("Choose at least two models.", icon=":material/compare:")
        return
    waiting = lab.waiting("Attacking each model in turn …")
    {CHANNELS: _show_channels, MARGIN: _show_margins, TRANSFER: _show_transfer}[view](waiting, scene, chosen)


def _pick_models(siblings: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Two to four, in the order of the list; by default the first four."""
    by_id = {model.id: model for model in siblings}
    usual = [*by_id][:MOST]
    recalled = (state.recall("models").text or "").split(",")
    before = [model_id for model_id in recalled if model_id in by_id] or usual
    picked = st.multiselect(
        "Models", list(by_id), default=before, max_selections=MOST, key=state.widget(f"models of {siblings[0].id}"),
        format_func=lambda model_id: by_id[model_id].title,
    )  # fmt: skip
    state.keep_unless_default("models", ",".join(picked), ",".join(usual))
    return [by_id[model_id] for model_id in picked]


def _place(scene: Scene, model: ModelInfo) -> dict[str, Any]:
    return scene.place | {"model": model.id}


def _show_channels(lab: Lab, scene: Scene, chosen: Sequence[ModelInfo]) -> None:
    """Figure 1 of one image: the channels of each model, attacked by itself."""
    requests = [ChannelsRequest(**_place(scene, model), target="label", relevance="true") for model in chosen]
    results = [lab.channels(request).results[0] for request in requests]
    infos = [channels_of(result) for result in results]
    ranges = common_ranges(infos)
    for model, result, info, column in zip(chosen, results, infos, _columns(len(chosen)), strict=True):
        with column:
            _head(model, result.natural, result.adversarial or result.natural)
            words = change(info)
            draw(
                activation_figure(info, ranges=ranges, height=300), key=f"channels-of-{model.id}",
                alt=f"channels of {scene.layer.name}, {model.title}: {words}", name=f"channels {model.id}",
            )  # fmt: skip
            st.caption(words)
    st.caption("All charts have the same axes; each model is shown the image that an attack on it made.")


def change(info: ActivationInfo) -> str:
    """What the attack did to both kinds of channel; as a control what it did to all of them."""
    shift = mean_shift(info)
    if shift is None or info.adversarial is None:
        return "Not attacked."
    return (
        f"NR: {shift.nr_over_activated:.0%} raised, {shift.nr_over_activation:+.3g} on average. PR: "
        f"{shift.pr_under_activated:.0%} lowered, {-shift.pr_under_activation:+.3g}. All channels, the control: "
        f"{(info.adversarial - info.natural).mean():+.3g}."
    )


def _show_margins(lab: Lab, scene: Scene, chosen: Sequence[ModelInfo]) -> None:
    requests = [MarginRequest(**_place(scene, model)) for model in chosen]
    results = [lab.margin(request).results[0] for request in requests]
    infos = [margin_of(result) for result in results]
    span, classes = common_span(infos), scene.model.classes
    for model, result, info, column in zip(chosen, results, infos, _columns(len(chosen)), strict=True):
        with column:
            _head(model, result.natural, result.adversarial)
            words = (
                f"{classes[result.rival]} over {classes[result.label]}: {result.natural_margin:+.2f} to "
                f"{result.adversarial_margin:+.2f}. NR channels {info.by_nr:+.2f}, PR channels {info.by_pr:+.2f}."
            )
            figure = waterfall_figure(info, span=span)
            draw(
                figure, key=f"margin-of-{model.id}", name=f"margin {model.id}",
                alt=f"margin by channel, {model.title}: {words}",
            )  # fmt: skip
            st.caption(words)
    st.caption("All waterfalls have the same axis. The rival is each model's own strongest wrong class.")


def _columns(n: int) -> list[st.delta_generator.DeltaGenerator]:
    """Two abreast."""
    return [column for _ in range((n + 1) // 2) for column in st.columns(2, gap="medium")][:n]


def _head(model: ModelInfo, natural: Prediction, attacked: Prediction) -> None:
    st.markdown(f"**{model.title}**: {said(natural)} → **{said(attacked)}**")


def _show_transfer(lab: Lab, scene: Scene, chosen: Sequence[ModelInfo]) -> None:
    request = TransferRequest(models=[model.id for model in chosen], images=[scene.image], attack=scene.attack)
    response = lab.transfer(request)
    st.markdown(sentence(response, chosen[0]))
    titles = {model.id: model.title for model in chosen}
    keep_table(table_rows(response, titles), key="transfer", name="transfer")
    with st.container(key="transfer"):
        st.html(STYLE + to_html(response, titles))
    st.caption("Row: the model that was attacked. Column: the model that is shown the image. Bold: it is fooled.")


def suited(models: list[ModelInfo], model: ModelInfo) -> list[ModelInfo]:
    """The model itself first, then others of the same classes, images, architecture and width."""
    place = (model.classes, model.image_shape, model.arch, model.width)
    others = [m for m in models if m.id != model.id and (m.classes, m.image_shape, m.arch, m.width) == place]
    return [model, *others]


def sentence(response: TransferResponse, model: ModelInfo) -> str:
    """What the attack on this model does to the others, in numbers."""
    own = [entry for entry in response.entries if entry.source == model.id and entry.shown != model.id]
    at_risk = [entry for entry in own if entry.right_before]
    fooled = sum(entry.fooled for entry in at_risk)
    return (
        f"The image made on **{model.title}** fools **{fooled} of {len(at_risk)}** other models that get the natural "
        "one right."
    )


def table_rows(response: TransferResponse, titles: Mapping[str, str]) -> list[dict[str, object]]:
    """What each model says of the natural image, and of what was made on each."""
    shown = {"natural image": [response.natural[name][0] for name in response.models]}
    for source in response.models:
        made = [entry.predictions[0] for entry in response.entries if entry.source == source]
        shown[f"attack on {titles[source]}"] = made
    return [
        {"image": image, **{titles[name]: said(says) for name, says in zip(response.models, row, strict=True)}}
        for image, row in shown.items()
    ]


def to_html(response: TransferResponse, titles: dict[str, str]) -> str:
    head = "".join(f"<th>{escape(titles[name])}</th>" for name in response.models)
    rows = [_row("natural image", [response.natural[name][0] for name in response.models], response.labels[0])]
    for source in response.models:
        shown = [entry.predictions[0] for entry in response.entries if entry.source == source]
        rows.append(_row(f"attack on {titles[source]}", shown, response.labels[0]))
    table = f'<table class="robustness"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return f'<div class="scrolls" role="region" tabindex="0" aria-label="Transfer">{table}</div>'


def _row(title: str, predictions: list[Prediction], label: int) -> str:
    cells = "".join(f"<td>{_cell(prediction, label)}</td>" for prediction in predictions)
    return f"<tr><th>{escape(title)}</th>{cells}</tr>"


def _cell(prediction: Prediction, label: int) -> str:
    name = escape(prediction.class_name)
    shown = name if prediction.prediction == label else f"<b>{name}</b>"
    return f"{shown}<small>{prediction.probabilities[prediction.prediction]:.1%}</small>"
