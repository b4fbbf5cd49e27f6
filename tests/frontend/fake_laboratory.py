"""The laboratory's endpoints, answered from the contract alone with pseudo data; attacked images are fooled."""

import base64
import io
from typing import Any

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from PIL import Image

from backend.schemas import DatasetImage, ImageRef, Prediction
from backend.schemas import laboratory as lab
from backend.schemas import survey as many

CLASSES = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
CHANNELS = {"stem": 16, "layer1.0": 16, "layer2.0": 32, "layer3.0": 64, "layer4.0": 128}
RIVAL = 2  # classes on from the label: what attacked images are taken for
laboratory = APIRouter()


def label_of(image: ImageRef) -> int:
    return (9 - image.index) % 10 if isinstance(image, DatasetImage) else (image.label or 0)


def said(k: int, confidence: float = 0.9) -> Prediction:
    probabilities = [(1 - confidence) / 9] * 10
    probabilities[k % 10] = confidence
    return Prediction(prediction=k % 10, class_name=CLASSES[k % 10], probabilities=probabilities)


def numbers(n: int, seed: int = 0) -> list[float]:
    values: list[float] = np.random.default_rng(seed).normal(0, 0.2, n).tolist()
    return values


def grey(level: float = 0.5) -> str:
    out = io.BytesIO()
    Image.fromarray(np.full((28, 28), round(255 * level), dtype=np.uint8)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def attack_of(request: Any) -> dict[str, Any]:
    return {"name": request.attack.name, **request.attack.parameters}


@laboratory.post("/channels/margin")
def margin(request: lab.MarginRequest) -> lab.MarginResponse:
    label, channels = label_of(request.images[0]), CHANNELS[request.layer]
    exact, modified = request.layer == "layer4.0", request.model.endswith("cifs")
    parts = numbers(channels)
    result = lab.MarginResult(
        label=label, rival=(label + RIVAL) % 10, natural=said(label), adversarial=said(label + RIVAL),
        natural_margin=-4.0, adversarial_margin=-4.0 + sum(parts), passed=sum(parts), bypassed=0.0, exact=exact,
        completeness_error=1e-6 if exact else 0.02, by_features=parts,
        by_importance=[0.0] * channels if modified else None,
        by_maps_above={"layer4.0": 0.25} if modified and not exact else {}, relevance=numbers(channels, 1),
    )  # fmt: skip
    return lab.MarginResponse(model=request.model, layer=request.layer, attack=attack_of(request), results=[result])


@laboratory.post("/channels/circuit")
def circuit(request: lab.CircuitRequest) -> lab.CircuitResponse:
    label, restoring = label_of(request.images[0]), request.direction == "restore"
    channels = [
        lab.CircuitChannel(layer=request.layers[k % len(request.layers)], channel=k, margin=2.0 - k, relevance=0.1 - k)
        for k in range(3)
    ]
    counts = [0, 1, 2, 3, 100]
    curves = lab.PatchCurves(
        counts=counts, circuit=[3, 2, 1, -1, -4], relevance=[3, 2.5, 2, 1.5, -4], random=[3, 2.8, 2.6, 2.4, -4],
        random_low=[3, 2.5, 2.3, 2, -4], random_high=[3, 2.9, 2.8, 2.7, -4],
    )  # fmt: skip
    result = lab.CircuitResult(
        label=label, natural=said(label), adversarial=said(label + RIVAL), reached=True, channels=channels,
        patched=said(label if restoring else label + RIVAL), channels_in_all=sum(CHANNELS[k] for k in request.layers),
        random_share=0.05, curves=curves,
    )  # fmt: skip
    return lab.CircuitResponse(
        model=request.model, layers=request.layers, direction=request.direction, attack=attack_of(request),
        results=[result], seconds=0.5,
    )  # fmt: skip


def suppresses(scaling: lab.Scaling) -> bool:
    """All NR or all PR channels, or more than 20."""
    return scaling.factor < 0.3 and (isinstance(scaling.channels, str) or len(scaling.channels) > 20)


@laboratory.post("/channels/what-if")
def what_if(request: lab.WhatIfRequest) -> lab.WhatIfResponse:
    """Another IMGF, or enough suppressed channels, bring the label back; an attack on the edited network turns it."""
    label = label_of(request.images[0])
    back = bool(request.reselections) or any(map(suppresses, request.scalings))
    result = lab.WhatIfResult(
        label=label,
        natural=lab.BeforeAfter(before=said(label), after=said(label, 0.8)),
        adversarial=lab.BeforeAfter(
            before=said(label + RIVAL), after=said(label, 0.6) if back else said(label + RIVAL)
        ),
        again=[
            lab.AttackedAgain(through_mask=through, prediction=said(label + 3, 0.6 + 0.1 * through), success=True)
            for through in (False, True)
            if request.again
        ],
        control=lab.WhatIfControl(draws=request.controls, natural_right=1, adversarial_right=3)
        if request.controls
        else None,
        edited_channels={scaling.layer: 7 for scaling in request.scalings},
    )
    return lab.WhatIfResponse(model=request.model, attack=attack_of(request), results=[result], seconds=0.2)


@laboratory.post("/channels/film")
def film(request: lab.FilmRequest) -> lab.FilmResponse:
    label, steps = label_of(request.images[0]), int(request.attack.parameters.get("steps", 1))
    frames = [
        lab.Frame(
            step=t, loss=0.1 * t, margin=t - 3.5, prediction=said(label if t < 4 else label + RIVAL), png=grey(),
            perturbation=grey(0.4),
        )
        for t in range(steps + 1)
    ]  # fmt: skip
    moved = [
        lab.MovedChannel(channel=k, relevance=0.5 - k, activation=numbers(steps + 1, k), importance=None)
        for k in range(3)
    ]
    result = lab.FilmResult(
        label=label, natural=said(label), falls_at=4 if steps >= 4 else None, magnification=5.0, frames=frames,
        moved=moved, divergence={layer: [0.01 * k * t for t in range(steps + 1)] for k, layer in enumerate(CHANNELS)},
    )  # fmt: skip
    return lab.FilmResponse(
        model=request.model, layer=request.layer, attack=attack_of(request), results=[result], seconds=0.3
    )


@laboratory.post("/channels/saliency")
def saliency(request: lab.SaliencyRequest) -> lab.SaliencyResponse:
    label = label_of(request.images[0])
    cam, gradients = np.ones((4, 4)).tolist(), np.eye(28).tolist()
    maps = [
        lab.SaliencyMaps(prediction=said(k), png=grey(), grad_cam=cam, integrated_gradients=gradients)
        for k in (label, label + RIVAL)
    ]
    result = lab.SaliencyResult(label=label, natural=maps[0], adversarial=maps[1])
    return lab.SaliencyResponse(model=request.model, layer=request.layer, attack=attack_of(request), results=[result])


@laboratory.post("/attack/transfer")
def transfer(request: lab.TransferRequest) -> lab.TransferResponse:
    label = label_of(request.images[0])
    entries = [
        lab.TransferEntry(
            source=source, shown=shown, right_before=1, fooled=int(source == shown),
            predictions=[said(label + RIVAL if source == shown else label)],
        )
        for source in request.models
        for shown in request.models
    ]  # fmt: skip
    return lab.TransferResponse(
        models=request.models, attack=attack_of(request), labels=[label],
        natural={model: [said(label)] for model in request.models}, entries=entries,
    )  # fmt: skip


@laboratory.get("/models/{id}/layers/{layer}/channels/{channel}", response_model=lab.ChannelProfile)
def channel_page(id: str, layer: str, channel: int) -> lab.ChannelProfile | JSONResponse:
    if id.endswith("cas"):
        problem = {"title": "Not Found", "status": 404, "detail": f"`cifs exemplars {id}` finds them"}
        return JSONResponse(problem, 404)
    seen = lab.SeenField(top=7, left=0, bottom=21, right=28)
    shown = [
        lab.ChannelExemplar(index=k, label=k, class_name=CLASSES[k], value=2 - 0.1 * k, png=grey(), seen=seen)
        for k in range(8)
    ]
    return lab.ChannelProfile(
        model=id, layer=layer, channel=channel, channels=CHANNELS[layer], dataset="fashion_mnist_mini", split="test",
        n=2000, by_activation=shown, by_relevance=shown[::-1], classes=CLASSES,
        attack=None if id.endswith("vanilla") else {"name": "pgd", "eps": 0.1, "steps": 20},
        attacked_by_activation=[] if id.endswith("vanilla") else shown[3:8],
        attacked_by_relevance=[] if id.endswith("vanilla") else shown[:3],
        activation=[0.1 * k for k in range(10)], relevance=[-0.9 + 0.2 * k for k in range(10)],
        nearest=[lab.NearChannel(channel=4, correlation=0.9), lab.NearChannel(channel=5, correlation=0.5)],
    )  # fmt: skip


@laboratory.post("/channels/response")
def response(request: lab.ResponseRequest) -> lab.ResponseResponse:
    label, n = label_of(request.images[0]), request.points
    channels = [
        lab.ChannelResponse(channel=k, activation=[0.1 * t for t in range(n)], relevance=[0.2] * n)
        for k in request.channels
    ]
    predictions = [label if t < n // 2 else (label + RIVAL) % 10 for t in range(n)]
    result = lab.ResponseResult(label=label, predictions=predictions, channels=channels)
    eps = [0.2 * t / (n - 1) for t in range(n)]
    return lab.ResponseResponse(
        model=request.model, layer=request.layer, attack=attack_of(request), eps=eps, results=[result]
    )


NOTIONS = {
    "true": ("True relevance g", 0.4),
    "gradient_x_activation": ("Gradient × activation", 0.9),
    "ablation": ("Ablation", 1.0),
    "random": ("Random order", 0.0),
}


@laboratory.post("/channels/faithfulness")
def faithfulness(request: lab.FaithfulnessRequest) -> lab.FaithfulnessResponse:
    n = len(request.images)
    notions = [
        lab.NotionFigures(
            notion=name, title=title, correlation=lab.Interval(mean=rho, low=rho - 0.1, high=rho + 0.05, n=n),
            deletion=lab.Interval(mean=0.6 - rho / 2, low=0, high=1, n=n),
            insertion=lab.Interval(mean=rho, low=0, high=1, n=n),
            deletion_curve=[0.9, 0.3, 0.1], insertion_curve=[0.1, 0.7, 0.9],
        )
        for name, (title, rho) in NOTIONS.items()
    ]  # fmt: skip
    return lab.FaithfulnessResponse(
        model=request.model, layer=request.layer, attack=None, n=n, shares=[0.0, 0.5, 1.0], notions=notions,
        correlations=[[1.0] * 3] * 3, seconds=0.4,
    )  # fmt: skip


MANY = 40  # images from which on a survey is a job's


@laboratory.post("/survey", response_model=many.SurveyResponse)
def survey(request: many.SurveyRequest) -> many.SurveyResponse | JSONResponse:
    """Of every three images one stands, one is flipped, one was wrong before; noise flips none."""
    if request.first and request.first.n > MANY:
        problem = {"title": "Not Found", "status": 404, "detail": "a job of kind 'survey' does it"}
        return JSONResponse(problem, 404)
    refs = request.images or [DatasetImage(dataset=request.first.dataset, index=i) for i in range(request.first.n)]  # type: ignore[union-attr]
    n, labels = len(refs), [label_of(image) for image in refs]
    natural = [k if i % 3 < 2 else (k + 1) % 10 for i, k in enumerate(labels)]
    adversarial = [k if i % 3 == 0 else (k + RIVAL) % 10 for i, k in enumerate(labels)]
    margins = [(-3.0 - i, -1.0 if i % 3 == 0 else 0.5 * i) for i in range(n)]
    counts = [labels.count(k) for k in range(10)]
    matrices = {}
    for name, found in (("natural", natural), ("adversarial", adversarial), ("noise", natural)):
        pairs = list(zip(labels, found, strict=True))
        matrices[name] = [[pairs.count((a, b)) for b in range(10)] for a in range(10)]
    channels = {
        name: [numbers(CHANNELS[request.layer], 10 * j + k) if counts[k] else None for k in range(10)]
        for j, name in enumerate(("relevance", "natural", "adversarial", "noise"))
    }
    return many.SurveyResponse(
        model=request.model, layer=request.layer, attack=attack_of(request), n=n, kept=False,
        index=[ref.index if isinstance(ref, DatasetImage) else i for i, ref in enumerate(refs)], label=labels,
        prediction=many.OfInputs(natural=natural, adversarial=adversarial, noise=natural),
        margin=many.OfInputs(
            natural=[m for m, _ in margins], adversarial=[m for _, m in margins], noise=[m for m, _ in margins]
        ),
        confusion=many.OfInputs(**matrices), channels=many.ChangeByClass(counts=counts, **channels), seconds=0.3,
    )  # fmt: skip


@laboratory.post("/channels/visualise", response_model=lab.VisualiseResponse)
def visualise(request: lab.VisualiseRequest) -> lab.VisualiseResponse:
    return lab.VisualiseResponse(
        **request.model_dump(), png=grey(), control_png=grey(), start=0.1, reached=3.0, climb=[0.1, 3.0], control=0.5,
        exemplar=2.0, seconds=0.1,
    )  # fmt: skip


@laboratory.get("/models/{id}/notes", response_model=list[lab.ChannelNote])
def notes(id: str) -> list[lab.ChannelNote]:
    return [lab.ChannelNote(layer="layer4.0", channel=0, text="mine", written="2026-01-01T00:00:00+00:00")]
