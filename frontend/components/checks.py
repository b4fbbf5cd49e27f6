"""Gradient-masking checks: are the table's figures to be trusted?"""

import streamlit as st

from backend.schemas import CheckResult, RobustnessTable
from cifs.plot.labels import eps_text, labels

MARKS = {True: ":green[:material/check_circle: **pass**]", False: ":red[:material/cancel: **fail**]"}


def show_checks(table: RobustnessTable) -> None:
    st.markdown(
        "Where gradients lead nowhere, attacks fail for a reason that has nothing to do with robustness. These "
        "checks look for the symptoms: failing says that the figures are not to be trusted, passing proves nothing."
    )
    st.caption(
        "Where two attacks are compared, a pass means that no difference beyond chance was found (McNemar, 5 %): so "
        "few images show gross masking only. *More steps* looks at last iterates, where the table counts any iterate."
    )
    for row, name in zip(table.rows, labels(table.rows).values(), strict=True):
        st.header(name, anchor=False)
        if row.checks is None:
            st.markdown(f":gray[Not checked yet: `cifs check {row.model}`]")
            continue
        st.caption(f"The first {row.checks.n:,} {row.split} images, ε = {eps_text(row.checks.eps)}")
        st.markdown("  \n".join(map(line, row.checks.results)))


def line(check: CheckResult) -> str:
    """A symbol and a word beside the colour."""
    mark = ":gray[:material/remove: does not apply]" if check.passed is None else MARKS[check.passed]
    return f"{mark}\u2003**{check.title}:** {check.statement}"
