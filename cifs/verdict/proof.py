"""The adversarial images of a verdict, kept so that anyone can check it in seconds: a verdict is a proof.

A .npz holds what the verdict is of (`about`, JSON) and, batch by batch, where each image fell and its adversarial
image: as δ in float16 where x' = clamp(x + clamp(δ, −ε, ε), 0, 1) still fools the model in float32, else x' itself.
That an image stands cannot be proved; so what is proved is that robust accuracy is no higher than the verdict says.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cifs.data import Images
from cifs.errors import DataError
from cifs.files import UNREADABLE_NPZ, reason, replacing
from cifs.modes import eval_mode
from cifs.precision import device_of
from cifs.records import ProofCheck
from cifs.verdict.trial import MISTAKEN, STANDS, Trial, logits_of

Arrays = dict[str, NDArray[Any]]
# Type and dimensions of each array, held to when a proof is read: two readings of another type may differ, and "-1" is
# no image that stands.
KINDS = {
    "fell": (np.dtype(np.int16), 1),
    "half_index": (np.dtype(np.int32), 1),
    "half": (np.dtype(np.float16), 4),
    "exact_index": (np.dtype(np.int32), 1),
    "exact": (np.dtype(np.float32), 4),
}
ROUNDED = 1e-6  # by so much float32 may leave the ball
HALF_ROUNDED = 2**-10  # of ε: by so much float16 may


def arrays_of(trial: Trial) -> Arrays:
    """A batch as the file keeps it."""
    fallen = (trial.fell >= 0).nonzero()[:, 0]
    x = trial.x[fallen]
    half = (trial.x_adv[fallen] - x).half()
    with eval_mode(trial.model):
        survives_rounding = _fooled(trial.model, restored(x, half, trial.eps), trial.y[fallen])
    exact = fallen[~survives_rounding]
    return {
        "fell": trial.fell.cpu().numpy().astype(np.int16),
        "half_index": fallen[survives_rounding].cpu().numpy().astype(np.int32),
        "half": half[survives_rounding].cpu().contiguous().numpy(),
        "exact_index": exact.cpu().numpy().astype(np.int32),
        "exact": trial.x_adv[exact].cpu().contiguous().numpy(),
    }


def restored(x: Tensor, half: Tensor, eps: float) -> Tensor:
    """x' of images x and perturbations δ in float16, both (M, C, H, W)."""
    return (x + half.to(x).clamp(-eps, eps)).clamp(0, 1)


def write_proof(path: Path, about: Mapping[str, Any], batches: Sequence[Path]) -> None:
    """One file of the files of all batches; memory holds one array."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as proof:
        with proof.open("about.npy", "w") as member:
            np.lib.format.write_array(member, np.array(json.dumps(about)), allow_pickle=False)
        for number, batch in enumerate(batches):
            with zipfile.ZipFile(batch) as arrays:
                for name in arrays.namelist():
                    proof.writestr(f"{number}/{name}", arrays.read(name))


class Proof:
    """A proof, read a batch at a time. Raises DataError where the file is damaged or none of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                about = json.loads(str(arrays["about"]))
                self.batches = len({name.partition("/")[0] for name in arrays.files if "/" in name})
            self.about: dict[str, Any] = dict(about)
            self.n, self.eps = self.about["n"], self.about["eps"]
            if type(self.n) is not int or self.n < 1 or type(self.eps) is not float:
                raise TypeError(f"n is {self.n!r}, eps {self.eps!r}")
        except UNREADABLE_NPZ as error:
            raise DataError(f"{path} is no proof of a verdict ({reason(error)})") from error

    def __iter__(self) -> Iterator[Arrays]:
        with self.path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            for number in range(self.batches):
                try:
                    batch = {key: arrays[f"{number}/{key}"] for key in KINDS}
                except UNREADABLE_NPZ as error:
                    raise DataError(f"{self.path}: batch {number} is damaged ({reason(error)})") from error
                for key, array in batch.items():
                    if (array.dtype, array.ndim) != KINDS[key]:
                        kind = f"{array.ndim} dimensions of {array.dtype}"
                        raise DataError(f"{self.path}: {key} of batch {number} has {kind}, which no verdict writes")
                yield batch


class Claimed(NamedTuple):
    """Adversarial images of one batch: which, and why they may be none."""

    images: Tensor  # (M,) indices
    x_adv: Tensor  # (M, C, H, W)
    inside: Tensor  # (M,) bool: within ε and [0, 1]


def verify(model: nn.Module, images: Images, path: Path, about: Mapping[str, Any]) -> ProofCheck:
    """Every claim of the proof, confirmed in float32 or not.

    about: what the caller holds it against (digests of weights, configuration and images, ε, …); a proof of anything
    else is invalid. Raises DataError for a file that is no proof.
    """
    proof = Proof(path)
    problems = [
        f"{key} is {proof.about.get(key)!r}, here it is {value!r}"
        for key, value in about.items()
        if proof.about.get(key) != value
    ]
    first, robust, refuted = 0, 0, []
    device = device_of(model)
    with eval_mode(model):
        for arrays in proof if not problems else ():
            index = torch.arange(first, min(first + len(arrays["fell"]), len(images)))
            x, y = images.batch(index)
            if len(x) < len(arrays["fell"]):
                problems.append(f"it is of more images than the {len(images)} here")
                break
            bad = _refuted(model, x.to(device), y.to(device), arrays, proof.eps)
            refuted += (first + bad).tolist()
            robust += int((arrays["fell"] == STANDS).sum())
            first += len(x)
    if not problems and first != proof.n:
        problems.append(f"it says to be of {proof.n} images and speaks of {first}")
    return ProofCheck(
        valid=not problems and not refuted,
        n=proof.n,
        robust=robust,
        refuted=refuted,
        problems=problems,
        about=proof.about,
    )


def _refuted(model: nn.Module, x: Tensor, y: Tensor, arrays: Arrays, eps: float) -> Tensor:
    """Indices of the images of a batch that are said to be fooled, and are not proved to be."""
    fell = torch.from_numpy(arrays["fell"].astype(np.int64)).to(x.device)
    proved = torch.zeros_like(fell, dtype=torch.bool)
    mistaken = (fell == MISTAKEN).nonzero()[:, 0]
    proved[mistaken] = _fooled(model, x[mistaken], y[mistaken])
    for claimed in (_halves(x, arrays, eps), _exact(x, arrays, eps)):
        proved[claimed.images] |= claimed.inside & _fooled(model, claimed.x_adv, y[claimed.images])
    return ((fell != STANDS) & ~proved).nonzero()[:, 0]


def _halves(x: Tensor, arrays: Arrays, eps: float) -> Claimed:
    index, half = _indexed(x, arrays, "half")
    inside = _within(half.float(), eps * (1 + HALF_ROUNDED))
    return Claimed(index, restored(x[index], half.nan_to_num(), eps), inside)


def _exact(x: Tensor, arrays: Arrays, eps: float) -> Claimed:
    index, x_adv = _indexed(x, arrays, "exact")
    inside = _within(x_adv - x[index], eps + ROUNDED) & ((x_adv >= 0) & (x_adv <= 1)).flatten(1).all(dim=1)
    return Claimed(index, x_adv, inside)


def _indexed(x: Tensor, arrays: Arrays, key: str) -> tuple[Tensor, Tensor]:
    """Indices and arrays that belong together. Raises DataError where they do not fit the images."""
    index = torch.from_numpy(arrays[f"{key}_index"].astype(np.int64)).to(x.device)
    values = torch.from_numpy(arrays[key]).to(x.device)
    if values.shape != (len(index), *x.shape[1:]) or (
        len(index) and not 0 <= int(index.min()) <= int(index.max()) < len(x)
    ):
        raise DataError(f"{key}: {tuple(values.shape)} for {len(index)} of {len(x)} images of {tuple(x.shape[1:])}")
    return index, values


def _within(delta: Tensor, eps: float) -> Tensor:
    """(M,) bool; false for what is no number."""
    return (delta.abs() <= eps).flatten(1).all(dim=1)


@torch.no_grad()
def _fooled(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """(N,) bool, in float32"""
    if not len(x):
        return torch.zeros(0, dtype=torch.bool, device=x.device)
    return logits_of(model, x).argmax(dim=1) != y
