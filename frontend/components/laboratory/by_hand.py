"""Hypothesis H by hand: edit channels or the importance map, see who is predicted, and attack the edited network."""

from typing import Any, Literal, NamedTuple

import streamlit as st

from backend.schemas import Choice, Described
from backend.schemas.laboratory import AttackedAgain, Reselection, Scaling, WhatIfRequest, WhatIfResult
from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from frontend import state
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.laboratory.common import about
from frontend.components.predictions import said
from frontend.components.scene import Scene
from frontend.components.schema_form import sliders

CONTROLS = 20
NR, PR, SOME, IMGF = "all NR channels", "all PR channels", "channels of my choice", "another IMGF"
EDITS = (NR, PR, SOME, IMGF)
SAME, AGAIN = "show it the same attacked image", "attack the edited network again"


class Edit(NamedTuple):
    words: str  # as in "With all NR channels of layer3.0 × 0"
    request: dict[str, Any]


def show_by_hand(lab: Lab, scene: Scene) -> None:
    edit = _pick_edit(lab, scene)
    if edit is None:
        return
    again = state.choose(st.segmented_control, "Then", "then", [SAME, AGAIN], default=SAME, required=True) == AGAIN
    request = WhatIfRequest(**about(scene), **edit.request, again=again, controls=CONTROLS)
    result = lab.waiting("Asking the edited network …").what_if(request).results[0]
    st.markdown(sentence(edit.words, result, scene.model.classes[result.label]))
    natural, adversarial = st.columns(2, gap="medium")
    with natural:
        _beliefs("natural", NATURAL, result, scene)
    with adversarial:
        _beliefs("adversarial", ADVERSARIAL, result, scene)
    st.caption(
        "No weight is changed. NR and PR follow the natural image's true relevance for its label, which a defence "
        "could not know: this tests the mechanism. The control puts the same multipliers on random channels, "
        f"{CONTROLS} times."
    )


def _pick_edit(lab: Lab, scene: Scene) -> Edit | None:
    chosen = state.choose(st.segmented_control, "Edit", "edit", list(EDITS), default=NR, required=True)
    if chosen == IMGF:
        return _pick_imgf(lab, scene)
    factor = state.choose_number(
        st.slider, "Multiply them by", "factor", default=0.0, min_value=0.0, max_value=3.0, step=0.05
    )
    kinds: dict[str, Literal["NR", "PR"]] = {NR: "NR", PR: "PR"}
    channels = kinds.get(chosen) or _pick_channels(scene)
    if not channels:
        st.info("Name at least one channel.", icon=":material/tune:")
        return None
    what = chosen if isinstance(channels, str) else f"channels {', '.join(map(str, channels))}"
    scaling = Scaling(layer=scene.layer.name, channels=channels, factor=factor)
    return Edit(f"With {what} of {scene.layer.name} × {factor:g}", {"scalings": [scaling]})


def _pick_channels(scene: Scene) -> list[int]:
    last = scene.layer.channels - 1
    recalled = state.recall("edited").text or ""
    text = st.text_input(
        f"Which channels (0 to {last}, with commas)", recalled, key=f"edited-{state.visit()}", placeholder="3, 17, 42"
    )
    state.keep("edited", text or None)
    words = [word.strip() for word in text.split(",") if word.strip()]
    channels = [int(word) for word in words if word.isdecimal() and int(word) <= last]
    if len(channels) < len(words):
        st.error(f"Channels are whole numbers from 0 to {last}.")
    return sorted(set(channels))


def _pick_imgf(lab: Lab, scene: Scene) -> Edit | None:
    described = {imgf.name: as_own(imgf, scene.model.imgf) for imgf in lab.imgfs()}
    own = scene.model.imgf.name if scene.model.imgf else None
    left, right = st.columns(2, gap="medium")
    with left:
        name = state.choose(
            st.segmented_control, "IMGF at this layer", "what-if-imgf", list(described),
            default=own if own in described else next(iter(described)), required=True,
        )  # fmt: skip
        k = state.choose_number(
            st.slider, "Relevance of the k likeliest classes", "what-if-k", default=2, min_value=1,
            max_value=len(scene.model.classes), step=1,
        )  # fmt: skip
    with right:
        imgf = sliders("what-if-imgf", described[name])
    if not scene.layer.modified and scene.layer != scene.model.layers[-1]:
        st.info(
            f"{scene.layer.name} has no probe to assess relevance with. Choose a layer marked CIFS or CAS, or the last "
            "layer, before whose linear head relevance is known.",
            icon=":material/filter_alt_off:",
        )
        return None
    reselection = Reselection(layer=scene.layer.name, imgf=imgf, k=k)
    return Edit(f"With {_named(imgf)}, k = {k}, at {scene.layer.name}", {"reselections": [reselection]})


def as_own(described: Described, own: Choice | None) -> Described:
    """With the parameters of the model's own IMGF as defaults, where it is the one."""
    if own is None or own.name != described.name:
        return described
    properties = {
        name: schema | ({"default": own.parameters[name]} if name in own.parameters else {})
        for name, schema in described.parameters["properties"].items()
    }
    return described.model_copy(update={"parameters": described.parameters | {"properties": properties}})


def _named(imgf: Choice) -> str:
    given = ", ".join(f"{name} = {value}" for name, value in imgf.parameters.items())
    return f"{imgf.name} ({given})" if given else imgf.name


def sentence(words: str, result: WhatIfResult, label: str) -> str:
    """The answer, with the control, and what an attacker who knows the edit does to it."""
    after, natural = result.adversarial.after, result.natural.after
    text = f"{words}, the attacked image is taken for **{said(after)}**, the natural one for {said(natural)}."
    if result.control is not None:
        control = result.control
        text += (
            f" On random channels the attacked image is taken for {label} in **{control.adversarial_right} of "
            f"{control.draws}** draws, the natural one in {control.natural_right}."
        )
    if not result.again:
        return text + _invitation(result)
    if all(not again.success for again in result.again):
        return f"{text} **Attacked again, the edited network withstands**: it says {said(result.again[0].prediction)}."
    fooled = next(again for again in result.again if again.success)
    only = ", but only through the importance map" if not result.again[0].success else ""
    return f"{text} **Attacked again, the edited network falls**{only}: it says {said(fooled.prediction)}."


def _invitation(result: WhatIfResult) -> str:
    if result.adversarial.after.prediction != result.label or result.adversarial.before.prediction == result.label:
        return ""
    return " Is it robust, or did the old attack only miss? *Attack the edited network again.*"


def _beliefs(name: Literal["natural", "adversarial"], colour: str, result: WhatIfResult, scene: Scene) -> None:
    shown = result.natural if name == "natural" else result.adversarial
    beliefs = [
        Belief("as it was", NEUTRAL, shown.before.probabilities),
        Belief("edited", colour, shown.after.probabilities),
    ]
    if name == "adversarial":
        beliefs += [
            Belief(
                f"attacked again{', through the map' if again.through_mask else ''}",
                shade,
                again.prediction.probabilities,
            )
            for again, shade in zip(distinct(result), ("#8A2F02", "#571E01"), strict=False)
        ]
    st.markdown(f"**{name} image**: {said(shown.before)} → **{said(shown.after)}**")
    info = probability_info(scene.model.classes, beliefs, most=6)
    draw(probability_figure(info), key=f"by-hand-{name}", alt=f"probabilities of the {name} image: {info.words}")


def distinct(result: WhatIfResult) -> list[AttackedAgain]:
    """The two attacks, or one where the importance maps carry no gradient and both are the same."""
    return [
        again
        for i, again in enumerate(result.again)
        if again.prediction not in [a.prediction for a in result.again[:i]]
    ]
