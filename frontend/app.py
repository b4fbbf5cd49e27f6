"""The dashboard: `streamlit run frontend/app.py`."""

import streamlit as st

from frontend import state
from frontend.components.charts import files_are_about
from frontend.style import apply_style, mark_present
from frontend.sweeping import spare

st.set_page_config(page_title="CIFS Lab", page_icon=":material/insights:", layout="wide")
apply_style()
pages = [
    st.Page("app_pages/channels.py", title="Channels", icon=":material/insights:", default=True),
    st.Page("app_pages/classes.py", title="Classes", icon=":material/bar_chart:"),
    st.Page("app_pages/laboratory.py", title="Laboratory", icon=":material/biotech:"),
    st.Page("app_pages/images.py", title="Images", icon=":material/photo_library:"),
    st.Page("app_pages/lesson.py", title="Lesson", icon=":material/school:"),
    st.Page("app_pages/imgf.py", title="IMGF", icon=":material/tune:"),
    st.Page("app_pages/robustness.py", title="Robustness", icon=":material/shield:"),
    st.Page("app_pages/studies.py", title="Studies", icon=":material/science:"),
    st.Page("app_pages/train.py", title="Train", icon=":material/model_training:"),
    st.Page("app_pages/jobs.py", title="Jobs", icon=":material/work_history:"),
    st.Page("app_pages/models.py", title="Models", icon=":material/inventory_2:"),
]
page = st.navigation(pages, position="hidden")
files_are_about("")  # a page says what it looks at
with state.address(page.url_path):
    carried = state.link()
    with st.container(key="navigation", horizontal=True, gap="small"):
        links = [st.page_link(target, query_params=carried) for target in pages]
        mark_present(pages.index(page))
    try:
        page.run()
    finally:  # what was chosen meanwhile
        if (chosen := state.link()) != carried:
            for link, target in zip(links, pages, strict=True):
                link.page_link(target, query_params=chosen)
spare(page.url_path)
