"""A backend that answers from the contract alone: no torch, pseudo data that is the same every time.

`fake_backend()` runs one on a free port. `fault` makes it refuse, fail or dawdle, for every request or for one path.
"""

import base64
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from PIL import Image

from backend import schemas
from backend.schemas import DatasetImage, ImageRef, Prediction
from tests.frontend.fake_laboratory import CLASSES, laboratory

LAYERS = [("stem", 16, 28), ("layer1.0", 16, 28), ("layer2.0", 32, 14), ("layer3.0", 64, 7), ("layer4.0", 128, 4)]
METHODS = {"natural": "Natural", "vanilla": "Vanilla AT", "cas": "CAS", "cifs": "CIFS-softmax"}
SIZE = 60  # images in the data set
EXAMPLE = 10  # the image to begin with
TOLD_AT = ["layer3.0", "layer4.0"]  # the layers where it tells the story
PARTED = 3  # the class whose channels the attack parts furthest
BUDGET = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string"}], "title": "Eps"}
POSITIVE = {"type": "number", "exclusiveMinimum": 0, "maximum": 10000.0}
Fault = Literal["busy", "refuse", "fail", "garbage", "slow"]


class Faults:
    """What goes wrong, and on which path ("" for all)."""

    def __init__(self) -> None:
        self.kind: Fault | None = None
        self.path = ""

    def set(self, kind: Fault | None, path: str = "") -> None:
        self.kind, self.path = kind, path


class FakeBackend(NamedTuple):
    url: str
    faults: Faults
    asked: list[tuple[str, Any]]  # (path, body) of every POST
    requests: list[str]  # every request, word for word


def attack_schema(**changes: Any) -> dict[str, Any]:
    properties = {
        "eps": BUDGET | {"default": 8 / 255, "description": "ε: no pixel moves further than this"},
        "steps": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 20, "title": "Steps"},
        "step_size": {"anyOf": [*BUDGET["anyOf"], {"type": "null"}], "default": None, "title": "Step Size"},
        "random_start": {"type": "boolean", "default": False, "title": "Random Start"},
        "loss": {"enum": ["ce", "margin", "dlr"], "type": "string", "default": "ce", "title": "Loss"},
        "beta": {"type": "number", "minimum": 0, "default": 2.0, "title": "Beta"},
        "through_mask": {"type": "boolean", "default": False, "title": "Through Mask"},
        "target": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None, "title": "Target"},
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1, "default": 0, "title": "Seed"},
    }
    return {"type": "object", "properties": properties | changes}


L2 = {"const": "l2", "type": "string", "default": "l2", "title": "Norm"}
BUDGET_L2 = {"type": "number", "minimum": 0, "default": 1.0, "title": "Eps"}
ATTACKS = [
    ("fgsm", "FGSM: one step of size ε", attack_schema(steps={"const": 1, "type": "integer", "default": 1})),
    ("pgd", "PGD: projected gradient ascent", attack_schema()),
    ("cw", "C&W under ℓ∞: PGD on the CW margin", attack_schema()),
    ("pgd_l2", "PGD-ℓ2: steps along the gradient", attack_schema(norm=L2, eps=BUDGET_L2)),
]
IMGFS = [
    (
        "softmax",
        "softmax: m_i = exp(g_i/T) / Σ_j exp(g_j/T)",
        {
            "properties": {
                "temperature": POSITIVE | {"default": 1.0},
                "per_channel": {"type": "boolean", "default": False},
            }
        },
    ),
    ("softplus", "softplus: m_i = log(1 + exp(α g_i)) / α", {"properties": {"alpha": POSITIVE | {"default": 5.0}}}),
    ("sigmoid", "sigmoid: m_i = 1 / (1 + exp(−α g_i))", {"properties": {"alpha": POSITIVE | {"default": 10.0}}}),
]
RELEVANCES = [
    ("true", "True relevance", {"properties": {}}),
    ("gradient_times_activation", "A plug-in's own: gradient × activation", {"properties": {}}),
    ("assessed", "Assessed by the probe", {"properties": {"k": {"type": "integer", "minimum": 1, "default": 2}}}),
]


def described(things: list[tuple[str, str, dict[str, Any]]]) -> list[schemas.Described]:
    return [schemas.Described(name=n, title=t, description=t, parameters=p) for n, t, p in things]


def pixels(index: int) -> np.ndarray:
    """A picture that looks like something, (28, 28) in [0, 1]."""
    y, x = np.mgrid[0:28, 0:28] / 27
    ripple = 0.5 + 0.5 * np.sin((3 + index % 5) * x + (index % 7) * y)
    return np.clip(ripple * (np.hypot(x - 0.5, y - 0.5) < 0.3 + 0.02 * (index % 10)), 0, 1)


def png(image: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray((255 * image).round().astype(np.uint8)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def npy(image: np.ndarray) -> str:
    out = io.BytesIO()
    np.save(out, image.astype(np.float32)[None])
    return base64.b64encode(out.getvalue()).decode()


def encoded(image: np.ndarray) -> schemas.EncodedImage:
    return schemas.EncodedImage(png=png(image), npy=npy(image))


def label_of(image: ImageRef) -> int:
    return (9 - image.index) % 10 if isinstance(image, DatasetImage) else (image.label or 0)


def prediction(k: int, confidence: float = 0.9) -> dict[str, Any]:
    probabilities = [(1 - confidence) / 9] * 10
    probabilities[k] = confidence
    return Prediction(prediction=k, class_name=CLASSES[k], probabilities=probabilities).model_dump()


def epsilon(attack: schemas.Choice) -> float:
    over, _, under = str(attack.parameters.get("eps", 8 / 255)).partition("/")
    return float(over) / float(under or 1)


def cell(accuracy: float, n: int = 10_000, **settings: Any) -> schemas.Cell:
    low, high = max(0.0, accuracy - 0.009), min(1.0, accuracy + 0.009)
    return schemas.Cell(accuracy=accuracy, low=low, high=high, n=n, settings=settings or None)


ACCURACIES = {
    "natural": (0.9312, 0.071, 0.0003, 0.0002, 0.0),
    "vanilla": (0.8523, 0.7411, 0.7012, 0.6904, 0.6951),
    "cas": (0.8611, 0.7466, 0.6922, 0.6710, 0.6872),
    "cifs": (0.8467, 0.7533, 0.7240, 0.7101, 0.7188),
}
KEYS = {"natural": "Natural", "fgsm": "FGSM", "pgd20": "PGD-20", "cw": "C&W", "pgd100": "PGD-100"}
COLUMNS = KEYS | {"autoattack": "+ AutoAttack"}


def model_info(method: str) -> schemas.ModelInfo:
    modified = ("layer3.0", "layer4.0") if method in ("cas", "cifs") else ()
    return schemas.ModelInfo.model_validate(
        {
            "id": f"fmnist-resnet10-w16-{method}", "title": METHODS[method], "dataset": "fashion_mnist",
            "arch": "resnet10", "width": 16, "method": method,
            "imgf": {"name": "softmax", "temperature": 1.0} if method == "cifs" else None,
            "eps": None if method == "natural" else 0.1, "default_eps": 0.1, "parameters": 305_000,
            "multiply_adds": 9_000_000,
            "classes": CLASSES, "image_shape": (1, 28, 28), "has_channel_statistics": True,
            "layers": [
                {"name": name, "channels": c, "height": s, "width": s, "modified": name in modified}
                for name, c, s in LAYERS
            ],
            "evaluation": {key: cell(a) for key, a in zip(KEYS, ACCURACIES[method], strict=True)},
        }
    )  # fmt: skip


def relevance(channels: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, channels)


def activation(g: np.ndarray, strength: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 0.3, len(g))
    return np.maximum(0, 0.3 + noise + g * (1 - 10 * strength))


def imgf(name: str, g: np.ndarray, parameters: dict[str, Any]) -> np.ndarray:
    if name == "softmax":
        e = np.exp(g / parameters.get("temperature", 1.0))
        return e / e.sum() * (len(g) if parameters.get("per_channel") else 1)
    alpha = parameters.get("alpha", 5.0)
    return np.logaddexp(0, alpha * g) / alpha if name == "softplus" else 1 / (1 + np.exp(-alpha * g))


def view(request: schemas.ChannelsRequest, image: ImageRef, strength: float) -> schemas.ChannelView:
    channels = next(c for name, c, _ in LAYERS if name == request.layer)
    label = label_of(image)
    shown = (label + 2) % 10 if strength else label
    g = relevance(channels, label)
    a = activation(g, strength, label)
    m = None if request.imgf is None else imgf(request.imgf.name, g, request.imgf.parameters)
    if m is None and request.model.endswith("cifs") and request.layer in ("layer3.0", "layer4.0"):
        m = imgf("softmax", g, {})
    return schemas.ChannelView.model_validate(
        prediction(shown)
        | {"target": label, "activation": a.tolist(), "relevance": g.tolist()}
        | {"importance": None if m is None else m.tolist(), "selected": None if m is None else (m * a).tolist()}
    )


def summary(channels: int, seed: int, strength: float) -> schemas.ChannelSummary:
    g = relevance(channels, seed)
    a = activation(g, strength, seed).tolist()
    return schemas.ChannelSummary(activation=a, frequency=[0.5] * channels, relevance=g.tolist())


def shift(strength: float) -> schemas.ChannelShift:
    nr, pr = (
        schemas.Estimate(mean=mean, low=mean - 0.01, high=mean + 0.02, n=1000) for mean in (strength, 2 * strength)
    )
    return schemas.ChannelShift(nr_over_activation=nr, pr_under_activation=pr, mean_activation=0.5)


def create_fake(faults: Faults, asked: list[tuple[str, Any]], requests: list[str]) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def break_on_purpose(request: Request, go_on):  # type: ignore[no-untyped-def]
        body = (await request.body()).decode(errors="replace")
        requests.append(f"{request.method} {request.url.path}?{request.url.query} {body}")
        if faults.kind and request.url.path.startswith(faults.path):
            return broken(faults.kind)
        if request.method == "POST":
            asked.append((request.url.path, await request.json()))
        return await go_on(request)

    @app.get("/models")
    def models() -> list[schemas.ModelInfo]:
        other = {"id": "cifar10-vanilla", "dataset": "cifar10", "arch": "resnet18", "image_shape": (3, 32, 32)}
        return [*map(model_info, METHODS), model_info("vanilla").model_copy(update=other)]

    @app.get("/datasets")
    def datasets() -> list[schemas.DatasetInfo]:
        common = {"classes": CLASSES, "image_shape": (1, 28, 28), "eps": 0.1}
        cifar = {"classes": CLASSES, "image_shape": (3, 32, 32), "eps": 8 / 255}
        mini = {"name": "fashion_mnist_mini", "title": "Fashion-MNIST (mini)", "available": True}
        return [
            schemas.DatasetInfo.model_validate(mini | common | {"sizes": {"train": SIZE, "test": SIZE}}),
            schemas.DatasetInfo.model_validate(
                {"name": "cifar10", "title": "C", "available": False, "sizes": {}} | cifar
            ),
        ]

    @app.get("/datasets/{name}/samples")
    def samples(
        name: str,
        label: int | None = None,
        offset: int = 0,
        limit: int = 20,
        index: Annotated[list[int] | None, Query()] = None,
    ) -> schemas.Samples:
        matching = index or [i for i in range(SIZE) if label is None or (9 - i) % 10 == label]
        limit = len(matching) if index else limit
        page = [
            schemas.Sample(index=i, label=(9 - i) % 10, class_name=CLASSES[(9 - i) % 10], png=png(pixels(i)))
            for i in matching[offset : offset + limit]
        ]
        return schemas.Samples(dataset=name, split="test", total=len(matching), offset=offset, samples=page)

    @app.get("/attacks")
    def attacks() -> list[schemas.Described]:
        return described(ATTACKS)

    @app.get("/imgfs")
    def imgfs() -> list[schemas.Described]:
        return described(IMGFS)

    @app.get("/relevances")
    def relevances() -> list[schemas.Described]:
        return described(RELEVANCES)

    @app.post("/attack")
    def attack(request: schemas.AttackRequest) -> schemas.AttackResponse:
        results = [attacked(request, image) for image in request.images]
        resolved = {"name": request.attack.name, **request.attack.parameters}
        return schemas.AttackResponse(model=request.model, attack=resolved, results=results, seconds=0.1)

    @app.post("/channels")
    def channels(request: schemas.ChannelsRequest) -> schemas.ChannelsResponse:
        strength = epsilon(request.attack) if request.attack else 0.0
        results = [
            schemas.ChannelsResult(
                label=label_of(image), natural=view(request, image, 0.0),
                adversarial=view(request, image, strength) if request.attack else None,
            )
            for image in request.images
        ]  # fmt: skip
        used = request.imgf.model_dump() if request.imgf else {"name": "softmax", "temperature": 1.0}
        has = results[0].natural.importance is not None
        return schemas.ChannelsResponse(
            model=request.model, layer=request.layer, relevance={"name": "true"}, imgf=used if has else None,
            importance_source=("request" if request.imgf else "model") if has else None,
            attack=request.attack.model_dump() if request.attack else None, results=results,
        )  # fmt: skip

    @app.post("/channels/maps")
    def maps(request: schemas.MapsRequest) -> schemas.MapsResponse:
        side = next(s for name, _, s in LAYERS if name == request.layer)
        shown = [
            schemas.ChannelMaps(
                channel=c,
                natural=np.random.default_rng(c).uniform(0, 1, (side, side)).tolist(),
                adversarial=np.random.default_rng(c + 1).uniform(0, 2, (side, side)).tolist()
                if request.attack
                else None,
            )
            for c in request.channels
        ]
        results = [schemas.MapsResult(label=label_of(image), channels=shown) for image in request.images]
        return schemas.MapsResponse(model=request.model, layer=request.layer, attack=None, results=results)

    @app.get("/models/{id}/example")
    def example(id: str, dataset: str) -> schemas.Example:
        return schemas.Example(
            model=id, dataset=dataset, split="test", index=EXAMPLE, of=40, right=37, fooled=37, telling=3, tells=True,
            layers=TOLD_AT, attack={}, rule="Of 40 test images the one that shows it most clearly.",
        )  # fmt: skip

    @app.get("/models/{id}/channel-statistics")
    def statistics(id: str, request: Request) -> schemas.ChannelStatistics:
        k = int(request.query_params["class"])
        layer = request.query_params.get("layer", "layer4.0")
        channels = next(c for name, c, _ in LAYERS if name == layer)
        strength = 0.15 if id.endswith("natural") else 0.03
        everything = request.query_params.get("all_classes") != "false"
        return schemas.ChannelStatistics(
            model=id, dataset="fashion_mnist", split="test", layer=layer, layers=["layer3.0", "layer4.0"],
            class_index=k, class_name=CLASSES[k], n=1000,
            attack={"name": "pgd", "steps": 20, "eps": 0.1, "beta": 2.0},
            natural=summary(channels, k, 0.0), adversarial=summary(channels, k, strength),
            shift=None if id.endswith("cas") else shift(strength),  # an older file
            shift_all=None if id.endswith("cas") or not everything else shift(strength / 2),
            partings=[1.0 if k == PARTED else 0.5 for k in range(len(CLASSES))],
        )  # fmt: skip

    @app.get("/robustness")
    def robustness() -> schemas.RobustnessTable:
        columns = [schemas.Column(key=k, title=t, description=f"About {t}.") for k, t in COLUMNS.items()]
        rows = [robustness_row(method) for method in METHODS]
        poster = {"dataset": "cifar10", "arch": "resnet18", "eps": 8 / 255}
        rows += [row.model_copy(update=poster | {"model": f"cifar10-{row.method}"}) for row in rows[1:]]
        return schemas.RobustnessTable(columns=columns, rows=rows, paper=[paper_row(method) for method in METHODS])

    @app.get("/robustness/compare")
    def compare(first: str, second: str) -> schemas.Comparison:
        columns = [
            schemas.ComparedColumn(
                column=key,
                n=10_000,
                first=0.74,
                second=0.72,
                only_first=300,
                only_second=100,
                p_value=1e-9,
                low=0.016,
                high=0.024,
            )
            for key in COLUMNS
        ]
        settings = [
            schemas.ComparedSetting(
                **columns[2].model_dump() | {"n": 500, "first": 0.74 + weaker},
                settings={"name": "pgd", "beta": beta, "through_mask": False},
                counted=weaker == 0,
            )
            for beta, weaker in ((2.0, 0.0), (0.0, 0.2))
        ]
        return schemas.Comparison(
            first=first,
            second=second,
            dataset="cifar10",
            split="test",
            eps=8 / 255,
            columns=columns,
            settings=settings if "cifs" in first or "cas" in first else [],
        )

    app.include_router(laboratory)
    return app


def attacked(request: schemas.AttackRequest, image: ImageRef) -> schemas.AttackResult:
    label, eps = label_of(image), epsilon(request.attack)
    natural = pixels(image.index if isinstance(image, DatasetImage) else 3)
    change = eps * np.sign(np.random.default_rng(label).normal(size=natural.shape))
    fooled = eps >= 0.05 and request.model.endswith("natural")
    final = (label + 2) % 10 if fooled else label
    steps = int(request.attack.parameters.get("steps", 1))
    trajectory = [
        schemas.TrajectoryStep(
            step=step, loss=0.1 + 3.0 * step / steps,
            **_without_name(prediction(final if step > steps // 3 else label, 0.9)),
        )
        for step in range(steps + 1)
    ]  # fmt: skip
    return schemas.AttackResult.model_validate(
        {
            "label": label, "natural": prediction(label, 0.98), "adversarial": prediction(final, 0.95),
            "success": fooled, "linf": eps, "size": eps, "norm": "linf", "png_success": fooled,
            "trajectory": trajectory if request.trajectory else None,
            "natural_image": encoded(natural), "image": encoded(np.clip(natural + change, 0, 1)),
            "perturbation": {"png": png(np.clip(0.5 + 5 * change, 0, 1)), "npy": npy(change), "magnification": 5.0},
        }
    )  # fmt: skip


def _without_name(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "class_name"}


def robustness_row(method: str) -> schemas.RobustnessRow:
    info = model_info(method)
    names = {"pgd20": "pgd", "pgd100": "pgd"}
    steps = {"fgsm": 1, "cw": 30, "pgd100": 100}
    cells = {
        key: cell(a, **({} if key == "natural" else {"name": names.get(key, key), "steps": steps.get(key, 20)}))
        for key, a in zip(KEYS, ACCURACIES[method], strict=True)
    }
    attacks = {key: found.accuracy for key, found in cells.items() if key != "natural"}
    sweep = [
        schemas.SweepEntry(
            **cell(attacks["pgd20"] + 0.01 * beta, beta=beta).model_dump(), column="pgd20", counted=not beta
        )
        for beta in (0, 1, 2)
    ]
    found = schemas.RobustnessRow(
        model=info.id, title=info.title, method=method, imgf=info.imgf and info.imgf.name,
        dataset="fashion_mnist", arch="resnet10", width=16, eps=0.1,
        split="test", n=10_000, cells=cells, strongest=min(attacks, key=attacks.__getitem__),
        sweep=sweep if method in ("cas", "cifs") else [], notes=["AutoAttack was not run."],
    )  # fmt: skip
    return found if method == "cas" else found.model_copy(update=more(cells))  # CAS: an older file


def paper_row(method: str) -> schemas.PaperRow:
    info = model_info(method)
    return schemas.PaperRow(
        source="poster", title=f"{info.title} of the paper", method=method, imgf=info.imgf and info.imgf.name,
        dataset="cifar10", arch="resnet18", width=64, epochs=120, eps=8 / 255, strongest="pgd20",
        kept="the last, ckp_119.pt" if method == "vanilla" else None,
        accuracy=dict(zip(KEYS, ACCURACIES[method], strict=True)),
    )  # fmt: skip


def more(cells: dict[str, schemas.Cell]) -> dict[str, Any]:
    """What newer files hold beside the table."""
    by_class = {
        key: found.model_copy(update={"by_class": [int(100 * found.accuracy) * k for k in range(1, 11)]})
        for key, found in cells.items()
    }
    curves = {
        "n": 1000,
        "settings": {"name": "pgd"},
        "eps": [cell(0.9 / (1 + k), 1000).model_dump() | {"eps": k * 2 / 255} for k in range(5)],
        "steps": [cell(0.9 / steps, 1000).model_dump() | {"steps": steps} for steps in (1, 10, 100)],
    }
    results = [
        schemas.CheckResult(name=name, title=f"Check {name}", passed=passed, statement=f"{name}: found")
        for name, passed in (("one_step", True), ("square", False), ("through_mask", None))
    ]
    checks = schemas.Checks(n=300, eps=0.1, criterion="McNemar", results=results)
    stages = [schemas.StageLeft(stage="square", through_mask=False, correct=412, remarks=["looks randomised"])]
    by_class["autoattack"] = cell(0.412, 1000, version="custom", stages=["square"]).model_copy(update={"after": stages})
    return {
        "epochs": 30, "kept": "epoch 30 of 30, best on validation images",
        "trained_eps": 0.1, "classes": CLASSES, "class_counts": [1000] * 10, "cells": by_class,
        "curves": schemas.Curves.model_validate(curves), "checks": checks,
        "more": schemas.MoreImages(n=5000, cells={"natural": cell(0.9321, 5000)}),
        "last": schemas.LastCheckpoint(epoch=30, cells={"natural": cell(0.95), "pgd20": cell(0.1234, 1000)}),
    }  # fmt: skip


def broken(kind: Fault) -> Response:
    if kind == "slow":
        time.sleep(1.5)
    if kind in ("fail", "garbage"):
        return Response("<html>oops</html>", status_code=500 if kind == "fail" else 200)
    status, title = (503, "Busy") if kind in ("busy", "slow") else (422, "Unprocessable")
    detail = "The queue is full (16 of 16)." if status == 503 else "attack.eps = 7: it must be at most 1"
    problem = schemas.Problem(title=title, status=status, detail=detail)
    headers = {"Retry-After": "2"} if status == 503 else {}
    return JSONResponse(problem.model_dump(), status, headers, media_type="application/problem+json")


@contextmanager
def fake_backend(port: int = 0) -> Iterator[FakeBackend]:
    faults, asked, requests = Faults(), list[tuple[str, Any]](), list[str]()
    server = uvicorn.Server(
        uvicorn.Config(create_fake(faults, asked, requests), host="127.0.0.1", port=port, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        bound = server.servers[0].sockets[0].getsockname()[1]
        yield FakeBackend(f"http://127.0.0.1:{bound}", faults, asked, requests)
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    with fake_backend(port=8099) as running:
        print(running.url, flush=True)
        threading.Event().wait()
