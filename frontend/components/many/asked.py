"""Which images are looked at, and the survey of them: asked at once where they are few, else left by a job."""

from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import DatasetInfo, Job, ModelInfo
from backend.schemas.survey import FirstImages, SurveyRequest, SurveyResponse
from cifs_client import BackendError, BackendMissing
from frontend import state
from frontend.captions import attack_title
from frontend.components.gallery import fitting_datasets
from frontend.components.job_view import ACTIVE, show_job
from frontend.components.lab import Lab
from frontend.components.scene import Subject
from frontend.desk import Desk

FEW = (16, 32, 64)  # attacked at once
USUAL = 32


class Asked(NamedTuple):
    """A survey, and of what."""

    subject: Subject
    first: FirstImages
    request: SurveyRequest
    survey: SurveyResponse


def pick_source(lab: Lab, model: ModelInfo) -> FirstImages | None:
    """Which images; None where there are none."""
    datasets = {data.name: data for data in fitting_datasets(lab.datasets(), model)}
    if not datasets:
        st.info(
            f"The images of {model.dataset} are not on this server. Put {model.dataset}.npz into the backend's "
            "$CIFS_DATA.", icon=":material/no_photography:",
        )  # fmt: skip
        return None
    name = _pick(datasets)
    return FirstImages(dataset=name, n=_pick_number(datasets[name].sizes["test"]))


def ask(lab: Lab, subject: Subject, first: FirstImages) -> Asked | None:
    """None where there is nothing to show yet; what can be done about it is said on the page."""
    request = SurveyRequest(model=subject.model.id, layer=subject.layer.name, attack=subject.attack, first=first)
    try:
        with st.spinner(f"Attacking {first.n} images with {attack_title(subject.attack)} …", show_time=True):
            return Asked(subject, first, request, lab.survey(request))
    except BackendMissing:
        _offer_job(lab, subject, first)
        return None


def _pick(datasets: dict[str, DatasetInfo]) -> str:
    names = list(datasets)
    if len(names) == 1:
        return names[0]
    name: str = state.choose(
        st.selectbox,
        "Images of",
        "images-of",
        names,
        default=names[0],
        format_func=lambda n: datasets[n].title,
        label_visibility="collapsed",
        width=240,
    )
    return name


def _pick_number(size: int) -> int:
    options = [*(n for n in FEW if n < size), size]
    n: int = state.choose(
        st.segmented_control, "How many", "n-images", options, default=min(USUAL, size), required=True,
        label_visibility="collapsed",
        format_func=lambda n: f"all {n:,}" if n == size else f"first {n}",
    )  # fmt: skip
    return n


def _offer_job(lab: Lab, subject: Subject, first: FirstImages) -> None:
    """So many images are a job: it goes on when the page is closed, and what it finds is kept."""
    desk, wanted = Desk(lab.settings), job_request(subject, first)
    try:
        running = find(desk, wanted)
    except BackendMissing:
        st.info(f"This server runs no jobs. `{command(wanted)}` looks at so many images.", icon=":material/terminal:")
        return
    except BackendError as error:
        st.info(str(error), icon=":material/cloud_off:")
        return
    if running is not None:
        show_job(desk, running.id)
        return
    st.info(
        f"{first.n:,} images are more than are attacked while you wait. A job does it in the background; what it "
        "finds is kept beside the model.", icon=":material/hourglass_empty:",
    )  # fmt: skip
    if st.button(f"Attack all {first.n:,} images", type="primary", icon=":material/bolt:"):
        desk.submit("survey", wanted)
        state.rerun()


def job_request(subject: Subject, first: FirstImages) -> dict[str, Any]:
    attack = subject.attack
    return {
        "model": subject.model.id, "attack": attack.name, "set": attack.parameters, "data": first.dataset, "n": first.n,
    }  # fmt: skip


def find(desk: Desk, wanted: dict[str, Any]) -> Job | None:
    """The same job, still at work or stopped on the way."""
    jobs = desk.jobs(kind="survey").jobs
    same = [job for job in jobs if job.request == wanted and (job.state in ACTIVE or job.resumable)]
    return same[0] if same else None


def command(wanted: dict[str, Any]) -> str:
    parameters = [f"--set {name}={value}" for name, value in wanted["set"].items()]
    options = [f"--{name} {wanted[name]}" for name in ("attack", "data", "n")]
    return " ".join(["cifs survey", wanted["model"], *options, *parameters])
