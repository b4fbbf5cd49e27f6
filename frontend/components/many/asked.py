"""Which images are looked at, and the survey of them: asked at once where they are few, else left by a job."""

from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import DatasetInfo, ImageRef, Job, ModelInfo, UploadedImage
from backend.schemas.survey import FirstImages, SurveyRequest, SurveyResponse
from cifs_client import BackendError, BackendMissing
from frontend import state
from frontend.batch import Picture, read
from frontend.captions import attack_title
from frontend.components.charts import files_are_about
from frontend.components.gallery import fitting_datasets
from frontend.components.job_view import ACTIVE, show_job
from frontend.components.lab import Lab
from frontend.components.scene import Subject, budget
from frontend.desk import Desk

FEW = (16, 32, 64)  # attacked at once
USUAL = 32
FILES = "files"
BROUGHT = "files brought"  # of the session
MOST_PROBLEMS = 5  # told one by one


Source = FirstImages | list[Picture]


class Asked(NamedTuple):
    """A survey, and of what."""

    subject: Subject
    source: Source
    request: SurveyRequest
    survey: SurveyResponse


def pick_source(lab: Lab, model: ModelInfo) -> Source | None:
    """Which images; None where there are none yet."""
    datasets = {data.name: data for data in fitting_datasets(lab.datasets(), model)}
    name = _pick(datasets)
    if name == FILES:
        return _bring(model) or None
    return FirstImages(dataset=name, n=_pick_number(datasets[name].sizes["test"]))


def _bring(model: ModelInfo) -> list[Picture]:
    """Files of this session; they stay on a page switch, and are not part of the address."""
    with st.popover("Files", icon=":material/upload_file:", key=state.widget("bring")):
        files = st.file_uploader(
            "PNG, JPEG, .npy (rounded to 8 bits), or a zip of them with a folder for each class",
            type=["png", "jpg", "jpeg", "npy", "zip"], accept_multiple_files=True, key="many-files",
            max_upload_size=8,
        )  # fmt: skip
    if files:
        st.session_state[BROUGHT] = [(file.name, file.getvalue()) for file in files]
    batch = read(st.session_state.get(BROUGHT, ()), model.classes)
    for problem in batch.problems[:MOST_PROBLEMS]:
        st.warning(problem, icon=":material/broken_image:")
    if len(batch.problems) > MOST_PROBLEMS:
        st.caption(f"… and {len(batch.problems) - MOST_PROBLEMS} more files were left out.")
    if not batch.pictures:
        st.info("Bring files, and they are attacked at once.", icon=":material/upload_file:")
    return batch.pictures


def ask(lab: Lab, subject: Subject, source: Source) -> Asked | None:
    """None where there is nothing to show yet; what can be done about it is said on the page."""
    place: dict[str, Any] = {"model": subject.model.id, "layer": subject.layer.name, "attack": subject.attack}
    if isinstance(source, FirstImages):
        request, n = SurveyRequest(**place, first=source), source.n
    else:
        images: list[ImageRef] = [UploadedImage(png=picture.png, label=picture.label) for picture in source]
        request, n = SurveyRequest(**place, images=images), len(images)
    of = source.dataset if isinstance(source, FirstImages) else "files"
    files_are_about(f"{n} of {of}, {subject.model.id}, {budget(subject.model, subject.attack)}")
    try:
        waiting = lab.waiting(f"Attacking {n} images with {attack_title(subject.attack)} …")
        return Asked(subject, source, request, waiting.survey(request))
    except BackendMissing:
        if not isinstance(source, FirstImages):
            raise
        _offer_job(lab, subject, source)
        return None


def _pick(datasets: dict[str, DatasetInfo]) -> str:
    titles = {name: data.title for name, data in datasets.items()} | {FILES: "files of mine"}
    name: str = state.choose(
        st.selectbox, "Images of", "images-of", list(titles), default=next(iter(titles)),
        format_func=titles.__getitem__, label_visibility="collapsed", width=260,
    )  # fmt: skip
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
