"""What the lesson is taught with: one image and four networks of one size, embedded, so that it needs no network."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from backend.schemas import (
    AttackRequest,
    AttackResult,
    ChannelsRequest,
    ChannelsResult,
    Choice,
    DatasetImage,
    ModelInfo,
)
from cifs_client import BackendError
from frontend.components.lab import Lab

DATASET = "fashion_mnist_mini"
METHODS = ("natural", "vanilla", "cas", "cifs")
STEPS = 20  # of the attack
FALLBACK = 34  # where the backend cannot choose an image


class Material(NamedTuple):
    lab: Lab
    models: dict[str, ModelInfo]  # by method
    image: DatasetImage
    label: int

    @property
    def natural(self) -> ModelInfo:
        return self.models["natural"]

    @property
    def thing(self) -> str:
        """What the image shows."""
        return self.natural.classes[self.label]

    @property
    def attack(self) -> Choice:
        return Choice.model_validate({"name": "pgd", "eps": self.natural.default_eps, "steps": STEPS})

    @property
    def last(self) -> str:
        """The last layer, where relevance is a row of weights."""
        return self.natural.layers[-1].name

    @property
    def inner(self) -> str:
        """The layer before it."""
        return self.natural.layers[-2].name

    def about(self, method: str = "natural") -> dict[str, Any]:
        return {"model": self.models[method].id, "images": [self.image], "attack": self.attack}

    def attacked(self, method: str = "natural") -> AttackResult:
        waiting = self.lab.waiting(f"Attacking {self.models[method].title} …")
        return waiting.attack(AttackRequest(**self.about(method))).results[0]

    def channels(self, layer: str, method: str = "natural") -> ChannelsResult:
        return self.lab.channels(ChannelsRequest(**self.about(method), layer=layer, target="label")).results[0]


def material(lab: Lab) -> Material | None:
    """None where the server does not have the networks."""
    models = embedded(lab.models())
    if "natural" not in models or "cifs" not in models:
        return None
    index = _index(lab, models["natural"])
    sample = lab.samples(DATASET, split="test", label=None, offset=index, limit=1).samples[0]
    return Material(lab, models, DatasetImage(dataset=DATASET, index=index), sample.label)


def embedded(models: Sequence[ModelInfo]) -> dict[str, ModelInfo]:
    """Of the lesson's data, one of each method: those of the smallest network."""
    suited = [m for m in models if m.dataset == "fashion_mnist" and m.method in METHODS and m.image_shape[1] == 28]
    chosen: dict[str, ModelInfo] = {}
    for model in sorted(suited, key=lambda m: (m.parameters, m.id)):
        chosen.setdefault(model.method, model)
    return chosen


def _index(lab: Lab, natural: ModelInfo) -> int:
    try:
        return lab.example(natural.id, DATASET).index
    except BackendError:
        return FALLBACK
