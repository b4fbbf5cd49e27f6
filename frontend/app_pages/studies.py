"""Studies: experiments as data, shown while they run, and what they say."""

from collections.abc import Callable, Sequence
from itertools import groupby

import streamlit as st

from backend.schemas import Job, PlanRequest, StudyView
from cifs.plot.study import gains_figure, study_info
from cifs.records import StudyAccuracy, StudyCell, StudyRecord, StudyVerdict
from cifs_client import BackendRefused
from frontend import state
from frontend.components.charts import draw, files_are_about
from frontend.components.epochs import show_study
from frontend.components.exports import to_take_away
from frontend.components.job_view import ACTIVE, show_job
from frontend.components.lab import connect
from frontend.components.problems import readable_errors
from frontend.components.tables import show_rows
from frontend.desk import Desk
from frontend.overrides import duration
from frontend.shelf import opened

OUTCOMES = {
    "confirmed": ":green-badge[:material/check: confirmed]",
    "refuted": ":red-badge[:material/close: refuted]",
    "undecided": ":orange-badge[:material/question_mark: undecided]",
    "not measured": ":gray-badge[:material/hourglass_empty: not measured]",
}
LEVELS = {
    "adaptive": "Adaptive: the strongest of a sweep, chosen on validation images.",
    "verdict": "Verdict: what an ensemble made to be of AutoAttack's strength leaves.",
}
LIVE = 5.0  # seconds between two looks at a study at work


def page(desk: Desk) -> None:
    st.title("Studies", anchor=False)
    names = {study.name: study.title for study in desk.studies()}
    if not names:
        st.info("This server knows no study.", icon=":material/inventory_2:")
        return
    name = state.choose(
        st.selectbox, "Study", "study", list(names), default=next(iter(names)), format_func=names.__getitem__
    )
    with opened() as asked:
        study = desk.study(name)
    files_are_about(study.name)
    st.markdown(f"**{study.question}**")
    show_state(desk, study)
    if study.record is None:
        st.info("Nothing is measured yet. The views come with the first training.", icon=":material/inventory_2:")
        show_cells(study)
        return
    views: dict[str, Callable[[StudyView, StudyRecord], None]] = {
        "verdict": show_verdicts,
        "gains": show_gains,
        "by epoch": show_by_epoch,
        "accuracies": show_accuracies,
        "progress": lambda study, record: show_cells(study),
    }
    view = state.choose(
        st.segmented_control, "Look at", "show", list(views), default="verdict", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    with to_take_away(f"study-{view}", asked):
        views[view](study, study.record)


# ---- at work --------------------------------------------------------------------------------------------------------


def show_state(desk: Desk, study: StudyView) -> None:
    """How far it is on this server, by itself up to date; where the record is from; what starts or stops it."""
    job = newest_job(desk, study.name)
    at_work = any(cell.state == "running" for cell in study.cells) or (job is not None and job.state in ACTIVE)

    @st.fragment(run_every=LIVE if at_work else None)
    def live() -> None:
        with readable_errors("study-live"):
            now = desk.study(study.name)
            at = [f"{cell.id}, epoch {cell.epoch} of {cell.epochs}" for cell in now.cells if cell.state == "running"]
            doing = f": {'; '.join(at)}" if at else ""
            if now.measured or at:
                text = f"{now.measured} of {now.planned} trainings are measured on this server{doing}"
                st.progress(now.measured / now.planned, text=text)
            if now.measured != study.measured:
                state.rerun()

    live()
    if study.published and study.record is not None:
        st.caption(
            f"Shown is the record that came with the project: {study.record.measured} of {study.record.planned} "
            "trainings. Once this server has measured as many, its own takes its place."
        )
    if job is not None and job.state in ACTIVE:
        show_job(desk, job.id)
    elif study.measured < study.planned:
        offer_start(desk, study, job)


def newest_job(desk: Desk, name: str) -> Job | None:
    try:
        return next((job for job in desk.jobs(kind="study").jobs if job.request.get("study") == name), None)
    except BackendRefused:  # a server without jobs shows what there is all the same
        return None


def offer_start(desk: Desk, study: StudyView, last: Job | None) -> None:
    missing = study.planned - study.measured
    begun = study.measured or any(cell.state == "begun" for cell in study.cells)
    with st.popover("Go on" if begun else "Run it here", icon=":material/play_arrow:"):
        st.markdown(
            f"{missing} trainings with their measurements, as a job: it can be stopped, and goes on from there."
        )
        if st.button("How long will it take?", icon=":material/timer:", key="study-estimate"):
            with st.spinner("Making a step of one …"):
                seconds = desk.plan(PlanRequest(recipe=study.recipe, estimate=True)).seconds or 0.0
            st.markdown(f"{duration(seconds * missing).capitalize()} of training, without measuring")
        if st.button("Start", type="primary", key="study-start"):
            try:
                desk.submit("study", {"study": study.name})
            except BackendRefused as error:
                st.error(str(error), icon=":material/error:")
                return
            state.rerun()
    if last is not None and last.error:
        st.error(last.error, icon=":material/error:")


def show_cells(study: StudyView) -> None:
    """A row an arm, a column a seed."""
    for regime, cells in by_regime(study.cells).items():
        st.subheader(study.regimes[regime], anchor=False)
        seeds = sorted({cell.seed for cell in cells})
        found = {(cell.arm, cell.seed): cell for cell in cells}
        arms = list(dict.fromkeys(cell.arm for cell in cells))
        rows = [
            {"arm": study.arms[arm], **{f"seed {seed}": cell_text(found.get((arm, seed))) for seed in seeds}}
            for arm in arms
        ]
        show_rows(st.table, rows, key=f"cells-{regime}", name=f"progress {regime}")


def by_regime(cells: list[StudyCell]) -> dict[str, list[StudyCell]]:
    ordered = sorted(cells, key=lambda cell: cell.regime)  # stable: inside a regime in the study's order
    return {regime: list(group) for regime, group in groupby(ordered, key=lambda cell: cell.regime)}


def cell_text(cell: StudyCell | None) -> str:
    if cell is None:
        return ""
    if cell.state in ("running", "begun"):
        robust = cell.validated.get("validation_adaptive", cell.validated.get("validation_robust"))
        left = "" if robust is None else f", {100 * robust:.0f} % robust"
        return f"{'running' if cell.state == 'running' else 'stopped'}, epoch {cell.epoch} of {cell.epochs}{left}"
    return {"measured": "measured", "missing": "–"}[cell.state]


# ---- what it says ---------------------------------------------------------------------------------------------------


def show_verdicts(study: StudyView, record: StudyRecord) -> None:
    if not study.verdicts:
        st.info("This study states no hypotheses; *gains* and *accuracies* show what it measured.")
    for verdict in study.verdicts:
        show_verdict(verdict)
    if doubted := [accuracy for accuracy in record.accuracies if accuracy.untrusted]:
        networks = "; ".join(
            f"{record.arms[one.arm]}, {one.checkpoint} epoch: {one.untrusted} of {len(one.epochs)}" for one in doubted
        )
        st.warning(f"The verdict does not trust itself on some networks, which may fall to another attack. {networks}.")
    if study.verdicts:
        st.caption(
            f"By the rule stated before it was run, at α = {record.alpha:g}; {interval_name(record)} intervals over "
            f"seeds and images. {' '.join(text for level, text in LEVELS.items() if level in record.levels)}"
        )


def show_verdict(verdict: StudyVerdict) -> None:
    with st.container(border=True):
        st.markdown(f"{OUTCOMES[verdict.outcome]} **{verdict.name}**: {verdict.statement}")
        st.markdown(verdict.sentence or "None of its comparisons has two seeds on either side yet.")


def interval_name(record: StudyRecord) -> str:
    return f"{100 * (1 - record.alpha):g} %"


def pick_regime(record: StudyRecord) -> str:
    measured = {accuracy.regime for accuracy in record.accuracies}
    regimes = [regime for regime in record.regimes if regime in measured]
    if len(regimes) == 1:
        return regimes[0]
    picked: str = state.choose(
        st.segmented_control, "Regime", "regime", regimes, default=regimes[0], required=True,
        format_func=record.regimes.__getitem__,
    )  # fmt: skip
    return picked


def show_gains(study: StudyView, record: StudyRecord) -> None:
    info = study_info(record, pick_regime(record))
    if not info.gains:
        st.info("A gain that is drawn needs three seeds of an arm and of the first; they are not measured yet.")
        return
    draw(
        gains_figure(info), key="gains", alt=f"points ahead of {info.against} with intervals, by checkpoint and attack"
    )
    zero = sum(gain.gain - gain.below <= 0 <= gain.gain + gain.above for gain in info.gains)
    st.caption(
        f"{interval_name(record)} intervals over seeds and images, not corrected: {zero} of {len(info.gains)} include "
        "zero. Best: the epoch with most validation images left; last: the end of training."
    )


def show_by_epoch(study: StudyView, record: StudyRecord) -> None:
    show_study(record, pick_regime(record))


def show_accuracies(study: StudyView, record: StudyRecord) -> None:
    regime = pick_regime(record)
    found: dict[tuple[str, str], dict[str, StudyAccuracy]] = {}
    for accuracy in record.accuracies:
        if accuracy.regime == regime:
            found.setdefault((accuracy.arm, accuracy.checkpoint), {})[accuracy.level] = accuracy
    rows = [
        {
            "arm": record.arms[arm],
            "epoch": f"{checkpoint} ({span(next(iter(levels.values())).epochs)})",
            **{level: accuracy_text(levels[level]) for level in record.levels},
        }
        for (arm, checkpoint), levels in found.items()
    ]
    show_rows(st.table, rows, key="accuracies", name=f"accuracies {regime}")
    st.caption(
        f"Accuracy (%) on {record.images_said}, mean over seeds, with {interval_name(record)} "
        "intervals over seeds and images. Each level's attack is at least as strong as the one before."
    )


def span(epochs: Sequence[int]) -> str:
    """Of the seeds' networks: "32", or "4 to 14"."""
    return " to ".join(map(str, sorted({min(epochs), max(epochs)})))


def accuracy_text(accuracy: StudyAccuracy) -> str:
    doubt = f", {accuracy.untrusted} not trusted" if accuracy.untrusted else ""
    return f"{100 * accuracy.mean:.2f} ({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}{doubt})"


with state.address(), readable_errors("page"):
    page(Desk(connect().settings))
