"""One function for natural and adversarial inputs."""

import pytest
import torch
import torchvision

from cifs.attacks import PGD, perturb
from cifs.channels import RELEVANCES, view
from cifs.errors import InvalidParameter
from cifs.registry import configure
from cifs.selection import IMGFS
from tests.cifs.tiny import METHODS, images, tiny

true = RELEVANCES["true"]()


@pytest.mark.parametrize("method", METHODS)
def test_natural_and_adversarial_images_are_seen_alike_alone_or_together(method: str) -> None:
    model, (x, y) = tiny(method), images(3)
    both = torch.cat([x, perturb(model, x, y, PGD(eps=0.1, steps=3))])
    together = view(model, "layer4.0", both, relevance=true, classes=y.repeat(2))
    for part in (slice(0, 3), slice(3, 6)):
        alone = view(model, "layer4.0", both[part], relevance=true, classes=y)
        for name, rows in alone._asdict().items():
            if rows is not None:
                torch.testing.assert_close(getattr(together, name)[part], rows, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_a_view_shows_what_the_trace_says(method: str) -> None:
    model, (x, y) = tiny(method), images(3)
    logits, layers = model.trace(x)
    for layer in model.layers:
        seen = view(model, layer, x, relevance=true, classes=y)
        torch.testing.assert_close(seen.logits, logits)
        torch.testing.assert_close(seen.activation, seen.features.mean(dim=(2, 3)))
        torch.testing.assert_close(seen.relevance, true(model, layer, x, y))
        if layer in layers:
            assert torch.equal(seen.features, layers[layer].features)
            torch.testing.assert_close(seen.importance, layers[layer].importance)
            torch.testing.assert_close(seen.selected, layers[layer].selected.mean(dim=(2, 3)))
        else:
            assert seen.importance is None
            assert seen.selected is None


def test_without_classes_relevance_speaks_of_each_inputs_prediction() -> None:
    model, (x, _) = tiny(), images(8)
    predicted = model(x).argmax(dim=1)
    seen = view(model, "layer4.0", x, relevance=true)
    assert torch.equal(seen.classes, predicted)
    assert len(predicted.unique()) > 1
    torch.testing.assert_close(seen.relevance, model.fc.weight[predicted])


@pytest.mark.parametrize("name", IMGFS)
def test_with_an_imgf_any_layer_has_the_importance_it_makes_of_the_relevance(name: str) -> None:
    imgf = configure(IMGFS, name, {})
    for model in (tiny(), tiny("cifs")):
        for layer in ("layer1.0", "layer4.0"):
            seen = view(model, layer, images(2)[0], relevance=true, imgf=imgf)
            torch.testing.assert_close(seen.importance, imgf(seen.relevance))
            torch.testing.assert_close(seen.selected, imgf(seen.relevance) * seen.activation)


def test_a_view_needs_no_model_of_ours() -> None:
    torch.manual_seed(0)
    foreign = torchvision.models.resnet18(weights=None, num_classes=10).eval()
    x, y = images(2, size=32)
    seen = view(foreign, "layer4.1", x, relevance=true, classes=y)
    torch.testing.assert_close(seen.relevance, foreign.fc.weight[y])
    torch.testing.assert_close(
        seen.activation @ foreign.fc.weight.T + foreign.fc.bias, seen.logits, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("label", [-1, 10])
def test_a_class_the_model_has_not_is_refused(label: int) -> None:
    with pytest.raises(InvalidParameter, match=r"classes are 0 to 9"):
        view(tiny(), "stem", images(2)[0], relevance=true, classes=torch.tensor([0, label]))


def test_a_view_leaves_modes_and_hooks_as_they_were() -> None:
    model = tiny("cifs").train()
    model.get_submodule("layer2").eval()
    modes = [module.training for module in model.modules()]
    view(model, "layer3.0", images(2)[0], relevance=true)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
