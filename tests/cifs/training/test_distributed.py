"""Two real processes that exchange by gloo train as one does: the same run, seen from the same steps."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cifs.errors import InvalidParameter
from cifs.precision import generator
from cifs.training import Ranks, Run, load_recipe
from cifs.zoo import Zoo
from tests.cifs.tiny import npz

pytestmark = pytest.mark.slow

RECIPE = """
title = "Tiny"
method = "cifs"
dataset = "tiny"
epochs = 2
batch_size = 16
lr = 0.05
padding = 1
precision = "float32"
validation = 16
model = { arch = "wrn16", width = 4, method = "cifs", imgf = { name = "softmax", per_channel = true } }
attack = { name = "fgsm", step_size = "10/255", random_start = true }
validation_attack = { name = "pgd", steps = 2 }
"""
STEPS = 10  # 80 images left for training

# What two processes do in one launch: a run from start to end; and one that the second process stops and all resume,
# and that the first stops again while it validates.
WORKER = """
import sys
from pathlib import Path
from cifs.progress import Cancelled
from cifs.training import Run, joined, load_recipe

recipe, folder = load_recipe(sys.argv[1]), Path(sys.argv[2])
with joined("cpu") as (ranks, device):
    assert ranks.size == 2
    Run(recipe, folder / "two", device, ranks).train()
    for canceller, doing, step in ((1, "training", 3), (0, "validation", 5)):
        def report(progress):
            if ranks.rank == canceller and progress.doing == doing and run.step == step:
                raise Cancelled("enough")
        run = Run(recipe, folder / "stopped", device, ranks)
        try:
            run.train(report)
        except Cancelled:
            pass
        else:
            raise AssertionError("every process is cancelled")
        assert run.step == step
    run = Run(recipe, folder / "stopped", device, ranks)
    assert run.step == 5
    run.train()
"""


def torchrun(folder: Path, *arguments: str) -> str:
    """What two processes printed; they must end well.

    Rarely, and on a busy machine, gloo's threads abort a process that has done all its work and is exiting
    (pytorch/pytorch#190489). Nothing is left to lose by then, so that alone is forgiven.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = os.environ | {
        "CIFS_DATA": str(folder),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[3]),
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    aborted_at_exit = "terminate called without an active exception" in done.stderr
    assert done.returncode == 0 or aborted_at_exit, done.stdout + done.stderr
    return done.stdout


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state = torch.load(folder / "state.pt", weights_only=True)
    return state["model"]


@pytest.fixture
def recipe(data: Path) -> str:
    npz(data)
    path = data / "tiny.toml"
    path.write_text(RECIPE)
    return str(path)


def test_two_processes_make_the_run_of_one(recipe: str, data: Path) -> None:
    (data / "worker.py").write_text(WORKER)
    torchrun(data, "worker.py", recipe, str(data))
    Run(load_recipe(recipe), data / "one").train()

    one, two, stopped = (lines(data / name) for name in ("one", "two", "stopped"))
    for run in (one, two, stopped):
        assert [line["step"] for line in run] == list(range(1, STEPS + 1))  # every step once, by one process
    # Batch norm sees the whole batch in both, so what differs is the order in which floats are summed. It starts at
    # rounding error (1e-7 was seen, in every step); the sign in FGSM can turn a gradient that is all but zero into a
    # whole step, so there is room for it to grow.
    assert [line["loss"] for line in two[:2]] == pytest.approx([line["loss"] for line in one[:2]], rel=1e-5)
    for key in ("loss", "lr"):
        assert [line[key] for line in two] == pytest.approx([line[key] for line in one], rel=1e-2)
    assert one[0]["loss"] > 1.2 * one[-1]["loss"]  # it learned: the curves do not agree by standing still
    # Stopped and resumed is the same, exactly.
    assert [line["loss"] for line in stopped] == [line["loss"] for line in two]
    for name, weight in weights(data / "two").items():
        assert torch.equal(weights(data / "stopped")[name], weight), name
        torch.testing.assert_close(weight, weights(data / "one")[name], rtol=0.05, atol=0.02, msg=name)


def test_the_command_line_under_torchrun_writes_one_checkpoint(recipe: str, data: Path) -> None:
    printed = torchrun(data, "-m", "cifs", "train", recipe, "--set", "epochs=1")
    assert printed.count("saved ") == 1
    zoo = Zoo(data / "checkpoints")
    assert zoo.ids() == ("tiny",)
    assert zoo.entry("tiny").info.training["processes"] == 2
    assert type(next(m for m in zoo.load("tiny").modules() if isinstance(m, torch.nn.BatchNorm2d))).__name__ == "BNReLU"
    assert len(lines(data / "runs" / "tiny")) == STEPS / 2


def test_the_noise_of_a_share_is_its_part_of_the_whole_batch_s() -> None:
    whole = torch.rand(8, 3, 5, 5, generator=generator(1))
    random = generator(1)
    torch.rand(6, 3, 5, 5, generator=random)
    assert torch.equal(torch.rand(2, 3, 5, 5, generator=random), whole[6:])


def test_shares_are_parts_of_the_batch_in_order() -> None:
    batch = torch.arange(12)
    assert torch.equal(torch.cat([Ranks(rank, 3).share(batch) for rank in range(3)]), batch)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(recipe: str, data: Path) -> None:
    with pytest.raises(InvalidParameter, match="batch_size = 16 cannot be shared evenly by 3 processes"):
        Run(load_recipe(recipe), data / "run", ranks=Ranks(0, 3))
