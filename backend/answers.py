"""What the laboratory's and the studies' endpoints answer; long lists are cut and floats rounded."""

from typing import Any

PGD = {
    "name": "pgd",
    "norm": "linf",
    "eps": 0.1,
    "steps": 20,
    "step_size": 0.01,
    "random_start": False,
    "restarts": 1,
    "loss": "ce",
    "beta": 2.0,
    "target": None,
    "through_mask": False,
    "keep": "last",
    "seed": 0,
}
BAG = {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]}
TOP = {"prediction": 0, "class_name": "T-shirt/top", "probabilities": [0.9992, 2.872e-07]}

NOTE = {"layer": "layer3.0", "channel": 10, "text": "Fires on handles.", "written": "2026-11-26T19:00:00+00:00"}
LABORATORY: dict[str, Any] = {
    "POST /channels/margin": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "attack": PGD,
        "results": [
            {
                "label": 8,
                "rival": 0,
                "natural": BAG,
                "adversarial": TOP,
                "natural_margin": -7.961,
                "adversarial_margin": 16.71,
                "passed": 24.67,
                "bypassed": 0.0,
                "exact": True,
                "completeness_error": 3.815e-06,
                "by_features": [0.03698, 0.007774],
                "by_importance": None,
                "by_maps_above": {},
                "relevance": [0.103, -0.1906],
            }
        ],
    },
    "POST /channels/circuit": {
        "model": "fmnist-resnet10-w16-natural",
        "layers": ["layer4.0"],
        "direction": "restore",
        "attack": PGD,
        "results": [
            {
                "label": 8,
                "natural": BAG,
                "adversarial": TOP,
                "reached": True,
                "channels": [
                    {"layer": "layer4.0", "channel": 109, "margin": 14.71, "relevance": -0.1301},
                    {"layer": "layer4.0", "channel": 76, "margin": 13.05, "relevance": -0.1831},
                ],
                "patched": {"prediction": 8, "class_name": "Bag", "probabilities": [0.3638, 0.001047]},
                "channels_in_all": 128,
                "random_share": 0.0,
                "curves": {
                    "counts": [0, 1],
                    "circuit": [16.71, 14.71],
                    "relevance": [16.71, 16.05],
                    "random": [16.71, 16.56],
                    "random_low": [16.71, 16.02],
                    "random_high": [16.71, 16.74],
                },
            }
        ],
        "seconds": 0.8682,
    },
    "POST /channels/what-if": {
        "model": "fmnist-resnet10-w16-natural",
        "attack": PGD,
        "results": [
            {
                "label": 8,
                "natural": {
                    "before": BAG,
                    "after": {"prediction": 8, "class_name": "Bag", "probabilities": [2.149e-08, 4.739e-10]},
                },
                "adversarial": {
                    "before": TOP,
                    "after": {"prediction": 8, "class_name": "Bag", "probabilities": [0.008366, 5.812e-05]},
                },
                "again": [
                    {
                        "through_mask": False,
                        "prediction": {"prediction": 4, "class_name": "Coat", "probabilities": [0.001482, 0.0007515]},
                        "success": True,
                    },
                    {
                        "through_mask": True,
                        "prediction": {"prediction": 4, "class_name": "Coat", "probabilities": [0.001482, 0.0007515]},
                        "success": True,
                    },
                ],
                "control": {"draws": 10, "natural_right": 8, "adversarial_right": 0},
                "edited_channels": {"layer3.0": 27},
            }
        ],
        "seconds": 0.4565,
    },
    "POST /channels/film": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "attack": PGD,
        "results": [
            {
                "label": 8,
                "natural": BAG,
                "falls_at": 2,
                "magnification": 5.0,
                "frames": [
                    {
                        "step": 0,
                        "loss": 0.0004199,
                        "margin": -7.961,
                        "prediction": BAG,
                        "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                        "perturbation": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                    },
                    {
                        "step": 1,
                        "loss": 0.006978,
                        "margin": -5.161,
                        "prediction": {"prediction": 8, "class_name": "Bag", "probabilities": [0.005698, 1.025e-05]},
                        "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                        "perturbation": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                    },
                ],
                "moved": [
                    {"channel": 95, "relevance": 0.1121, "activation": [0.2625, 0.3245], "importance": None},
                    {"channel": 109, "relevance": -0.1301, "activation": [0.2656, 0.3806], "importance": None},
                ],
                "divergence": {
                    "stem": [1.035e-07, 0.05242],
                    "layer1.0": [1.499e-07, 0.1164],
                    "layer2.0": [2.001e-07, 0.1564],
                    "layer3.0": [2.883e-07, 0.1821],
                    "layer4.0": [2.965e-07, 0.1902],
                },
            }
        ],
        "seconds": 0.3163,
    },
    "POST /channels/saliency": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer3.0",
        "attack": PGD,
        "results": [
            {
                "label": 8,
                "natural": {
                    "prediction": BAG,
                    "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                    "grad_cam": [[0.06862, 0.2163], [0.0, 0.3064]],
                    "integrated_gradients": [[0.0, 0.0], [0.0, 0.0]],
                },
                "adversarial": {
                    "prediction": TOP,
                    "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                    "grad_cam": [[0.0727, 0.0], [0.09212, 0.116]],
                    "integrated_gradients": [[-0.001015, 0.006497], [-0.004456, 0.0]],
                },
            }
        ],
    },
    "POST /attack/transfer": {
        "models": ["fmnist-resnet10-w16-natural", "fmnist-resnet10-w16-vanilla"],
        "attack": PGD,
        "labels": [8],
        "natural": {
            "fmnist-resnet10-w16-natural": [BAG],
            "fmnist-resnet10-w16-vanilla": [
                {"prediction": 8, "class_name": "Bag", "probabilities": [0.0001315, 1.227e-06]}
            ],
        },
        "entries": [
            {
                "source": "fmnist-resnet10-w16-natural",
                "shown": "fmnist-resnet10-w16-natural",
                "right_before": 1,
                "fooled": 1,
                "predictions": [TOP],
            },
            {
                "source": "fmnist-resnet10-w16-natural",
                "shown": "fmnist-resnet10-w16-vanilla",
                "right_before": 1,
                "fooled": 0,
                "predictions": [{"prediction": 8, "class_name": "Bag", "probabilities": [0.0002592, 2.473e-06]}],
            },
        ],
    },
    "POST /channels/response": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "attack": PGD,
        "eps": [0.0, 0.025],
        "results": [
            {
                "label": 8,
                "predictions": [8, 0],
                "channels": [
                    {"channel": 10, "activation": [2.619, 1.253], "relevance": [0.526, 0.526]},
                    {"channel": 3, "activation": [0.1745, 0.5155], "relevance": [-0.1122, -0.1122]},
                ],
            }
        ],
    },
    "POST /channels/faithfulness": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer3.0",
        "attack": None,
        "n": 1,
        "shares": [0.0, 0.0625],
        "notions": [
            {
                "notion": "true",
                "title": "True relevance g",
                "correlation": {"mean": 0.9387, "low": 0.9387, "high": 0.9387, "n": 1},
                "deletion": {"mean": 0.1094, "low": 0.1094, "high": 0.1094, "n": 1},
                "insertion": {"mean": 0.9243, "low": 0.9243, "high": 0.9243, "n": 1},
                "deletion_curve": [0.9996, 0.8794],
                "insertion_curve": [0.0001093, 0.3263],
            },
            {
                "notion": "gradient_x_activation",
                "title": "Gradient × activation",
                "correlation": {"mean": 0.9931, "low": 0.9931, "high": 0.9931, "n": 1},
                "deletion": {"mean": 0.06857, "low": 0.06857, "high": 0.06857, "n": 1},
                "insertion": {"mean": 0.9165, "low": 0.9165, "high": 0.9165, "n": 1},
                "deletion_curve": [0.9996, 0.5479],
                "insertion_curve": [0.0001093, 0.1765],
            },
        ],
        "correlations": [[1.0, 0.9504], [0.9504, 1.0]],
        "seconds": 1.338,
    },
    "GET /models/{id}/layers/{layer}/channels/{channel}": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "channel": 83,
        "channels": 128,
        "dataset": "fashion_mnist_mini",
        "split": "test",
        "n": 2000,
        "by_activation": [
            {
                "index": 85,
                "label": 0,
                "class_name": "T-shirt/top",
                "value": 2.111,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
            {
                "index": 1372,
                "label": 0,
                "class_name": "T-shirt/top",
                "value": 2.1,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
        ],
        "by_relevance": [
            {
                "index": 85,
                "label": 0,
                "class_name": "T-shirt/top",
                "value": 1.275,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
            {
                "index": 1372,
                "label": 0,
                "class_name": "T-shirt/top",
                "value": 1.268,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
        ],
        "attack": PGD,
        "attacked_by_activation": [
            {
                "index": 1771,
                "label": 6,
                "class_name": "Shirt",
                "value": 3.685,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
            {
                "index": 293,
                "label": 6,
                "class_name": "Shirt",
                "value": 3.655,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
        ],
        "attacked_by_relevance": [
            {
                "index": 1691,
                "label": 3,
                "class_name": "Dress",
                "value": 0.2283,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
            {
                "index": 990,
                "label": 3,
                "class_name": "Dress",
                "value": 0.2232,
                "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                "seen": {"top": 0, "left": 0, "bottom": 28, "right": 28},
            },
        ],
        "classes": ["T-shirt/top", "Trouser"],
        "activation": [1.132, 0.1274],
        "relevance": [0.604, -0.09068],
        "nearest": [{"channel": 76, "correlation": 0.9021}, {"channel": 109, "correlation": 0.8798}],
    },
    "POST /survey": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "attack": PGD,
        "n": 8,
        "kept": False,
        "index": [0, 1],
        "label": [9, 2],
        "prediction": {"natural": [9, 2], "adversarial": [7, 4], "noise": [7, 4]},
        "margin": {"natural": [-6.745, -6.609], "adversarial": [10.73, 10.01], "noise": [2.338, 1.527]},
        "confusion": {"natural": [[0, 0], [0, 3]], "adversarial": [[0, 0], [0, 0]], "noise": [[0, 0], [0, 0]]},
        "channels": {
            "counts": [0, 3],
            "relevance": [None, [0.1553, -0.07199]],
            "natural": [None, [0.7272, 0.05849]],
            "adversarial": [None, [0.4415, 0.09298]],
            "noise": [None, [0.583, 0.1728]],
        },
        "seconds": 1.312,
    },
}

STUDIES: dict[str, Any] = {
    "GET /studies/{name}": {
        "name": "overfitting",
        "title": "Channel selection and robust overfitting",
        "question": "Does CIFS delay robust overfitting, and is it the mask or the probes that do?",
        "recipe": "cpu/cifar10-500-resnet10-w16",
        "planned": 45,
        "measured": 0,
        "arms": {"vanilla": "Vanilla AT", "cifs-softmax": "CIFS-softmax (importances average to 1, no label)"},
        "regimes": {"overfitting": "500 images", "short": "500 images, 12 epochs"},
        "cells": [
            {
                "id": "overfitting-vanilla-1",
                "regime": "overfitting",
                "arm": "vanilla",
                "seed": 1,
                "state": "missing",
                "epoch": 0,
                "epochs": 32,
                "validated": {},
            }
        ],
        "record": {
            "name": "overfitting",
            "title": "Channel selection and robust overfitting",
            "question": "Does CIFS delay robust overfitting, and is it the mask or the probes that do?",
            "test_images": 2000,
            "held_out": False,
            "alpha": 0.005,
            "arms": {"vanilla": "Vanilla AT", "cifs-softmax": "CIFS-softmax (importances average to 1, no label)"},
            "regimes": {"overfitting": "500 images", "short": "500 images, 12 epochs"},
            "levels": ["natural", "unadaptive", "adaptive", "strongest"],
            "measured": 42,
            "planned": 45,
            "accuracies": [
                {
                    "mean": 0.2758,
                    "low": 0.2531,
                    "high": 0.2985,
                    "by_seed": {"1": 0.2785, "2": 0.2635, "3": 0.2725, "4": 0.2835, "5": 0.281},
                    "regime": "overfitting",
                    "arm": "vanilla",
                    "checkpoint": "best",
                    "level": "natural",
                    "epochs": [8, 6, 10, 8, 10],
                    "untrusted": 0,
                }
            ],
            "gains": [
                {
                    "mean": 0.0126,
                    "low": -0.05692,
                    "high": 0.08212,
                    "by_seed": {"1": -0.013, "2": 0.0545, "3": -0.0115, "4": 0.027, "5": 0.006},
                    "regime": "overfitting",
                    "arm": "cifs-softmax",
                    "against": "vanilla",
                    "checkpoint": "best",
                    "level": "natural",
                    "minus": None,
                    "p": 0.381,
                    "p_bootstrap": 0.3676,
                }
            ],
            "tests": [
                {
                    "mean": -0.0123,
                    "low": -0.02262,
                    "high": -0.001982,
                    "by_seed": {"1": -0.016, "2": -0.0055, "3": -0.0145, "4": -0.017, "5": -0.0085},
                    "regime": "overfitting",
                    "arm": "cifs-softmax",
                    "against": "vanilla",
                    "checkpoint": "last",
                    "level": "adaptive",
                    "minus": None,
                    "p": 0.001871,
                    "p_bootstrap": 0.005199,
                    "name": "H1, last epoch",
                    "p_corrected": 0.009357,
                    "seeds_needed": 8,
                }
            ],
            "curves": [
                {
                    "regime": "overfitting",
                    "arm": "vanilla",
                    "epoch": 2,
                    "training": [0.122, 0.15],
                    "natural": [0.22, 0.222],
                    "unadaptive": [0.172, 0.118],
                    "adaptive": [0.172, 0.118],
                }
            ],
        },
        "published": True,
        "verdicts": [
            {
                "name": "H1",
                "statement": "CIFS delays robust overfitting: ahead of vanilla after the last epoch, and not at "
                "the best",
                "outcome": "refuted",
                "sentence": "CIFS-softmax against Vanilla AT, last epoch, adaptive: -1.23 points (-2.26 to "
                "-0.20; 5 seeds; p = 0.0094; gain expected); CIFS-softmax against Vanilla AT, best "
                "epoch, adaptive: -0.48 points (-3.01 to +2.05; 5 seeds; p = 1; no gain expected), "
                "and 39 seeds would find one point; Vanilla AT loses 8.7 points from best to "
                "last.",
            }
        ],
    },
}
STUDIES["GET /studies"] = [
    {key: STUDIES["GET /studies/{name}"][key] for key in ("name", "title", "question", "recipe", "planned", "measured")}
]
LABORATORY |= {
    "POST /channels/visualise": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer3.0",
        "channel": 10,
        "steps": 16,
        "seed": 0,
        "robust": True,
        "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
        "start": 0.2905,
        "reached": 0.5383,
        "climb": [0.2905, 0.3417, 0.3746],
        "control_png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
        "control": 0.2187,
        "exemplar": 0.3352,
        "seconds": 0.35,
    },
    "GET /models/{id}/notes": [NOTE],
    "PUT /models/{id}/layers/{layer}/channels/{channel}/note": NOTE,
    "DELETE /models/{id}/layers/{layer}/channels/{channel}/note": NOTE,
}
