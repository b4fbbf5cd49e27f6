"""Weights of other projects become models of ours that compute the same."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from cifs.cli import app
from cifs.data import dataset
from cifs.errors import CheckpointError, UnknownName
from cifs.foreign import LAYOUTS, SOURCES, import_model, read_weights
from cifs.models import CNN
from cifs.zoo import Zoo
from tests.cifs.tiny import tiny

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


def as_it_is(block: str, h: Tensor) -> Tensor:
    return h


def reference(
    w: Weights, x: Tensor, blocks: tuple[int, ...], select: Callable[[str, Tensor], Tensor] = as_it_is
) -> Tensor:
    """What that project's ResNet computes of images in [0, 1], without a module of ours; blocks hand on select(h)."""

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
            h = select(block, F.relu(inner + h))
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


def with_probes(names: str, *, hidden_at: str | None = None) -> Weights:
    """The ResNet-18 with linear probes in layer4, named by block; one of them behind a hidden layer of 6."""
    random, weights = torch.Generator().manual_seed(2), foreign()
    for block in ("layer4.0", "layer4.1"):
        channels = 6 if block == hidden_at else 32
        if block == hidden_at:
            weights[f"{block}.Probe.Probe.0.fc.weight"] = torch.randn(6, 32, generator=random)
            weights[f"{block}.Probe.Probe.0.fc.bias"] = torch.randn(6, generator=random)
        weights[f"{block}.{names}.weight"] = torch.randn(10, channels, generator=random)
        weights[f"{block}.{names}.bias"] = torch.randn(10, generator=random)
    return weights


def cas(w: Weights, names: str, block: str, h: Tensor) -> Tensor:
    """The weight row of the probe's prediction, as a mask."""
    if f"{block}.{names}.weight" not in w:
        return h
    row, bias = w[f"{block}.{names}.weight"], w[f"{block}.{names}.bias"]
    return h * row[F.linear(h.mean(dim=(2, 3)), row, bias).argmax(dim=1)][:, :, None, None]


def cifs(w: Weights, block: str, h: Tensor) -> Tensor:
    """softmax of the gradient of the two largest raw logits, by autograd as the authors have it."""
    name = f"{block}.Probe.Probe"
    if f"{name}.1.weight" not in w:
        return h
    z = h.detach().requires_grad_()
    pooled = z.mean(dim=(2, 3))
    if f"{name}.0.fc.weight" in w:
        pooled = F.softplus(F.linear(pooled, w[f"{name}.0.fc.weight"], w[f"{name}.0.fc.bias"]), beta=5)
    raw = F.linear(pooled, w[f"{name}.1.weight"], w[f"{name}.1.bias"])
    g = torch.autograd.grad(raw.topk(2, dim=1).values.sum(), z)[0].sum(dim=(2, 3))
    return h * g.softmax(dim=1)[:, :, None, None]


AUTHORS = {
    "hanshuyan-cifs": (with_probes("Probe.Probe.1", hidden_at="layer4.0"), cifs),
    "cas of HanshuYAN/CIFS": (with_probes("CAS.fc"), lambda w, block, h: cas(w, "CAS.fc", block, h)),
    "cas of bymavis/CAS_ICLR2021": (with_probes("fc"), lambda w, block, h: cas(w, "fc", block, h)),
}


@pytest.mark.parametrize("kind", AUTHORS)
@pytest.mark.parametrize("stated", [True, False], ids=["layout stated", "layout detected"])
def test_the_nets_of_the_authors_compute_what_they_computed_at_home(kind: str, stated: bool, tmp_path: Path) -> None:
    weights, select = AUTHORS[kind]
    layout = kind.partition(" ")[0] if stated else None
    model = import_model(saved(tmp_path / "w.pt", {"net": weights}), layout, CIFAR10)
    assert model.modified == ("layer4.0", "layer4.1")
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected = reference(weights, x, BLOCKS["resnet18"], partial(select, weights))
    torch.testing.assert_close(model(x), expected, atol=1e-5, rtol=1e-4)


def wide(*, masked: bool, width: int = 2, blocks: int = 2) -> Weights:
    """Random weights of a Wide ResNet under the names of TRADES, and with the probes of bymavis/CAS_ICLR2021."""
    random = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (16, 3, 3, 3)}
    norms = {"bn1": 4 * width}
    c_in = 16
    for stage in range(3):
        for b in range(blocks):
            c_out, name = width * 2**stage, f"block{stage + 1}.layer.{b}"
            norms |= {f"{name}.bn1": c_in, f"{name}.bn2": c_out}
            shapes |= {f"{name}.conv1.weight": (c_out, c_in, 3, 3), f"{name}.conv2.weight": (c_out, c_out, 3, 3)}
            if c_in != c_out:
                shapes[f"{name}.convShortcut.weight"] = (c_out, c_in, 1, 1)
            c_in = c_out
    shapes |= {"fc.weight": (10, c_in), "fc.bias": (10,), "sub_block1.layer.0.conv1.weight": (1, 1, 1, 1)}
    if masked:
        for name in (f"block3.layer.{blocks - 1}.fc", "extra_fc"):
            shapes |= {f"{name}.weight": (10, c_in), f"{name}.bias": (10,)}
    weights = {name: torch.randn(shape, generator=random) / 3 for name, shape in shapes.items()}
    for name, channels in norms.items():
        for key in ("weight", "running_var", "bias", "running_mean"):
            weights[f"{name}.{key}"] = 0.5 + torch.rand(channels, generator=random)
    return weights


def wide_reference(w: Weights, x: Tensor, blocks: int = 2) -> Tensor:
    def bn_relu(name: str, z: Tensor) -> Tensor:
        return F.relu(
            F.batch_norm(z, *(w[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))
        )

    z = F.conv2d(x, w["conv1.weight"], padding=1)
    for stage in range(3):
        for b in range(blocks):
            name, stride = f"block{stage + 1}.layer.{b}", 2 if b == 0 and stage > 0 else 1
            h = bn_relu(f"{name}.bn1", z)
            inner = F.conv2d(cas(w, "fc", name, h), w[f"{name}.conv1.weight"], stride=stride, padding=1)
            inner = F.conv2d(bn_relu(f"{name}.bn2", inner), w[f"{name}.conv2.weight"], padding=1)
            shortcut = w.get(f"{name}.convShortcut.weight")
            z = inner + (z if shortcut is None else F.conv2d(h, shortcut, stride=stride))
    z = bn_relu("bn1", z)
    if "extra_fc.weight" in w:
        row = w["extra_fc.weight"]
        z = z * row[F.linear(z.mean(dim=(2, 3)), row, w["extra_fc.bias"]).argmax(dim=1)][:, :, None, None]
    return F.linear(z.mean(dim=(2, 3)), w["fc.weight"], w["fc.bias"])


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "CAS"])
def test_an_imported_wide_resnet_computes_what_it_computed_at_home(masked: bool, tmp_path: Path) -> None:
    weights = wide(masked=masked)
    model = import_model(saved(tmp_path / "w.pt", {"model_state_dict": weights}), None, CIFAR10)
    assert (model.arch, model.width) == ("wrn16", 2)
    assert model.modified == (("layer3.1.preact1", "final") if masked else ())
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(x), wide_reference(weights, x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "layout"),
    [("mobilenet_v3_small", None), ("mobilenet_v3_small", "torchvision"), ("resnet10t", "timm:resnet10t")],
)
def test_networks_of_the_libraries_are_imported(name: str, layout: str | None, tmp_path: Path) -> None:
    home = (
        timm.create_model(name, num_classes=10)
        if layout and "timm" in layout
        else getattr(torchvision.models, name)(num_classes=10)
    )
    held = {"state_dict": {f"module._orig_mod.{key}": tensor for key, tensor in home.state_dict().items()}}
    model = import_model(saved(tmp_path / "w.pt", held), layout, CIFAR10)
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(model(x), home.eval()(x))


def test_images_are_normalised_where_the_network_expects_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", foreign())
    model, x = import_model(path, None, CIFAR10, normalised=True), torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CIFAR10.mean, CIFAR10.std))
    torch.testing.assert_close(
        model(x), reference(foreign(), (x - mean) / std, BLOCKS["resnet18"]), atol=1e-5, rtol=1e-4
    )


@pytest.mark.slow
def test_a_file_of_no_layout_hears_from_each_why(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as refusal:
        import_model(saved(tmp_path / "w.pt", {"encoder.weight": torch.ones(2, 2)}), None, CIFAR10)
    assert all(f"{layout}: " in str(refusal.value) for layout in LAYOUTS)


def test_weights_that_make_no_number_are_refused(tmp_path: Path) -> None:
    weights = foreign()
    weights["linear.bias"][0] = torch.nan
    with pytest.raises(CheckpointError, match="18 of them finite; expected 10 finite ones each"):
        import_model(saved(tmp_path / "w.pt", weights), "kuangliu", CIFAR10)


def test_a_folder_of_hugging_face_is_a_model_and_a_model_such_a_folder(tmp_path: Path) -> None:
    model = tiny("cifs", size=32)
    model.save_pretrained(tmp_path / "theirs")
    zoo = Zoo(tmp_path / "zoo")
    assert run(str(tmp_path / "theirs"), "--checkpoints", str(zoo.root)).startswith("0 ")
    entry, x = zoo.entry("theirs"), torch.rand(2, 3, 32, 32)
    assert (entry.info.method, entry.load().modified) == ("cifs", model.modified)
    torch.testing.assert_close(entry.load()(x), model(x))
    back = CNN.from_pretrained(entry.folder)
    assert type(back) is type(model)
    torch.testing.assert_close(back(x), model(x))
    back.save_pretrained(tmp_path / "zoo" / "again")  # what is known of it goes with it
    assert zoo.entry("again").info == entry.info
    torch.testing.assert_close(zoo.load("again")(x), model(x))


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
    with pytest.raises(UnknownName, match="unknown layout 'keras'; choose from: kuangliu"):
        import_model(saved(tmp_path / "w.pt", foreign()), "keras", CIFAR10)


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
        (
            ("--layout", "kuangliu", "--method", "cifs"),
            "such weights are of natural or vanilla; adversarial training has an ε",
        ),
        (
            ("--layout", "kuangliu", "--method", "vanilla"),
            "such weights are of natural or vanilla; adversarial training has an ε",
        ),
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
