"""Several who measure the same in one folder: each batch once, and together what one alone measures, bit for bit."""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from cifs.attacks import PGD
from cifs.data import Images
from cifs.evaluation import Bench, accuracy_curves, autoattack_cell, robustness_table
from cifs.files import write_json
from cifs.progress import Cancelled, Progress
from cifs.records import Record
from cifs.shards import done_together
from cifs.verdict import Proof
from tests.cifs.tiny import images, tiny
from tests.cifs.verdict.test_verdict import hearing, outcomes

Measure = Callable[[Bench], Record]
COLUMNS = ("natural", "pgd20", "pgd100", "worst")  # the setting of the third is chosen by what the second came to


def table(bench: Bench) -> Record:
    return robustness_table(bench, COLUMNS, sweep=8)


def curves(bench: Bench) -> Record:
    return accuracy_curves(bench, PGD(eps=bench.eps, steps=3))


def autoattack(bench: Bench) -> Record:
    return autoattack_cell(bench, bench.natural(), ("apgd-ce",))


def bench(folder: Path | None, **options: Any) -> Bench:
    """Each has a network of its own, as processes have."""
    (x, y), subject = images(24, seed=3), {"model": "tiny", "dataset": "tiny", "split": "test", "weights": "a"}
    return Bench(
        tiny("cifs"), Images((x * 255).byte(), y), 0.03, subject, shards=folder, batch_size=7, **options
    )  # fmt: skip


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


def as_kept(record: Record) -> Any:
    return without_seconds(json.loads(json.dumps(record.as_json())))


def together(do: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(3) as threads:
        return list(threads.map(do, range(3)))


def read(file: Path) -> Any:
    return json.loads(file.read_text()) if file.exists() else None


@pytest.mark.parametrize("measure", [table, curves, autoattack])
def test_what_several_measure_together_is_what_one_measures_alone(measure: Measure, tmp_path: Path) -> None:
    if measure is autoattack:
        pytest.importorskip("pyautoattack")
        records = [measure(bench(tmp_path)) for _ in range(2)]  # the reference draws from torch's own generator
    else:
        benches = [bench(tmp_path) for _ in range(3)]
        records = together(lambda member: measure(benches[member]))
    assert {json.dumps(as_kept(record)) for record in records} == {json.dumps(as_kept(measure(bench(None))))}


def test_a_verdict_of_several_is_the_verdict_of_one(tmp_path: Path) -> None:
    alone = hearing(tmp_path / "alone")
    expected = alone.run()

    members = [hearing(tmp_path / "shared", copy.deepcopy(alone.model), shared=True) for _ in range(3)]
    for result in together(lambda member: members[member].run()):
        assert outcomes(result) == outcomes(expected)
        assert (result.counts, result.passes) == (expected.counts, expected.passes)
    alone.prove(tmp_path / "alone.npz")
    members[0].prove(tmp_path / "shared.npz")
    proofs = [Proof(tmp_path / f"{name}.npz") for name in ("alone", "shared")]
    for one, other in zip(*proofs, strict=True):
        assert {key: array.tobytes() for key, array in one.items()} == {k: a.tobytes() for k, a in other.items()}


def test_every_shard_is_done_once_by_whoever_comes_first(tmp_path: Path) -> None:
    files: Sequence[Path] = [tmp_path / f"{number}.json" for number in range(12)]
    done: list[tuple[int, int]] = []

    def work(member: int) -> list[str]:
        def do(number: int) -> str:
            done.append((member, number))
            time.sleep(0.01)
            write_json(files[number], f"shard {number}")  # whole or not at all, as every shard is
            return f"shard {number}"

        return done_together(files, read, do, lambda: None)

    assert together(work) == [[f"shard {number}" for number in range(12)]] * 3
    assert sorted(number for _, number in done) == list(range(12))
    assert len({member for member, _ in done}) > 1


def test_one_who_is_cancelled_leaves_what_is_done_to_the_others(tmp_path: Path) -> None:
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        table(bench(tmp_path, report=report))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    assert before
    assert as_kept(table(bench(tmp_path))) == as_kept(table(bench(None)))
    assert all(file.stat().st_mtime_ns == at for file, at in before.items())


HOLDER = """
import sys, time
from pathlib import Path
from cifs.shards import done_together
folder = Path(sys.argv[1])
def do(number):
    (folder / "begun").touch()
    time.sleep(600)
done_together([folder / "0.json"], lambda file: None, do, lambda: None)
"""


def test_the_shard_of_a_process_that_is_killed_is_done_by_one_who_waited_for_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)]) as holder:
        while not (tmp_path / "begun").exists():
            time.sleep(0.02)
        waits: list[float] = []

        def waiting() -> None:
            waits.append(time.monotonic())
            if len(waits) == 2:
                os.kill(holder.pid, signal.SIGKILL)

        assert done_together([tmp_path / "0.json"], read, lambda number: "mine", waiting) == ["mine"]
    assert len(waits) >= 2


def test_a_measurement_of_other_images_or_weights_shares_nothing(tmp_path: Path) -> None:
    first = bench(tmp_path).natural()
    other = bench(tmp_path)
    other.images = other.images[:10]
    assert other.natural().n == 10
    with torch.no_grad():
        changed = bench(tmp_path)
        changed.subject = {**changed.subject, "weights": "b"}
        changed.model.fc.bias += torch.arange(10) * 100.0  # always the last class
    assert changed.natural().correct == int((changed.images.labels == 9).sum()) != first.correct
