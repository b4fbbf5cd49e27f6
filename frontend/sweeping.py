"""Streamlit sweeps the whole memory after every run of a page, which holds back the page's last words.

On what the libraries loaded alone that takes longer than many a page. It is there for good, so it is taken out.
"""

import gc

import streamlit as st


@st.cache_resource(show_spinner=False)
def spare(page: str) -> None:
    """Once for each page, when it has run and loaded what it needs: later sweeps look at newer objects alone."""
    gc.collect()
    gc.freeze()
