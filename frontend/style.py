"""The dashboard's own style sheet, over Streamlit's."""

from pathlib import Path

import streamlit as st

SHEET = Path(__file__).with_suffix(".css")
CLOSE_SIDEBAR = """<script>
if (window.innerWidth < 768) document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
</script>"""


def apply_style() -> None:
    st.html(f"<style>{SHEET.read_text(encoding='utf-8')}</style>")


def close_sidebar_on_phones() -> None:
    """Where it lies over the result."""
    st.html(CLOSE_SIDEBAR, unsafe_allow_javascript=True)
