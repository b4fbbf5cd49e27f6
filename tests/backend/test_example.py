"""`GET /models/{id}/example`, and adversarial images that are computed once."""

import pytest
import torch

from backend.adversarial import adversarial, forget
from backend.routes import example as route
from cifs.attacks import PGD, Step, perturb
from cifs.channels import Retelling
from cifs.progress import unreported
from tests.backend.conftest import Serve
from tests.cifs.tiny import images, tiny
from tests.servers import ROOT


def test_the_example_says_how_it_was_chosen(serve: Serve) -> None:
    answer = serve().get("/models/tiny-natural/example", params={"dataset": "fashion_mnist_mini"})
    assert answer.status_code == 200
    example = answer.json()
    assert 0 <= example["index"] < example["of"] == 40
    assert example["telling"] <= example["fooled"]
    assert example["layers"] == ["layer3.0", "layer4.0"]
    assert "test image" in example["rule"]
    assert example["attack"]["steps"] == 20


def test_of_drawings_it_says_what_they_are_and_how_many_are_right(serve: Serve) -> None:
    client = serve(checkpoints=ROOT / "checkpoints")
    model = "cifar10-resnet18-w16-natural"
    example = client.get(f"/models/{model}/example", params={"dataset": "cifar10_drawn"}).json()
    assert example["tells"]
    assert f"Of 40 drawings, {example['right']} of which it gets right," in example["rule"]
    image = {"dataset": "cifar10_drawn", "index": example["index"]}
    request = {"model": model, "images": [image], "attack": {"name": "pgd", "eps": "8/255", "steps": 20}}
    (result,) = client.post("/attack", json=request).json()["results"]
    assert result["natural"]["prediction"] == result["label"]
    assert result["success"]


def test_where_no_image_tells_the_story_at_both_layers_one_may_at_one(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(cnn: object, layers: list[str], *given: object) -> Retelling:
        yes = torch.tensor([False, layers == ["layer3.0"]])
        return Retelling(torch.tensor([True, True]), yes, torch.tensor([0.9, 0.5]), yes, ~yes)

    monkeypatch.setattr(route, "retell", told)
    example = serve().get("/models/tiny-natural/example", params={"dataset": "fashion_mnist_mini"}).json()
    assert (example["index"], example["tells"], example["layers"]) == (1, True, ["layer3.0"])
    assert "most PR channels of layer3.0, and zeroing" in example["rule"]
    monkeypatch.setattr(route, "retell", lambda cnn, layers, *given: told(cnn, []))
    example = serve().get("/models/tiny-natural/example", params={"dataset": "fashion_mnist_mini"}).json()
    assert (example["index"], example["tells"], example["layers"]) == (0, False, ["layer3.0", "layer4.0"])


def test_it_is_looked_for_among_no_more_images_than_a_request_may_have(serve: Serve) -> None:
    answer = serve(max_images=5).get("/models/tiny-natural/example", params={"dataset": "fashion_mnist_mini"})
    assert answer.json()["of"] == 5


def test_a_data_set_that_does_not_fit_or_is_unknown_is_refused(serve: Serve) -> None:
    client = serve()
    unfit = client.get("/models/tiny-natural/example", params={"dataset": "cifar10"})
    assert unfit.status_code == 422
    assert "does not fit the model; it takes 1×28×28" in unfit.json()["detail"]
    assert client.get("/models/tiny-natural/example", params={"dataset": "mars"}).status_code == 404
    assert client.get("/models/nobody/example", params={"dataset": "fashion_mnist_mini"}).status_code == 404


def test_the_same_attack_on_the_same_images_is_computed_once_and_is_the_same() -> None:
    model, (x, y), asked = tiny(), images(2), list[str]()
    count = lambda progress: asked.append(progress.doing)  # noqa: E731
    forget()
    once = adversarial(model, x, y, PGD(eps=0.1, steps=3), count)
    computed = len(asked)
    again = adversarial(model, x, y, PGD(eps=0.1, steps=3), count)
    assert torch.equal(once, again)
    assert torch.equal(once, perturb(model, x, y, PGD(eps=0.1, steps=3)))
    assert len(asked) == computed > 0
    again.zero_()  # what is handed out is a copy
    assert torch.equal(once, adversarial(model, x, y, PGD(eps=0.1, steps=3), count))


def test_other_labels_images_attacks_and_models_are_attacked_anew() -> None:
    model, (x, y), asked = tiny(), images(2), list[str]()
    count = lambda progress: asked.append(progress.doing)  # noqa: E731
    forget()
    calls = [
        (model, x, y, PGD(eps=0.1, steps=3)), (model, x, 1 - y.clamp(max=1), PGD(eps=0.1, steps=3)),
        (model, x.flip(0), y, PGD(eps=0.1, steps=3)), (model, x, y, PGD(eps=0.1, steps=4)),
        (tiny(seed=1), x, y, PGD(eps=0.1, steps=3)),
    ]  # fmt: skip
    for call in calls:
        before = len(asked)
        adversarial(*call, count)
        assert len(asked) > before


def test_a_trajectory_is_always_recorded() -> None:
    model, (x, y) = tiny(), images(2)
    for _ in range(2):
        steps = list[Step]()
        adversarial(model, x, y, PGD(eps=0.1, steps=3), unreported, steps=steps)
        assert [step.step for step in steps] == [0, 1, 2, 3]
