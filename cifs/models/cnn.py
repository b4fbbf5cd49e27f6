"""What every model of ours is: images in [0, 1] in, logits out, and a trace of what a method did on the way."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.methods import PLAIN, Method, selecting
from cifs.models.layers import CHANNELS_FIRST
from cifs.models.library import LIBRARIES
from cifs.models.shapes import ShapesOfConvolutions, weightless
from cifs.modes import eval_mode
from cifs.registry import Registry
from cifs.selection import Selection, SelectionLayer, Trace

RELU = "relu"
ACTIVATIONS: Registry[type[nn.Module]] = Registry("activation")
ACTIVATIONS.register(RELU)(nn.ReLU)
ACTIVATIONS.register("silu")(nn.SiLU)  # smooth; helps adversarial training (Gowal et al., arXiv 2010.03593, 4.2)

Select = Callable[[str, Tensor], Tensor]  # what happens to the features of a named layer
Size = int | Sequence[int]  # of images: a square's side, or (height, width)


class CNN(nn.Module, PyTorchModelHubMixin):
    """A CNN for small images whose named layers can be modified by a method, such as CIFS.

    Subclasses build their layers (`build`), name them in forward order (`layers`) and run them (`run`), handing the
    features of every named layer to `select`. The name of a layer is the name of its module, so hooks find it.

    Args (JSON-serialisable: they are the checkpoint's config.json):
        arch: name under MODELS.
        width: channels of the first stage.
        activation: a name under ACTIVATIONS; anything but ReLU is for the ResNets alone.
        image_size: height and width of the inputs.
        mean, std: of the training images, by input channel; normalisation happens inside the model.
        method: plain, or the name of a method; options: that method's own.
        sites (of the options): which layers are modified, [{"layer": name, …}] with what the method reads of a site,
            such as {"probe": {"name": …, parameters}}; none: the default of the architecture.

    Raises UnknownName or InvalidParameter.
    """

    mean: Tensor  # (1, C, 1, 1)
    std: Tensor
    takes_activation: ClassVar[bool] = False  # whether `build` heeds the activation that is asked for
    needs_width: ClassVar[bool] = False  # whether `build` cannot do without one

    def __init__(
        self,
        arch: str,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: Size = 32,
        width: int | None = 64,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        method: str = PLAIN,
        activation: str = RELU,
        **options: Any,
    ) -> None:
        super().__init__()
        if activation != RELU and not self.takes_activation:
            raise InvalidParameter(f"activation = {activation!r}: {arch} has ReLUs; a ResNet of ours takes others")
        self.activation = ACTIVATIONS[activation]
        height, breadth = (image_size, image_size) if isinstance(image_size, int) else image_size
        sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": min(height, breadth)}
        for name, size in (sizes | ({"width": width} if self.needs_width or width is not None else {})).items():
            if not isinstance(size, int) or size < 1:
                raise InvalidParameter(f"{name} = {size!r}: must be a whole number, at least 1")
        self.arch, self.width, self.num_classes, self.method = arch, width, num_classes, method
        self.image_shape = (in_channels, height, breadth)
        self._buffer("mean", mean or [0.0] * in_channels)
        self._buffer("std", std or [1.0] * in_channels)
        self.build(arch, width, in_channels, num_classes)
        self.shapes = self.measure()
        self.selection = nn.ModuleDict()  # keys with "/" for ".", which ModuleDict does not allow
        self._select(options)

    def _buffer(self, name: str, values: Sequence[float]) -> None:
        if len(values) != self.image_shape[0]:
            raise InvalidParameter(
                f"{name} = {values}: expected a number for each of {self.image_shape[0]} input channels"
            )
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def _select(self, options: dict[str, Any]) -> None:
        options.pop("info", None)  # of a zoo's config.json: about the weights, not the network
        sites = options.pop("sites", None)
        method = selecting(self.method, options)
        # Not said where it is as ever, so that a network of an earlier version keeps its digest when trained again.
        unsaid = {*options, *(["activation"] if self.config.get("activation") == RELU else [])}
        self._hub_mixin_config = {key: value for key, value in self.config.items() if key not in unsaid}
        self.remember(self.method, method, sites)
        if method is not None:
            for site in self.default_sites() if sites is None else sites:
                self.modify(method, site)

    def remember(self, name: str, method: Method | None, sites: Sequence[Mapping[str, Any]] | None) -> None:
        """What the model is modified by, for its configuration; no sites are those of the architecture's default."""
        self.method, self.selecting = name, method
        own = {} if method is None else asdict(method)
        self._hub_mixin_config = {**self.config, "width": self.width, "method": name, **own, "sites": sites}

    def modify(self, method: Method, site: Mapping[str, Any]) -> None:
        """Puts the method's layer at site["layer"]. Raises UnknownName or InvalidParameter."""
        if not isinstance(site, Mapping):
            raise InvalidParameter(f"site {site!r}: write {{'layer': name}}, with what the method reads of a site")
        layer = site.get("layer")
        if layer not in self.layer_channels:
            raise UnknownName("layer", layer, self.layer_channels)
        self.place(layer, method.layer(self.layer_channels[layer], self.num_classes, site))

    def place(self, layer: str, selection: SelectionLayer) -> None:
        """Puts a selection layer at a named layer; whoever places one of their own sees to its channels."""
        if layer not in self.shapes:
            raise UnknownName("layer", layer, self.shapes)
        self.selection[layer.replace(".", "/")] = selection.to(next(self.parameters(), self.mean))

    @property
    def config(self) -> dict[str, Any]:
        """The arguments it was made with, as config.json keeps them."""
        config = self._hub_mixin_config
        assert isinstance(config, dict)
        return config

    @classmethod
    def _from_pretrained(cls, *, arch: str, **arguments: Any) -> "CNN":  # type: ignore[override]
        """CNN.from_pretrained(folder) is of the class that the folder's config.json names."""
        return super(CNN, MODELS[arch])._from_pretrained(arch=arch, **arguments)

    def build(self, arch: str, width: int | None, in_channels: int, num_classes: int) -> None:
        raise NotImplementedError

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in forward order."""
        raise NotImplementedError

    def default_sites(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def run(self, x: Tensor, select: Select) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def measure(self) -> dict[str, tuple[int, int, int]]:
        """(C, H, W) of every layer that has a name, by a forward pass."""
        shapes: dict[str, tuple[int, int, int]] = {}

        def note(name: str, z: Tensor) -> Tensor:
            shapes[name] = tuple(z.shape[1:])  # type: ignore[assignment]
            return z

        with eval_mode(self):
            if self.mean.is_meta:
                with ShapesOfConvolutions():
                    weightless(self).run(torch.zeros(0, *self.image_shape, device="cpu"), note)
            else:
                self.run(torch.zeros(1, *self.image_shape, device=self.mean.device), note)
        return shapes

    @property
    def layer_channels(self) -> dict[str, int]:
        """The number of channels of every layer that has a name, in forward order."""
        return {name: shape[0] for name, shape in self.shapes.items()}

    @property
    def modified(self) -> tuple[str, ...]:
        """Names of the layers where a method selects features, in forward order."""
        return tuple(name for name in self.shapes if name.replace(".", "/") in self.selection)

    def channel_axis(self, layer: str) -> int:
        """Of what the layer's module puts out: 1, but where it lays its features out as (N, H, W, C)."""
        return CHANNELS_FIRST

    def selector(self, layer: str) -> Any:
        """The selection layer at a modified layer; UnknownName for any other."""
        if layer not in self.modified:
            raise UnknownName("modified layer", layer, self.modified)
        module = self.selection[layer.replace(".", "/")]
        assert isinstance(module, SelectionLayer)
        return module

    def trace(self, x: Tensor, labels: Tensor | None = None) -> Trace:
        """x (N, C, H, W) in [0, 1], labels (N,) for the methods in training → logits, selection by layer."""
        layers: dict[str, Selection] = {}

        def select(name: str, z: Tensor) -> Tensor:
            key = name.replace(".", "/")
            if key not in self.selection:
                return z
            layers[name] = self.selection[key](z, labels)
            return layers[name].selected

        logits = self.run((x - self.mean) / self.std, select)
        return Trace(logits, layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x).logits


def layer_shapes(model: CNN) -> dict[str, tuple[int, int, int]]:
    """(C, H, W) of every layer that is listed."""
    return {name: model.shapes[name] for name in model.layers}


class Architectures(Registry[type[CNN]]):
    """Ours by name, and those of other libraries as "library:name"."""

    elsewhere: type[CNN]  # of those of other libraries

    def __getitem__(self, name: str) -> type[CNN]:
        if name not in self:
            raise UnknownName(self.kind, name, (*self, *(f"{library}:…" for library in LIBRARIES)))
        return super().__getitem__(name) if super().__contains__(name) else self.elsewhere

    def __contains__(self, name: object) -> bool:
        library, colon, _ = name.partition(":") if isinstance(name, str) else ("", "", "")
        return (isinstance(name, str) and super().__contains__(name)) or (colon == ":" and library in LIBRARIES)


MODELS = Architectures("architecture")
