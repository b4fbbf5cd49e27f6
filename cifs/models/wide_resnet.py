"""Wide ResNets (Zagoruyko & Komodakis, arXiv 1605.07146). WRN-d-k is arch "wrn<d>" with width = 16·k."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from cifs.models.cnn import CNN, MODELS, Select
from cifs.models.resnet import conv3x3
from cifs.selection import pool


class BNReLU(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.relu = nn.ReLU()  # a module, which attributions such as DeepLift hook

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(super().forward(x))


class PreActBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.preact1, self.conv1 = BNReLU(c_in), conv3x3(c_in, c_out, stride)
        self.preact2, self.conv2 = BNReLU(c_out), conv3x3(c_out, c_out)
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if stride != 1 or c_in != c_out else None

    def forward(self, x: Tensor, select: Callable[[Tensor], Tensor]) -> Tensor:
        h = self.preact1(x)
        residual = x if self.shortcut is None else self.shortcut(h)
        return residual + self.conv2(self.preact2(self.conv1(select(h))))


@MODELS.register("wrn16")
@MODELS.register("wrn28")
@MODELS.register("wrn34")
@MODELS.register("wrn40")
class WideResNet(CNN):
    """WRN-d: three stages of width, 2·width and 4·width channels, (d − 4) / 6 blocks each, a stem of 16 channels."""

    needs_width = True

    def build(self, arch: str, width: int | None, in_channels: int, num_classes: int) -> None:
        assert width is not None
        blocks = (int(arch.removeprefix("wrn")) - 4) // 6
        self.stem = conv3x3(in_channels, 16)
        c_in = 16
        for stage in range(3):
            c_out, stride = width * 2**stage, 1 if stage == 0 else 2
            chain = [PreActBlock(c_in if b == 0 else c_out, c_out, stride if b == 0 else 1) for b in range(blocks)]
            self.add_module(f"layer{stage + 1}", nn.ModuleList(chain))
            c_in = c_out
        self.final = BNReLU(c_in)
        self.fc = nn.Linear(c_in, num_classes)

    def blocks(self) -> Iterator[tuple[str, nn.Module]]:
        for stage in range(1, 4):
            for b, block in self.get_submodule(f"layer{stage}").named_children():
                yield f"layer{stage}.{b}", block

    @property
    def layers(self) -> tuple[str, ...]:
        per_block = (layer for name, _ in self.blocks() for layer in (f"{name}.preact1", name))
        return ("stem", *per_block, "final")

    def default_sites(self) -> list[dict[str, Any]]:
        """The input of the last block's first convolution, and the output of the final BN-ReLU, as the authors."""
        return [
            {"layer": self.layers[-3], "probe": {"name": "mlp", "hidden": 240, "sharpness": 5.0}},
            {"layer": "final", "probe": {"name": "linear"}},
        ]

    def run(self, x: Tensor, select: Select) -> Tensor:
        z = select("stem", self.stem(x))
        for name, block in self.blocks():
            z = select(name, block(z, lambda h, name=name: select(f"{name}.preact1", h)))
        return self.fc(pool(select("final", self.final(z))))
