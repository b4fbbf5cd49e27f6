"""The dashboard's own style sheet, over Streamlit's."""

from pathlib import Path

import streamlit as st

SHEET = f"<style>{Path(__file__).with_suffix('.css').read_text(encoding='utf-8')}</style>"  # read once
CLOSE_SIDEBAR = """<script>
if (window.innerWidth < 768) document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
</script>"""

HERE = """<style>@media (max-width: 640px) {{
.st-key-navigation > :nth-child({place}) {{ position: sticky; right: .8rem; z-index: 1;
  background: {paper}; box-shadow: 0 0 0 .4rem {paper}, 2.5rem 0 {paper}; }}
.st-key-navigation > :nth-child({place}) ~ * {{ position: relative; z-index: 2; }}
}}</style>"""
# The links are drawn anew now and then, which Streamlit does not tell: whenever something is drawn, the mark is set.
PRESENT = """<script>
window.presentPage = {place};
window.markPresentPage ??= () => document.querySelectorAll(".st-key-navigation a").forEach((link, place) =>
  place === window.presentPage ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current"));
window.seesPages ??= new MutationObserver(window.markPresentPage);
window.seesPages.observe(document.body, {{childList: true, subtree: true}});
window.markPresentPage();
</script>"""
PAPER = "light-dark(#FFFFFF, #14181D)"


def apply_style() -> None:
    st.html(SHEET)


def keep_in_sight(number: int) -> None:
    """The present page's link, at the edge of a phone where those before it leave no room; they go below it."""
    st.html(HERE.format(place=number + 1, paper=PAPER))


def mark_present(number: int) -> None:
    """Its link, for screen readers: `aria-current`."""
    st.html(PRESENT.format(place=number), unsafe_allow_javascript=True)


def close_sidebar_on_phones() -> None:
    """Where it lies over the result."""
    st.html(CLOSE_SIDEBAR, unsafe_allow_javascript=True)
