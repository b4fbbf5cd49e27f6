"""What the science's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cifs.data import load_images


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty $CIFS_DATA."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CIFS_DATA", str(folder))
    load_images.cache_clear()
    yield folder
    load_images.cache_clear()
