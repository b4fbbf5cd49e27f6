"""The attack as a film."""

import streamlit as st

from backend.schemas.laboratory import FilmRequest, FilmResult
from cifs.plot.film import FilmInfo, PathInfo, film_figure, paths_figure
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.laboratory.common import about, kind
from frontend.components.scene import Scene


def show_film(lab: Lab, scene: Scene) -> None:
    request = FilmRequest(**about(scene), layer=scene.layer.name)
    result = lab.waiting("Filming the attack …").film(request).results[0]
    words = sentence(result, scene)
    st.markdown(words)
    draw(film_figure(info_of(result)), key="film", alt=words.replace("*", ""), name="film")
    activation, importance = st.columns(2, gap="medium")
    with activation:
        _paths(result, "activation", scene)
    with importance:
        _paths(result, "importance", scene)


def info_of(result: FilmResult) -> FilmInfo:
    frames = result.frames
    return FilmInfo(
        [frame.png for frame in frames], [frame.perturbation for frame in frames], [frame.margin for frame in frames],
        [frame.prediction.class_name for frame in frames], result.divergence, result.falls_at, result.magnification,
    )  # fmt: skip


def sentence(result: FilmResult, scene: Scene) -> str:
    label, last = scene.model.classes[result.label], result.frames[-1]
    if result.falls_at is None:
        fall = f"In {last.step} steps **{label}** does not fall"
    else:
        into = result.frames[result.falls_at].prediction.class_name
        fall = f"**{label}** falls at step **{result.falls_at}** of {last.step}, into {into}"
    end = {layer: path[-1] for layer, path in result.divergence.items()}
    furthest, least = max(end, key=end.__getitem__), min(end, key=end.__getitem__)
    return (
        f"{fall}. In the end the attacked image is furthest from the natural one's path at **{furthest}** "
        f"({end[furthest]:.0%} of its features' size) and nearest at {least} ({end[least]:.0%})."
    )


def _paths(result: FilmResult, quantity: str, scene: Scene) -> None:
    by_channel = [(channel, getattr(channel, quantity)) for channel in result.moved]
    paths = [PathInfo(c.channel, c.relevance, values) for c, values in by_channel if values is not None]
    if not paths:
        st.caption(f"{scene.layer.name} is a plain layer: it has no importance map.")
        return
    names = ", ".join(f"{path.channel} ({kind(path.relevance)})" for path in paths)
    st.caption(
        f"{quantity.capitalize()} of the {len(paths)} channels of {scene.layer.name} that the attack moves most."
    )
    draw(paths_figure(paths, quantity, result.falls_at), key=f"paths-{quantity}", alt=f"{quantity} of channels {names}")
