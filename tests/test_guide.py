"""The guide keeps its word: its Python runs against a real server."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifs_client import Client, ClientSettings
from tests.servers import ROOT, backend

SCRIPTS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(encoding="utf-8"), re.DOTALL)
KEY = "of-the-guide-0123456789"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with keys and jobs, on the embedded models."""
    folder = tmp_path_factory.mktemp("guide")
    variables = {"CIFS_JOBS": "embedded", "CIFS_RUNS": str(folder / "runs"), "CIFS_API_KEYS": f'{{"{KEY}": "admin"}}'}
    with backend(folder / "log", **variables) as (address, _):
        yield address


def printed(script: str, address: str) -> list[str]:
    """The lines a script prints. It finds the server as any script does."""
    variables = os.environ | {"CIFS_BACKEND_URL": address, "CIFS_API_KEY": KEY, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_guide_s_first_script_attacks_and_looks_at_channels(address: str) -> None:
    fooled, channels, refusal = printed(SCRIPTS[0], address)
    natural, adversarial = fooled.split(" → ")
    assert natural == "Ankle boot" != adversarial
    assert channels == "128 channels"
    assert "eps" in refusal


@pytest.mark.slow
def test_the_guide_s_second_script_follows_a_job_to_its_end(address: str) -> None:
    *events, result = printed(SCRIPTS[1], address)
    assert [int(event.split()[0]) for event in events] == list(range(1, len(events) + 1))
    assert events[0].endswith("state waiting")
    assert events[-1].endswith("state finished")
    assert "p_value" in result


@pytest.mark.slow
def test_a_client_that_follows_again_goes_on_after_its_last_event(address: str) -> None:
    lab = Client(ClientSettings(address, api_key=KEY))
    job = lab.submit("compare", {"first": "fmnist-resnet10-w16-natural", "second": "fmnist-resnet10-w16-vanilla"})
    first = next(lab.follow(job.id))
    rest = list(lab.follow(job.id, after=first.number))
    assert [event.number for event in [first, *rest]] == list(range(1, lab.job(job.id).events + 1))


def test_the_client_needs_no_torch() -> None:
    script = "import cifs_client, sys; assert not {'torch', 'streamlit', 'fastapi'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", script], cwd=Path(ROOT), check=True, timeout=60)
