"""`make bench`: each claim about speed as a ratio, both sides in one process on one model, measured in turns.

Prints every ratio with what is claimed, and exits with 1 where a claim does not hold. Run it on a machine that has
nothing else to do.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torchattacks
from rich.console import Console
from rich.table import Table

from cifs.attacks import PGD, survives
from cifs.data import load_images
from cifs.models import CNN, build
from cifs.zoo import Zoo

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
ROBUST = "fmnist-resnet10-w16-vanilla"
N, BATCH = 2000, 500


def seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def in_turns(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """The fastest round of either, for slower ones were disturbed, and their ratio ours / peer; a round to warm up."""
    ours(), peer()
    a, b = map(min, zip(*((seconds(ours), seconds(peer)) for _ in range(rounds)), strict=True))
    return a, b, a / b


def forward_ratio(
    arch: str, width: int, channels: int, size: int, batch: int, rounds: int
) -> tuple[float, float, float]:
    """Seconds of a forward pass with CIFS, of the plain network with the same weights, and their ratio."""
    shape = {"width": width, "in_channels": channels, "image_size": size}
    modified = build(arch, method="cifs", **shape).to(memory_format=torch.channels_last).eval()
    plain = build(arch, **shape).to(memory_format=torch.channels_last).eval()
    plain.load_state_dict({k: v for k, v in modified.state_dict().items() if not k.startswith("selection.")})
    x = torch.rand(batch, channels, size, size).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return in_turns(lambda: modified(x), lambda: plain(x), rounds)


def robust_accuracy_of_torchattacks(model: CNN, x: torch.Tensor, y: torch.Tensor, eps: float) -> float:
    """PGD-20 as torchattacks runs it; accuracy on its last iterates."""
    attack = torchattacks.PGD(model, eps=eps, alpha=eps / 10, steps=20, random_start=False)
    right = 0
    for images, labels in zip(x.split(BATCH), y.split(BATCH), strict=True):
        adversarial = attack(images, labels)
        with torch.no_grad():
            right += int((model(adversarial).argmax(dim=1) == labels).sum())
    return right / len(y)


def robust_accuracy_of_ours(model: CNN, x: torch.Tensor, y: torch.Tensor, eps: float) -> float:
    settings = PGD(eps=eps, steps=20)
    parts = zip(x.split(BATCH), y.split(BATCH), strict=True)
    return sum(
        int(survives(model, images, labels, settings, precision="bf16").sum()) for images, labels in parts
    ) / len(y)


def main() -> int:
    torch.manual_seed(0)
    table = Table("claim", "ours", "peer", "ratio", "claimed", "holds")
    failed = False

    def row(*cells: str, holds: bool) -> None:
        nonlocal failed
        failed |= not holds
        table.add_row(*cells, "yes" if holds else "NO")

    for arch, width, channels, size, batch, rounds in (
        ("resnet10", 16, 1, 28, 256, 150),
        ("resnet18", 64, 3, 32, 64, 20),
    ):
        ours, peer, ratio = forward_ratio(arch, width, channels, size, batch, rounds)
        claim = f"forward pass, CIFS / plain: {arch} width {width}, batch {batch}, float32"
        row(claim, f"{1000 * ours:.1f} ms", f"{1000 * peer:.1f} ms", f"{ratio:.3f}", "≤ 1.05", holds=ratio <= 1.05)

    entry = Zoo(CHECKPOINTS).entry(ROBUST)
    model, eps = entry.load(), entry.info.eps
    assert eps is not None
    x, y = load_images("fashion_mnist_mini", "test")[:N].batch(slice(None))
    accuracy: dict[str, float] = {}
    ours, peer, ratio = in_turns(
        lambda: accuracy.update(ours=robust_accuracy_of_ours(model, x, y, eps)),
        lambda: accuracy.update(peer=robust_accuracy_of_torchattacks(model, x, y, eps)),
        rounds=3,
    )
    claim = f"PGD-20 robust accuracy of {ROBUST}, {N} images, ours faster than torchattacks {torchattacks.__version__}"
    row(claim, f"{ours:.2f} s", f"{peer:.2f} s", f"{1 / ratio:.2f}×", "≥ 2.0×", holds=1 / ratio >= 2)
    shown = [f"{100 * accuracy[side]:.2f} %" for side in ("ours", "peer")]
    difference = 100 * (accuracy["ours"] - accuracy["peer"])
    row("… with the same outcome", *shown, f"{difference:+.2f}", "± 0.2 points", holds=abs(difference) <= 0.2 + 1e-9)

    console = Console(width=max(100, Console().width))
    console.print(table)
    console.print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
