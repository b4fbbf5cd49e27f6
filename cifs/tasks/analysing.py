"""What there is to say of one image under one attack at one layer: computed here, written by `cifs.report.analysis`."""

import hashlib
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cifs import __version__
from cifs.attacks import Attack, Step, perturb
from cifs.channels import Patching, circuits, margin_curves, margin_split, share_of_random_sets, views
from cifs.channels.circuit import Circuit, margin_curve
from cifs.data import dataset, load_images, png
from cifs.errors import InvalidParameter
from cifs.models import CNN
from cifs.plot.circuit import PatchInfo
from cifs.plot.reading import reading
from cifs.plot.trajectory import iterates
from cifs.progress import Report, unreported
from cifs.report.analysis import About, CircuitChannel, Findings
from cifs.report.card import excerpt
from cifs.zoo import Entry

AROUND = "paths around the layer"


class Subject(NamedTuple):
    """One image on a model, to be attacked and looked at at one layer."""

    model: CNN
    layer: str
    x: Tensor  # (1, C₀, H, W)
    y: Tensor  # (1,)
    attack: Attack


def image_of(data: str, index: int) -> tuple[Tensor, Tensor]:
    """x (1, C, H, W) and y (1,) of a test image. Raises InvalidParameter where there is none."""
    images = load_images(data, "test")
    if not 0 <= index < len(images):
        raise InvalidParameter(f"index {index}: {data} has test images 0 to {len(images) - 1}")
    return images.batch(slice(index, index + 1))


def analyse(of: Subject, *, report: Report = unreported) -> tuple[Findings, Tensor]:
    """All that the page shows, and the adversarial image (1, C₀, H, W). Raises UnknownName for the layer."""
    steps: list[Step] = []
    x_adv = perturb(of.model, of.x, of.y, of.attack, record=steps.append, report=report)
    natural, attacked = (views(of.model, [of.layer], x, classes=of.y)[of.layer] for x in (of.x, x_adv))
    split = margin_split(of.model, of.layer, of.x, x_adv, of.y, report=report)
    patching = Patching(of.model, [of.layer], x_adv, of.x, of.y, restoring=True)
    (found,) = circuits(patching, report=report)
    elsewhere = {f"m of {layer}": float(part[0]) for layer, part in split.by_maps_above.items()}
    if abs(around := float(split.bypassed[0])) > 1e-4:
        elsewhere[AROUND] = around
    findings = Findings(
        label=int(of.y), rival=int(split.rivals[0]), pictures=_pictures(of, x_adv),
        natural=natural.logits.softmax(dim=1)[0].tolist(), adversarial=attacked.logits.softmax(dim=1)[0].tolist(),
        trajectory=iterates(steps), readings=(reading(natural), reading(attacked)),
        margins=(float(split.natural[0]), float(split.adversarial[0])), by_channel=split.by_channel[0].tolist(),
        elsewhere=elsewhere, off=float(split.completeness_error[0]), exact=split.exact,
        circuit=_circuit(patching, found), patched=_patched(patching, found, natural.relevance[0]),
        random_share=share_of_random_sets(patching, 0, len(found.channels)),
    )  # fmt: skip
    return findings, x_adv


def _pictures(of: Subject, x_adv: Tensor) -> dict[str, str]:
    change = x_adv - of.x
    magnification = 0.5 / max(float(change.abs().max()), 1e-6)
    return {
        "natural": png(of.x[0]),
        "adversarial": png(x_adv[0]),
        f"the change, ×{magnification:.3g} (grey: none)": png(0.5 + magnification * change[0]),
    }


def _circuit(patching: Patching, found: Circuit) -> list[CircuitChannel]:
    margins = margin_curve(patching, 0, found.channels, range(1, len(found.channels) + 1)).tolist()
    return [CircuitChannel(*pair) for pair in zip(found.channels.tolist(), margins, strict=True)]


def _patched(patching: Patching, found: Circuit, relevance: Tensor) -> PatchInfo:
    curves = margin_curves(patching, 0, found, relevance)
    random = curves.random
    return PatchInfo(
        curves.counts, curves.circuit.tolist(), curves.relevance.tolist(), random.mean(dim=0).tolist(),
        random.amin(dim=0).tolist(), random.amax(dim=0).tolist(), len(found.channels), found.reached, True,
    )  # fmt: skip


def about(of: Subject, x_adv: Tensor, entry: Entry, image: str, commands: Mapping[str, str]) -> About:
    """image: in words. commands: that compute it again."""
    info = entry.info
    imgf: Mapping[str, Any] | None = entry.config.get("imgf")
    digests = entry.digests()
    facts = {
        "weights, SHA-256": digests["weights"],
        "configuration, SHA-256": digests["configuration"],
        "natural image, SHA-256 of its float32": _digest(of.x),
        "adversarial image, SHA-256 of its float32": _digest(x_adv),
        "CIFS Lab": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
        "device": str(of.x.device),
    }
    return About(
        entry.id, info.title, image, of.layer, dataset(info.dataset).classes, of.attack.resolved(), imgf,
        excerpt(entry), facts, commands,
    )  # fmt: skip


def _digest(x: Tensor) -> str:
    return hashlib.sha256(x.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()
