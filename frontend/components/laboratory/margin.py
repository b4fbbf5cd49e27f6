"""Who carried the flip: the margin's change split over the channels of a layer."""

import streamlit as st

from backend.schemas.laboratory import MarginRequest, MarginResult
from cifs.plot.waterfall import WaterfallInfo, waterfall_figure, waterfall_info
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.laboratory.common import about, plural
from frontend.components.scene import Scene


def show_margin(lab: Lab, scene: Scene) -> None:
    request = MarginRequest(**about(scene), layer=scene.layer.name)
    result = lab.waiting("Splitting the margin over the channels …").margin(request).results[0]
    info = info_of(result)
    words = sentence(result, info, scene)
    st.markdown(words)
    draw(
        waterfall_figure(info), key="waterfall", alt=words.replace("*", ""),
        name=f"margin by channel, {scene.layer.name}",
    )  # fmt: skip
    st.caption(accuracy(result))


def info_of(result: MarginResult) -> WaterfallInfo:
    importance = result.by_importance or [0.0] * len(result.by_features)
    by_channel = [a + b for a, b in zip(result.by_features, importance, strict=True)]
    margins = (result.natural_margin, result.adversarial_margin)
    above = dict(result.by_maps_above)
    if abs(result.bypassed) > 1e-4:
        above["paths around the layer"] = result.bypassed
    return waterfall_info(margins, by_channel, result.relevance, above=above)


def sentence(result: MarginResult, info: WaterfallInfo, scene: Scene) -> str:
    """The answer, from the numbers shown."""
    label, rival = scene.model.classes[result.label], scene.model.classes[result.rival]
    change = result.adversarial_margin - result.natural_margin
    way = "rose" if change > 0 else "fell"
    fate = "the label fell" if result.adversarial_margin > 0 else "the label still stands"
    if result.natural_margin > 0:
        fate = "the label was not predicted before any attack either"
    text = (
        f"The margin of **{rival}** over **{label}** {way} from {result.natural_margin:+.2f} to "
        f"**{result.adversarial_margin:+.2f}**: {fate}."
    )
    text += f" NR channels moved it by **{info.by_nr:+.2f}**, PR channels by **{info.by_pr:+.2f}**"
    if info.for_half:
        channels = plural(info.for_half, "channel")
        text += f"; {channels} of {len(result.by_features)} make up half of all that raised it"
    return f"{text}. {_maps(result)}".strip()


def _maps(result: MarginResult) -> str:
    """What importance maps did, at the layer and above."""
    parts = []
    if result.by_importance is not None:
        parts.append(f"the features of this layer {sum(result.by_features):+.2f}")
        parts.append(f"its importance map {sum(result.by_importance):+.2f}")
    parts += [f"the importance map of {layer} {part:+.2f}" for layer, part in result.by_maps_above.items()]
    return f"Of it: {', '.join(parts)}." if parts else ""


def accuracy(result: MarginResult) -> str:
    error = result.completeness_error
    if result.exact:
        return (
            "A linear head on pooled features follows this layer, so each channel's part is exactly its weight "
            f"difference times the change of what it hands on; the sum is off by {error:.1g}."
        )
    share = error / max(abs(result.passed), 1e-9)
    text = (
        "Above this layer the network is not linear, so each part is an integral along the straight way from the "
        "natural to the attacked features (integrated gradients). The parts miss the change by "
        f"{error:.2g} ({share:.1%})."
    )
    if abs(result.bypassed) > 1e-4:
        text += " Residual paths lead around this layer; what took them is a bar of its own."
    return text
