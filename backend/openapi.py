"""What the OpenAPI document says beside the types: every operation's errors, and answers to look at.

The answers are this server's own, recorded from the embedded natural model; long lists are cut and floats rounded.
"""

from typing import Any

from backend.answers import LABORATORY, PGD, STUDIES
from backend.errors import FULL, TITLES, UNREADABLE, ProblemResponse
from backend.schemas import Problem

EXAMPLES = {
    400: ("The body cannot be read", "There was an error parsing the body"),
    404: ("Unknown model or data set", "unknown model 'resnet'; choose from: fmnist-resnet10-w16-natural"),
    409: ("Not in this state", "job 4f1c2a9b7d3e6058 is running; only one that failed or was cancelled can be resumed"),
    413: ("Too large", "an image of 10000 × 10000 = 100000000 pixels; allowed: up to 20000000"),
    422: ("A value that is not allowed", "attack.steps = 1000000000; allowed: up to 200"),
    401: ("No key of this server", "send Authorization: Bearer <key>, a key of this server"),
    403: ("The key may not do this", "this key may 'use'; DELETE /models/mine needs one that may 'admin'"),
    429: ("The key's quota is used", "this key has used the 600 s of computation it has in an hour; retry in 40 s"),
    500: ("The server's fault", UNREADABLE),
    503: ("The queue is full", "64 computations are waiting already, as many as this server lets wait; retry in 3 s"),
    504: ("It took too long", "the computation did not end within 120 s, as long as a request may take; ask for less"),
    507: ("The server's disk is full", FULL),
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of an operation's errors."""
    return {status: _response(status) for status in statuses}


def _response(status: int) -> dict[str, Any]:
    description, detail = EXAMPLES[status]
    example = {"type": "about:blank", "title": TITLES[status], "status": status, "detail": detail, "errors": []}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    response: dict[str, Any] = {"description": description, "content": {ProblemResponse.media_type: content}}
    if status in (429, 503):
        retry_after = {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
        response["headers"] = {"Retry-After": retry_after}
    return response


def document(schema: dict[str, Any], *, keyed: bool = False) -> dict[str, Any]:
    """Completes FastAPI's document with the schema of Problem, which `responses` refers to, and with the answers."""
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components.update(problem.pop("$defs"), Problem=problem)
    if keyed:
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
        for operation in (each for path in schema["paths"].values() for each in path.values()):
            for status, response in responses(401, 403, 429).items():
                operation["responses"].setdefault(str(status), response)
    for operation, answer in ANSWERS.items():
        method, path = operation.split()
        content = schema["paths"][path][method.lower()]["responses"]["200"]["content"]
        content["application/json"]["example"] = answer
    return schema


MODEL_ID = "fmnist-resnet10-w16-natural"
PNG = "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…"
NPY = "k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRy…"
IMAGE = {"png": PNG, "npy": NPY}
NATURAL = {"prediction": 9, "class_name": "Ankle boot", "probabilities": [2.5e-05, 5.9e-06, 1.1e-05]}
ADVERSARIAL = {"prediction": 7, "class_name": "Sneaker", "probabilities": [5.8e-07, 4.5e-07, 7.9e-07]}
RIGHT = {"accuracy": 0.9206, "low": 0.9151, "high": 0.9257, "n": 10000, "correct": 9206}
FOOLED = {"accuracy": 0.0, "low": 0.0, "high": 0.0004, "n": 10000, "correct": 0}
CELLS = {
    "natural": RIGHT | {"by_class": [875, 984, 891], "settings": None},
    "pgd20": FOOLED | {"by_class": [0, 0, 0], "settings": PGD},
}
MODEL = {
    "id": MODEL_ID,
    "title": "Natural",
    "dataset": "fashion_mnist",
    "arch": "resnet10",
    "width": 16,
    "method": "natural",
    "imgf": None,
    "eps": None,
    "default_eps": 0.1,
    "parameters": 308538,
    "multiply_adds": 13016576,
    "classes": ["T-shirt/top", "Trouser", "Pullover"],
    "image_shape": [1, 28, 28],
    "layers": [{"name": "layer4.0", "channels": 128, "height": 4, "width": 4, "modified": False}],
    "evaluation": CELLS,
    "has_channel_statistics": True,
}
ROW = {
    "model": MODEL_ID,
    "title": "Natural",
    "method": "natural",
    "imgf": None,
    "dataset": "fashion_mnist",
    "arch": "resnet10",
    "width": 16,
    "epochs": 6,
    "kept": "epoch 6 of 6, best on validation images",
    "eps": 0.1,
    "trained_eps": None,
    "split": "test",
    "n": 10000,
    "classes": ["T-shirt/top", "Trouser", "Pullover"],
    "class_counts": [1000, 1000, 1000],
    "cells": CELLS,
    "strongest": "pgd20",
    "sweep": [],
    "curves": {
        "n": 10000,
        "settings": PGD,
        "eps": [RIGHT | {"eps": 0.0}, FOOLED | {"eps": 0.1}],
        "steps": [FOOLED | {"steps": 20}],
    },
    "last": None,
    "more": None,
    "checks": {
        "n": 300,
        "eps": 0.1,
        "criterion": "McNemar's exact test on the same images, two-sided, 0.05 shared by a check's comparisons",
        "results": [
            {
                "name": "large_eps",
                "title": "A large ε reaches 0 %",
                "passed": True,
                "statement": "0 % at ε = 0.1",
            }
        ],
    },
    "notes": ["robust: neither the last iterate nor any that seemed to on the way fools the model in float32"],
}
NATURAL_VIEW = {
    "target": 9,
    "activation": [0.1658, 0.3414, 0.0483],
    "relevance": [0.0445, 0.0928, -0.1126],
    "importance": [0.1621, 0.1904, 0.0901],
    "selected": [0.0269, 0.065, 0.0044],
}
ADVERSARIAL_VIEW = NATURAL_VIEW | {"activation": [0.0068, 0.024, 0.0077], "selected": [0.0011, 0.0046, 0.0007]}
LAYER = {"model": MODEL_ID, "layer": "layer4.0", "attack": PGD}
SUMMARY = {
    "activation": [0.2665, 0.4536, 0.1479],
    "frequency": [1.0, 1.0, 0.984],
    "relevance": [0.0445, 0.0928, -0.1126],
}

ANSWERS: dict[str, Any] = {
    "GET /models/{id}/example": {
        "model": MODEL_ID,
        "dataset": "fashion_mnist_mini",
        "split": "test",
        "index": 34,
        "of": 40,
        "right": 37,
        "fooled": 37,
        "telling": 3,
        "layers": ["layer3.0", "layer4.0"],
        "tells": True,
        "attack": PGD,
        "rule": "Of 40 test images the one that shows most clearly how PGD-20 fools the model. It raises most NR and "
        "lowers most PR channels of layer3.0 and layer4.0, and zeroing those NR channels brings the label back, while "
        "zeroing as many random ones does not.",
    },
    "GET /health": {
        "status": "ok",
        "version": "0.2.0",
        "device": "cpu",
        "models": [MODEL_ID],
        "models_loaded": [MODEL_ID],
        "computing": 0,
        "queue_length": 0,
        "queue_limit": 64,
    },
    "GET /ready": {"ready": True, "models": 15, "jobs": False},
    "GET /models": [MODEL],
    "GET /models/{id}": MODEL,
    "GET /models/{id}/robustness": ROW,
    "GET /robustness": {
        "columns": [{"key": "pgd20", "title": "PGD-20", "description": "20 steps of ε/10, no random start"}],
        "rows": [ROW],
        "paper": [
            {
                "source": "poster",
                "title": "CIFS (softmax)",
                "method": "cifs",
                "imgf": "softmax",
                "dataset": "cifar10",
                "arch": "resnet18",
                "width": 64,
                "epochs": 120,
                "kept": "the last, ckp_119.pt",
                "eps": 8 / 255,
                "accuracy": {"natural": 0.8386, "pgd20": 0.5123, "pgd100": 0.487},
                "strongest": "pgd100",
            }
        ],
    },
    "GET /robustness/groups": ["fashion_mnist, resnet10, width 16, ε = 0.1"],
    "GET /robustness/compare": {
        "first": "fmnist-resnet10-w16-cifs-softmax",
        "second": "fmnist-resnet10-w16-vanilla",
        "dataset": "fashion_mnist",
        "split": "test",
        "eps": 0.1,
        "columns": [
            {
                "column": "pgd100",
                "n": 10000,
                "first": 0.7444,
                "second": 0.7513,
                "only_first": 175,
                "only_second": 244,
                "low": -0.01091,
                "high": -0.00288,
                "p_value": 0.00087,
            }
        ],
        "settings": [],
    },
    "GET /models/{id}/channel-statistics": {
        "model": MODEL_ID,
        "dataset": "fashion_mnist_mini",
        "split": "test",
        "layer": "layer4.0",
        "layers": ["stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0"],
        "class_index": 9,
        "class_name": "Ankle boot",
        "n": 188,
        "attack": PGD,
        "natural": SUMMARY,
        "adversarial": SUMMARY | {"activation": [0.0533, 0.1599, 0.1148], "frequency": [0.516, 0.75, 0.4947]},
        "shift": {
            "nr_over_activation": {"mean": 0.2044, "low": 0.1885, "high": 0.2207, "n": 188},
            "pr_under_activation": {"mean": 0.4283, "low": 0.4015, "high": 0.4555, "n": 188},
            "mean_activation": 0.3307,
        },
        "shift_all": {
            "nr_over_activation": {"mean": 0.3387, "low": 0.3336, "high": 0.3437, "n": 2000},
            "pr_under_activation": {"mean": 0.2626, "low": 0.2538, "high": 0.2715, "n": 2000},
            "mean_activation": 0.3307,
        },
    },
    "GET /datasets": [
        {
            "name": "fashion_mnist_mini",
            "title": "Fashion-MNIST (embedded part)",
            "available": True,
            "classes": ["T-shirt/top", "Trouser", "Pullover"],
            "image_shape": [1, 28, 28],
            "eps": 0.1,
            "sizes": {"train": 2000, "test": 2000},
            "drawn": False,
            "notes": [],
        }
    ],
    "GET /datasets/{name}/samples": {
        "dataset": "fashion_mnist_mini",
        "split": "test",
        "total": 2000,
        "offset": 0,
        "samples": [{"index": 0, "label": 9, "class_name": "Ankle boot", "png": PNG}],
    },
    "GET /attacks": [
        {
            "name": "pgd",
            "title": "PGD: projected gradient ascent (arXiv 1706.06083)",
            "description": "PGD: projected gradient ascent (arXiv 1706.06083).",
            "parameters": {
                "type": "object",
                "properties": {"steps": {"type": "integer", "default": 20, "minimum": 1, "maximum": 200}},
            },
        }
    ],
    "GET /imgfs": [
        {
            "name": "softplus",
            "title": "softplus: m_i = log(1 + exp(α g_i)) / α",
            "description": "softplus: m_i = log(1 + exp(α g_i)) / α.",
            "parameters": {
                "type": "object",
                "properties": {"alpha": {"type": "number", "default": 5.0, "minimum": 0.0001, "maximum": 10000.0}},
            },
        }
    ],
    "GET /relevances": [
        {
            "name": "assessed",
            "title": "Assessed relevance",
            "description": "g = ∇_δ Σ_{i ∈ top-k} A(z + δ1ᵀ)[i].",
            "parameters": {
                "type": "object",
                "properties": {"k": {"type": "integer", "default": 2, "minimum": 1}},
            },
        }
    ],
    "POST /attack": {
        "model": MODEL_ID,
        "attack": PGD,
        "results": [
            {
                "label": 9,
                "natural": NATURAL,
                "adversarial": ADVERSARIAL,
                "success": True,
                "linf": 0.10000002384185791,
                "size": 0.10000002384185791,
                "norm": "linf",
                "natural_image": IMAGE,
                "image": IMAGE,
                "png_success": True,
                "perturbation": {"png": PNG, "npy": NPY, "magnification": 5.0},
                "trajectory": [{"step": 0, "loss": 0.0017, "prediction": 9, "probabilities": NATURAL["probabilities"]}],
            }
        ],
        "seconds": 0.1321,
    },
    "POST /channels": LAYER
    | {
        "relevance": {"name": "true"},
        "imgf": {"name": "softplus", "alpha": 5.0},
        "importance_source": "request",
        "results": [{"label": 9, "natural": NATURAL | NATURAL_VIEW, "adversarial": ADVERSARIAL | ADVERSARIAL_VIEW}],
    },
    "POST /channels/maps": LAYER
    | {
        "results": [
            {
                "label": 9,
                "channels": [
                    {"channel": 0, "natural": [[0.2971, 0.0], [0.411, 1.0478]], "adversarial": [[0.0, 0.0], [0.0, 0.0]]}
                ],
            }
        ]
    },
    "POST /channels/intervene": LAYER
    | {
        "results": [
            {
                "label": 9,
                "natural": {"before": NATURAL, "after": NATURAL},
                "adversarial": {"before": ADVERSARIAL, "after": ADVERSARIAL},
            }
        ]
    },
}
ANSWERS |= LABORATORY | STUDIES
