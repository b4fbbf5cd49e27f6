"""What every model of ours is: images in [0, 1] in, logits out, and a trace of what CIFS or CAS did on the way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from cifs.errors import InvalidParameter, UnknownName
from cifs.modes import eval_mode
from cifs.registry import Registry, configure
from cifs.selection import CAS, CIFS, IMGFS, PROBES, LinearProbe, Selection

Method = Literal["plain", "cas", "cifs"]
Select = Callable[[str, Tensor], Tensor]  # what happens to the features of a named layer


class Trace(NamedTuple):
    logits: Tensor  # (N, K)
    layers: dict[str, Selection]  # by modified layer, in forward order


class CNN(nn.Module, PyTorchModelHubMixin):
    """A CNN for small images whose named layers can be modified by CIFS or CAS.

    Subclasses build their layers (`build`), name them in forward order (`layers`) and run them (`run`), handing the
    features of every named layer to `select`. The name of a layer is the name of its module, so hooks find it.

    Args (JSON-serialisable: they are the checkpoint's config.json):
        arch: name under MODELS.
        width: channels of the first stage.
        image_size: height and width of the inputs.
        mean, std: of the training images, by input channel; normalisation happens inside the model.
        method: plain, cas or cifs; imgf, k, label_in_training: CIFS's parameters (imgf as {"name": …, parameters}).
        sites: which layers are modified, [{"layer": name, "probe": {"name": …, parameters}}]; None: the default of the
            architecture.

    Raises UnknownName or InvalidParameter.
    """

    mean: Tensor  # (1, C, 1, 1)
    std: Tensor

    def __init__(
        self,
        arch: str,
        *,
        num_classes: int = 10,
        in_channels: int = 3,
        image_size: int = 32,
        width: int = 64,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        method: Method = "plain",
        imgf: Mapping[str, Any] | None = None,
        k: int = 2,
        label_in_training: bool = True,
        sites: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size, "width": width}
        for name, size in sizes.items():
            if size < 1:
                raise InvalidParameter(f"{name} = {size}: must be at least 1")
        self.arch, self.width, self.num_classes = arch, width, num_classes
        self.image_shape = (in_channels, image_size, image_size)
        self.method = method
        self._buffer("mean", mean or [0.0] * in_channels)
        self._buffer("std", std or [1.0] * in_channels)
        self.build(arch, width, in_channels, num_classes)
        self.layer_channels = {name: shape[0] for name, shape in layer_shapes(self).items()}
        self.selection = nn.ModuleDict()  # keys with "/" for ".", which ModuleDict does not allow
        if method not in ("plain", "cas", "cifs"):
            raise UnknownName("method", method, ("plain", "cas", "cifs"))
        if method == "plain":
            return
        if not 1 <= k <= num_classes:
            raise InvalidParameter(f"k = {k}: the number of classes assessed must be from 1 to {num_classes}")
        for site in self.default_sites() if sites is None else sites:
            self._modify(site, imgf or {"name": "softmax"}, k, label_in_training)

    def _buffer(self, name: str, values: Sequence[float]) -> None:
        if len(values) != self.image_shape[0]:
            raise InvalidParameter(
                f"{name} = {values}: expected a number for each of {self.image_shape[0]} input channels"
            )
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1), persistent=False)

    def _modify(self, site: Mapping[str, Any], imgf: Mapping[str, Any], k: int, label_in_training: bool) -> None:
        layer = site["layer"]
        if layer not in self.layer_channels:
            raise UnknownName("layer", layer, self.layer_channels)
        channels = self.layer_channels[layer]
        if self.method == "cas":  # its mask is a weight row, so its probe is linear wherever it sits
            self.selection[layer.replace(".", "/")] = CAS(LinearProbe(channels, self.num_classes))
            return
        probe = configure(PROBES, *_named(site["probe"])).build(channels, self.num_classes)
        generate = configure(IMGFS, *_named(imgf))
        self.selection[layer.replace(".", "/")] = CIFS(probe, generate, k=k, label_in_training=label_in_training)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments it was made with, as config.json keeps them."""
        config = self._hub_mixin_config
        assert isinstance(config, dict)
        return config

    def build(self, arch: str, width: int, in_channels: int, num_classes: int) -> None:
        raise NotImplementedError

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers, in forward order."""
        raise NotImplementedError

    def default_sites(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def run(self, x: Tensor, select: Select) -> Tensor:
        raise NotImplementedError

    @property
    def modified(self) -> tuple[str, ...]:
        """Names of the layers where CIFS or CAS selects features, in forward order."""
        return tuple(name for name in self.layers if name.replace(".", "/") in self.selection)

    def selector(self, layer: str) -> CIFS:
        """The CIFS or CAS module at a modified layer; UnknownName for any other."""
        if layer not in self.modified:
            raise UnknownName("modified layer", layer, self.modified)
        module = self.selection[layer.replace(".", "/")]
        assert isinstance(module, CIFS)
        return module

    def trace(self, x: Tensor, labels: Tensor | None = None) -> Trace:
        """x (N, C, H, W) in [0, 1], labels (N,) for CIFS and CAS in training → logits, selection by layer."""
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


def _named(choice: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    parameters = dict(choice)
    return parameters.pop("name"), parameters


def trace(model: nn.Module, x: Tensor) -> Trace:
    """The trace of a model of ours; of any other classifier its logits, for it has no modified layers."""
    return model.trace(x) if isinstance(model, CNN) else Trace(model(x), {})


@torch.no_grad()
def layer_shapes(model: CNN) -> dict[str, tuple[int, int, int]]:
    """(C, H, W) of every named layer."""
    shapes: dict[str, tuple[int, int, int]] = {}

    def note(name: str, z: Tensor) -> Tensor:
        shapes[name] = tuple(z.shape[1:])  # type: ignore[assignment]
        return z

    with eval_mode(model):
        model.run(torch.zeros(1, *model.image_shape, device=model.mean.device), note)
    return shapes


MODELS: Registry[type[CNN]] = Registry("architecture")
