"""What a page looks at: one model, layer, image and attack, chosen in the sidebar and the gallery."""

from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import Choice, DatasetImage, ImageRef, LayerInfo, ModelInfo
from cifs.plot.labels import eps_text
from cifs.records import network_text
from frontend import state
from frontend.components.charts import files_are_about
from frontend.components.gallery import nearness, pick_image, told_at
from frontend.components.lab import Lab
from frontend.components.schema_form import attack_form

RELEVANCE = "relevance-settings"
OF_PROBES = ("assessed",)  # relevances that need one: where CIFS or CAS sits


class Scene(NamedTuple):
    model: ModelInfo
    layer: LayerInfo
    image: ImageRef
    attack: Choice
    target: Any  # "label", "prediction" or a class index
    relevance: str

    @property
    def place(self) -> dict[str, Any]:
        """What every question about the channels has in common."""
        return {"model": self.model.id, "layer": self.layer.name, "images": [self.image], "attack": self.attack}


class Subject(NamedTuple):
    """What a page about many images looks at."""

    model: ModelInfo
    layer: LayerInfo
    attack: Choice


def pick_subject(lab: Lab) -> Subject | None:
    """None while the backend has no model to look at."""
    if not (models := _models(lab)):
        return None
    with st.sidebar:
        model, _ = pick_model(lab, models)
        return Subject(model, _pick_layer(model), attack_form(lab.attacks(), model))


def pick_scene(lab: Lab, *, anywhere: bool = True) -> Scene | None:
    """None while the backend has no model to look at. anywhere: at the layer where the first image tells the story."""
    if not (models := _models(lab)):
        return None
    with st.sidebar:
        model, first = pick_model(lab, models)
        layer = _pick_layer(model, told_at(lab, model, first) if anywhere else None)
        target, relevance = _pick_relevance(lab, model, layer)
        attack = attack_form(lab.attacks(), model)
    image = pick_image(lab, model, first)
    if image is None:
        return None
    of = f"{image.dataset} {image.index}" if isinstance(image, DatasetImage) else "upload"
    files_are_about(f"{of}, {model.id}, {budget(model, attack)}")
    return Scene(model, layer, image, attack, target, relevance)


def budget(model: ModelInfo, attack: Choice) -> str:
    """As in "ε = 8/255"."""
    given = attack.parameters.get("eps", model.default_eps)
    return f"ε = {given if isinstance(given, str) else eps_text(given)}"


def _models(lab: Lab) -> list[ModelInfo]:
    models = lab.models()
    if not models:
        st.info("The backend has no model yet. Train or import one, then come back.", icon=":material/inventory_2:")
    return models


def pick_model(lab: Lab, models: list[ModelInfo]) -> tuple[ModelInfo, ModelInfo]:
    """The model to look at, and the one of its kind that comes first: the natural one, where there is one."""
    families = _families(lab, models)
    asked = state.recall("model").text
    of_asked = next((name for name, members in families.items() if asked in [m.id for m in members]), None)
    if len(families) > 1:
        if state.recall("family").text is None:  # a model that was asked for brings its own, into the address too
            state.keep("family", of_asked)
        family = state.choose(
            st.selectbox, "Data set and network", "family", list(families), default=next(iter(families))
        )
    else:
        (family,) = families
    by_id = {model.id: model for model in families[family]}
    natural = next((model.id for model in by_id.values() if model.method == "natural"), next(iter(by_id)))
    picked = state.choose(
        st.selectbox, "Model", "model", list(by_id), default=natural, format_func=lambda key: by_id[key].title,
    )  # fmt: skip
    model = by_id[picked]
    training = f"trained against ε = {eps_text(model.eps)}" if model.eps else "trained on natural images only"
    st.caption(f"{network_text(model.arch, model.width)}, {training}")
    return model, by_id[natural]


def _families(lab: Lab, models: list[ModelInfo]) -> dict[str, list[ModelInfo]]:
    """Models of one data set, architecture and width, by name; first those whose images are on the server."""
    found = lab.datasets()
    datasets = {data.name: data for data in found}
    families: dict[str, list[ModelInfo]] = {}
    for model in sorted(models, key=lambda model: nearness(found, model)):
        data = datasets[model.dataset].title if model.dataset in datasets else model.dataset
        families.setdefault(f"{data}, {network_text(model.arch, model.width)}", []).append(model)
    return families


def _pick_layer(model: ModelInfo, told: str | None = None) -> LayerInfo:
    by_name = {layer.name: layer for layer in model.layers}
    default = told if told in by_name else model.layers[-1].name
    picked = state.choose(
        st.selectbox, "Layer", "layer", list(by_name), default=default,
        help="Channels × height×width of its features. CIFS or CAS: where that method selects features.",
        format_func=lambda name: layer_title(by_name[name], model),
    )  # fmt: skip
    return by_name[picked]


def layer_title(layer: LayerInfo, model: ModelInfo) -> str:
    size = f"{layer.name}: {layer.channels} × {layer.height}×{layer.width}"
    return f"{size}, {model.method.upper()}" if layer.modified else size


def _pick_relevance(lab: Lab, model: ModelInfo, layer: LayerInfo) -> tuple[Any, str]:
    targets = ["label", "prediction", *range(len(model.classes))]
    described = {r.name: r for r in lab.relevances() if layer.modified or r.name not in OF_PROBES}
    usual = "true" if "true" in described else next(iter(described))
    with st.expander("Relevance", key=RELEVANCE, on_change="rerun") as box:
        if not box.open:  # closed, it is not written
            return state.chosen("target", targets, "label"), state.chosen("relevance", list(described), usual)
        target = state.choose(
            st.selectbox, "Relevant to which class?", "target", targets, default="label",
            format_func=lambda option: _target_title(option, model),
            help="A channel's relevance g says how this class's score moves when the channel is raised.",
        )  # fmt: skip
        relevance = state.choose(
            st.selectbox, "Relevance", "relevance", list(described), default=usual,
            format_func=lambda name: described[name].title.partition(":")[0],
        )  # fmt: skip
    return target, relevance


def _target_title(option: Any, model: ModelInfo) -> str:
    return (
        model.classes[option]
        if isinstance(option, int)
        else {"label": "the label", "prediction": "each prediction"}[option]
    )
