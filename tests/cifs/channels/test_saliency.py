"""Grad-CAM and Integrated Gradients against Captum's."""

import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam

from cifs.channels import grad_cam, integrated_gradients
from cifs.errors import UnknownName
from tests.cifs.tiny import images, tiny


@pytest.mark.parametrize("layer", ["layer1.0", "layer3.0", "layer4.0"])
def test_grad_cam_is_captums(layer: str) -> None:
    model, (x, y) = tiny(), images(3)
    expected = LayerGradCam(model, model.get_submodule(layer)).attribute(x, target=y, relu_attributions=True)
    torch.testing.assert_close(grad_cam(model, layer, x, y), expected[:, 0].detach(), atol=1e-6, rtol=1e-4)


def test_integrated_gradients_are_captums() -> None:
    model, (x, y) = tiny(), images(3)
    expected = IntegratedGradients(model).attribute(x, target=y, n_steps=20, method="gausslegendre")
    found = integrated_gradients(model, x, y, steps=20)
    torch.testing.assert_close(found, expected.to(found), atol=1e-5, rtol=1e-3)


def test_integrated_gradients_sum_to_the_change_of_the_score() -> None:
    model, (x, y) = tiny(), images(2)
    with torch.no_grad():
        change = (model(x) - model(torch.zeros_like(x))).gather(1, y[:, None])[:, 0]
    found = integrated_gradients(model, x, y, steps=200).sum(dim=(1, 2, 3))
    torch.testing.assert_close(found, change, atol=1e-3, rtol=0.02)


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(UnknownName, match="layer7"):
        grad_cam(tiny(), "layer7", *images(1))
