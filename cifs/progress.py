"""How far something that lasts is, and the one way to stop it.

Whoever calls a function that lasts passes a `Report`. The function calls it about once a second or more often; a report
that raises Cancelled ends the work, which then leaves what is done in order and nothing half-written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cifs.errors import CIFSError


class Cancelled(CIFSError):
    """The caller wants no more of it."""


@dataclass(frozen=True)
class Progress:
    """What is being done, and how much of how much is done; `total` None: not known."""

    doing: str
    done: int = 0
    total: int | None = None
    metrics: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


Report = Callable[[Progress], None]  # may raise Cancelled


def unreported(progress: Progress) -> None:
    """The report of a caller who does not want to know."""
