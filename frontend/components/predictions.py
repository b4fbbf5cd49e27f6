"""The attacked image and what the network believes before and after."""

import streamlit as st

from backend.schemas import AttackResult, DatasetImage, Described, Prediction, RobustnessRow, UploadedImage
from cifs.plot.colours import ADVERSARIAL, NATURAL
from cifs.plot.predictions import Belief, probability_figure, probability_info
from cifs.plot.trajectory import TrajectoryInfo, trajectory_figure, trajectory_info
from cifs_client import BackendError
from frontend.captions import attack_title
from frontend.components.asking import ask_attack
from frontend.components.charts import draw
from frontend.components.images import Picture, decode, show_pictures
from frontend.components.lab import Lab
from frontend.components.scene import Scene
from frontend.components.schema_form import AttackForm, apply_attack
from frontend.strongest import strongest_attack


def show_attack(lab: Lab, scene: Scene) -> None:
    result = ask_attack(lab, scene).results[0]
    pictures, beliefs = st.columns([6, 5], gap="medium")
    with pictures:
        _pictures(scene, result)
    with beliefs:
        _verdict(lab, scene, result)
        _beliefs(scene, result)


def show_twins(lab: Lab, scene: Scene) -> None:
    """The natural and the attacked image alone, for a page about something else."""
    result = ask_attack(lab, scene).results[0]
    show_pictures(_twins(scene, result))


def _twins(scene: Scene, result: AttackResult) -> list[Picture]:
    thing = scene.model.classes[result.label]
    shown = (
        ("natural", result.natural_image.png, result.natural),
        ("adversarial", result.image.png, result.adversarial),
    )
    return [
        Picture(png, f"{name} image of {thing}, taken for {belief.class_name}", f"{name}: {said(belief)}")
        for name, png, belief in shown
    ]


def said(prediction: Prediction) -> str:
    """As in "Ankle boot (98.2 %)"."""
    return f"{prediction.class_name} ({prediction.probabilities[prediction.prediction]:.1%})"


def _verdict(lab: Lab, scene: Scene, result: AttackResult) -> None:
    attack, thing = attack_title(scene.attack, scene.model.classes), scene.model.classes[result.label]
    guessed = isinstance(scene.image, UploadedImage) and scene.image.label is None
    if result.natural.prediction != result.label:
        text = f"Wrong before any attack: the label is **{thing}**, the network says **{said(result.natural)}**."
        st.info(text, icon=":material/help:")
    elif result.success:
        same = f"Its own first guess was {thing}" if guessed else f"The same {thing}"
        text = f"**Fooled.** {same}, and the network now says **{said(result.adversarial)}**"
        st.error(f"{text}: {attack}.", icon=":material/bolt:")
    elif result.adversarial.prediction != result.label:
        text = f"**The target was not reached**, but the network now says **{said(result.adversarial)}**"
        st.warning(f"{text}: {attack}.", icon=":material/bolt:")
    else:
        text = f"**Not fooled.** The network says **{said(result.adversarial)}**"
        st.success(f"{text}: {attack}.", icon=":material/shield:")
        _offer_stronger(lab, scene)
    if guessed:
        st.caption("No label was given: the network's own guess stands for the truth. Say what it shows if you know.")


def _offer_stronger(lab: Lab, scene: Scene) -> None:
    """One attack that fails shows little: which were not tried here, and the one that did best in the evaluation."""
    attacks = lab.attacks()
    others = [attack.title.partition(":")[0] for attack in attacks if attack.name != scene.attack.name]
    if others:
        st.caption(f"One attack that fails proves little. Not tried: {', '.join(others)}.")
    try:
        row = next((row for row in lab.robustness().rows if row.model == scene.model.id), None)
    except BackendError:
        return
    if row is not None:
        _strongest_button(scene, attacks, row)


def _strongest_button(scene: Scene, attacks: list[Described], row: RobustnessRow) -> None:
    form = AttackForm({attack.name: attack for attack in attacks}, scene.model)
    stronger = strongest_attack(form, row, scene.attack)
    if stronger is None:
        return
    title = attack_title(stronger, scene.model.classes)
    st.button(
        f"Try the strongest of its evaluation: {title}", icon=":material/bolt:", key="strongest",
        on_click=apply_attack, args=(form, stronger),
    )  # fmt: skip


def _pictures(scene: Scene, result: AttackResult) -> None:
    magnified = f"the change, ×{result.perturbation.magnification:.3g} (grey: none)"
    change = Picture(result.perturbation.png, "the change of every pixel, magnified", magnified)
    show_pictures([*_twins(scene, result), change])
    where = f"Image {scene.image.index}. " if isinstance(scene.image, DatasetImage) else ""
    with st.container(horizontal=True, wrap=False, vertical_alignment="top", gap="small"):
        st.caption(f"{where}No pixel moved by more than {result.linf:.4g} (of 1). {_rounding(result)}", width="stretch")
        st.download_button(
            "Exact image", decode(result.image.npy), "adversarial.npy", type="tertiary", icon=":material/download:",
            on_click="ignore", help="The adversarial image as .npy: float32, not rounded to 8 bits",
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
    draw(
        probability_figure(info), key="probabilities", alt=f"class probabilities, natural and adversarial: {info.words}"
    )


def show_trajectory(lab: Lab, scene: Scene) -> None:
    response = ask_attack(lab, scene)
    result = response.results[0]
    if not result.trajectory:
        st.info("The backend sent no trajectory for this attack.")
        return
    target = scene.attack.parameters.get("target")
    info = trajectory_info(result.trajectory, result.label, target)
    st.caption(walked(info, scene.model.classes[info.watched]))
    draw(trajectory_figure(info, scene.model.classes), key="trajectory", alt="loss and probability by step")
    with st.expander("The attack's settings, as resolved"):
        st.json(response.attack)


def walked(info: TrajectoryInfo, watched: str) -> str:
    """From the first step to the last: the loss goes down where the attack has a target, else up."""
    way = "down" if info.targeted else "up"
    loss, probability = info.losses, info.probability
    return (
        f"Each step follows the gradient of the loss {way}. In {info.steps[-1]} steps it went from {loss[0]:.3g} to "
        f"{loss[-1]:.3g}, the probability of {watched} from {probability[0]:.1%} to {probability[-1]:.1%}."
    )
