"""What a method is: what it puts at a layer, what training minimises, and what is said of it.

Here too are the two without feature selection: training on natural images, and adversarial training (Madry et al.,
arXiv 1706.06083).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from cifs.errors import InvalidParameter, UnknownName
from cifs.losses import cross_entropy, joint
from cifs.registry import Registry, configure, json_schema, settings
from cifs.selection import SelectionLayer, Trace

METHODS: Registry[type["Method"]] = Registry("method")
PLAIN = "plain"  # in a model's configuration: no feature selection, however it was trained


@settings
class Method:
    """Base of every method. The fields of a subclass are its options, as config.json keeps them."""

    title: ClassVar[str]  # of a row
    sentence: ClassVar[str]  # on the model card, after "…, "
    selects: ClassVar[bool] = False  # whether it puts layers into the network
    adversarial: ClassVar[bool] = True  # whether it trains on adversarial images

    def layer(self, channels: int, num_classes: int, site: Mapping[str, Any]) -> SelectionLayer:
        """What sits at a layer of `channels` channels; `site` is {"layer": name, …} with what this method reads of it.

        Raises UnknownName or InvalidParameter.
        """
        raise InvalidParameter(f"method {METHODS.name_of(self)!r} selects no features; choose from: {_selecting()}")

    def loss(self, trace: Trace, labels: Tensor, beta: float, label_smoothing: float = 0.0) -> Tensor:
        """What training minimises, of each image: (N,). By default ℓ_β (arXiv 2102.05311, eq. 5)."""
        smoothed = partial(cross_entropy, label_smoothing=label_smoothing)
        return joint(smoothed, trace.logits, trace.raw_predictions, labels, beta)

    @property
    def pairs(self) -> bool:
        """Whether training shows it the natural images beside the attacked ones, for `compare`."""
        return False

    def compare(self, adversarial: Trace, natural: Trace, layers: Mapping[str, SelectionLayer]) -> Tensor | None:
        """What training minimises besides, of each image: (N,); here layers may learn from both, too."""
        return None


@METHODS.register("natural")
@settings
class Natural(Method):
    """Trained on natural images."""

    title: ClassVar[str] = "Natural"
    sentence: ClassVar[str] = "trained on natural images; not robust"
    adversarial: ClassVar[bool] = False


@METHODS.register("vanilla")
@settings
class Vanilla(Method):
    """Adversarial training, no feature selection."""

    title: ClassVar[str] = "Vanilla AT"
    sentence: ClassVar[str] = "adversarially trained, no feature selection"


def selecting(name: str, options: Mapping[str, Any]) -> Method | None:
    """The method a model is modified by, with its options; None for a plain model.

    An option of another method is passed over: configurations of before methods had options of their own state them
    all. Raises UnknownName or InvalidParameter.
    """
    if name not in (PLAIN, *METHODS):
        raise UnknownName("method", name, (PLAIN, *METHODS))
    known = {option for method in METHODS.values() for option in options_of(method)}
    if foreign := [option for option in options if option not in known]:
        raise InvalidParameter(f"no method takes {', '.join(foreign)}; known options: {', '.join(sorted(known))}")
    if name == PLAIN or not METHODS[name].selects:
        return None
    own = options_of(METHODS[name])
    return configure(METHODS, name, {k: v for k, v in options.items() if k in own and v is not None})


def options_of(method: type[Method]) -> tuple[str, ...]:
    """The names of a method's own options."""
    return tuple(json_schema(method).get("properties", {}))


def _selecting() -> str:
    return ", ".join(name for name, method in METHODS.items() if method.selects)
