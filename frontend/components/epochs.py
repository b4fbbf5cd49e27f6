"""Robust accuracy by epoch: best against last, training against validation, unadaptive beside adaptive."""

from collections.abc import Mapping, Sequence
from html import escape

import streamlit as st

from backend.schemas import Job
from cifs.plot.epochs import MEASURED, EpochCurve, Measured, common_range, epochs_figure, run_curves, study_curves
from cifs.records import StudyRecord
from cifs_client import BackendRefused
from frontend import state
from frontend.components.charts import draw
from frontend.components.job_view import events_of
from frontend.desk import Desk

ATTACKED: tuple[Measured, ...] = ("training", "unadaptive", "adaptive")


def show_epochs(curves: Mapping[Measured, Sequence[EpochCurve]], *, key: str) -> None:
    """Panels side by side with one axis for all that is validated; what was not measured has none."""
    panels = [measured for measured in MEASURED if curves.get(measured)]
    validated = common_range([curves[measured] for measured in panels if measured != "training"])
    for column, measured in zip(st.columns(len(panels)), panels, strict=True):
        with column:
            st.markdown(f"**{MEASURED[measured].capitalize()}**")
            figure = epochs_figure(curves[measured], marked=measured != "training")
            if measured != "training":
                figure.update_yaxes(range=validated)
            draw(figure, key=f"{key}-{measured}", alt=f"accuracy by epoch on {MEASURED[measured]}")
    names = list(dict.fromkeys(curve.name for measured in panels for curve in curves[measured]))
    colours = {curve.name: curve.colour for measured in panels for curve in curves[measured]}
    keys = (f'<span><i style="background: {colours[name]}"></i>{escape(name)}</span>' for name in names)
    st.html(f'<p class="keys">{" ".join(keys)}</p>')
    st.caption(_said([curve for measured in panels[-1:] for curve in curves[measured]], panels[-1]))


def _said(curves: Sequence[EpochCurve], measured: Measured) -> str:
    """Best against last, in figures, of what was measured hardest."""
    lost = [
        f"{curve.name.partition(' (')[0]} {max(curve.mean):.1f} % at its best (epoch {curve.best}), "
        f"{curve.mean[-1]:.1f} % at the last"
        for curve in curves
    ]
    bands = "; bands span seeds" if any(curve.least != curve.most for curve in curves) else ""
    under = {"natural": "On natural images"}.get(measured, f"Under the {measured} attack")
    return f"{under}: {'; '.join(lost)}. A star is the best epoch, a dot the last{bands}."


def show_study(record: StudyRecord, regime: str) -> None:
    curves = {measured: found for measured in ATTACKED if (found := study_curves(record, regime, measured))}
    if curves:
        show_epochs(curves, key=f"study-{record.name}-{regime}")
    else:
        st.info("No curves are kept of it.", icon=":material/inventory_2:")


def show_by_epoch(desk: Desk) -> None:
    """Of a study, or of the trainings of this server that were validated as they went."""
    studies = {
        f"{record.title}: {record.regimes[regime]}": (record, regime)
        for study in desk.studies()
        if (record := desk.study(study.name).record) is not None
        for regime in dict.fromkeys(point.regime for point in record.curves)
    }
    trained = finished_trainings(desk)
    sources = [*studies, *(["trainings of this server"] if trained else [])]
    if not sources:
        st.info("No study and no training on this server has a curve yet.", icon=":material/inventory_2:")
        return
    source = state.choose(st.selectbox, "Of", "curves", sources, default=sources[0])
    if source in studies:
        show_study(*studies[source])
    else:
        show_trainings(desk, trained)


def finished_trainings(desk: Desk) -> dict[str, Job]:
    try:
        jobs = desk.jobs(kind="train", state=["finished"]).jobs
    except BackendRefused:  # a server without jobs
        return {}
    return {job.model or job.id: job for job in reversed(jobs)}


def show_trainings(desk: Desk, trained: Mapping[str, Job]) -> None:
    names = st.multiselect("Trainings", list(trained), default=list(trained)[-3:], key="epochs-of")
    reported = {
        name: [event.progress.metrics for event in events_of(desk, trained[name]) if event.progress is not None]
        for name in names
    }
    curves = {measured: found for measured in MEASURED if (found := run_curves(reported, measured))}
    if curves:
        show_epochs(curves, key="trainings")
    elif names:
        st.info("None of these was validated as it went.", icon=":material/inventory_2:")
