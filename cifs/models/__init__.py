"""CNNs for CIFAR-size inputs, plain or modified by CIFS or CAS."""

from typing import Any

from cifs.errors import InvalidParameter
from cifs.models.adapted import Adapted, adapt, insert, size_of
from cifs.models.cnn import CNN, MODELS, layer_shapes
from cifs.models.resnet import ResNet
from cifs.models.trace import trace, unwrap
from cifs.models.wide_resnet import WideResNet
from cifs.selection import Trace


def build(arch: str, **options: Any) -> CNN:
    """A new model by the name of its architecture; options as CNN's. Raises UnknownName or InvalidParameter."""
    try:
        return MODELS[arch](arch, **options)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:  # also torch's, of sizes that cannot be
        given = ", ".join(f"{name} = {value!r}" for name, value in options.items())
        # Its first line: torch may go on with a trace of its C++, and the paths of its libraries.
        reason = str(error).partition("\n")[0]
        raise InvalidParameter(f"no {arch} can be made with {given} ({reason})") from error


__all__ = [
    "CNN",
    "MODELS",
    "Adapted",
    "ResNet",
    "Trace",
    "WideResNet",
    "adapt",
    "build",
    "insert",
    "layer_shapes",
    "size_of",
    "trace",
    "unwrap",
]
