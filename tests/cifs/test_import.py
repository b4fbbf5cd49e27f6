"""Weights of other projects become models of ours that compute the same."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from cifs.cli import app
from cifs.data import dataset
from cifs.errors import CheckpointError, UnknownName
from cifs.foreign import LAYOUTS, SOURCES, import_model, read_weights
from cifs.zoo import Zoo

Weights = dict[str, Tensor]
BLOCKS = {"resnet10": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2)}
CIFAR10 = dataset("cifar10")


def foreign(blocks: tuple[int, ...] = (2, 2, 2, 2), *, width: int = 4, classes: int = 10) -> Weights:
    """Random weights under the names of kuangliu/pytorch-cifar."""
    random = torch.Generator().manual_seed(0)
    weights: Weights = {}

    def convolution(name: str, c_out: int, c_in: int, size: int) -> None:
        weights[f"{name}.weight"] = torch.randn(c_out, c_in, size, size, generator=random) / (c_in * size**2) ** 0.5

    def normalisation(name: str, channels: int) -> None:
        for key in ("weight", "running_var"):
            weights[f"{name}.{key}"] = 0.5 + torch.rand(channels, generator=random)
        for key in ("bias", "running_mean"):
            weights[f"{name}.{key}"] = torch.randn(channels, generator=random) / 2
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", width, 3, 3)
    normalisation("bn1", width)
    c_in = width
    for stage, count in enumerate(blocks):
        c_out = width * 2**stage
        for b in range(count):
            block = f"layer{stage + 1}.{b}"
            convolution(f"{block}.conv1", c_out, c_in, 3)
            normalisation(f"{block}.bn1", c_out)
            convolution(f"{block}.conv2", c_out, c_out, 3)
            normalisation(f"{block}.bn2", c_out)
            if b == 0 and stage > 0:
                convolution(f"{block}.shortcut.0", c_out, c_in, 1)
                normalisation(f"{block}.shortcut.1", c_out)
            c_in = c_out
    weights["linear.weight"] = torch.randn(classes, c_in, generator=random)
    weights["linear.bias"] = torch.randn(classes, generator=random)
    return weights


def reference(w: Weights, x: Tensor, blocks: tuple[int, ...]) -> Tensor:
    """What that project's ResNet computes of images in [0, 1], without a module of ours."""

    def bn(name: str, z: Tensor) -> Tensor:
        parts = (w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(z, *parts)

    h = F.relu(bn("bn1", F.conv2d(x, w["conv1.weight"], padding=1)))
    for stage, count in enumerate(blocks):
        for b in range(count):
            block, stride = f"layer{stage + 1}.{b}", 2 if b == 0 and stage > 0 else 1
            inner = F.relu(bn(f"{block}.bn1", F.conv2d(h, w[f"{block}.conv1.weight"], stride=stride, padding=1)))
            inner = bn(f"{block}.bn2", F.conv2d(inner, w[f"{block}.conv2.weight"], padding=1))
            if f"{block}.shortcut.0.weight" in w:
                h = bn(f"{block}.shortcut.1", F.conv2d(h, w[f"{block}.shortcut.0.weight"], stride=stride))
            h = F.relu(inner + h)
    return F.linear(F.avg_pool2d(h, 4).flatten(1), w["linear.weight"], w["linear.bias"])


def saved(path: Path, value: object) -> Path:
    torch.save(value, path)
    return path


@pytest.mark.parametrize("arch", BLOCKS)
def test_an_imported_resnet_computes_what_it_computed_at_home(arch: str, tmp_path: Path) -> None:
    weights = foreign(BLOCKS[arch])
    model = import_model(saved(tmp_path / "w.pt", weights), "kuangliu", CIFAR10)
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    assert (model.arch, model.width) == (arch, 4)
    torch.testing.assert_close(model(x), reference(weights, x, BLOCKS[arch]))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"state_dict": w, "epoch": 3},
        lambda w: {"net": {f"module.{name}": tensor for name, tensor in w.items()}},
        lambda w: {name: tensor for name, tensor in w.items() if "num_batches" not in name},
    ],
    ids=["under state_dict", "of DataParallel under net", "of an old torch"],
)
def test_a_file_may_wrap_its_weights(wrap, tmp_path: Path) -> None:
    weights = foreign()
    model = import_model(saved(tmp_path / "w.pt", wrap(weights)), "kuangliu", CIFAR10)
    assert torch.equal(model.state_dict()["fc.weight"], weights["linear.weight"])


def test_safetensors_are_read_too(tmp_path: Path) -> None:
    save_file(foreign(), tmp_path / "w.safetensors")
    assert read_weights(tmp_path / "w.safetensors").keys() == foreign().keys()


def without(name: str) -> Weights:
    return {key: tensor for key, tensor in foreign().items() if key != name}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (without("layer2.0.bn1.bias"), "missing: layer2.0.bn1.bias"),
        (foreign() | {"layer4.1.gate": torch.ones(2)}, "not known: layer4.1.gate"),
        (
            foreign() | {"layer1.0.conv2.weight": torch.ones(4, 5, 3, 3)},
            r"misshapen: layer1.0.conv2.weight is \(4, 5, 3, 3\), expected \(4, 4, 3, 3\)",
        ),
        (without("conv1.weight"), "no conv1.weight of 4 dimensions"),
        (foreign((1, 2, 1, 1)), r"layer1 to layer4 have \(1, 2, 1, 1\) blocks; known are resnet10, resnet18"),
        (foreign() | {"layer1.0.conv3.weight": torch.ones(1)}, "blocks with three convolutions"),
        (foreign(classes=7), "takes 3 channels and knows 7 classes; cifar10 has 3 and 10"),
        ({}, "holds a dict, expected tensors by name"),
        ({"optimizer": {"lr": 0.1}}, "holds a dict, expected tensors by name"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(weights: Weights, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        import_model(saved(tmp_path / "w.pt", weights), "kuangliu", CIFAR10)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('the file ran code')",)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="evil.pt cannot be read as weights"):
        read_weights(saved(tmp_path / "evil.pt", Evil()))


@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_a_file_that_is_none_is_refused(content: bytes | None, tmp_path: Path) -> None:
    for name in ("w.pt", "w.safetensors"):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read as weights"):
            read_weights(tmp_path / name)


def test_an_unknown_layout_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown layout 'torchvision'; choose from: kuangliu"):
        import_model(tmp_path / "w.pt", "torchvision", CIFAR10)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_names_what_exists(name: str) -> None:
    source = SOURCES[name]
    assert source.layout in LAYOUTS
    assert dataset(source.dataset).name == source.dataset


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["import", *arguments], env={"COLUMNS": "300"})
    return f"{result.exit_code} {result.output}"


def test_the_command_puts_a_model_with_a_card_into_the_zoo_and_out_of_git(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.pt", foreign())
    zoo = Zoo(tmp_path / "zoo")
    assert run(str(path), "--layout", "kuangliu", "--checkpoints", str(zoo.root)).startswith("0 ")
    entry = zoo.entry("theirs")
    assert (entry.info.dataset, entry.info.method, entry.info.eps) == ("cifar10", "natural", None)
    assert (entry.config["mean"], entry.config["std"]) == ([0, 0, 0], [1, 1, 1])  # images in [0, 1], as they are
    card = (entry.folder / "README.md").read_text()
    assert "Not trained here" in card
    assert "SHA-256" in card
    assert (entry.folder / ".gitignore").read_text().endswith("*\n")
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(entry.load()(x), reference(foreign(), x, BLOCKS["resnet18"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--layout: say which names the file uses; choose from: kuangliu"),
        (("--layout", "kuangliu", "--method", "cifs"), "write natural without ε, or vanilla with its ε"),
        (("--layout", "kuangliu", "--method", "vanilla"), "write natural without ε, or vanilla with its ε"),
        (("--layout", "kuangliu", "--data", "mars"), "unknown data set 'mars'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.pt", foreign())
    said = run(str(path), *arguments, "--checkpoints", str(tmp_path / "zoo"))
    assert said.startswith("1 ")
    assert message in said


def test_a_model_is_not_overwritten(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.pt", foreign())
    arguments = (str(path), "--layout", "kuangliu", "--checkpoints", str(tmp_path / "zoo"))
    run(*arguments)
    assert "theirs is in" in run(*arguments)
