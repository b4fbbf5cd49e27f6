"""One model's adversarial image shown to the others."""

from html import escape

import streamlit as st

from backend.schemas import ModelInfo, Prediction
from backend.schemas.laboratory import TransferRequest, TransferResponse
from frontend.components.lab import Lab
from frontend.components.laboratory.common import show_request
from frontend.components.robustness_table import STYLE
from frontend.components.scene import Scene

MOST = 4


def show_transfer(lab: Lab, scene: Scene) -> None:
    siblings = suited(lab.models(), scene.model)
    if len(siblings) < 2:
        st.info(f"No other model here takes the images of {scene.model.title}.", icon=":material/inventory_2:")
        return
    chosen = siblings[:MOST]
    request = TransferRequest(models=[model.id for model in chosen], images=[scene.image], attack=scene.attack)
    with st.spinner("Attacking each model in turn …", show_time=True):
        response = lab.transfer(request)
    st.markdown(sentence(response, scene.model))
    st.html(STYLE + to_html(response, {model.id: model.title for model in chosen}))
    st.caption("Row: the model that was attacked. Column: the model that is shown the image. Bold: it is fooled.")
    show_request(lab, "/attack/transfer", request)


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


def to_html(response: TransferResponse, titles: dict[str, str]) -> str:
    head = "".join(f"<th>{escape(titles[name])}</th>" for name in response.models)
    rows = [_row("natural image", [response.natural[name][0] for name in response.models], response.labels[0])]
    for source in response.models:
        shown = [entry.predictions[0] for entry in response.entries if entry.source == source]
        rows.append(_row(f"attack on {titles[source]}", shown, response.labels[0]))
    return f'<table class="robustness"><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _row(title: str, predictions: list[Prediction], label: int) -> str:
    cells = "".join(f"<td>{_cell(prediction, label)}</td>" for prediction in predictions)
    return f"<tr><th>{escape(title)}</th>{cells}</tr>"


def _cell(prediction: Prediction, label: int) -> str:
    name = escape(prediction.class_name)
    shown = name if prediction.prediction == label else f"<b>{name}</b>"
    return f"{shown}<small>{prediction.probabilities[prediction.prediction]:.1%}</small>"
