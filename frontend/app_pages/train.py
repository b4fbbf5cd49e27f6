"""Train: choose a recipe, change it, start it, and watch what becomes of it."""

import streamlit as st

from backend.schemas import Job, PlanRequest
from cifs_client import BackendRefused
from frontend import state
from frontend.components.exports import to_take_away
from frontend.components.job_view import asked_for, pick_job, show_job
from frontend.components.lab import Lab, connect
from frontend.components.problems import readable_errors
from frontend.components.tables import show_rows
from frontend.components.training_form import Order, order_form, pick_recipe
from frontend.desk import Desk
from frontend.overrides import duration

ESTIMATES = "estimates"  # in the session's memory


NEW, RUNS = "train one", "runs"


def page(lab: Lab, desk: Desk) -> None:
    st.title("Train a network", anchor=False)
    jobs = desk.jobs(kind="train").jobs
    views = [NEW, RUNS]
    asked = RUNS if state.recall("job").text in [job.id for job in jobs] else NEW  # an address that names a run
    view = state.choose(
        st.segmented_control, "Do", "train", views, default=asked, required=True, label_visibility="collapsed"
    )
    state.keep("train", view)
    if view == RUNS:
        show_runs(desk, jobs)
    else:
        show_new(lab, desk, {*(job.model or "" for job in jobs), *(model.id for model in lab.models())})


def show_new(lab: Lab, desk: Desk, taken: set[str]) -> None:
    st.markdown(
        "Adversarial training shows the network, at every step, images that were attacked just now. "
        "The lessons take a minute or two on this machine; their networks open on the *Channels* page."
    )
    left, right = st.columns([3, 2], gap="large")
    book = desk.recipes()
    with left:
        recipe = pick_recipe(book)
        order = None if recipe is None else order_form(recipe, book, lab)
    with right, readable_errors("plan"), to_take_away("plan"):
        if order is not None:
            show_plan(desk, order, taken)


def show_plan(desk: Desk, order: Order, taken: set[str]) -> None:
    st.header("What will be trained", anchor=False)
    try:
        plan = desk.plan(PlanRequest(recipe=order.recipe.name, set=order.set))
    except BackendRefused as error:
        st.error(str(error), icon=":material/error:")
        return
    name = st.text_input("Name of the model", free_name(order.recipe.name, taken), key=f"id-{order.recipe.name}")
    # The buttons first: what grows with the changes would move them while they are pressed.
    if st.button("Start", type="primary", icon=":material/play_arrow:", width="stretch", key="start"):
        start(desk, order, name)
    show_estimate(desk, order)
    if plan.changes:
        rows = [
            {"setting": change.key, "recipe": shown(change.before), "yours": shown(change.after)}
            for change in plan.changes
        ]
        show_rows(st.dataframe, rows, key="diff", name=f"changes of {order.recipe.name}", width="stretch")
    else:
        st.caption("The recipe as it is.")


def free_name(recipe: str, taken: set[str]) -> str:
    """The recipe's own, or that with the first number that is free."""
    stem = recipe.rpartition("/")[2]
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (stem, *numbered) if name not in taken)


def shown(value: object) -> str:
    return "–" if value is None else str(value)


def show_estimate(desk: Desk, order: Order) -> None:
    """On demand, for it makes a step of the training."""
    known: dict[str, float] = st.session_state.setdefault(ESTIMATES, {})
    key = f"{order.recipe.name} {order.set}"
    if key not in known and st.button("How long will it take?", icon=":material/timer:", key="estimate"):
        with st.spinner("Making a step of it …"):
            plan = desk.plan(PlanRequest(recipe=order.recipe.name, set=order.set, estimate=True))
        known[key] = plan.seconds or 0.0
        state.rerun()
    if key in known:
        st.markdown(f":material/timer: {duration(known[key])} on this server, as busy as it is")


def start(desk: Desk, order: Order, name: str) -> None:
    try:
        job = desk.submit("train", {"recipe": order.recipe.name, "set": order.set, "id": name})
    except BackendRefused as error:
        st.error(str(error), icon=":material/error:")
        return
    for key, value in (("job", job.id), ("train", RUNS)):
        state.keep(key, value)
        st.session_state.pop(key, None)  # the widget that shows it takes it from there
    state.rerun()


def show_runs(desk: Desk, jobs: list[Job]) -> None:
    picked = pick_job(jobs, "Run")
    if picked is None:
        st.info("Nothing has been trained here yet. The lessons are a good start.", icon=":material/school:")
        return
    show_job(desk, picked, beside=pick_others([job for job in jobs if job.id != picked]))


def pick_others(jobs: list[Job]) -> list[str]:
    """Runs to compare with, by the address; those that have something to show."""
    names = {job.id: f"{job.model}, {asked_for(job)}" for job in jobs if job.progress is not None}
    if not names:
        return []
    chosen = [job for job in (state.recall("compare").text or "").split(",") if job in names]
    picked: list[str] = st.multiselect(
        "Compare with", list(names), default=chosen, key=state.widget("compared"), format_func=names.__getitem__,
        placeholder="Other runs, drawn over this one",
    )  # fmt: skip
    state.keep("compare", ",".join(picked) or None)
    return picked


with state.address(), readable_errors("page"):
    lab = connect()
    page(lab, Desk(lab.settings))
