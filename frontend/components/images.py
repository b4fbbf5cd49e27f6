"""Small images, shown large: pixels stay pixels."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import streamlit as st


class Picture(NamedTuple):
    png: str  # base64
    alt: str
    caption: str


def decode(png: str) -> bytes:
    return base64.b64decode(png)


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def data_uri(png: str) -> str:
    return f"data:image/png;base64,{png}"


def show_pictures(pictures: Sequence[Picture]) -> None:
    """Side by side, on a phone too: what is compared has to be on one screen."""
    st.html(f'<div class="pictures">{"".join(map(_figure, pictures))}</div>')


def _figure(picture: Picture) -> str:
    image = f'<img alt="{escape(picture.alt)}" src="{data_uri(picture.png)}">'
    return f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def size_of(png: str) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    header = decode(png[:44])
    return int.from_bytes(header[16:20]), int.from_bytes(header[20:24])
