"""Any classifier as one of ours: layers by name, trace, relevance, statistics, and a method at any of its layers."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from torch import Tensor, nn

from cifs.errors import InvalidParameter
from cifs.methods import METHODS, PLAIN, Method
from cifs.models.cnn import CNN, MODELS, Select, Size
from cifs.models.layers import FeatureMap, channels_first, count_logits, discover, logits_of, stages
from cifs.models.library import from_library
from cifs.models.trace import collecting, unwrap
from cifs.selection import SelectionLayer, Trace

SIZES = (224, 32, 28)  # of images, for a network that does not say what it takes


class Adapted(CNN):
    """A classifier of another library or of one's own, under `network`; its layers keep the names they have there.

    Args as CNN's, but for `width`, which such architectures have none of; arch is "library:name".
    """

    maps: dict[str, FeatureMap]  # every module that puts out feature maps, in the order they run
    refused: dict[str, str]  # those that cannot be analysed, and why

    def __init__(
        self,
        arch: str,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: Size = 32,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        method: str = PLAIN,
        **options: Any,
    ) -> None:
        if (width := options.pop("width", None)) is not None:
            raise InvalidParameter(f"width = {width}: {arch} has the width its name says")
        # Not yet a module, so it is handed over past nn.Module's own bookkeeping.
        self.__dict__["given"] = options.pop("network", None)
        options |= {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
        super().__init__(arch, width=None, mean=mean, std=std, method=method, **options)

    def build(self, arch: str, width: int | None, in_channels: int, num_classes: int) -> None:
        given = self.__dict__.pop("given", None)
        self.network = from_library(arch, num_classes, self.image_shape) if given is None else given
        # A grey image is shown three times to a network of three input channels.
        self.repeats = 3 if in_channels == 1 and _input_channels(self.network) == 3 else 1

    def measure(self) -> dict[str, tuple[int, int, int]]:
        channels, height, width = self.image_shape
        self.maps, self.refused, logits = discover(self.network, (channels * self.repeats, height, width))
        if logits != self.num_classes:
            raise InvalidParameter(f"num_classes = {self.num_classes}: the network puts out {logits} logits")
        self.listed = stages(self.network, self.maps)
        return {name: known.shape for name, known in self.maps.items()}

    @property
    def layers(self) -> tuple[str, ...]:
        """Blocks, and what is modified, in the order they run; every name of `shapes` may be asked for."""
        return tuple(name for name in self.maps if name in self.listed or name in self.modified)

    def default_sites(self) -> list[dict[str, Any]]:
        """The last two blocks, with a probe of one hidden layer and a linear one, as in the authors' ResNets."""
        first, second = self.listed[-2:]
        return [
            {"layer": first, "probe": {"name": "mlp", "hidden": 128, "sharpness": 5.0}},
            {"layer": second, "probe": {"name": "linear"}},
        ]

    def modify(self, method: Method, site: Any) -> None:
        if isinstance(site, dict) and (reason := self.refused.get(site.get("layer", ""))):
            raise InvalidParameter(f"layer {site['layer']!r} cannot be modified: {reason}")
        super().modify(method, site)

    def channel_axis(self, layer: str) -> int:
        return self.maps[layer].axis

    def get_submodule(self, target: str) -> nn.Module:
        """A layer's module by the name of the layer, like any other by its own."""
        return self.network.get_submodule(target) if target in self.shapes else super().get_submodule(target)

    def run(self, x: Tensor, select: Select) -> Tensor:
        with ExitStack() as stack:
            for name in self.modified:
                handle = self.network.get_submodule(name).register_forward_hook(partial(self._hook, select, name))
                stack.callback(handle.remove)
            return logits_of(self.network(x.expand(-1, x.shape[1] * self.repeats, -1, -1)))

    def _hook(self, select: Select, name: str, _module: nn.Module, _args: object, z: Tensor) -> Tensor:
        # Cloned, for a layer above may work in place, as ReLU(inplace=True).
        return channels_first(lambda z: select(name, z).clone(), z, self.channel_axis(name))

    def trace(self, x: Tensor, labels: Tensor | None = None) -> Trace:
        """As CNN's, with what the network selects by layers of its own."""
        with collecting(self, len(x)) as layers:
            traced = super().trace(x, labels)
        own = {k.removeprefix("network."): layer for k, layer in layers.items() if not k.startswith("selection.")}
        return Trace(traced.logits, own | traced.layers)


MODELS.elsewhere = Adapted


def adapt(
    module: nn.Module,
    *,
    image_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    arch: str = "adapted",
) -> CNN:
    """The classifier as one of ours, sharing its weights; one of ours, however wrapped, is returned itself.

    Args:
        image_shape: (C, H, W) of its images; by default the first of 224, 32 and 28 pixels that it runs on.
        mean, std: what it expects its images normalised by; none: it takes images in [0, 1] as they are.
        arch: its name under MODELS, with which it can be saved.

    Raises InvalidParameter where it is no classifier of images or does not run.
    """
    network = unwrap(module)
    if isinstance(network, CNN):
        return network
    shape = image_shape or _image_shape(network)
    model = Adapted(
        arch,
        network=network,
        num_classes=num_classes or count_logits(network, shape),
        in_channels=shape[0],
        image_size=size_of(shape),
        mean=mean,
        std=std,
    )
    model.training = network.training
    return model.to(next(network.parameters(), model.mean))


def insert(module: nn.Module, layer: str, selection: Method | SelectionLayer, **options: Any) -> CNN:
    """The classifier with a method's layer at a named layer: `insert(network, "layer4", METHODS["cifs"](k=1))`.

    The network is not copied: one of ours is modified itself, another shares its weights with what is returned.

    Args:
        selection: a method of METHODS, whose model can be saved and loaded; or a selection layer of one's own.
        options: of the site, such as probe={"name": "mlp"}, and otherwise of `adapt`.

    Raises UnknownName or InvalidParameter.
    """
    of_site = {name: options.pop(name) for name in [*options] if name not in ADAPT}
    model = adapt(module, **options)
    site = {"layer": layer, **of_site}
    if isinstance(selection, SelectionLayer):
        model.place(layer, selection)
        model.remember("one's own", None, [])
        return model
    if model.selecting not in (None, selection) or (model.modified and model.selecting is None):
        raise InvalidParameter(f"the model is modified by {model.method!r} already, and one model has one method")
    before = model.default_sites() if model.modified and model.config["sites"] is None else model.config["sites"]
    model.modify(selection, site)
    model.remember(METHODS.name_of(selection), selection, [*(before or []), site])
    return model


ADAPT = ("image_shape", "num_classes", "mean", "std", "arch")


def size_of(image_shape: tuple[int, ...]) -> int | list[int]:
    """image_size of images (C, H, W), as a configuration states it: a number where they are square."""
    _, height, width = image_shape
    return height if height == width else [height, width]


def _image_shape(network: nn.Module) -> tuple[int, int, int]:
    channels = _input_channels(network)
    for size in SIZES:
        with suppress(InvalidParameter):
            count_logits(network, (channels, size, size))
            return channels, size, size
    raise InvalidParameter(
        f"{type(network).__name__} runs on no square image of {SIZES} pixels and {channels} channels; give image_shape"
    )


def _input_channels(network: nn.Module) -> int:
    """Of the network's first convolution; 3 where it has none."""
    return next((module.in_channels for module in network.modules() if isinstance(module, nn.Conv2d)), 3)
