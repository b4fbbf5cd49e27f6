"""Models: bring one, look at what it is and where it is from, take it away."""

from collections.abc import Callable

import streamlit as st

from backend.schemas import ModelInfo
from cifs.records import network_text
from cifs_client import BackendRefused, Form
from frontend import state
from frontend.captions import card_body, card_tables
from frontend.components.exports import to_take_away
from frontend.components.lab import Lab, connect, forget
from frontend.components.problems import readable_errors
from frontend.components.tables import keep_table, show_rows
from frontend.desk import Desk

LARGEST = 512  # MB, as the backend takes weights and data sets by default; it refuses what is more than its own limit


def page(lab: Lab, desk: Desk) -> None:
    st.title("Models", anchor=False)
    models = {model.id: model for model in desk.models()}
    views = ["look at one", "bring a model", "bring a data set"]
    view = state.choose(
        st.segmented_control, "Do", "do", views, default=views[0], required=True, label_visibility="collapsed"
    )
    with readable_errors(f"models-{view}"), to_take_away(f"models-{view}"):
        if view == "look at one":
            show_models(desk, models)
        elif view == "bring a model":
            bring_model(lab, desk)
        else:
            bring_dataset(desk)


def show_models(desk: Desk, models: dict[str, ModelInfo]) -> None:
    if not models:
        st.info("The backend has no model yet. Train one, or bring one.", icon=":material/inventory_2:")
        return
    picked = state.choose(st.selectbox, "Model", "model", list(models), default=next(iter(models)))
    model = models[picked]
    left, right = st.columns([1, 2], gap="large")
    with left:
        st.metric("Parameters", f"{model.parameters:,}")
        st.caption(network_text(model.arch, model.width))
        layers = [
            {"layer": f"{layer.name}{' *' if layer.modified else ''}", "channels": layer.channels,
             "size": f"{layer.height}×{layer.width}"}
            for layer in model.layers
        ]  # fmt: skip
        show_rows(st.dataframe, layers, key="layers", name=f"layers {picked}")
        if any(layer.modified for layer in model.layers):
            st.caption("\\* features are selected here")
        for page, label in (("channels", "Look at its channels"), ("laboratory", "To the laboratory")):
            st.page_link(f"app_pages/{page}.py", label=label, query_params={"model": picked})
        offer_removal(desk, picked)
    with right, st.container(border=True):
        card = desk.card(picked)
        st.markdown(card_body(card))
        for heading, rows in card_tables(card).items():
            keep_table(rows, key=f"card-{heading}", name=f"{heading} {picked}")


def offer_removal(desk: Desk, model: str) -> None:
    with st.popover("Delete", icon=":material/delete:", type="tertiary"):
        st.markdown(f"**{model}** goes to the server's trash, which is emptied after a day.")
        if st.button("Delete it", key=f"delete-{model}", type="primary"):
            try:
                desk.delete_model(model)
            except BackendRefused as error:
                st.error(str(error), icon=":material/error:")
                return
            state.keep("model", None)
            forget()
            state.rerun()


def bring_model(lab: Lab, desk: Desk) -> None:
    st.markdown(
        "Weights of this project with their `config.json`, or a checkpoint of another project in a layout that "
        "`cifs import` knows. Files are read as weights alone: nothing in them can run."
    )
    weights = st.file_uploader("Weights (.safetensors, .pt, .pth)", key="weights", max_upload_size=LARGEST)
    config = st.file_uploader("config.json (of a model of this project)", type="json", key="config")
    name = st.text_input("Name of the model", key="new-model", placeholder="my-resnet18")
    foreign = foreign_fields(lab, disabled=config is not None)  # they stay: the button below is not to move
    fields = {} if config is not None else foreign
    if st.button("Bring it", type="primary", key="bring", disabled=weights is None) and weights:
        files = {"file": (weights.name, weights.getvalue())}
        files |= {"config": (config.name, config.getvalue())} if config is not None else {}
        brought(lambda: desk.bring_model(Form({"id": name, **fields}, files)), f"{name} is here.")


def foreign_fields(lab: Lab, *, disabled: bool) -> dict[str, str]:
    left, middle, right = st.columns(3)
    layout = left.text_input("Layout of its names", "kuangliu", key="layout", disabled=disabled)
    names = [data.name for data in lab.datasets()]
    dataset = middle.selectbox(
        "Data set", names, key="foreign-data", index=names.index("cifar10"), disabled=disabled
    )  # fmt: skip
    eps = right.text_input(
        "ε of its adversarial training", key="foreign-eps", placeholder="none: trained naturally", disabled=disabled
    )
    trained = {"method": "vanilla", "eps": eps} if eps else {"method": "natural"}
    return {"layout": layout, "dataset": dataset, **trained}


def bring_dataset(desk: Desk) -> None:
    st.markdown(
        "A `.npz` in MedMNIST's layout (`train_images`, `train_labels`, `test_images`, `test_labels`), or a zip of "
        "PNG or JPEG files in a folder a class, below `train` and `test` or not divided."
    )
    file = st.file_uploader("Data (.npz, .zip)", type=["npz", "zip"], key="data", max_upload_size=LARGEST)
    name = st.text_input("Name of the data set", key="new-data", placeholder="my_images")
    if st.button("Bring it", type="primary", key="bring-data", disabled=file is None) and file:
        brought(lambda: desk.bring_dataset(Form({"name": name}, {"file": (file.name, file.getvalue())})), "It is here.")


def brought(send: Callable[[], object], said: str) -> None:
    try:
        with st.spinner("Sending and verifying it …"):
            send()
    except BackendRefused as error:
        st.error(str(error), icon=":material/error:")
        return
    forget()
    st.success(said, icon=":material/check:")


with state.address(), readable_errors("page"):
    lab = connect()
    page(lab, Desk(lab.settings))
