"""Gradient-masking checks: are the table's figures to be trusted?"""

import streamlit as st

from backend.schemas import CheckResult, RobustnessTable
from frontend.groups import labels

MARKS = {True: ":green[:material/check_circle: **pass**]", False: ":red[:material/cancel: **fail**]"}


def show_checks(table: RobustnessTable) -> None:
    st.caption(
        "Where gradients lead nowhere, attacks fail for a reason that has nothing to do with robustness. These "
        "checks look for the symptoms: failing says that the figures are not to be trusted, passing proves nothing."
    )
    for row, name in zip(table.rows, labels(table.rows).values(), strict=True):
        st.subheader(name)
        if not row.checks:
            st.markdown(f":gray[Not checked yet: `cifs check {row.model}`]")
        st.markdown("  \n".join(map(line, row.checks)))


def line(check: CheckResult) -> str:
    """A symbol and a word beside the colour."""
    mark = ":gray[:material/remove: does not apply]" if check.passed is None else MARKS[check.passed]
    return f"{mark}\u2003**{check.title}:** {check.statement}"
