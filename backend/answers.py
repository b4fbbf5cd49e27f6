"""What the laboratory's endpoints answer to their first examples; long lists are cut and floats rounded."""

from typing import Any

LABORATORY: dict[str, Any] = {
    "POST /channels/margin": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "attack": {
            "name": "pgd",
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
        },
        "results": [
            {
                "label": 8,
                "rival": 0,
                "natural": {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]},
                "adversarial": {"prediction": 0, "class_name": "T-shirt/top", "probabilities": [0.9992, 2.872e-07]},
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
        "attack": {
            "name": "pgd",
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
        },
        "results": [
            {
                "label": 8,
                "natural": {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]},
                "adversarial": {"prediction": 0, "class_name": "T-shirt/top", "probabilities": [0.9992, 2.872e-07]},
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
        "seconds": 0.7962,
    },
    "POST /channels/what-if": {
        "model": "fmnist-resnet10-w16-natural",
        "attack": {
            "name": "pgd",
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
        },
        "results": [
            {
                "label": 8,
                "natural": {
                    "before": {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]},
                    "after": {"prediction": 8, "class_name": "Bag", "probabilities": [2.149e-08, 4.739e-10]},
                },
                "adversarial": {
                    "before": {"prediction": 0, "class_name": "T-shirt/top", "probabilities": [0.9992, 2.872e-07]},
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
        "seconds": 0.4395,
    },
    "POST /channels/film": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer4.0",
        "attack": {
            "name": "pgd",
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
        },
        "results": [
            {
                "label": 8,
                "natural": {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]},
                "falls_at": 2,
                "magnification": 5.0,
                "frames": [
                    {
                        "step": 0,
                        "loss": 0.0004199,
                        "margin": -7.961,
                        "prediction": {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]},
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
        "seconds": 0.1867,
    },
    "POST /channels/saliency": {
        "model": "fmnist-resnet10-w16-natural",
        "layer": "layer3.0",
        "attack": {
            "name": "pgd",
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
        },
        "results": [
            {
                "label": 8,
                "natural": {
                    "prediction": {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]},
                    "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                    "grad_cam": [[0.06862, 0.2163], [0.0, 0.3064]],
                    "integrated_gradients": [[0.0, 0.0], [0.0, 0.0]],
                },
                "adversarial": {
                    "prediction": {"prediction": 0, "class_name": "T-shirt/top", "probabilities": [0.9992, 2.872e-07]},
                    "png": "iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBI…",
                    "grad_cam": [[0.0727, 0.0], [0.09212, 0.116]],
                    "integrated_gradients": [[-0.001015, 0.006497], [-0.004456, 0.0]],
                },
            }
        ],
    },
    "POST /attack/transfer": {
        "models": ["fmnist-resnet10-w16-natural", "fmnist-resnet10-w16-vanilla"],
        "attack": {
            "name": "pgd",
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
        },
        "labels": [8],
        "natural": {
            "fmnist-resnet10-w16-natural": [
                {"prediction": 8, "class_name": "Bag", "probabilities": [0.0003487, 6.845e-07]}
            ],
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
                "predictions": [{"prediction": 0, "class_name": "T-shirt/top", "probabilities": [0.9992, 2.872e-07]}],
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
}
