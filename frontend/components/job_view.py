"""A job as people see it: where it is, what it said, and what can be done about it."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import streamlit as st

from backend.schemas import Job, JobEvent
from cifs.plot.training import TrainingInfo, training_figures, training_info
from frontend import state
from frontend.components.charts import draw
from frontend.components.exports import to_take_away
from frontend.components.lab import forget
from frontend.components.problems import readable_errors
from frontend.components.tables import show_rows
from frontend.desk import Desk
from frontend.overrides import duration
from frontend.shelf import Shelf

BADGES = {
    "waiting": ("gray", ":material/hourglass_empty:"),
    "running": ("blue", ":material/play_arrow:"),
    "cancelling": ("orange", ":material/stop:"),
    "finished": ("green", ":material/check:"),
    "failed": ("red", ":material/error:"),
    "cancelled": ("gray", ":material/block:"),
}
ACTIVE = ("waiting", "running", "cancelling")
LOOK, SELDOM = 1.0, 5.0  # seconds between two looks at what runs, and at its curves or what somebody may resume
EVENTS = "job-events"  # in the session's memory


def badge(job: Job) -> None:
    colour, icon = BADGES[job.state]
    st.badge(job.state, icon=icon, color=colour)  # type: ignore[arg-type]


def title(job: Job) -> str:
    return f"{job.kind} {job.model or ''}".strip()


def asked_for(job: Job) -> str:
    return datetime.fromtimestamp(job.created).strftime("%d %b %H:%M:%S")


def events_of(desk: Desk, job: Job) -> list[JobEvent]:
    """All of them; the backend is asked for the new ones alone."""
    events: list[JobEvent] = st.session_state.setdefault(EVENTS, {}).setdefault(job.id, [])
    while len(events) < job.events and (news := desk.events(job.id, len(events))):
        events.extend(news)
    return events


def show_job(desk: Desk, job_id: str, *, beside: Sequence[str] = (), also: Shelf | None = None) -> None:
    """By itself up to date while the job is at work.

    beside: trainings whose curves are drawn over its own. also: what is shown above, to be taken away with it.
    """
    job = desk.job(job_id)

    every = LOOK if job.state in ACTIVE else SELDOM if job.resumable else None

    @st.fragment(run_every=every)
    def live() -> None:
        with readable_errors(f"job-{job_id}"), to_take_away(f"job-{job_id}", also):
            now = desk.job(job_id)
            _show(desk, now, beside)
            if now.state != job.state:
                forget()  # a finished job may have made a model
                state.rerun()

    live()


def _show(desk: Desk, job: Job, beside: Sequence[str]) -> None:
    with st.container():  # whatever it says, the charts keep their place: moved, they are drawn anew
        _tell(desk, job)
    if job.kind == "train":
        show_training(desk, [job, *map(desk.job, beside)])


def _tell(desk: Desk, job: Job) -> None:
    head, buttons = st.columns([3, 1], vertical_alignment="center")
    with head, st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{title(job)}**")
        badge(job)
        st.caption(f"{job.id}{f', attempt {job.attempt}' if job.attempt > 1 else ''}")
    with buttons:
        _buttons(desk, job)
    if job.shards:
        st.caption(shares(job))
    for note in job.notes:
        st.caption(note)
    if job.error:
        st.error(job.error, icon=":material/error:")
    _progress(job)
    if job.state == "finished" and job.kind == "train":
        st.page_link(
            "app_pages/channels.py", label=f"Look at the channels of {job.model}", icon=":material/insights:",
            query_params={"model": job.model or ""},
        )  # fmt: skip


def shares(job: Job) -> str:
    """Who is at which part of a divided job: "3 shards: 2 running (on one, two), 1 waiting"."""
    counts = []
    for state_of in BADGES:
        if there := [shard for shard in job.shards if shard.state == state_of]:
            at = ", ".join(sorted({shard.worker for shard in there if shard.worker}))
            counts.append(f"{len(there)} {state_of}" + (f" (on {at})" if at and state_of == "running" else ""))
    return f"{len(job.shards)} shards: {', '.join(counts)}"


def _buttons(desk: Desk, job: Job) -> None:
    if job.state in ("waiting", "running"):
        _button("Cancel", f"cancel-{job.id}", ":material/stop:", lambda: desk.cancel(job.id))
    if job.resumable:
        _button("Resume", f"resume-{job.id}", ":material/replay:", lambda: desk.resume(job.id))


def _button(label: str, key: str, icon: str, act: Callable[[], Job]) -> None:
    if st.button(label, key=key, icon=icon, width="stretch"):
        act()
        state.rerun()


def _progress(job: Job) -> None:
    progress = job.progress
    if progress is None:
        if job.state == "waiting":
            st.caption("It waits for a worker.")
        return
    share = min(progress.done / progress.total, 1.0) if progress.total else 0.0
    of = f"{progress.done:,} of {progress.total:,}" if progress.total else f"{progress.done:,}"
    left = _left(job) if job.state == "running" and share > 0.02 else ""
    if job.state != "finished":
        st.progress(share, text=f"{progress.doing}: {of}{left}")
    figures = {name: value for name, value in progress.metrics.items() if value is not None}
    if figures:
        st.caption("  ·  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items()))


def _left(job: Job) -> str:
    """Of a training, by its pace so far; one that was resumed began somewhere on the way."""
    progress = job.progress
    if job.started is None or progress is None or not progress.total:
        return ""
    if job.attempt > 1 or progress.doing != "training":
        return ""
    seconds = (time.time() - job.started) * (progress.total - progress.done) / max(progress.done, 1)
    return f", {duration(seconds)} left"


def show_training(desk: Desk, jobs: Sequence[Job]) -> None:
    """Loss and accuracies of one run, or of several over each other, with what they come to."""
    runs = [run for job in jobs if (run := _run(desk, job)).losses]
    figures = training_figures(runs) if runs else {}
    columns = st.columns(max(len(figures), 1))
    for column, (title, figure) in zip(columns, figures.items(), strict=False):
        with column:
            st.markdown(f"**{title}**")
            draw(figure, key=f"{title}-{'-'.join(job.id for job in jobs)}", alt=f"{title} by step")
    if len(runs) > 1:
        show_rows(st.table, [_outcome(run) for run in runs], key="outcomes", name="runs compared")


def _outcome(run: TrainingInfo) -> dict[str, str]:
    """The best by attacked images, where there are any, and the last."""
    natural, attacked = (dict(run.validated.get(key, [])) for key in ("validation_natural", "validation_robust"))
    scores = attacked or natural
    if not scores:
        return {"run": run.name, "best": "–", "last": "–"}
    steps = {"best": max(scores, key=scores.__getitem__), "last": max(scores)}

    def said(step: int) -> str:
        under = f", {100 * attacked[step]:.1f} % attacked" if step in attacked else ""
        return f"{100 * natural[step]:.1f} % natural{under} (step {step:,})"

    return {"run": run.name, **{name: said(step) for name, step in steps.items()}}


def _run(desk: Desk, job: Job) -> TrainingInfo:
    events = events_of(desk, job)
    events = settled(events) if job.state in ACTIVE else events
    progress = [event.progress.model_dump() for event in events if event.progress is not None]
    return training_info(job.model or job.id, progress)


def settled(events: list[JobEvent]) -> list[JobEvent]:
    """Those before the present five seconds, where there are any: a chart that changes is blank until it is drawn."""
    now = events[-1].at // SELDOM if events else 0.0
    return [event for event in events if event.at // SELDOM < now] or events


def pick_job(jobs: Sequence[Job], label: str) -> str | None:
    """By the address, else the newest that is at work, else the newest."""
    if not jobs:
        return None
    names = {job.id: f"{title(job)}, {job.state}, {asked_for(job)}" for job in jobs}
    first = next((job.id for job in jobs if job.state in ("running", "cancelling")), jobs[0].id)
    picked: str = state.choose(st.selectbox, label, "job", list(names), default=first, format_func=names.__getitem__)
    state.keep("job", picked)  # the default too: the newest is another soon
    return picked
