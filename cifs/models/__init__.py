"""CNNs for CIFAR-size inputs, plain or modified by CIFS or CAS."""

from typing import Any

from cifs.models.cnn import CNN, MODELS, Trace, layer_shapes, trace
from cifs.models.resnet import ResNet
from cifs.models.wide_resnet import WideResNet


def build(arch: str, **options: Any) -> CNN:
    """A new model by the name of its architecture; options as CNN's."""
    return MODELS[arch](arch, **options)


__all__ = ["CNN", "MODELS", "ResNet", "Trace", "WideResNet", "build", "layer_shapes", "trace"]
