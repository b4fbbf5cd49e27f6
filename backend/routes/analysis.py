"""`POST /channels/report`: one image's whole analysis as one HTML page."""

import shlex
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from backend import resolve
from backend.dependencies import LabDep, RunDep
from backend.requests import StrictRoute
from backend.routes.laboratory import ERRORS, asked
from backend.schemas import DatasetImage, ImageRef
from backend.schemas.laboratory import ReportRequest
from cifs.attacks import Attack
from cifs.progress import Report
from cifs.report.analysis import analysis_page
from cifs.report.as_code import as_curl
from cifs.tasks.analysing import Subject, about, analyse

router = APIRouter(route_class=StrictRoute, tags=["laboratory"])
PAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/html": {"schema": {"type": "string"}, "example": '<!DOCTYPE html>\n<html lang="en">…'}},
        "description": "a page that needs no network",
    }
}
ATTACHED = {"Content-Disposition": 'attachment; filename="analysis.html"'}


@router.post("/channels/report", response_class=HTMLResponse, responses=PAGE | ERRORS)
async def report(body: ReportRequest, lab: LabDep, run: RunDep, request: Request) -> HTMLResponse:
    """One image's whole analysis as one self-contained HTML page, to keep or to send.

    Predictions, the attack step by step, every channel, who carried the margin, the circuit that brings the label back
    beside random sets, the model's card, and the digests of all that went in.
    """
    model, attack = await asked(body, lab)
    layer = resolve.layer(model, body.layer)
    commands = commands_of(body, attack, str(request.base_url).rstrip("/"), keyed=bool(lab.settings.api_keys))

    def work(report: Report) -> str:
        x, y = resolve.inputs(body.images, model, lab, report)
        subject = Subject(lab.model(model.id), layer.name, x, y, attack)
        found, x_adv = analyse(subject, report=report)
        return analysis_page(about(subject, x_adv, lab.zoo.entry(model.id), named(body.images[0]), commands), found)

    page = await run(work, gflops=resolve.gflops_of(attack, 1, model))
    return HTMLResponse(page, headers=ATTACHED)


def named(image: ImageRef) -> str:
    if isinstance(image, DatasetImage):
        return f"image {image.index} of {image.dataset} ({image.split})"
    return "an uploaded image" + ("" if image.label is not None else ", whose label is the network's own guess")


def commands_of(body: ReportRequest, attack: Attack, base_url: str, *, keyed: bool) -> dict[str, str]:
    """That compute the page again. An upload is on nobody's disk but the reader's, and no part of a command."""
    image = body.images[0]
    if not isinstance(image, DatasetImage):
        return {}
    request = body.model_dump(mode="json", exclude_none=True)
    commands = {
        "curl": f"{as_curl(base_url, '/channels/report', request, keyed=keyed)} -o analysis.html",
    }
    if image.split == "test":
        chosen = {key: value for key, value in attack.resolved().items() if key in body.attack.parameters}
        words = ["cifs", "report", body.model, "--data", image.dataset, "--index", str(image.index)]
        words += ["--layer", body.layer, "--attack", body.attack.name]
        words += [word for key, value in chosen.items() for word in ("--set", f"{key}={value}")]
        commands["Command line"] = shlex.join(words)
    return commands
