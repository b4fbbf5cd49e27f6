"""The verdict against standard AutoAttack, as its authors' package runs it: the same model and images."""

from collections.abc import Iterator

from benchmarks.claim import Claim
from benchmarks.subjects import any_subject
from benchmarks.turns import Scale, shown
from cifs.attacks import AutoAttack, autoattack
from cifs.verdict import verdict


def claims(scale: Scale) -> Iterator[Claim]:
    given = any_subject(scale.of(100, 2))
    attack = AutoAttack(eps=given.eps, iterations=scale.of(100, 2), queries=scale.of(5000, 4))  # the standard's
    standing: dict[str, int] = {}

    def ours() -> None:
        standing["ours"] = int(verdict(given.model, given.x, given.y, eps=given.eps).standing.sum())

    def theirs() -> None:
        standing["theirs"] = int(autoattack(given.model, given.x, given.y, attack).robust.sum())

    own, peer = scale.in_turns(ours, theirs, rounds=1, seconds=60)
    n = len(given.y)
    text = f"verdict on `{given.name}`, {n} images, against standard AutoAttack"
    yield Claim("verdict/time", text, shown(own), shown(peer), peer / own)
    left, left_by_peer = (100 * standing[side] / n for side in ("ours", "theirs"))
    cells = ("verdict/same", "… with the same outcome", f"{left:.1f} %", f"{left_by_peer:.1f} %")
    yield Claim(*cells, figure=left - left_by_peer, unit=" points", digits=1)
