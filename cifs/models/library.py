"""Architectures of other libraries by name, with random weights: "torchvision:mobilenet_v3_small", "timm:resnet18"."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.registry import Registry

Shape = tuple[int, int, int]  # (C, H, W) of the images
LIBRARIES: Registry[Callable[[str, int, Shape], nn.Module]] = Registry("library")


def from_library(arch: str, num_classes: int, image_shape: Shape) -> nn.Module:
    """The network of an architecture "library:name"; nothing is downloaded. Raises UnknownName or InvalidParameter."""
    library, _, name = arch.partition(":")
    try:
        return LIBRARIES[library](name, num_classes, image_shape)
    except (ImportError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise InvalidParameter(f"{arch} for images {image_shape} and {num_classes} classes: {error}") from error


@LIBRARIES.register("torchvision")
def torchvision_network(name: str, num_classes: int, image_shape: Shape) -> nn.Module:
    """A classifier of torchvision.models; its three input channels take a grey image three times."""
    import torchvision.models as models

    names = models.list_models(module=models)
    if name not in names:
        raise UnknownName("torchvision model", name, names)
    if image_shape[0] not in (1, 3):
        raise InvalidParameter(f"in_channels = {image_shape[0]}: torchvision's networks take 1 (grey) or 3")
    options: dict[str, Any] = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    place = torch.get_default_device()  # "meta", where a checkpoint's shapes are looked at first
    # A RegNet's widths are computed with tensors, which need numbers.
    with torch.device("cpu" if name.startswith("regnet") else place):
        network = models.get_model(name, weights=None, num_classes=num_classes, **options)
    return network.to(place)


@LIBRARIES.register("timm")
def timm_network(name: str, num_classes: int, image_shape: Shape) -> nn.Module:
    """A classifier of timm, which is an optional package."""
    try:
        import timm
    except ImportError as error:
        raise InvalidParameter("timm is not installed; pip install 'cifs-lab[timm]'") from error
    if not timm.is_model(name):
        raise UnknownName("timm model", name, get_close_matches(name, timm.list_models(), n=10))
    shape: dict[str, Any] = {"num_classes": num_classes, "in_chans": image_shape[0]}
    try:  # transformers are built for a size, convolutional networks take none
        return timm.create_model(name, pretrained=False, img_size=image_shape[1:], **shape)
    except TypeError:
        return timm.create_model(name, pretrained=False, **shape)
