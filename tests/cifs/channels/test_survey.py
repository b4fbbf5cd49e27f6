"""A survey against one image at a time, looked at by hooks of the test's own."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cifs.attacks import ATTACKS, PGD, Attack, perturb
from cifs.channels import Survey, Surveyor
from cifs.channels.survey import shuffled_signs
from cifs.data import load_images
from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.models import CNN
from cifs.progress import Cancelled, Progress
from cifs.registry import configure
from cifs.tasks import SurveyImages, Workspace, run_task, survey_of, survey_path, task_of
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import K, images, tiny

N = 24
LAYER = "layer3.0"
FGSM: Attack = configure(ATTACKS, "fgsm", {"eps": 0.1})


@pytest.fixture(scope="module")
def model() -> CNN:
    return tiny("cifs")


@pytest.fixture(scope="module")
def batch(model: CNN) -> tuple[Tensor, Tensor, Tensor]:
    x, y = images(N)
    return x, perturb(model, x, y, PGD(eps=0.05, steps=3)), y


@pytest.fixture(scope="module")
def found(model: CNN, batch: tuple[Tensor, Tensor, Tensor]) -> Survey:
    surveyor = Surveyor(model)
    for part in (slice(0, 10), slice(10, 11), slice(11, N)):
        surveyor.add(*(t[part] for t in batch))
    return surveyor.survey()


@torch.no_grad()
def alone(model: CNN, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (K,) and the layer's mean over positions (C,) of one image."""
    seen: list[Tensor] = []
    handle = model.get_submodule(LAYER).register_forward_hook(lambda module, inputs, z: seen.append(z))
    logits = model(x[None])[0]
    handle.remove()
    return logits, seen[0][0].mean(dim=(1, 2))


@pytest.mark.parametrize(("inputs", "which"), [("natural", 0), ("adversarial", 1)])
def test_every_image_is_as_it_is_alone(
    found: Survey, model: CNN, batch: tuple[Tensor, Tensor, Tensor], inputs: str, which: int
) -> None:
    y = batch[2]
    for i, x in enumerate(batch[which]):
        logits, _ = alone(model, x)
        wrong = torch.cat([logits[: y[i]], logits[y[i] + 1 :]])
        assert found.predictions[inputs][i] == logits.argmax()
        assert found.margins[inputs][i] == pytest.approx(float(wrong.max() - logits[y[i]]), abs=1e-4)
    lost = found.margins[inputs] > 0
    assert (lost == (found.predictions[inputs] != found.labels)).all()


@pytest.mark.parametrize(("inputs", "which"), [("natural", 0), ("adversarial", 1)])
def test_activations_are_means_by_class(
    found: Survey, model: CNN, batch: tuple[Tensor, Tensor, Tensor], inputs: str, which: int
) -> None:
    rows, y = torch.stack([alone(model, x)[1] for x in batch[which]]), batch[2]
    mean = found.of(LAYER)[inputs]
    for k in range(K):
        if (y == k).any():
            np.testing.assert_allclose(mean[k], rows[y == k].mean(dim=0), atol=1e-5)
        else:
            assert np.isnan(mean[k]).all()


def test_relevance_is_the_heads_weight_before_a_linear_head(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    plain = tiny()
    surveyor = Surveyor(plain)
    surveyor.add(*batch)
    relevance = surveyor.survey().of("layer4.0")["relevance"]
    for k in batch[2].unique().tolist():
        np.testing.assert_allclose(relevance[k], plain.fc.weight.detach()[k], atol=1e-5)


def test_confusion_counts_every_pair(found: Survey) -> None:
    matrix = found.confusion("adversarial")
    assert matrix.sum() == N
    for label in range(K):
        for taken_for in range(K):
            pairs = zip(found.labels, found.predictions["adversarial"], strict=True)
            assert matrix[label, taken_for] == sum(pair == (label, taken_for) for pair in pairs)


def test_the_control_moves_every_pixel_as_far_as_the_attack() -> None:
    x = torch.full((3, 1, 4, 4), 0.5)
    x_adv = x + torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) * 0.2 - 0.1
    noise = shuffled_signs(x, x_adv, torch.Generator().manual_seed(0))
    torch.testing.assert_close((noise - x).abs(), (x_adv - x).abs())
    assert 0.2 < float(((noise - x).sign() == (x_adv - x).sign()).float().mean()) < 0.8
    torch.testing.assert_close(shuffled_signs(x, x, torch.Generator()), x)
    edge = shuffled_signs(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 0.1), torch.Generator())
    assert float(edge.min()) == 0


def test_saved_and_read_again_it_is_the_same(found: Survey, tmp_path: Path) -> None:
    found.save(tmp_path / "survey.npz", {"weights": "abc"})
    again, about = Survey.load(tmp_path / "survey.npz")
    assert about == {"weights": "abc"}
    assert again.layers == found.layers
    for group in ("predictions", "margins", "means"):
        for key, array in getattr(found, group).items():
            np.testing.assert_array_equal(array, getattr(again, group)[key])


def test_what_is_not_there_is_refused(found: Survey, model: CNN, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="'layer7'"):
        found.of("layer7")
    with pytest.raises(InvalidParameter, match="no images"):
        Surveyor(model).survey()
    (tmp_path / "survey.npz").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="no survey"):
        Survey.load(tmp_path / "survey.npz")


# ---- the task -------------------------------------------------------------------------------------------------------


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    model = tiny(size=28, in_channels=1)
    Zoo(tmp_path).save("tiny", model, Info(title="Tiny", dataset="fashion_mnist_mini", method="natural"))
    return Workspace(tmp_path)


def test_the_task_saves_what_is_found_again_until_the_weights_are_others(workspace: Workspace) -> None:
    told: list[int] = []
    task = SurveyImages(model="tiny", attack="fgsm", set={"eps": 0.1}, n=300)
    record = run_task(task, workspace, lambda progress: told.append(progress.done))
    entry = workspace.zoo.entry("tiny")
    found = survey_of(entry, "fashion_mnist_mini", "test", 300, FGSM)
    assert found is not None
    assert record.saved == str(survey_path(entry, "fashion_mnist_mini", "test", 300, FGSM))  # type: ignore[attr-defined]
    assert (found.labels == load_images("fashion_mnist_mini", "test").labels[:300].numpy()).all()
    right = found.predictions["natural"] == found.labels
    assert record.flipped == int((right & (found.margins["adversarial"] > 0)).sum())  # type: ignore[attr-defined]
    assert told[0] == 0
    assert told[-1] == 300
    assert survey_of(entry, "fashion_mnist_mini", "test", 200, FGSM) is None
    other = tiny(size=28, in_channels=1, seed=5)
    workspace.zoo.save("tiny", other, entry.info)
    assert survey_of(workspace.zoo.entry("tiny"), "fashion_mnist_mini", "test", 300, FGSM) is None


def test_a_cancelled_survey_leaves_nothing(workspace: Workspace) -> None:
    def report(progress: Progress) -> None:
        if progress.done:
            raise Cancelled

    with pytest.raises(Cancelled):
        run_task(SurveyImages(model="tiny", attack="fgsm", n=300), workspace, report)
    assert not (workspace.checkpoints / "tiny" / "surveys").exists()


def test_what_cannot_be_surveyed_is_refused_before_it_begins(workspace: Workspace) -> None:
    with pytest.raises(UnknownName, match="cifar10"):
        task_of("survey", {"model": "tiny", "data": "cifar11"}).prepare(workspace)
    with pytest.raises(InvalidParameter, match="eps"):
        task_of("survey", {"model": "tiny", "set": {"eps": 2}}).prepare(workspace)
