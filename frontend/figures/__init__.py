"""Data → an info NamedTuple → a plotly Figure. Nothing here knows of Streamlit."""
