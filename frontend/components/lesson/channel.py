"""Step 1: a channel is a detector; it fires where it finds its pattern."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st

from backend.schemas import ChannelsRequest, DatasetImage, ImageRef, MapsRequest, Sample
from cifs.plot.maps import images_info, maps_figure
from frontend.components.charts import draw
from frontend.components.images import Picture, show_pictures
from frontend.components.lesson.guess import ask_to_see, guess, judged, verdict
from frontend.components.lesson.material import DATASET, Material

OTHERS = (1, 7, 9)  # Trouser, Sneaker, Ankle boot: as unlike as the data has them


class Contest(NamedTuple):
    channel: int
    activations: list[float]  # by image
    winner: int


def channel(step: int, material: Material) -> None:
    layer = material.natural.layers[2].name
    samples = three(material)
    st.markdown(
        "A convolutional network looks at an image through **channels**. Each is a detector of one pattern: it slides "
        "over the image, and its *feature map* is bright where the pattern is. The mean of the map is the channel's "
        "**activation**: how strongly it fires."
    )
    images: list[ImageRef] = [DatasetImage(dataset=DATASET, index=sample.index) for sample in samples]
    request = ChannelsRequest(model=material.natural.id, layer=layer, images=images)
    activations = [result.natural.activation for result in material.lab.channels(request).results]
    contest = clearest(activations)
    names = [sample.class_name for sample in samples]
    show_pictures([Picture(sample.png, sample.class_name, sample.class_name) for sample in samples])
    chosen = guess(step, f"Which one makes channel {contest.channel} of {layer} fire most?", names)
    if not ask_to_see(step, ready=chosen is not None):
        return
    best = names[contest.winner]
    verdict(judged(chosen, best), f"channel {contest.channel} fires most on the {best}.")
    maps = material.lab.maps(
        MapsRequest(model=material.natural.id, layer=layer, images=images, channels=[contest.channel])
    )
    by_name = {name: result.channels[0].natural for name, result in zip(names, maps.results, strict=True)}
    draw(
        maps_figure(images_info(contest.channel, by_name)), key="lesson-maps",
        name=f"maps of channel {contest.channel}",
        alt=f"feature maps of channel {contest.channel} on {', '.join(names)}, on one scale",
    )  # fmt: skip
    st.markdown("What does it look for? Compare where the maps are bright with what is there in the images.")


def three(material: Material) -> list[Sample]:
    """The lesson's image and the first of two other classes."""
    others = [label for label in OTHERS if label != material.label][:2]
    own = material.lab.samples(DATASET, split="test", label=None, offset=material.image.index, limit=1).samples
    first = [material.lab.samples(DATASET, split="test", label=k, offset=0, limit=1).samples[0] for k in others]
    return [*own, *first]


def clearest(activations: Sequence[Sequence[float]]) -> Contest:
    """The channel that one image wins by the widest margin, relative to what it does on that image."""
    a = np.asarray(activations)  # (images, C)
    ranked = np.sort(a, axis=0)
    lead = (ranked[-1] - ranked[-2]) * ranked[-1]
    best = int(lead.argmax())
    return Contest(best, a[:, best].tolist(), int(a[:, best].argmax()))
