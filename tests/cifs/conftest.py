"""What the science's tests share."""

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers every time."""
    torch.manual_seed(0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $CIFS_DATA."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CIFS_DATA", str(folder))
    return folder
