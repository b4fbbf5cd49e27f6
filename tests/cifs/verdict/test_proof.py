"""Proofs replayed: an honest one is confirmed, and every way of tampering is noticed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cifs.data import Images
from cifs.errors import DataError
from cifs.verdict import STANDS, Proof, digest_of, verify
from cifs.verdict.proof import arrays_of, restored
from cifs.verdict.trial import Trial
from tests.cifs.learned import first, first_images, learned
from tests.cifs.verdict.test_verdict import EPS, QUICK, hearing

ABOUT = {"model": "learned", "eps": EPS}


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("proof")
    decided = hearing(folder / "batches")
    decided.run()
    decided.prove(folder / "verdict-40.npz")
    assert not (folder / "batches").exists()
    return folder / "verdict-40.npz"


def check(path: Path, images: Images | None = None, **about: Any) -> Any:
    return verify(learned(), first_images(40) if images is None else images, path, {**ABOUT, **about})


def tampered(proof: Path, folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
    with np.load(proof) as file:
        arrays = {key: file[key].copy() for key in file.files}
    change(arrays)
    path = folder / "tampered.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_an_honest_proof_is_confirmed(proof: Path, tmp_path: Path) -> None:
    result = check(proof, images=first_images(40))
    expected = hearing(tmp_path).run()
    assert result.valid
    assert result.robust == int(expected.standing.sum())
    assert (result.n, result.refuted, result.problems) == (40, [], [])
    assert result.about["images"] == digest_of(first_images(40))
    assert 0 < result.robust < 40


def test_more_images_than_the_proof_is_of_do_no_harm(proof: Path) -> None:
    assert check(proof, images=first_images(50)).valid


@pytest.mark.parametrize("about", [{"model": "another"}, {"weights": "0" * 64}, {"eps": 0.01}])
def test_a_proof_of_something_else_is_invalid(proof: Path, about: dict[str, Any]) -> None:
    result = check(proof, **about)
    assert not result.valid
    assert next(iter(about)) in result.problems[0]


def _far(arrays: dict[str, np.ndarray]) -> None:
    arrays["0/half"][0, 0, 0, 0] = 2 * EPS


def _natural(arrays: dict[str, np.ndarray]) -> None:
    arrays["1/half"][0] = 0


def _nan(arrays: dict[str, np.ndarray]) -> None:
    arrays["0/half"][0, 0, 0, 0] = np.nan


def _claimed(arrays: dict[str, np.ndarray]) -> None:
    arrays["0/fell"][(arrays["0/fell"] == STANDS).nonzero()[0][0]] = 0


def _mistaken(arrays: dict[str, np.ndarray]) -> None:
    arrays["2/fell"][(arrays["2/fell"] == STANDS).nonzero()[0][0]] = -2


@pytest.mark.parametrize("change", [_far, _natural, _nan, _claimed, _mistaken])
def test_an_image_that_is_not_proved_to_be_fooled_is_named(
    proof: Path, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None]
) -> None:
    result = check(tampered(proof, tmp_path, change))
    assert not result.valid
    assert len(result.refuted) == 1
    assert result.problems == []


def _short(arrays: dict[str, np.ndarray]) -> None:
    for key in [key for key in arrays if key.startswith("2/")]:
        del arrays[key]


def test_a_batch_that_was_taken_out_is_missed(proof: Path, tmp_path: Path) -> None:
    result = check(tampered(proof, tmp_path, _short))
    assert not result.valid
    assert "40 images and speaks of 32" in result.problems[0]


def test_other_images_are_not_what_was_attacked(proof: Path) -> None:
    shuffled = first_images(40)
    other = Images(shuffled.images.flip(0), shuffled.labels.flip(0))
    assert not check(proof, images=other).valid
    assert "images is" in verify(learned(), other, proof, {"images": digest_of(other)}).problems[0]


@pytest.mark.parametrize("content", [b"", b"no zip at all"])
def test_a_file_that_is_no_proof_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "proof.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no proof") as refused:
        Proof(path)
    assert "allow_pickle" not in str(refused.value)  # numpy advises it, and what is unpickled may run code
    with pytest.raises(DataError, match="no proof"):
        check(tmp_path / "missing.npz")


def _misshapen(arrays: dict[str, np.ndarray]) -> None:
    arrays["0/half"] = arrays["0/half"][:, :, :3]


def _elsewhere(arrays: dict[str, np.ndarray]) -> None:
    arrays["0/half_index"][0] = 99


@pytest.mark.parametrize("change", [_misshapen, _elsewhere])
def test_arrays_that_do_not_belong_together_are_refused(
    proof: Path, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None]
) -> None:
    with pytest.raises(DataError, match="half"):
        check(tampered(proof, tmp_path, change))


def _of_strings(arrays: dict[str, np.ndarray]) -> None:
    """ "-1" is not −1: no image would count as one that stands."""
    arrays["0/fell"] = arrays["0/fell"].astype(str)


def _of_no_column(arrays: dict[str, np.ndarray]) -> None:
    arrays["0/fell"] = np.zeros((len(arrays["0/fell"]), 0), np.int16)


def _in_float64(arrays: dict[str, np.ndarray]) -> None:
    arrays["1/exact"] = arrays["1/exact"].astype(np.float64)


def _big_endian(arrays: dict[str, np.ndarray]) -> None:
    arrays["1/half"] = arrays["1/half"].astype(">f2")


@pytest.mark.parametrize("change", [_of_strings, _of_no_column, _in_float64, _big_endian])
def test_arrays_of_another_type_are_refused_before_anybody_reads_them(
    proof: Path, tmp_path: Path, change: Callable[[dict[str, np.ndarray]], None]
) -> None:
    with pytest.raises(DataError, match="which no verdict writes"):
        check(tampered(proof, tmp_path, change))


@pytest.mark.parametrize(
    "about", [[1], 3, {}, {"n": "40"}, {"n": True}, {"n": 0}, {"n": [40]}, {"n": float("nan")}, {"eps": "a"}]
)
def test_a_proof_that_does_not_say_what_it_is_of_is_none(proof: Path, tmp_path: Path, about: Any) -> None:
    def change(arrays: dict[str, np.ndarray]) -> None:
        known = json.loads(str(arrays["about"])) if about else {}
        arrays["about"] = np.array(json.dumps({**known, **about} if isinstance(about, dict) else about))

    with pytest.raises(DataError, match="no proof"):
        check(tampered(proof, tmp_path, change))


def test_where_float16_would_undo_an_attack_the_image_is_kept_exactly() -> None:
    """The boundary runs between x' and what float16 makes of it."""
    x, y = first(40)
    trial = Trial(learned(), x, y, EPS, stages=QUICK)
    trial.run()
    fallen = (trial.fell >= 0).nonzero()[:, 0]
    rounded = restored(x, (trial.x_adv - x).half(), EPS)

    class Knife(torch.nn.Module):
        """Right about everything but the exact adversarial images."""

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            exact = (z[:, None] == trial.x_adv[fallen]).flatten(2).all(dim=2)  # (M, fallen)
            labels = (z[:, None] - x).abs().flatten(2).amax(dim=2).argmin(dim=1)
            logits = torch.nn.functional.one_hot(y[labels], 10).float()
            return torch.where(exact.any(dim=1, keepdim=True), -logits, logits)

    trial.model = Knife()
    arrays = arrays_of(trial)
    differ = (rounded != trial.x_adv).flatten(1).any(dim=1)[fallen]
    assert differ.any()
    assert sorted(arrays["exact_index"]) == fallen[differ].tolist()
    assert (arrays["exact"] == trial.x_adv[fallen[differ]].numpy()).all()
