"""The film against attacks of fewer steps, against views of the iterates, and on a network whose fall is known."""

import pytest
import torch

from cifs.attacks import PGD, perturb
from cifs.channels import RELEVANCES, film, most_moved, view
from cifs.losses import cross_entropy, cw_margin
from cifs.progress import Cancelled, Progress
from tests.cifs.tiny import METHODS, images, tiny


@pytest.mark.parametrize("method", METHODS)
def test_frame_t_is_the_attack_of_t_steps(method: str) -> None:
    model, (x, y) = tiny(method), images(1)
    shown = film(model, x, y, PGD(eps=0.1, steps=4, step_size=0.02))
    assert torch.equal(shown.x[:1], x)
    for t in range(1, 5):
        torch.testing.assert_close(shown.x[t : t + 1], perturb(model, x, y, PGD(eps=0.1, steps=t, step_size=0.02)))


@pytest.mark.parametrize("method", METHODS)
def test_each_frame_shows_what_a_view_of_its_image_shows(method: str) -> None:
    model, (x, y) = tiny(method), images(1)
    shown = film(model, x, y, PGD(eps=0.1, steps=3))
    with torch.no_grad():
        torch.testing.assert_close(shown.logits, model(shown.x))
    torch.testing.assert_close(shown.margin, cw_margin(shown.logits, y.expand(4)))
    for layer, of_layer in shown.layers.items():
        seen = view(model, layer, shown.x, relevance=RELEVANCES["true"](), classes=y.expand(4))
        torch.testing.assert_close(of_layer.activation, seen.activation)
        distance = (seen.features - seen.features[:1]).flatten(1).norm(dim=1) / seen.features[0].norm()
        torch.testing.assert_close(of_layer.divergence, distance, atol=1e-6, rtol=1e-4)
        assert (of_layer.importance is None) == (layer not in model.modified)
        if of_layer.importance is not None:
            torch.testing.assert_close(of_layer.importance, seen.importance)


def test_the_loss_is_the_one_the_attack_climbs() -> None:
    model, (x, y) = tiny(), images(1)
    shown = film(model, x, y, PGD(eps=0.1, steps=3))
    torch.testing.assert_close(shown.loss, cross_entropy(shown.logits, y.expand(4)))


def test_the_label_falls_at_the_first_frame_that_is_predicted_otherwise() -> None:
    model, (x, _) = tiny(), images(6)
    with torch.no_grad():
        labels = model(x).argmax(dim=1)
    falls = []
    for i in range(6):
        shown = film(model, x[i : i + 1], labels[i : i + 1], PGD(eps=0.3, steps=8))
        wrong = (shown.logits.argmax(dim=1) != labels[i]).tolist()
        assert shown.falls_at == (wrong.index(True) if any(wrong) else None)
        falls.append(shown.falls_at)
    assert any(falls)


def test_of_several_runs_the_last_is_shown() -> None:
    model, (x, y) = tiny(), images(1)
    with torch.no_grad():
        y = model(x).argmax(dim=1)
    attack = PGD(eps=1e-3, steps=3, random_start=True, restarts=3)
    shown = film(model, x, y, attack)
    assert len(shown.x) == 4
    torch.testing.assert_close(shown.x[-1:], perturb(model, x, y, attack))


def test_the_channels_that_moved_most_come_first() -> None:
    model, (x, y) = tiny(), images(1)
    of_layer = film(model, x, y, PGD(eps=0.1, steps=3)).layers["layer3.0"]
    moved = (of_layer.activation[-1] - of_layer.activation[0]).abs()
    chosen = most_moved(of_layer, 5)
    assert moved[chosen].tolist() == sorted(moved.tolist(), reverse=True)[:5]


def test_a_film_can_be_stopped() -> None:
    def report(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled

    model, (x, y) = tiny(), images(1)
    with pytest.raises(Cancelled):
        film(model, x, y, PGD(eps=0.1, steps=5), report=report)
