"""Two models, compared on the same images."""

import streamlit as st

from backend.schemas import Comparison, RobustnessTable
from cifs.plot.labels import labels
from cifs.plot.margin import margin_figure, margins, setting_margin_figure, setting_margins
from cifs.report import remarks
from frontend import paper, state
from frontend.components.charts import draw as draw_figure
from frontend.components.lab import Lab
from frontend.components.robustness_table import draw
from frontend.difference import printed_difference, verdict

READING = """
- Both models saw the same images, so only those count on which they differ: *only first* are images the first
  withstands the attack on and the second does not. McNemar's exact test asks how likely so uneven a split is between
  equally robust models; the intervals are those of Bonett and Price (2012).
- PGD-100 decides and, where both were measured, the stronger ensembles: *+ AutoAttack*, which counts what all attacks
  left together and attacks models with importance maps twice, with APGD through them, and the *Verdict*, by itself.
- The worst case bounds each model alone: with more settings tried against CAS and CIFS it is no fair match.
"""


def show_difference(lab: Lab, table: RobustnessTable) -> None:
    names = labels(table.rows)
    if len(names) < 2:
        st.info("It takes two evaluated models. `cifs evaluate ID` measures another.", icon=":material/inventory_2:")
        return
    chosen, against = st.columns(2)
    with chosen:
        first = pick(names, "Model", "first", list(names), default_of(table, "cifs"))
    with against:
        others = [model for model in names if model != first]
        vanilla = default_of(table, "vanilla")
        second = pick(names, "against", "second", others, vanilla if vanilla in others else others[0])
    titles = {column.key: column.title for column in table.columns}
    comparison = lab.compare(first, second)
    rows = {row.model: row for row in table.rows}
    said = {key: remarks({names[model]: rows[model] for model in (first, second)}, key) for key in titles}
    exactly = {key: f"{title} ({said[key]})" if said[key] else title for key, title in titles.items()}
    for sentence in verdict(comparison, exactly, names[first], names[second]):
        st.markdown(sentence)
    method = rows[first].method
    reported = paper.margins(table.paper, rows[first], rows[second])
    draw_figure(
        margin_figure(margins(comparison, titles, reported.points if reported else {}), method, names[second]),
        key="margin",
        name=f"margin {first} {second}",
        alt="points ahead, by attack",
    )
    draw(
        printed_difference(comparison, exactly, names[first], names[second]), key="difference-table",
        name=f"difference {first} {second}",
    )  # fmt: skip
    diamonds = f" Diamonds are the margin in the paper ({reported.source}), under its own attacks." if reported else ""
    st.caption(f"Whiskers are 95 % intervals of the difference.{diamonds}")
    with st.expander("How to read this"):
        st.markdown(READING + f"- `cifs compare {first} {second}` prints the same.")
    if comparison.settings:
        show_settings(comparison, titles, method, names[second])
    elif rows[first].sweep:
        st.caption(
            "Which images withstood each setting of the sweep was not kept for this model; after "
            f"`cifs evaluate {first}` this place shows what a weaker attacker would have reported."
        )


def show_settings(comparison: Comparison, titles: dict[str, str], method: str, second: str) -> None:
    """What the margin would be if the attacker knew but one setting: where a flattering figure comes from."""
    found = setting_margins(comparison)
    st.header("What a weaker attacker would have reported", anchor=False)
    column = state.choose(
        st.segmented_control, "Under", "swept", list(found), default="pgd20" if "pgd20" in found else next(iter(found)),
        required=True, format_func=lambda key: titles.get(key, key),
    )  # fmt: skip
    draw_figure(
        setting_margin_figure(found[column], method, second),
        key="settings",
        name="margin by setting",
        alt="points ahead, by the attack's setting",
    )
    n = next(tried.n for tried in comparison.settings if tried.column == column)
    st.caption(
        f"Each dot is the margin on the first {n:,} images if the first model's attacker knew this setting alone, "
        f"against {second} under its own strongest. Filled is the strongest setting, which counts; the distance from "
        "it to another is what an attack that does not adapt would have credited the method with."
    )
    with st.expander("What the settings mean"):
        st.markdown(
            "β weighs the probes in the attack's loss: 0 ignores them, ∞ attacks nothing else. *Through the map* lets "
            "gradients pass the importance map. "
            f"`cifs compare {comparison.first} {comparison.second} --settings` prints the same."
        )


def pick(names: dict[str, str], title: str, key: str, options: list[str], default: str) -> str:
    chosen: str = state.choose(st.selectbox, title, key, options, default=default, format_func=names.__getitem__)
    return chosen


def default_of(table: RobustnessTable, method: str) -> str:
    """The method's model, among several the softmax one; the last of all where there is none."""
    rows = [row for row in table.rows if row.method == method]
    softmax = [row for row in rows if row.imgf == "softmax"]
    return (softmax or rows or table.rows[-1:])[0].model
