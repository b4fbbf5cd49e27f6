"""What we claim about speed, measured side by side with peers: one file a topic, its claims as they are measured."""

from collections.abc import Iterator
from importlib import import_module

from benchmarks.claim import Claim
from benchmarks.turns import Scale

TOPICS = (
    "attacks",
    "gradients",
    "overhead",
    "training",
    "passes",
    "serving",
    "memory",
    "laboratory",
    "pages",
    "verdicts",
)


def claims_of(topic: str, scale: Scale) -> Iterator[Claim]:
    """Every topic's module has `claims(scale)`."""
    measured: Iterator[Claim] = import_module(f"benchmarks.{topic}").claims(scale)
    return measured
