"""The channels of one input at one layer, as plain numbers: what REST answers with, or a row of `cifs.channels.View`.

Torch is not imported: a tensor gives its numbers by `tolist()`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol


class ChannelReading(Protocol):
    """One input's channels, each (C,). A REST answer's `ChannelView` is one, and so is a `Reading`."""

    @property
    def activation(self) -> Sequence[float]: ...

    @property
    def relevance(self) -> Sequence[float]: ...

    @property
    def assessed(self) -> Sequence[float] | None: ...

    @property
    def importance(self) -> Sequence[float] | None: ...

    @property
    def selected(self) -> Sequence[float] | None: ...


class Reading(NamedTuple):
    """One input of a batch, each (C,); None where the layer has no such thing."""

    activation: list[float]
    relevance: list[float]
    assessed: list[float] | None
    importance: list[float] | None
    selected: list[float] | None


class Batch(Protocol):
    """What `cifs.channels.view` returns: tensors or arrays, each (N, C)."""

    @property
    def activation(self) -> Any: ...

    @property
    def relevance(self) -> Any: ...

    @property
    def assessed(self) -> Any: ...

    @property
    def importance(self) -> Any: ...

    @property
    def selected(self) -> Any: ...


def reading(view: Batch, image: int = 0) -> Reading:
    """The channels of one image of a `cifs.channels.View`."""

    def of_image(column: Any) -> Any:
        return None if column is None else column[image].tolist()

    return Reading(*(of_image(getattr(view, name)) for name in Reading._fields))
