"""Step 7: the table, and what an honest attacker does to it."""

import streamlit as st

from cifs.plot.robustness import robustness_figure, robustness_info
from cifs.records import RobustnessRow, RobustnessTable
from frontend.components.charts import draw
from frontend.components.lesson.guess import ask_to_see, guess, judged, verdict
from frontend.components.lesson.material import Material

SHOWN = ("natural", "pgd20", "worst")  # columns


def honest(step: int, material: Material) -> None:
    titles = [model.title for model in material.models.values()]
    st.markdown(
        "One image is an anecdote. So all test images are attacked, each network by attacks made against *it*. CIFS "
        "and CAS hide a path from ordinary gradients, for their maps are detached; an **honest attacker** goes "
        "through the maps too, weighs the probes' losses in several ways, and counts every image that any attack turns."
    )
    chosen = guess(step, "Which network is right most often when every attack counts?", titles)
    if not ask_to_see(step, ready=chosen is not None):
        return
    table = of_lesson(material.lab.robustness(), material)
    if not table.rows:
        st.info("These networks have not been evaluated on this server yet: `cifs evaluate ID` does it.")
        return
    best = max(table.rows, key=robust)
    verdict(judged(chosen, best.title), ranking(table))
    draw(robustness_figure(robustness_info(table)), key="lesson-table", alt="accuracy of each network by attack")
    st.markdown(weaker(table))
    st.markdown(
        "Learning what to suppress is a good idea and an active field. Whether it makes a network *more robust* is "
        "decided by the strongest attack, not by the one it was built against. The Robustness page has every figure, "
        "its interval and the exact attack."
    )


def of_lesson(table: RobustnessTable, material: Material) -> RobustnessTable:
    ids = [model.id for model in material.models.values()]
    rows = sorted((row for row in table.rows if row.model in ids), key=lambda row: ids.index(row.model))
    keys = [key for key in SHOWN if all(key in row.cells for row in rows)]
    columns = [column for column in table.columns if column.key in keys]
    return RobustnessTable(columns=columns, rows=rows, paper=[])


def robust(row: RobustnessRow) -> float:
    """When every attack counts that all images were put under: each image that any of them turns."""
    worst = row.cells.get("worst")
    return worst.accuracy if worst else min(cell.accuracy for cell in row.cells.values() if cell.n == row.n)


def ranking(table: RobustnessTable) -> str:
    ordered = sorted(table.rows, key=robust, reverse=True)
    n = min(row.n for row in table.rows)
    figures = ", ".join(f"{row.title} {robust(row):.1%}" for row in ordered)
    return f"under all attacks, on {n:,} images: {figures}."


def weaker(table: RobustnessTable) -> str:
    """What would have been concluded from one attack alone."""
    by = {row.method: row for row in table.rows}
    if not {"vanilla", "cifs"} <= by.keys() or any("pgd20" not in by[m].cells for m in ("vanilla", "cifs")):
        return ""
    one = by["cifs"].cells["pgd20"].accuracy - by["vanilla"].cells["pgd20"].accuracy
    every = robust(by["cifs"]) - robust(by["vanilla"])
    return (
        f"CIFS against vanilla adversarial training, in points: {100 * one:+.2f} under PGD-20 alone, "
        f"**{100 * every:+.2f}** when every attack counts."
    )
