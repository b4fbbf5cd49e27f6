"""Who asks, and how much each key may ask for."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.types import Scope

from backend.errors import Refusal

HOUR = 3600.0  # seconds
NAMED_BY = "x-client"  # the header by which one that asks for many, as a dashboard does, tells them apart
LONGEST = 64  # characters of such a name


class Caller(NamedTuple):
    """Whom the queue is fair to."""

    where: str  # the key, by its digest, or the address
    name: str = ""  # of one of several there
    limited: bool = False  # by the quota: whoever has a key that is no admin's


def caller_of(scope: Scope) -> Caller:
    """By the key that was sent, which `Keyed` has looked at, else by the address."""
    name = Headers(scope=scope).get(NAMED_BY, "")[:LONGEST] if scope.get("headers") else ""
    if (key := scope.get("key")) is not None:
        return Caller(key.digest, name, limited=key.right != "admin")
    return Caller((scope.get("client") or ("",))[0], name)


class Quota:
    """Seconds of computation in an hour for each key: what was used comes back evenly, up to that much."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._left: dict[str, tuple[float, float]] = {}  # by key: seconds left, and when that was so

    def left(self, caller: Caller) -> float:
        left, then = self._left.get(caller.where, (self.seconds, 0.0))
        return min(self.seconds, left + (self._clock() - then) * self.seconds / HOUR)

    def check(self, caller: Caller) -> None:
        """Raises Refusal (429) where a key has used up its seconds."""
        if caller.limited and (left := self.left(caller)) <= 0:
            after = math.floor(-left * HOUR / self.seconds) + 1
            detail = f"this key has used the {self.seconds:g} s of computation it has in an hour; retry in {after} s"
            raise Refusal(429, detail, headers={"Retry-After": str(after)})

    def charge(self, caller: Caller, seconds: float) -> None:
        """What was computed for it, which may be more than was left."""
        if caller.limited:
            self._left[caller.where] = self.left(caller) - seconds, self._clock()
