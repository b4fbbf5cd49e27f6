"""CIFS: seeing, measuring and teaching why CNNs are fooled, channel by channel (ICML 2021, arXiv 2102.05311).

The public names below are imported when they are first asked for, so that what needs no torch (records, plots) loads
without it.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PUBLIC = {
    "cifs.attacks": (
        "ATTACKS",
        "CW",
        "FGSM",
        "NORMS",
        "PGD",
        "Square",
        "autoattack",
        "fooled_at",
        "perturb",
        "survives",
    ),
    "cifs.channels": (
        "RELEVANCES",
        "capture",
        "channel_statistics",
        "editing",
        "intervene",
        "layer_names",
        "view",
        "views",
    ),
    "cifs.data": ("dataset", "load_images"),
    "cifs.evaluation": ("Bench", "robustness_table"),
    "cifs.methods": ("METHODS",),
    "cifs.models": ("MODELS", "adapt", "build", "insert", "unwrap"),
    "cifs.progress": ("Cancelled", "Progress"),
    "cifs.selection": ("CAS", "CIFS", "IMGFS", "attached_importance"),
    "cifs.tasks": ("TASKS", "Workspace", "run_task", "task_of"),
    "cifs.training": ("Recipe", "load_recipe", "recipe_names"),
    "cifs.zoo": ("Zoo",),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cifs' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
