"""How both sides are measured: in one process, in turns, the fastest round of either."""

import time
from collections.abc import Callable
from dataclasses import dataclass

Side = Callable[[], object]


@dataclass(frozen=True)
class Scale:
    """How much is measured: all of it, or so little that a test has the time to see it run."""

    tiny: bool = False

    def of(self, full: int, tiny: int) -> int:
        return tiny if self.tiny else full

    def in_turns(self, *sides: Side, rounds: int, seconds: float) -> list[float]:
        """Seconds of the fastest round of each side: slower ones were disturbed.

        Each side runs once to warm up where a round is short; there is one round at least, and none begins after so
        many `seconds`.
        """
        began = time.perf_counter()
        first = [duration(side) for side in sides]
        spent = time.perf_counter() - began
        if self.tiny or 2 * spent > seconds:
            return first
        fastest = [float("inf")] * len(sides)
        for _ in range(rounds):
            fastest = [min(best, duration(side)) for best, side in zip(fastest, sides, strict=True)]
            if time.perf_counter() - began + spent > seconds:
                break
        return [min(pair) for pair in zip(fastest, first, strict=True)]


def duration(run: Side) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
