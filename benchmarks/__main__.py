"""`make bench`: every claim about speed, each beside its peer, both in one process on one model, in turns.

Prints a Markdown table, row by row as they come, and exits with 1 where a bar is missed (benchmarks/bars.py). Run it on
a machine that has nothing else to do. `make bench ARGS="--only attacks"` measures one topic.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from benchmarks import TOPICS, claims_of
from benchmarks.bars import BARS
from benchmarks.claim import Claim
from benchmarks.turns import Scale

HEAD = ("claim", "ours", "peer", "", "bar", "holds")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=TOPICS, help="a topic; may be repeated")
    parser.add_argument("--tiny", action="store_true", help="so little that the figures mean nothing, and no bars")
    return parser.parse_args(given)


def judged(topics: Sequence[str], tiny: bool) -> Iterator[Claim]:
    """Every claim of these topics with its bar; said on stderr, how long each topic took."""
    for topic in topics:
        began = time.perf_counter()
        torch.manual_seed(0)
        for claim in claims_of(topic, Scale(tiny)):
            yield replace(claim, bar=None if tiny else BARS.get(claim.key))
        print(f"{topic}: {time.perf_counter() - began:.0f} s", file=sys.stderr)


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(given: Sequence[str] | None = None) -> int:
    asked, holds = arguments(given), True
    print(row(HEAD), row(["---"] * len(HEAD)), sep="\n", flush=True)
    for claim in judged(asked.only or TOPICS, asked.tiny):
        print(row(claim.cells), flush=True)
        holds &= claim.holds
    print(f"\n{torch.get_num_threads()} threads, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}")
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
