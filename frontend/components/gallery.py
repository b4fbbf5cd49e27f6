"""Choosing an image: from a data set's pages of thumbnails, or a file of the reader's own."""

import math
from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from backend.schemas import DatasetImage, DatasetInfo, ImageRef, ModelInfo, Sample, UploadedImage
from frontend import state
from frontend.components.images import encode, enlarge
from frontend.components.lab import Lab

PAGE = 12
UPLOAD = "upload"
ALL = "all classes"


def pick_image(lab: Lab, model: ModelInfo) -> ImageRef:
    """The image of the address or of this session; the gallery to change it is folded away."""
    datasets = fitting_datasets(lab.datasets(), model)
    if not datasets:
        st.info(
            f"The images of {model.dataset} are not on this server. Give one of your own, or put {model.dataset}.npz "
            "into the backend's $CIFS_DATA.",
            icon=":material/no_photography:",
        )
        return _upload(model) or st.stop()
    with st.expander("Choose another image", icon=":material/photo_library:"):
        source, filtering, paging = st.columns([2, 2, 3], vertical_alignment="bottom")
        with source:
            name = _choose_source(datasets)
        if name == UPLOAD:
            return _upload(model, "Until there is a file, the gallery's image stays. ") or _chosen(datasets[0])
        dataset = next(dataset for dataset in datasets if dataset.name == name)
        image = _chosen(dataset)
        _gallery(lab, dataset, image, filtering, paging)
    return image


def fitting_datasets(datasets: Sequence[DatasetInfo], model: ModelInfo) -> list[DatasetInfo]:
    """Those at hand that the model can look at: its own classes first, then the others of its image shape."""
    fitting = [
        d
        for d in datasets
        if d.available and d.image_shape == model.image_shape and len(d.classes) == len(model.classes)
    ]
    return sorted(fitting, key=lambda dataset: dataset.classes != model.classes)


def _choose_source(datasets: Sequence[DatasetInfo]) -> str:
    titles = {dataset.name: dataset.title for dataset in datasets} | {UPLOAD: "an image of mine"}
    options = list(titles)
    return state.choose(st.selectbox, "From", "dataset", options, default=options[0], format_func=titles.__getitem__)


def _chosen(dataset: DatasetInfo) -> DatasetImage:
    size = dataset.sizes.get("test")
    resolved = state.resolve_index(state.recall("index"), size)
    state.notify([resolved.notice])
    state.keep("index", resolved.value)
    return DatasetImage(dataset=dataset.name, index=resolved.value)


def _gallery(
    lab: Lab, dataset: DatasetInfo, image: DatasetImage, filtering: DeltaGenerator, paging: DeltaGenerator
) -> None:
    with filtering:
        wanted = st.selectbox("Class", [ALL, *dataset.classes], key=f"class-{dataset.name}")
    label = None if wanted == ALL else dataset.classes.index(wanted)
    total = lab.samples(dataset.name, split="test", label=label, offset=0, limit=PAGE).total
    if not total:
        st.info("No image of this class.")
        return
    with paging:
        page = st.pagination(math.ceil(total / PAGE), key=f"page-{dataset.name}-{wanted}")
    found = lab.samples(dataset.name, split="test", label=label, offset=(page - 1) * PAGE, limit=PAGE)
    _thumbnails(found.samples, image.index)


def _thumbnails(samples: Sequence[Sample], current: int) -> None:
    for column, sample in zip(st.columns(PAGE), samples, strict=False):
        with column:
            st.image(enlarge(sample.png, 112), width="stretch", alt=sample.class_name)
            st.button(
                f"{sample.index}", key=f"image-{sample.index}", help=sample.class_name, width="stretch",
                type="primary" if sample.index == current else "secondary",
                on_click=state.keep, args=("index", sample.index),
            )  # fmt: skip


def _upload(model: ModelInfo, otherwise: str = "") -> UploadedImage | None:
    size = "×".join(str(side) for side in model.image_shape[1:])
    file = st.file_uploader(
        f"PNG or JPEG; it will be resized to {size}", type=["png", "jpg", "jpeg"], key="upload-file"
    )
    if file is None:
        st.caption(f"{otherwise}An upload is not part of the address.")
        return None
    options = [None, *range(len(model.classes))]
    label = st.selectbox(
        "What it shows",
        options,
        key="upload-label",
        format_func=lambda k: "let the model say" if k is None else model.classes[k],
    )
    return UploadedImage(png=encode(file.getvalue()), label=label)
