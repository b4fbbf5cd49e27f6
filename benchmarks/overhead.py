"""What CIFS costs over the plain network of the same shape: a forward pass, and a step of training."""

from collections.abc import Iterator

import torch

from benchmarks.claim import Claim
from benchmarks.training import batch, learner
from benchmarks.turns import Scale, shown
from cifs.models import build

FORWARD = (("resnet10", 16, 1, 28, 256), ("resnet18", 64, 3, 32, 64))  # arch, width, channels, size, batch


def claims(scale: Scale) -> Iterator[Claim]:
    for arch, width, channels, size, images in FORWARD[: scale.of(2, 1)]:
        seconds = forward(scale, arch, width, (scale.of(images, 2), channels, size, size))
        text = f"forward pass, CIFS over plain: {arch} width {width}, batch {images}, float32"
        yield _claim(f"cifs/forward {arch} w{width}", text, *seconds)
    x, y = batch(scale.of(256, 2))
    cifs, plain = (learner(f"cpu/fmnist-resnet10-w16-{method}") for method in ("cifs-softmax", "vanilla"))
    steps = scale.in_turns(lambda: cifs.train_on(x, y), lambda: plain.train_on(x, y), rounds=12, seconds=30)
    yield _claim(
        "cifs/training step",
        f"step of adversarial training, CIFS over plain: resnet10 width 16, PGD-5, batch {len(y)}",
        *steps,
    )


def forward(scale: Scale, arch: str, width: int, shape: tuple[int, int, int, int]) -> list[float]:
    """Seconds of a forward pass with CIFS, and of the plain network with the same weights."""
    options = {"width": width, "in_channels": shape[1], "image_size": shape[2]}
    modified = build(arch, method="cifs", **options).to(memory_format=torch.channels_last).eval()
    plain = build(arch, **options).to(memory_format=torch.channels_last).eval()
    plain.load_state_dict({k: v for k, v in modified.state_dict().items() if not k.startswith("selection.")})
    x = torch.rand(shape).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        return scale.in_turns(lambda: modified(x), lambda: plain(x), rounds=100, seconds=8)


def _claim(key: str, text: str, ours: float, peer: float) -> Claim:
    return Claim(key, text, shown(ours), shown(peer), ours / peer, digits=3)
