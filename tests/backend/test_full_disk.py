"""Uploads to a disk that is full: a 507 that says so, nothing half-done, and the same upload goes through later."""

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from backend.app import create_app
from backend.settings import Settings
from cifs.models import build
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import npz
from tests.disks import fill, small_disk

INFO = Info(title="Mine", dataset="fashion_mnist_mini", method="natural")


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For models, data and temporary files alike."""
    with small_disk(tmp_path / "disk", 16384) as folder:
        for name in ("models", "data", "tmp"):
            (folder / name).mkdir()
        monkeypatch.setenv("CIFS_DATA", str(folder / "data"))
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
        yield folder


@pytest.fixture
def client(disk: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(checkpoints=disk / "models")), raise_server_exceptions=False) as client:
        yield client


def upload(what: str, folder: Path) -> dict[str, Any]:
    """What to post: each is larger than what a form holds in memory."""
    if what == "model":
        entry = Zoo(folder).save("mine", build("resnet10", width=16, in_channels=1, image_size=28), INFO)
        weights = (entry.folder / "model.safetensors").read_bytes()
        files = {"file": ("mine.safetensors", weights), "config": ("config.json", json.dumps(config_of(entry.folder)))}
        return {"url": "/models", "data": {"id": "mine"}, "files": files}
    if what == "npz":
        noise = np.random.default_rng(0).integers(0, 256, (500, 28, 28, 3), dtype=np.uint8)
        labels = np.arange(500) % 3
        path = npz(folder, train_images=noise, train_labels=labels, test_images=noise, test_labels=labels)

        return {"url": "/datasets", "data": {"name": "mine"}, "files": {"file": ("mine.npz", path.read_bytes())}}
    return {"url": "/datasets", "data": {"name": "mine"}, "files": {"file": ("mine.zip", zipped())}}


def config_of(folder: Path) -> Any:
    return json.loads((folder / "config.json").read_text())


def zipped() -> bytes:
    archive, random = io.BytesIO(), np.random.default_rng(0)
    with zipfile.ZipFile(archive, "w") as made:
        for i in range(12):
            file = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (200, 200, 3), dtype=np.uint8)).save(file, "PNG")
            made.writestr(f"class{i % 2}/{i}.png", file.getvalue())
    return archive.getvalue()


def files_on(disk: Path) -> list[str]:
    return sorted(str(path.relative_to(disk)) for path in disk.rglob("*") if path.name != "filler" and path.is_file())


@pytest.mark.parametrize("what", ["model", "npz", "zip"])
@pytest.mark.parametrize(
    "share", [0, 0.5, 1.5], ids=["while it comes in", "while it is stored", "while it is unpacked"]
)
def test_an_upload_to_a_full_disk_is_refused_and_leaves_nothing(
    client: TestClient, disk: Path, tmp_path: Path, share: float, what: str
) -> None:
    """With space for none of it, for half of it, and for it but not for what is made of it."""
    given = upload(what, tmp_path)
    filler = fill(disk, leave=int(share * len(given["files"]["file"][1])))
    before = files_on(disk)
    answer = client.post(**given)
    assert answer.status_code == 507, answer.text
    assert answer.json()["detail"].startswith("the server's disk is full; nothing was changed")
    assert files_on(disk) == before
    filler.unlink()
    assert client.post(**given).status_code == 201
