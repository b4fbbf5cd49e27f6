"""The zoo: what is saved comes back; what is corrupt, foreign or missing is a clear error."""

import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cifs.errors import CheckpointError, InvalidParameter, UnknownName
from cifs.models import CNN
from cifs.report.card import card
from cifs.zoo import Entry, Info, Zoo
from tests.cifs.tiny import METHODS, images, tiny

INFO = Info(title="Tiny", dataset="fashion_mnist_mini", method="cifs", eps=0.1, training=None)


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return Zoo(tmp_path).save("tiny", tiny("cifs", in_channels=1), INFO)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_saved_comes_back_in_eval_mode(method: str, tmp_path: Path) -> None:
    model = tiny(method, in_channels=1, imgf={"name": "sigmoid", "alpha": 3.0} if method == "cifs" else None)
    info = Info(title="T", dataset="fashion_mnist_mini", method="natural" if method == "plain" else method, recipe="r")
    entry = Zoo(tmp_path).save("tiny", model.train(), info)
    assert Zoo(tmp_path).ids() == ("tiny",)
    assert Zoo(tmp_path).entry("tiny") == entry
    assert entry.info == info
    assert {path.name for path in entry.folder.iterdir()} == {"model.safetensors", "config.json"}
    back = entry.load()
    assert not any(module.training for module in back.modules())
    x, _ = images(2, channels=1)
    torch.testing.assert_close(back(x), model.eval()(x), atol=1e-6, rtol=1e-5)


def test_the_weights_are_plain_safetensors(entry: Entry) -> None:
    weights = load_file(entry.folder / "model.safetensors")
    expected = entry.load().state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_half_precision_halves_the_file_and_leaves_vectors_alone(entry: Entry) -> None:
    model = entry.load()
    half = Zoo(entry.folder.parent).save("half", model, INFO, storage="float16")
    weights = load_file(half.folder / "model.safetensors")
    for name, tensor in model.state_dict().items():
        stored = tensor.half() if tensor.ndim > 1 else tensor
        assert weights[name].dtype == stored.dtype
        assert torch.equal(weights[name], stored)
    assert all(tensor.dtype == torch.float32 for tensor in half.load().parameters())
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (half.folder, entry.folder)]
    assert sizes[0] < 0.75 * sizes[1]


def test_other_weights_under_an_id_take_what_was_measured_of_the_former_with_them(entry: Entry, tmp_path: Path) -> None:
    results = (entry.evaluation_path, entry.checks_path, entry.statistics_path)
    zoo, model = Zoo(entry.folder.parent), entry.load()
    for same in (True, False):
        for path in results:
            path.write_text("{}")
        if not same:
            next(model.parameters()).data.add_(1)
        zoo.save(entry.id, model, entry.info)
        assert [path.exists() for path in results] == [same] * 3


def saved_until(step: int, zoo: Zoo, model: CNN, info: Info) -> bool:
    """Saves in a process that is killed at the so many-th step on the disk; whether it came to the end before."""
    if (child := os.fork()) == 0:
        steps = itertools.count()

        def watching(event: str, _: object) -> None:
            if (
                event in ("open", "os.mkdir", "os.link", "os.rename", "os.remove", "ctypes.dlsym")
                and next(steps) == step
            ):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watching)
        zoo.save("tiny", model, info)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def test_whoever_is_killed_while_saving_leaves_the_old_version_or_the_new_one(entry: Entry, tmp_path: Path) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    for name in ("evaluation.json", "README.md"):
        (entry.folder / name).write_text("{}")
    shutil.copytree(entry.folder, tmp_path / "kept")
    model, info = entry.load(), replace(INFO, title="Other")
    next(model.parameters()).data.add_(1)
    old, left = contents(entry.folder), []
    new = contents(Zoo(tmp_path / "elsewhere").save("tiny", model, info).folder) | {"README.md": b"{}"}
    for step in itertools.count():
        shutil.rmtree(entry.folder)
        shutil.copytree(tmp_path / "kept", entry.folder)
        finished = saved_until(step, Zoo(tmp_path), model, info)
        left.append(contents(entry.folder))
        if finished:
            break
    assert [versions for versions, _ in itertools.groupby(left)] == [old, new]
    assert len(left) > 10
    assert left[-2] == new  # some were killed after the step that counts


def test_a_folder_without_configuration_is_no_checkpoint(entry: Entry, tmp_path: Path) -> None:
    (entry.folder / "config.json").unlink()
    assert Zoo(tmp_path).ids() == ()
    assert Zoo(tmp_path / "nowhere").ids() == ()


@pytest.mark.parametrize("model_id", ["nothing", "../x", "../tiny", "/etc", "", ".", "tiny/"])
def test_an_unknown_id_is_answered_with_the_known_ones(model_id: str, entry: Entry) -> None:
    Zoo(entry.folder.parent).save("inner", tiny(in_channels=1), INFO)
    with pytest.raises(UnknownName, match="choose from: inner, tiny"):
        Zoo(entry.folder.parent).entry(model_id)


@pytest.mark.parametrize("model_id", ["../x", "a/b", "", ".hidden", "-x", "a b", "/tmp/x"])
def test_an_id_that_is_no_folder_name_is_refused_before_anything_is_written(model_id: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="model id"):
        Zoo(tmp_path / "zoo").save(model_id, tiny(in_channels=1), INFO)
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused_by_name(entry: Entry) -> None:
    for device in ("warp", "cuda:7"):
        with pytest.raises(InvalidParameter, match=f"device '{device}' cannot be used here"):
            entry.load(device)


# ---- wrong weights --------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def scramble_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


def pickle_instead(path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, path)


def other_shapes(path: Path) -> None:
    save_file(
        {name: tensor.repeat(2) if tensor.ndim == 1 else tensor for name, tensor in load_file(path).items()}, path
    )


def other_names(path: Path) -> None:
    save_file({f"module.{name}": tensor for name, tensor in load_file(path).items()}, path)


def one_less(path: Path) -> None:
    weights = load_file(path)
    del weights["fc.bias"]
    save_file(weights, path)


WEIGHTS: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("weights"),
    "truncated": truncate,
    "scrambled": scramble_header,
    "pickled": pickle_instead,
    "other shapes": other_shapes,
    "other names": other_names,
    "one less": one_less,
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_wrong_weights_are_a_clear_error_that_names_the_checkpoint(kind: str, entry: Entry) -> None:
    WEIGHTS[kind](entry.folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="checkpoint 'tiny'"):
        Zoo(entry.folder.parent).load("tiny")


# ---- wrong configurations -------------------------------------------------------------------------------------------

READ: dict[str, Any] = {  # refused when it is read
    "empty": "",
    "no JSON": "{",
    "no UTF-8": b"\xff\xfe\x00",
    "a list": [],
    "another library's": {"architectures": ["ViT"], "hidden_size": 768},
    "no info": {"info": None},
    "unknown method": {"info": {"title": "T", "dataset": "d", "method": "magic"}},
    "strange info": {"info": {"title": "T", "dataset": "d", "method": "cifs", "colour": 1}},
    "lacking info": {"info": {"title": "T"}},
    "listed info": {"info": ["T"]},
}
BUILT: dict[str, dict[str, Any]] = {  # refused when the model is built
    "no arch": {"arch": None},
    "unknown arch": {"arch": "vit"},
    "listed arch": {"arch": ["resnet10"]},
    "another arch": {"arch": "resnet18"},
    "another width": {"width": 8},
    "negative width": {"width": -4},
    "written width": {"width": "4"},
    "unknown method": {"method": "magic"},
    "another method": {"method": "plain"},
    "unknown imgf": {"imgf": {"name": "tanh"}},
    "nameless imgf": {"imgf": {"alpha": 1}},
    "written imgf": {"imgf": "softmax"},
    "unknown layer": {"sites": [{"layer": "layer9", "probe": {"name": "linear"}}]},
    "no probe": {"sites": [{"layer": "stem"}]},
    "numbered sites": {"sites": [1]},
    "sites that are a number": {"sites": 1},
    "too many classes assessed": {"k": 99},
    "written k": {"k": "2"},
    "unknown key": {"depth": 10},
    "written mean": {"mean": "dark"},
    "mean of another size": {"mean": [0.1, 0.2, 0.3], "in_channels": 1},
    "no classes": {"num_classes": 0},
    "no pixels": {"image_size": 0},
}


@pytest.mark.parametrize("kind", READ)
def test_a_configuration_of_something_else_is_a_clear_error(kind: str, entry: Entry) -> None:
    content, path = READ[kind], entry.folder / "config.json"
    if isinstance(content, dict):
        content = json.dumps({"arch": "resnet10", **content} if "info" in content else content)
    elif isinstance(content, list):
        content = "[]"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match="tiny"):
        Zoo(entry.folder.parent).entry("tiny")


@pytest.mark.parametrize("kind", BUILT)
def test_a_configuration_that_does_not_fit_is_a_clear_error(kind: str, entry: Entry) -> None:
    path = entry.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | BUILT[kind]))
    with pytest.raises(CheckpointError, match="checkpoint 'tiny'"):
        Zoo(entry.folder.parent).load("tiny")


@pytest.mark.parametrize("kind", ["evaluation", "checks"])
@pytest.mark.parametrize("content", ["{", "[]", "null", ""])
def test_malformed_results_are_a_clear_error(content: str, kind: str, entry: Entry) -> None:
    read = getattr(entry, kind)
    assert read() is None
    (entry.folder / f"{kind}.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"tiny/{kind}\.json"):
        read()


# ---- the card -------------------------------------------------------------------------------------------------------


def test_a_card_without_figures_says_so(entry: Entry) -> None:
    text = card(entry)
    assert "# tiny" in text
    assert "Tiny: resnet10 of width 4 on Fashion-MNIST" in text
    assert "Not evaluated." in text
    assert "Not recorded." in text
    assert "up to 0.1 only; no certificate, and no AutoAttack or gradient-free attack was run." in text
    assert "Gradient-masking" not in text


def test_a_card_shows_what_every_check_found(entry: Entry) -> None:
    found = {
        "square": {"title": "Square never beats white-box", "passed": True, "statement": "Square 40.0 %"},
        "transfer": {"title": "Transfer never beats", "passed": False, "statement": "from a 30.0 %"},
        "through_mask": {"title": "Through the mask", "passed": None, "statement": "no map"},
    }
    checks = {"n": 500, "split": "test", "dataset": "d", "eps": 0.1, "criterion": "McNemar", "checks": found}
    entry.checks_path.write_text(json.dumps(checks))
    text = card(entry)
    assert "## Gradient-masking checks\n\nOn 500 test images of d, ℓ∞, ε = 0.1" in text
    assert "| Square never beats white-box | pass | Square 40.0 % |" in text
    assert "| Transfer never beats | FAIL | from a 30.0 % |" in text
    assert "| Through the mask | – | no map |" in text
    assert "no certificate, and no AutoAttack was run." in text
