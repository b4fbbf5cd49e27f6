"""The images, by margin, class and fate; a click opens one in the laboratory."""

import math
from collections.abc import Sequence

import streamlit as st

from backend.schemas.survey import FirstImages
from frontend import state
from frontend.components.gallery import MINE, UPLOAD, Upload
from frontend.components.images import data_uri
from frontend.components.lab import Lab
from frontend.components.many.asked import Asked, Source
from frontend.components.tables import keep_table
from frontend.many import FLIPPED, ORDERS, STOOD, WRONG, Filter, Row, chosen, rows_of, table_rows

PAGE = 24
ANY, NONE = "any", -1  # and no class
LABORATORY = "app_pages/laboratory.py"


def show_pictures(lab: Lab, asked: Asked) -> None:
    rows = rows_of(asked.survey)
    shown = chosen(rows, *_pick_filter(asked.subject.model.classes))
    with st.container(horizontal=True, vertical_alignment="center"):
        page = _pick_page(len(shown))
        st.caption(f"{len(shown):,} of {len(rows):,} images. Click one to open it in the laboratory.", width="stretch")
    keep_table(table_rows(shown, asked.subject.model.classes), key="tiles", name="images")
    if not shown:
        st.info("No image is like this.", icon=":material/filter_alt_off:")
        return
    _tiles(lab, asked, shown[(page - 1) * PAGE : page * PAGE])


def _pick_filter(classes: Sequence[str]) -> tuple[Filter, str]:
    names = {NONE: ANY, **dict(enumerate(classes))}
    with st.container(horizontal=True, key="filters"):
        fate = state.choose(st.selectbox, "Fate", "fate", [ANY, FLIPPED, STOOD, WRONG], default=ANY)
        label, taken_for = (
            state.choose(st.selectbox, title, key, list(names), default=NONE, format_func=names.__getitem__)
            for title, key in (("Label", "of-class"), ("Taken for, attacked", "taken-for"))
        )
        order = state.choose(st.selectbox, "Order", "order", list(ORDERS), default=next(iter(ORDERS)))
    label, taken_for = (None if k == NONE else k for k in (label, taken_for))
    return Filter(None if fate == ANY else fate, label, taken_for), order


def _pick_page(n: int) -> int:
    if n <= PAGE:
        return 1
    page: int = state.choose_number(
        lambda label, *, key, min_value, max_value: st.pagination(max_value, key=key, max_visible_pages=5),
        "Page", "images-page", default=1, min_value=1, max_value=math.ceil(n / PAGE),
    )  # fmt: skip
    return page


def _tiles(lab: Lab, asked: Asked, shown: Sequence[Row]) -> None:
    classes = asked.subject.model.classes
    with st.container(key="tiles", horizontal=True, gap="small"):
        for row, png in zip(shown, _pngs(lab, asked.source, shown), strict=True):
            if st.button(tile(row, png, classes), key=f"open-{row.image}", help=words(row, classes)):
                open_in_laboratory(asked.source, row)


def _pngs(lab: Lab, source: Source, shown: Sequence[Row]) -> list[str]:
    if not isinstance(source, FirstImages):
        return [source[row.place].png for row in shown]
    samples = lab.pictures(source.dataset, split="test", index=[row.image for row in shown]).samples
    return [sample.png for sample in samples]


def tile(row: Row, png: str, classes: Sequence[str]) -> str:
    """Markdown of a button."""
    alt = f"image {row.image}, {classes[row.label]}"
    became = classes[row.label] if row.fate == STOOD else f"{classes[row.label]} → {classes[row.adversarial]}"
    return f"![{alt}]({data_uri(png)}) {became} {row.adversarial_margin:+.1f}"


def words(row: Row, classes: Sequence[str]) -> str:
    return (
        f"Image {row.image}, {classes[row.label]}, {row.fate}. Natural: {classes[row.natural]}, margin "
        f"{row.natural_margin:+.2f}. Attacked: {classes[row.adversarial]}, margin {row.adversarial_margin:+.2f}."
    )


def open_in_laboratory(source: Source, row: Row) -> None:
    """The other choices come along; a file is the upload of this session then."""
    if isinstance(source, FirstImages):
        chosen = {"dataset": source.dataset, "index": str(row.image)}
    else:
        chosen = {"dataset": UPLOAD}
        st.session_state[MINE] = Upload(*source[row.place])
    st.switch_page(LABORATORY, query_params=state.link(**chosen))
