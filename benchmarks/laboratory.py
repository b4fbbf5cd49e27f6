"""What the laboratory takes an image: its circuit, and the split of its margin by channel."""

from collections.abc import Iterator

from benchmarks.circuit import flips, measured
from benchmarks.claim import Claim
from benchmarks.subjects import CHECKPOINTS
from benchmarks.turns import Scale, shown
from cifs.channels import margin_split
from cifs.zoo import Zoo

MODEL = "fmnist-resnet10-w16-natural"


def claims(scale: Scale) -> Iterator[Claim]:
    model = Zoo(CHECKPOINTS).entry(MODEL).load()
    x, x_adv, y = flips(model, "fashion_mnist_mini", scale.of(50, 2))
    last, before = model.layers[-1], model.layers[-2]
    circuits = measured(model, [last], x_adv, x, y, restoring=True)
    seconds, share, by_chance = (circuits[key] for key in ("seconds_an_image", "share", "random_share"))
    text = f"circuit of a flip at {last} of `{MODEL}`, an image"
    yield Claim("laboratory/circuit", text, shown(seconds), "", seconds, " s", 3)
    text = "… labels it brings back, against random sets of the same size"
    yield Claim("laboratory/share", text, f"{share:.1%}", f"{by_chance:.1%}", 100 * share, " %", 1)
    n = scale.of(16, 1)
    (whole,) = scale.in_turns(lambda: margin_split(model, before, x[:n], x_adv[:n], y[:n]), rounds=3, seconds=15)
    text = f"margin of a flip split by channel at {before} of `{MODEL}`, an integral of 64 steps, an image"
    yield Claim("laboratory/margin", text, shown(whole / n), "", whole / n, " s", 3)
