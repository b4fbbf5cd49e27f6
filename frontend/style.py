"""The dashboard's own style sheet, over Streamlit's."""

from pathlib import Path

import streamlit as st

SHEET = f"<style>{Path(__file__).with_suffix('.css').read_text(encoding='utf-8')}</style>"  # read once
CLOSE_SIDEBAR = """<script>
if (window.innerWidth < 768) document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
</script>"""
# The links are drawn anew now and then, which Streamlit does not tell: whenever something is drawn, the mark is set.
PRESENT = """<script>
window.presentPage = {place};
window.markPresentPage ??= () => document.querySelectorAll(".st-key-navigation a").forEach((link, place) =>
  place === window.presentPage ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current"));
window.seesPages ??= new MutationObserver(window.markPresentPage);
window.seesPages.observe(document.body, {{childList: true, subtree: true}});
window.markPresentPage();
</script>"""


def apply_style() -> None:
    st.html(SHEET)


def mark_present(number: int) -> None:
    """Its link, for screen readers and for the style sheet: `aria-current`."""
    st.html(PRESENT.format(place=number), unsafe_allow_javascript=True)


def close_sidebar_on_phones() -> None:
    """Where it lies over the result."""
    st.html(CLOSE_SIDEBAR, unsafe_allow_javascript=True)
