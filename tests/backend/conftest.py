"""The real app on tiny untrained models; nothing is patched, settings are injected."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from backend.app import create_app
from backend.settings import Settings
from cifs.models import build
from cifs.zoo import Info, Zoo

GENERATED: Counter[int] = Counter()  # answers to requests that were made up, by status
Serve = Callable[..., TestClient]

MODELS = {
    "tiny-natural": Info(title="Natural", dataset="fashion_mnist_mini", method="natural"),
    "tiny-cifs": Info(title="CIFS-softmax", dataset="fashion_mnist_mini", method="cifs", eps=0.1),
    "tiny-cas": Info(title="CAS", dataset="fashion_mnist_mini", method="cas", eps=0.1),
}


def save_models(root: Path) -> Path:
    """One untrained model a method, as small as the architecture goes."""
    for seed, (model_id, info) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        method = "plain" if info.method == "natural" else info.method
        imgf = {"name": "softmax", "per_channel": True} if method == "cifs" else None
        model = build("resnet10", width=4, in_channels=1, image_size=28, method=method, imgf=imgf)
        Zoo(root).save(model_id, model, info)
    return root


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_models(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def serve(checkpoints: Path) -> Serve:
    """A client of an app with these settings; within `with` the app runs with its lifespan."""

    def client(**settings: object) -> TestClient:
        chosen = Settings(**{"checkpoints": checkpoints, "device": "cpu"} | settings)  # type: ignore[arg-type]
        return TestClient(create_app(chosen), raise_server_exceptions=False)

    return client


@pytest.fixture(scope="session")
def client(serve: Serve) -> Iterator[TestClient]:
    with serve(max_images=8, max_steps=50, max_image_steps=200) as client:
        yield client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if GENERATED:
        answers = ", ".join(f"{number} × {status}" for status, number in GENERATED.most_common())
        terminalreporter.write_line(f"{GENERATED.total()} generated requests: {answers}")
