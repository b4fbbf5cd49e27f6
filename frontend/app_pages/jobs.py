"""Jobs: what runs, waits and has ended."""

import json

import streamlit as st

from backend.schemas import Job
from frontend import state
from frontend.components.job_view import ACTIVE, asked_for, pick_job, show_job, title
from frontend.components.lab import connect
from frontend.components.problems import readable_errors
from frontend.components.tables import show_rows
from frontend.desk import Desk
from frontend.shelf import Shelf, opened

STATES: dict[str, tuple[str, ...]] = {
    "all": (),
    "at work": ACTIVE,
    "finished": ("finished",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
}


def page(desk: Desk) -> None:
    st.title("Jobs", anchor=False)
    st.markdown("Work that lasts goes on when this page is closed. Its address shows the same job to anybody.")
    chosen = state.choose(
        st.segmented_control, "State", "state", list(STATES), default="all", required=True,
        label_visibility="collapsed",
    )  # fmt: skip
    jobs = desk.jobs(state=STATES[chosen]).jobs
    asked = state.recall("job").text
    if asked and asked not in [job.id for job in jobs]:
        jobs = [*jobs, *(job for job in [find(desk, asked)] if job is not None)]  # by its address, of whatever state
    if not jobs:
        st.info("There is nothing. *Train* starts a training.", icon=":material/inventory_2:")
        return
    listed = show_list(desk, jobs)
    picked = pick_job(jobs, "Job")
    if picked is not None:
        show_job(desk, picked, also=listed)
        show_details(desk, next(job for job in jobs if job.id == picked))


def find(desk: Desk, job_id: str) -> Job | None:
    return next((job for job in desk.jobs(limit=200).jobs if job.id == job_id), None)


def show_list(desk: Desk, jobs: list[Job]) -> Shelf:
    """What it shows, kept up to date with it."""
    listed = Shelf()
    active = any(job.state in ACTIVE for job in jobs)

    @st.fragment(run_every=2.0 if active else None)
    def live() -> None:
        with readable_errors("list"), opened() as shelf:
            now = {job.id: job for job in desk.jobs(limit=200).jobs}
            rows = [row(now.get(job.id, job)) for job in jobs]
            shares = st.column_config.ProgressColumn("done", min_value=0.0, max_value=1.0, format="percent")
            show_rows(st.dataframe, rows, key="jobs", name="jobs", width="stretch", column_config={"done": shares})
            listed.take(shelf)

    live()
    return listed


def row(job: Job) -> dict[str, object]:
    progress = job.progress
    share = progress.done / progress.total if progress and progress.total else None
    return {
        "job": title(job),
        "state": job.state,
        "done": 1.0 if job.state == "finished" else share,
        "doing": progress.doing if progress and job.state in ACTIVE else "",
        "asked for": asked_for(job),
        "attempt": job.attempt,
        "id": job.id,
    }


def show_details(desk: Desk, job: Job) -> None:
    show = st.segmented_control("Look at", ["request", "result", "log"], key="detail")
    if show == "request":
        st.json(job.request)
    if show == "result":
        st.json(job.result if job.result is not None else {"": "there is none"})
    if show == "log":
        st.code(desk.log(job.id)[-20_000:] or "It has said nothing.", language=None, wrap_lines=True)
    if show == "result" and job.result is not None:
        st.download_button("Download", json.dumps(job.result, indent=1), f"{job.id}.json", "application/json")


with state.address(), readable_errors("page"):
    page(Desk(connect().settings))
