"""A page for every channel: what it looks for, what it says of each class, how it answers to an attack."""

from collections.abc import Sequence
from html import escape

import streamlit as st

from backend.schemas import Choice
from backend.schemas.laboratory import ChannelExemplar, ChannelProfile, ResponseRequest, ResponseResponse
from cifs.plot.channel_page import ResponseInfo, profile_figure, profile_info, response_figure
from cifs_client import BackendRefused
from frontend import state
from frontend.captions import attack_title
from frontend.components.charts import draw
from frontend.components.images import data_uri, size_of
from frontend.components.lab import Lab
from frontend.components.laboratory.common import about, kind
from frontend.components.laboratory.note import show_note
from frontend.components.laboratory.optimised import show_optimised
from frontend.components.scene import Scene

SHOWN = 6  # images a ranking
STYLE = """<style>
.exemplars { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.2rem, 1fr)); gap: .5rem; }
.exemplars figure { margin: 0; }
.exemplars .seen { position: relative; }
.exemplars img { width: 100%; aspect-ratio: 1; image-rendering: pixelated; display: block; border-radius: .3rem; }
.exemplars .box { position: absolute; border: 2px solid #F1590C; border-radius: 2px; box-sizing: border-box; }
.exemplars figcaption { font-size: .75rem; line-height: 1.2; margin-top: .2rem; }
</style>"""


def show_channel_page(lab: Lab, scene: Scene) -> None:
    last = scene.layer.channels - 1
    channel = state.choose_number(
        st.number_input, f"Channel of {scene.layer.name} (0 to {last})", "page-channel", default=0, min_value=0,
        max_value=last, step=1,
    )  # fmt: skip
    profile = _found(lab, scene, channel)
    if profile is not None:
        st.markdown(sentence(profile))
        _exemplars(profile)
    show_optimised(lab, scene, channel)
    left, right = st.columns(2, gap="medium")
    with left:
        if profile is not None:
            _profile(profile)
        show_note(lab, scene, channel)
    with right:
        _response(lab, scene, channel)


def _found(lab: Lab, scene: Scene, channel: int) -> ChannelProfile | None:
    """What a test set showed of it; None, with the reason on the page, where nothing was looked through."""
    try:
        waiting = lab.waiting("Opening the channel's page …")
        return waiting.channel_page(scene.model.id, scene.layer.name, channel)
    except BackendRefused as error:
        st.info(str(error), icon=":material/inventory_2:")
        return None


def sentence(profile: ChannelProfile) -> str:
    """What it fires on, what it speaks for, and who goes with it."""
    known = [k for k, a in enumerate(profile.activation) if a is not None]
    loudest = max(known, key=lambda k: profile.activation[k] or 0.0)
    most = max(known, key=lambda k: profile.relevance[k] or 0.0)
    least = min(known, key=lambda k: profile.relevance[k] or 0.0)
    against = f"{profile.classes[least]} ({profile.relevance[least]:+.2f})"
    near = ", ".join(f"{other.channel} ({other.correlation:.2f})" for other in profile.nearest[:3])
    return (
        f"Over {profile.n:,} images channel **{profile.channel}** fires most on **{profile.classes[loudest]}** "
        f"({profile.activation[loudest]:.2f} on average). It speaks most for **{profile.classes[most]}** "
        f"({profile.relevance[most]:+.2f}) and most against {against}. "
        f"Channels that fire with it: {near}."
    )


def _exemplars(profile: ChannelProfile) -> None:
    rankings = (
        ("The images that activate it most", profile.by_activation, profile.attacked_by_activation),
        ("The images for which it is most relevant (g · a)", profile.by_relevance, profile.attacked_by_relevance),
    )
    for column, (title, natural, attacked) in zip(st.columns(2, gap="medium"), rankings, strict=True):
        with column:
            st.markdown(f"**{title}**, natural")
            st.html(STYLE + to_html(natural[:SHOWN]))
            if attacked:
                st.markdown(f"The same of the **attacked** images{_of_others(natural, attacked)}")
                st.html(to_html(attacked[:SHOWN]))
    box = "The box: the pixels on which the channel's strongest position depends."
    if profile.attack is None:
        st.caption(f"{box} `cifs exemplars {profile.model}` looks through attacked images, too.")
    else:
        attack = attack_title(Choice.model_validate(profile.attack))
        st.caption(f"{box} Attacked by {attack}, and ranked by their own activation and relevance.")


def _of_others(natural: Sequence[ChannelExemplar], attacked: Sequence[ChannelExemplar]) -> str:
    """How many of them are of classes that the natural ones are not of: the channel fires where it did not."""
    known = {shown.label for shown in natural[:SHOWN]}
    strangers = sum(shown.label not in known for shown in attacked[:SHOWN])
    return f", {strangers} of {len(attacked[:SHOWN])} of other classes"


def to_html(exemplars: Sequence[ChannelExemplar]) -> str:
    return f'<div class="exemplars">{"".join(map(_figure, exemplars))}</div>'


def _figure(shown: ChannelExemplar) -> str:
    name = escape(shown.class_name)
    image = f'<img alt="image {shown.index}: {name}" src="{data_uri(shown.png)}">'
    caption = f"<figcaption>{name}<br>{shown.value:.3g}, no. {shown.index}</figcaption>"
    return f'<figure><div class="seen">{image}{_box(shown)}</div>{caption}</figure>'


def _box(shown: ChannelExemplar) -> str:
    """In per cent of the image, whose size the PNG tells."""
    width, height = size_of(shown.png)
    seen = shown.seen
    if seen.bottom <= seen.top or seen.right <= seen.left:
        return ""
    place = {
        "top": seen.top / height, "left": seen.left / width, "height": (seen.bottom - seen.top) / height,
        "width": (seen.right - seen.left) / width,
    }  # fmt: skip
    return f'<div class="box" style="{";".join(f"{k}:{100 * v:.2f}%" for k, v in place.items())}"></div>'


def _profile(profile: ChannelProfile) -> None:
    info = profile_info(profile.classes, profile.activation, profile.relevance)
    alt = f"activation and relevance of channel {profile.channel} by class"
    draw(profile_figure(info), key="profile", alt=alt, name=f"channel {profile.channel} of {profile.layer} by class")


def _response(lab: Lab, scene: Scene, channel: int) -> None:
    request = ResponseRequest(**about(scene), layer=scene.layer.name, channels=[channel])
    response = lab.waiting("Attacking at each ε …").response(request)
    info = response_of(response)
    end = info.activation[len(info.activation) // 2]
    st.markdown(
        f"On this image it goes from {info.activation[0]:.3g} to **{end:.3g}** at the attack's ε and "
        f"{info.activation[-1]:.3g} at twice that; it is **{kind(info.relevance[0])}** there."
    )
    draw(response_figure(info), key="response", alt=f"channel {channel} against ε")


def response_of(response: ResponseResponse) -> ResponseInfo:
    """Of the first image and channel."""
    result = response.results[0]
    fallen = [eps for eps, k in zip(response.eps, result.predictions, strict=True) if k != result.label]
    of = result.channels[0]
    budget = response.eps[-1] / 2
    return ResponseInfo(response.eps, of.activation, of.relevance, budget, fallen[0] if fallen else None)
