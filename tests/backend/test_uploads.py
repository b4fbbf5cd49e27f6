"""Models and data sets brought over HTTP, and taken away: what is no such thing changes nothing."""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from numpy.lib.format import magic as npy_magic
from PIL import Image
from safetensors.torch import save as as_safetensors

from backend.app import create_app
from backend.settings import Settings
from cifs.models import build
from cifs.zoo import Info, Zoo

INFO = {"title": "Mine", "dataset": "fashion_mnist_mini", "method": "natural"}


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    """With one model, `here`."""
    zoo = Zoo(tmp_path / "models")
    torch.manual_seed(0)
    zoo.save("here", build("resnet10", width=4, in_channels=1, image_size=28), Info(**INFO))  # type: ignore[arg-type]
    return zoo


@pytest.fixture
def client(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("CIFS_DATA", str(tmp_path / "data"))
    settings = Settings(checkpoints=zoo.root, max_model_bytes=2**20, max_dataset_bytes=2**20, runs=tmp_path / "runs")
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def weights_and_config(zoo: Zoo) -> tuple[bytes, dict[str, Any]]:
    folder = zoo.root / "here"
    return (folder / "model.safetensors").read_bytes(), json.loads((folder / "config.json").read_text())


def brought(client: TestClient, weights: bytes, config: object | None, *, id: str = "mine", **form: str) -> Any:
    files = {"file": ("mine.safetensors", weights)}
    if config is not None:
        files["config"] = ("config.json", config if isinstance(config, bytes) else json.dumps(config).encode())
    return client.post("/models", data={"id": id, **form}, files=files)


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_model_that_is_brought_gives_the_logits_it_gave_and_says_where_it_is_from(
    client: TestClient, zoo: Zoo
) -> None:
    weights, config = weights_and_config(zoo)
    answer = brought(client, weights, config)
    assert answer.status_code == 201, answer.text
    assert answer.json()["id"] == "mine"
    x = torch.rand(3, 1, 28, 28)
    with torch.inference_mode():
        assert torch.equal(zoo.load("mine")(x), zoo.load("here")(x))
    source = zoo.entry("mine").info.source or ""
    assert "'mine.safetensors', SHA-256 " in source
    assert source in (zoo.root / "mine" / "README.md").read_text()
    assert client.get("/models/mine").status_code == 200
    assert not list(zoo.root.glob(".incoming*"))


def test_a_foreign_checkpoint_is_brought_by_its_layout(client: TestClient, zoo: Zoo) -> None:
    model = build("resnet18", width=4, num_classes=10)
    theirs = {"stem.0": "conv1", "stem.1": "bn1", "fc": "linear"}
    renamed = {}
    for name, tensor in model.state_dict().items():
        for ours, name_there in theirs.items():
            name = name.replace(f"{ours}.", f"{name_there}.") if name.startswith(f"{ours}.") else name
        renamed[f"module.{name}"] = tensor
    buffer = io.BytesIO()
    torch.save({"net": renamed}, buffer)
    form = {"id": "theirs", "layout": "kuangliu", "method": "vanilla", "eps": "8/255"}
    answer = client.post("/models", data=form, files={"file": ("ckpt.pth", buffer.getvalue())})
    assert answer.status_code == 201, answer.text
    assert answer.json()["eps"] == pytest.approx(8 / 255)
    assert answer.json()["width"] == 4


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path("/tmp/cifs-lab-was-here").touch, ()


def pickled(thing: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


Change = Callable[[bytes, dict[str, Any]], tuple[bytes, object | None]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w, c: (b"no weights", c), "cannot be read as weights"),
        (lambda w, c: (b"", c), "cannot be read as weights"),
        (lambda w, c: (w[:-100], c), "cannot be read as weights"),
        (lambda w, c: (w, {**c, "width": 8}), "do not fit: stem.0.weight is (4, 1, 3, 3), expected (8, 1, 3, 3)"),
        (lambda w, c: (w, {**c, "width": 20_000}), "do not fit"),  # no terabyte is allocated
        (lambda w, c: (w, {**c, "width": "wide"}), "no model of ours can be made of it"),
        (lambda w, c: (w, {**c, "arch": "resnet7"}), "unknown architecture 'resnet7'"),
        (lambda w, c: (w, {**c, "arch": 5}), "has to be an object with the model's arch"),
        (lambda w, c: (w, {**c, "info": {**c["info"], "dataset": "nowhere"}}), "unknown data set 'nowhere'"),
        (lambda w, c: (w, {**c, "info": {**c["info"], "method": "naturil"}}), "unknown method 'naturil'"),
        (lambda w, c: (w, {**c, "info": {**c["info"], "eps": "much"}}), "has no info that this release knows"),
        (lambda w, c: (w, {**c, "info": 5}), "has no info that this release knows"),
        (lambda w, c: (w, b"[" * 60_000), "config.json is no JSON"),
        (lambda w, c: (w, b"x" * 70_000), "allowed: up to 65536"),
        (lambda w, c: (w, None), "send its config.json too, or say which layout"),
        (lambda w, c: (pickled(Bomb()), c), "cannot be read as weights"),
        (lambda w, c: (pickled(["a list"]), c), "cannot be read as weights"),
    ],
)  # fmt: skip
def test_what_is_no_model_of_ours_is_refused_and_changes_nothing(
    client: TestClient, zoo: Zoo, change: Change, said: str
) -> None:
    before = contents(zoo.root)
    answer = brought(client, *change(*weights_and_config(zoo)))
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert contents(zoo.root) == before
    assert not Path("/tmp/cifs-lab-was-here").exists()


@pytest.mark.parametrize("file", [b"0.", b"\x80\x02]a.", b"\x80\x02K\x01R.", b"", pickled(Bomb()), pickled({"a": 5})])
def test_a_damaged_or_hostile_checkpoint_is_refused_and_runs_nothing(client: TestClient, file: bytes) -> None:
    form = {"id": "mine", "layout": "kuangliu"}
    answer = client.post("/models", data=form, files={"file": ("mine.pt", file)})
    assert answer.status_code == 422, answer.text
    assert not Path("/tmp/cifs-lab-was-here").exists()


def test_weights_that_are_not_finite_do_not_get_in(client: TestClient, zoo: Zoo) -> None:
    _, config = weights_and_config(zoo)
    state = {name: tensor.contiguous() for name, tensor in zoo.load("here").state_dict().items()}
    state["fc.bias"] = torch.full_like(state["fc.bias"], float("nan"))
    answer = brought(client, as_safetensors(state), config)
    assert (answer.status_code, "an image does not come through" in answer.text) == (422, True)


@pytest.mark.parametrize("id", ["../outside", ".hidden", "a/b", "", "x" * 300, "-rf"])
def test_an_id_never_becomes_a_path_of_its_own(client: TestClient, zoo: Zoo, id: str) -> None:
    before = contents(zoo.root.parent)
    assert brought(client, *weights_and_config(zoo), id=id).status_code == 422
    assert contents(zoo.root.parent) == before


def test_an_id_that_is_taken_and_a_file_too_large_are_refused(client: TestClient, zoo: Zoo) -> None:
    weights, config = weights_and_config(zoo)
    assert brought(client, weights, config, id="here").status_code == 409
    assert brought(client, b"x" * (2**20 + 1), config).status_code == 413
    assert brought(client, b"x" * 2**21, config).status_code == 413  # without reading it to the end
    assert zoo.ids() == ("here",)


def test_a_deleted_model_is_gone_and_stays_in_the_trash_for_a_day(client: TestClient, zoo: Zoo) -> None:
    weights, config = weights_and_config(zoo)
    brought(client, weights, config)
    assert client.delete("/models/mine").status_code == 204
    assert client.get("/models/mine").status_code == 404
    assert client.delete("/models/mine").status_code == 404
    (gone,) = (zoo.root / ".trash").iterdir()
    assert gone.name.startswith("mine-")
    assert brought(client, weights, config).status_code == 201  # the id is free again


def test_what_was_left_half_way_goes_at_the_start_once_it_is_a_day_old(zoo: Zoo, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    left = [tmp_path / "data" / ".cifs-d.npz", zoo.root / "here" / ".cifs-model.safetensors"]
    left += [runs / "here" / ".cifs-state.pt", runs / "jobs" / "5a" / ".cifs-saved.json"]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        for age in ("old", "young"):
            path.with_name(f"{path.name}-{age}").write_text("half")
        os.utime(path.with_name(f"{path.name}-old"), (1, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFS_DATA", str(tmp_path / "data"))
        with TestClient(create_app(Settings(checkpoints=zoo.root, runs=runs))):
            pass
    for path in left:
        assert [p.name for p in path.parent.glob(".cifs-*")] == [f"{path.name}-young"]


def test_what_is_brought_is_on_the_disk_before_it_has_its_name(
    client: TestClient, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spied upon: every file of it is synced while its place is still free, and the folder of its place after."""
    fsync, synced, places = os.fsync, [], (zoo.root / "mine", tmp_path / "data" / "mine.npz")

    def spy(handle: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{handle}")), any(place.exists() for place in places)))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    assert brought(client, *weights_and_config(zoo)).status_code == 201
    whole = {path.name for path in (zoo.root / "mine").iterdir()}
    assert whole <= {path.name for path, there in synced if not there}
    assert synced[-1] == (zoo.root, True)
    (zoo.root / "mine").rename(zoo.root / "other")
    synced.clear()
    assert data_brought(client, medmnist(), "d.npz").status_code == 201
    assert [(path.name, there) for path, there in synced] == [("mine.npz", False), ("data", True)]


def test_a_shipped_model_is_not_deleted(client: TestClient, zoo: Zoo) -> None:
    (zoo.root / "shipped.txt").write_text("here\n")
    answer = client.delete("/models/here")
    assert (answer.status_code, "part of the release" in answer.json()["detail"]) == (409, True)
    assert zoo.ids() == ("here",)


def test_the_models_of_the_release_are_listed_as_shipped() -> None:
    root = Path(__file__).parents[2] / "checkpoints"
    listed = set((root / "shipped.txt").read_text().split())
    assert listed <= set(Zoo(root).ids())
    assert {"fmnist-resnet10-w16-natural", "cifar10-resnet18-w64-cifs-softmax"} <= listed


# Data sets -----------------------------------------------------------------------------------------------------------
def as_npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def medmnist(n: int = 6, **other: Any) -> bytes:
    images, labels = np.arange(n * 64, dtype=np.uint8).reshape(n, 8, 8), np.arange(n) % 3
    arrays = {"train_images": images, "train_labels": labels, "test_images": images[:3], "test_labels": labels[:3]}
    return as_npz(**arrays | other)


def as_zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_header(header: bytes) -> bytes:
    """A .npz whose labels have this for a header, which numpy parses as Python code."""
    labels = npy_magic(1, 0) + struct.pack("<H", len(header)) + header
    return as_zip({"train_images.npy": labels, "train_labels.npy": labels})


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(buffer, "png")
    return buffer.getvalue()


def data_brought(client: TestClient, file: bytes, filename: str, name: str = "mine") -> Any:
    return client.post("/datasets", data={"name": name}, files={"file": (filename, file)})


def test_a_medmnist_file_becomes_a_data_set_with_its_images(client: TestClient) -> None:
    answer = data_brought(client, medmnist(class_names=np.array(["a", "b", "c"])), "d.npz")
    assert answer.status_code == 201, answer.text
    assert answer.json()["classes"] == ["a", "b", "c"]
    assert answer.json()["sizes"] == {"train": 6, "test": 3}
    assert client.get("/datasets/mine/samples").json()["total"] == 3
    assert data_brought(client, medmnist(), "d.npz").status_code == 409


@pytest.mark.parametrize("around", ["", "photos/"])
def test_a_zip_of_class_folders_becomes_a_data_set(client: TestClient, around: str) -> None:
    files = {
        f"{around}{s}/{c}/{i}.png": picture(i) for s in ("train", "test") for c in ("cat", "dog") for i in range(3)
    }
    answer = data_brought(client, as_zip({**files, f"{around}train/cat/notes.txt": b"ignored"}), "photos.zip")
    assert answer.status_code == 201, answer.text
    assert answer.json()["classes"] == ["cat", "dog"]
    assert answer.json()["image_shape"] == [3, 8, 8]
    assert answer.json()["sizes"] == {"train": 6, "test": 6}


@pytest.mark.parametrize(
    ("file", "filename", "said"),
    [
        (b"nothing", "d.npz", "no readable .npz"),
        (b"nothing", "d.zip", "neither a .npz nor a zip"),
        (as_npz(train_images=np.zeros((2, 8, 8), np.uint8)), "d.npz", "has no train_labels"),
        (medmnist(test_images=np.zeros((3, 8, 8), np.float32)), "d.npz", "expected uint8"),
        (medmnist(test_images=np.zeros((3, 9, 9), np.uint8)), "d.npz", "holds images of (1, 9, 9), expected (1, 8, 8)"),
        (medmnist(test_labels=np.array([0, 1, 3])), "d.npz", "has test label 3, expected 0 to 2"),
        (medmnist(class_names=np.array(["a"])), "d.npz", "has 1 class_names, but labels up to 2"),
        (as_npz(train_images=np.zeros((2000, 32, 32), np.uint8)), "d.npz", "unpacks to 2048"),  # 4 kB packed
        (as_npz(**{f"a{i}": np.zeros(1) for i in range(20)}), "d.npz", "20 members; allowed: up to 16"),
        (as_npz(train_images=np.array([{}], dtype=object), train_labels=np.zeros(1, int)), "d.npz", "no readable .npz"),
        (medmnist(class_names=np.array([2**32 - 1] * 3, "<u4").view("<U1")), "d.npz", "class_names is no array of str"),
        (with_header(b"\0"), "d.npz", "no readable .npz"),
        (with_header(b"("), "d.npz", "no readable .npz"),
        (as_zip({"a.png": b"x"}).replace(b"a.png", b"\0.png"), "d.zip", "neither a .npz nor a zip"),
        (as_zip({"cat/é.png": picture(1)}).replace("é".encode(), b"\xe3("), "d.zip", "a damaged archive"),
        (as_zip({f"train/{name}/a/1.png": picture(1) for name in ("cat", "dog")}), "d.zip", "no class folder"),
        (as_zip({"../../evil.png": picture(1)}), "d.zip", "does not lie within it"),
        (as_zip({"/etc/evil.png": picture(1)}), "d.zip", "does not lie within it"),
        (as_zip({"train\\..\\..\\evil.png": picture(1)}), "d.zip", "does not lie within it"),
        (as_zip({"a/b/c/d/e/f.png": picture(1)}), "d.zip", "deeper than 4 folders"),
        (as_zip({"train/cat/1.png": b"\0" * 2_000_000}), "d.zip", "unpacks to 2000000 bytes; allowed: up to 1048576"),
        (as_zip({f"train/cat/{i}.png": b"no picture" for i in range(3)}), "d.zip", ".png"),
        (as_zip({"readme.txt": b"hello"}), "d.zip", "holds no PNG or JPEG"),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_refused_and_changes_nothing(
    client: TestClient, tmp_path: Path, file: bytes, filename: str, said: str
) -> None:
    answer = data_brought(client, file, filename)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["detail"]
    assert "/data/" not in answer.json()["detail"]  # no path of the server's
    assert contents(tmp_path / "data") == {}
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize("name", ["cifar10", "../x", "a.b", ""])
def test_a_data_set_gets_a_name_of_its_own(client: TestClient, name: str) -> None:
    assert data_brought(client, medmnist(), "d.npz", name).status_code in (409, 422)
