"""Relevance held to account: which notion says what happens when a channel is taken away?"""

import streamlit as st

from backend.schemas import DatasetImage
from backend.schemas.laboratory import FaithfulnessRequest, FaithfulnessResponse, Interval, NotionFigures
from cifs.plot.faithfulness import NotionCurves, faithfulness_figure
from frontend import state
from frontend.components.charts import draw
from frontend.components.lab import Lab
from frontend.components.scene import Scene
from frontend.components.tables import show_rows

SIZES = (8, 16, 32, 64)  # images
MOST = 16_384  # images × channels that a request may ask for


def show_faithfulness(lab: Lab, scene: Scene) -> None:
    if not isinstance(scene.image, DatasetImage):
        st.info("This needs many images: choose one of a data set.", icon=":material/photo_library:")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        sizes = [n for n in SIZES if n * scene.layer.channels <= MOST]
        n = state.choose(st.segmented_control, "Over the first … images", "n", sizes, default=sizes[0], required=True)
    with right:
        attacked = state.choose(
            st.segmented_control, "Of the images", "inputs", ["natural", "attacked"], default="natural", required=True
        )
    request = FaithfulnessRequest(
        model=scene.model.id, layer=scene.layer.name,
        images=[DatasetImage(dataset=scene.image.dataset, index=i) for i in range(n)],
        attack=scene.attack if attacked == "attacked" else None,
    )  # fmt: skip
    response = lab.waiting("Taking channels away …").faithfulness(request)
    st.markdown(sentence(response))
    curves = [
        NotionCurves(of.title, of.deletion_curve, of.insertion_curve, of.notion == "random") for of in response.notions
    ]
    draw(
        faithfulness_figure(response.shares, curves), key="faithfulness", alt=sentence(response).replace("*", ""),
        name=f"relevance compared, {scene.layer.name}",
    )  # fmt: skip
    _table(response)
    st.caption(
        "Each notion orders the channels of every image for its label. Ablation silences one channel at a time; "
        "deletion and insertion many. Means with 95 % bootstrap intervals over "
        f"n = {response.n} images; {response.seconds:.1f} s."
    )


def sentence(response: FaithfulnessResponse) -> str:
    """Which is the most faithful, and how far true relevance is from it."""
    named = {of.notion: of for of in response.notions}
    rated = [of for name, of in named.items() if name not in ("ablation", "random") and of.correlation.mean is not None]
    if not rated:
        return "On these images no notion can be compared with ablation."
    best = max(rated, key=lambda of: of.correlation.mean or 0.0)
    text = (
        f"On this layer **{best.title.lower()}** agrees best with ablation: rank correlation {shown(best.correlation)}."
    )
    if "true" in named and best.notion != "true":
        text += f" True relevance: {shown(named['true'].correlation)}."
    first = min((of for of in response.notions if of.notion != "random"), key=lambda of: of.deletion.mean or 0.0)
    return (
        f"{text} Fewest channels are needed to lose the class in the order of **{first.title.lower()}** (area "
        f"{shown(first.deletion)}, at random {shown(named['random'].deletion)})."
    )


def shown(interval: Interval) -> str:
    """As in "0.93 (0.91 to 0.95)"."""
    if interval.mean is None or interval.low is None or interval.high is None:
        return "not defined"
    return f"{interval.mean:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _table(response: FaithfulnessResponse) -> None:
    rows = [
        {
            "order of channels": _title(of),
            "rank correlation with ablation": shown(of.correlation),
            "deletion area (small is faithful)": shown(of.deletion),
            "insertion area (large is faithful)": shown(of.insertion),
        }
        for of in response.notions
    ]
    show_rows(st.table, rows, key="notions", name="relevance compared")


def _title(of: NotionFigures) -> str:
    return f"{of.title} (control)" if of.notion == "random" else of.title
