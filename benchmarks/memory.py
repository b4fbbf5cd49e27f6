"""Memory over many images: how much of the process's resident memory one more image costs."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.claim import Claim, skipped
from benchmarks.subjects import EMBEDDED, subject
from benchmarks.turns import Scale
from cifs.attacks import FGSM
from cifs.channels import channel_statistics
from cifs.data import Images
from cifs.evaluation import Bench
from cifs.models import CNN
from cifs.progress import Progress, Report
from cifs.verdict import Hearing

STATM = Path("/proc/self/statm")  # Linux alone has it
BATCH = 250
WIDER = 3  # times its ε nearly all images fall, each after as many steps as it takes: thousands have their verdict

Run = Callable[[CNN, Images, float, Report], object]


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Sampled:
    """Resident memory by how many images are done; a report."""

    def __init__(self) -> None:
        self.points: list[tuple[int, int]] = []

    def __call__(self, progress: Progress) -> None:
        if not self.points or progress.done > self.points[-1][0]:
            self.points.append((progress.done, resident()))

    @property
    def slope(self) -> float:
        """Bytes an image, by least squares, of the second half: in the first, buffers and oneDNN's cache fill."""
        done, size = np.array(self.points[len(self.points) // 2 :], dtype=float).T
        return float(np.polyfit(done, size, 1)[0])


def claims(scale: Scale) -> Iterator[Claim]:
    if not STATM.exists():
        yield skipped("memory", "memory over 10,000 images", f"there is no {STATM} here")
        return
    given = subject(EMBEDDED, 2000)
    index = torch.arange(scale.of(10_000, 3 * BATCH)) % len(given.y)
    images = Images((255 * given.x[index]).round().to(torch.uint8), given.y[index])
    runs: dict[str, Run] = {"evaluation": evaluate, "statistics": measure, "verdict": judge}
    for name, run in runs.items():
        sampled = Sampled()
        run(given.model, images, given.eps, sampled)
        text = f"memory of {name} over {len(images):,} images, an image, against holding its float32 values"
        held = images.images[0].numel() * 4
        yield Claim(f"memory/{name}", text, f"{sampled.slope:.0f} bytes", f"{held} bytes", sampled.slope / held)


def evaluate(model: CNN, images: Images, eps: float, report: Report) -> object:
    return Bench(model, images, eps, batch_size=BATCH, report=report).under(FGSM(eps=eps))


def measure(model: CNN, images: Images, eps: float, report: Report) -> object:
    batches = (images[index] for index in torch.arange(len(images)).split(BATCH))
    attack, data = FGSM(eps=eps), "fashion_mnist_mini"
    return channel_statistics(model, batches, attack, dataset=data, split="test", precision="bf16", report=report)


def judge(model: CNN, images: Images, eps: float, report: Report) -> object:
    def between_batches(progress: Progress) -> None:
        if progress.done % BATCH == 0:
            report(progress)

    with tempfile.TemporaryDirectory(prefix="cifs-bench-") as folder:
        hearing = Hearing(model, images, WIDER * eps, Path(folder), batch_size=BATCH, report=between_batches)
        return hearing.run()
