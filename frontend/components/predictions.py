"""The attacked image and what the network believes before and after."""

import streamlit as st

from backend.schemas import AttackResult, Prediction
from cifs.plot.colours import ADVERSARIAL, NATURAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from cifs.plot.trajectory import trajectory_figure, trajectory_info
from frontend.components.asking import ask_attack, attack_title
from frontend.components.images import decode, enlarge
from frontend.components.lab import Lab
from frontend.components.scene import Scene


def show_attack(lab: Lab, scene: Scene) -> None:
    result = ask_attack(lab, scene).results[0]
    _verdict(scene, result)
    pictures, beliefs = st.columns([5, 4], gap="medium")
    with pictures:
        _pictures(result)
    with beliefs:
        _beliefs(scene, result)


def show_twins(lab: Lab, scene: Scene) -> None:
    """The natural and the attacked image alone, for a page about something else."""
    result = ask_attack(lab, scene).results[0]
    natural, adversarial = st.columns(2)
    natural.image(enlarge(result.natural_image.png), caption=f"**natural**: {said(result.natural)}", width="stretch")
    adversarial.image(
        enlarge(result.image.png), caption=f"**adversarial**: {said(result.adversarial)}", width="stretch"
    )


def said(prediction: Prediction) -> str:
    """As in "Ankle boot (98.2 %)"."""
    return f"{prediction.class_name} ({prediction.probabilities[prediction.prediction]:.1%})"


def _verdict(scene: Scene, result: AttackResult) -> None:
    label = scene.model.classes[result.label]
    if result.natural.prediction != result.label:
        text = f"Wrong before any attack: the label is **{label}**, the network says **{said(result.natural)}**."
        st.info(text, icon=":material/help:")
    elif result.success:
        text = f"**Fooled.** The same {label}, and the network now says **{said(result.adversarial)}**"
        st.error(f"{text}: {attack_title(scene.attack)}.", icon=":material/bolt:")
    else:
        text = f"**Not fooled.** The network still says **{said(result.adversarial)}**"
        st.success(f"{text}: {attack_title(scene.attack)}.", icon=":material/shield:")


def _pictures(result: AttackResult) -> None:
    magnified = f"the change, ×{result.perturbation.magnification:.3g} (grey: none)"
    shown = (
        ("natural", result.natural_image.png, f"**natural**: {said(result.natural)}"),
        ("adversarial", result.image.png, f"**adversarial**: {said(result.adversarial)}"),
        ("perturbation", result.perturbation.png, magnified),
    )
    for column, (name, png, caption) in zip(st.columns(3), shown, strict=True):
        column.image(enlarge(png), caption=caption, width="stretch", alt=f"{name} image")
    st.caption(f"No pixel moved by more than {result.linf:.4g} (of 1). {_rounding(result)}")
    st.download_button(
        "The exact image (.npy)", decode(result.image.npy), "adversarial.npy", type="tertiary",
        icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def _rounding(result: AttackResult) -> str:
    if not result.success:
        return ""
    return f"Rounded to an 8-bit PNG, the image still fools: {'yes' if result.png_success else 'no'}."


def _beliefs(scene: Scene, result: AttackResult) -> None:
    beliefs = [
        Belief("natural", NATURAL, result.natural.probabilities),
        Belief("adversarial", ADVERSARIAL, result.adversarial.probabilities),
    ]
    info = probability_info(scene.model.classes, beliefs)
    st.plotly_chart(probability_figure(info), key="probabilities", alt="class probabilities, natural and adversarial")
    if info.left_out:
        st.caption(f"The {len(info.classes)} likeliest classes; {info.left_out} are left out.")


def show_trajectory(lab: Lab, scene: Scene) -> None:
    response = ask_attack(lab, scene)
    result = response.results[0]
    if not result.trajectory:
        st.info("The backend sent no trajectory for this attack.")
        return
    st.caption("Each step follows the gradient of the loss up; the label's probability falls as the loss climbs.")
    info = trajectory_info(result.trajectory, result.label)
    st.plotly_chart(trajectory_figure(info, scene.model.classes), key="trajectory", alt="loss and probability by step")
    with st.expander("The attack's settings, as resolved"):
        st.json(response.attack)
