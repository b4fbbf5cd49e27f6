"""A table on the page, and on the shelf: what is shown can be taken away."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from cifs.report import table_of
from frontend.components.charts import named
from frontend.shelf import ShownTable, put_table, writers


def show_rows(
    widget: Callable[..., Any], rows: Sequence[Mapping[str, object]], *, key: str, name: str, **looks: Any
) -> None:
    """`widget`: st.table or st.dataframe. `name`: of the files."""
    keep_table(rows, key=key, name=name)
    with st.container(key=key):
        widget(list(rows), hide_index=True, **looks)


def keep_table(rows: Sequence[Mapping[str, object]], *, key: str, name: str) -> None:
    """To be taken away; what the page shows of it is another's business."""
    put_table(ShownTable(key, named(name), writers(table_of(rows))))
