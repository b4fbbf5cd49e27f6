"""Choosing an image: from a data set's pages of thumbnails, or a file of the reader's own."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from backend.schemas import DatasetImage, DatasetInfo, Example, ImageRef, ModelInfo, Sample, UploadedImage
from cifs_client import BackendError
from frontend import state
from frontend.components.images import data_uri, encode
from frontend.components.lab import Lab

PAGE = 24
UPLOAD = "upload"
ALL = "all classes"
MINE = "upload"  # of the session: the file, so that it outlives a page switch
FILE = "upload-file"


class Upload(NamedTuple):
    name: str
    png: str  # base64
    label: int | None


def pick_image(lab: Lab, model: ModelInfo, first: ModelInfo) -> ImageRef | None:
    """The image of the address or of this session; the gallery to change it is folded away.

    first: the model that is asked for an image to begin with, so that another model shows the same one.
    """
    datasets = fitting_datasets(lab.datasets(), model)
    if not datasets:
        st.info(
            f"The images of {model.dataset} are not on this server. Give one of your own, or put {model.dataset}.npz "
            "into the backend's $CIFS_DATA.",
            icon=":material/no_photography:",
        )
        return _upload(model)
    with st.popover("Another image", icon=":material/photo_library:", key=state.widget("gallery"), on_change="rerun"):
        name = _choose_source(datasets)
        if name == UPLOAD:
            upload = _upload(model)
            return upload or _chosen(lab, datasets[0], _asked(datasets[0], model, first))
        dataset = next(dataset for dataset in datasets if dataset.name == name)
        image = _chosen(lab, dataset, _asked(dataset, model, first))
        if st.session_state.get("gallery"):
            _gallery(lab, dataset, image)
    if dataset.drawn:
        st.badge("a drawing, no test image", icon=":material/draw:", color="orange", help=" ".join(dataset.notes))
    return image


def _asked(dataset: DatasetInfo, model: ModelInfo, first: ModelInfo) -> ModelInfo:
    """The model that chooses: of drawings itself, for another may well be wrong on them before any attack."""
    return model if dataset.drawn else first


def fitting_datasets(datasets: Sequence[DatasetInfo], model: ModelInfo) -> list[DatasetInfo]:
    """Those at hand that the model can look at: its own classes first, then the others of its image shape."""
    fitting = [
        d
        for d in datasets
        if d.available and d.image_shape == model.image_shape and len(d.classes) == len(model.classes)
    ]
    return sorted(fitting, key=lambda dataset: dataset.classes != model.classes)


def at_hand(datasets: Sequence[DatasetInfo], models: Sequence[ModelInfo]) -> list[ModelInfo]:
    """Models whose images are on the server, so that what a table says of them can be looked at."""
    return [model for model in models if nearness(datasets, model) == 0]


def nearness(datasets: Sequence[DatasetInfo], model: ModelInfo) -> int:
    """0: photographs of the model are on the server; 1: nothing but drawings of its classes; 2: no image."""
    return min((int(data.drawn) for data in fitting_datasets(datasets, model)), default=2)


def _choose_source(datasets: Sequence[DatasetInfo]) -> str:
    titles = {dataset.name: dataset.title for dataset in datasets} | {UPLOAD: "an image of mine"}
    options = list(titles)
    return state.choose(st.selectbox, "From", "dataset", options, default=options[0], format_func=titles.__getitem__)


def _chosen(lab: Lab, dataset: DatasetInfo, first: ModelInfo) -> DatasetImage:
    recalled, size = state.recall("index"), dataset.sizes.get("test")
    example = None if recalled.text is not None and recalled.text.isdecimal() else example_of(lab, first, dataset)
    resolved = state.resolve_index(recalled, size, example.index if example else 0)
    state.notify([resolved.notice])
    if resolved.notice:
        state.keep("index", None)
    if example and example.index == resolved.value:
        at = f", at {example.layers[-1]}" if example.tells and example.layers[-1] != first.layers[-1].name else ""
        st.caption(f"**Image {example.index}** is shown first{at}. {example.rule}")
    return DatasetImage(dataset=dataset.name, index=resolved.value)


def told_at(lab: Lab, model: ModelInfo, first: ModelInfo) -> str | None:
    """The layer where the image that is shown first tells the story; None where another image was chosen."""
    datasets = {dataset.name: dataset for dataset in fitting_datasets(lab.datasets(), model)}
    if not datasets or state.recall("index").text is not None:
        return None
    dataset = datasets.get(state.recall("dataset").text or "", next(iter(datasets.values())))
    example = example_of(lab, _asked(dataset, model, first), dataset)
    return example.layers[-1] if example and example.tells else None


def example_of(lab: Lab, model: ModelInfo, dataset: DatasetInfo) -> Example | None:
    """An image to begin with; none where the backend cannot choose one."""
    try:
        return lab.waiting("Looking for an image that tells the story …").example(model.id, dataset.name)
    except BackendError:
        return None


def _gallery(lab: Lab, dataset: DatasetInfo, image: DatasetImage) -> None:
    wanted = state.choose(st.selectbox, "Class", "gallery-class", [ALL, *dataset.classes], default=ALL)
    label = None if wanted == ALL else dataset.classes.index(wanted)
    total = lab.samples(dataset.name, split="test", label=label, offset=0, limit=PAGE).total
    if not total:
        st.info("No image of this class.")
        return
    pages = math.ceil(total / PAGE)
    page = state.choose_number(
        lambda label, *, key, min_value, max_value: st.pagination(max_value, key=key, max_visible_pages=5),
        "Page", "gallery-page", default=1, min_value=1, max_value=pages,
    )  # fmt: skip
    shown = lab.samples(dataset.name, split="test", label=label, offset=(page - 1) * PAGE, limit=PAGE)
    _thumbnails(shown.samples, image.index)


def _thumbnails(samples: Sequence[Sample], current: int) -> None:
    with st.container(key="thumbnails", horizontal=True, gap="small"):
        for sample in samples:
            st.button(
                f"![{sample.class_name}, image]({data_uri(sample.png)}) {sample.index}", key=f"image-{sample.index}",
                help=sample.class_name, width="stretch", type="primary" if sample.index == current else "secondary",
                on_click=_take, args=(sample.index,),
            )  # fmt: skip


def _take(index: int) -> None:
    """At the layer that is shown: the default is the first image's."""
    state.keep("index", index)
    state.keep("layer", state.shown().get("layer"))


def _upload(model: ModelInfo) -> UploadedImage | None:
    """The file of this session. Its label is of the classes of the model it was given for."""
    size = "×".join(str(side) for side in model.image_shape[1:])
    file = st.file_uploader(
        f"PNG or JPEG; it will be resized to {size}", type=["png", "jpg", "jpeg"], key=FILE, max_upload_size=8
    )
    if file is not None:
        _keep_file(file.name, file.getvalue())
    mine: Upload | None = st.session_state.get(MINE)
    if mine is None:
        st.caption("Until there is a file, the gallery's image stays. An upload is not part of the address.")
        return None
    classes = model.classes
    options = [None, *range(len(classes))]
    label = st.selectbox(
        f"What {mine.name} shows", options, index=options.index(mine.label) if mine.label in options else 0,
        key="upload-label", format_func=lambda k: "I do not say: take the model's guess" if k is None else classes[k],
    )  # fmt: skip
    st.session_state[MINE] = mine._replace(label=label)
    st.caption(f"Shown: {mine.name}. It stays while this session lasts, and is not part of the address.")
    return UploadedImage(png=mine.png, label=label)


def _keep_file(name: str, content: bytes) -> None:
    if not content:
        st.error(f"{name} is empty: 0 bytes. Give a PNG or JPEG file.", icon=":material/broken_image:")
        return
    png = encode(content)
    mine: Upload | None = st.session_state.get(MINE)
    if mine is None or mine.png != png:
        st.session_state[MINE] = Upload(name, png, None)
