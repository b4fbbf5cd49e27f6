"""ResNets for CIFAR-size inputs (He et al., arXiv 1512.03385; basic blocks, 3×3 stem without pooling)."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from cifs.models.cnn import CNN, MODELS, Select
from cifs.selection import pool

BLOCKS = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def conv3x3(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        # Every activation is a module used once: attributions such as DeepLift hook it.
        self.conv1, self.bn1, self.relu1 = conv3x3(c_in, c_out, stride), nn.BatchNorm2d(c_out), activation()
        self.conv2, self.bn2, self.relu2 = conv3x3(c_out, c_out), nn.BatchNorm2d(c_out), activation()
        self.shortcut = nn.Sequential()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(h)) + self.shortcut(x))


@MODELS.register("resnet10")
@MODELS.register("resnet18")
@MODELS.register("resnet34")
class ResNet(CNN):
    """ResNet-10, -18, -34: four stages of width, 2·width, 4·width and 8·width channels."""

    takes_activation = needs_width = True

    def build(self, arch: str, width: int | None, in_channels: int, num_classes: int) -> None:
        assert width is not None
        self.stem = nn.Sequential(conv3x3(in_channels, width), nn.BatchNorm2d(width), self.activation())
        c_in = width
        for stage, blocks in enumerate(BLOCKS[arch]):
            c_out, stride = width * 2**stage, 1 if stage == 0 else 2
            first = BasicBlock(c_in, c_out, stride, self.activation)
            chain = [first, *(BasicBlock(c_out, c_out, 1, self.activation) for _ in range(blocks - 1))]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*chain))
            c_in = c_out
        self.fc = nn.Linear(c_in, num_classes)

    def blocks(self) -> Iterator[tuple[str, nn.Module]]:
        for stage in range(1, 5):
            for b, block in self.get_submodule(f"layer{stage}").named_children():
                yield f"layer{stage}.{b}", block

    @property
    def layers(self) -> tuple[str, ...]:
        return ("stem", *(name for name, _ in self.blocks()))

    def default_sites(self) -> list[dict[str, Any]]:
        """The last two blocks: both of layer4 for ResNet-18, as the authors; layer3's and layer4's for ResNet-10."""
        return [
            {"layer": self.layers[-2], "probe": {"name": "mlp", "hidden": 128, "sharpness": 5.0}},
            {"layer": self.layers[-1], "probe": {"name": "linear"}},
        ]

    def run(self, x: Tensor, select: Select) -> Tensor:
        z = select("stem", self.stem(x))
        for name, block in self.blocks():
            z = select(name, block(z))
        return self.fc(pool(z))
