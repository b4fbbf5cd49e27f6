"""The README keeps its word: its commands run against a real server, its figures were measured."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a real backend on the embedded models."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "backend.app:create_app", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def examples() -> list[tuple[str, str]]:
    """(command, output) of every `$ …` in the console blocks; a command goes on until its quotes are closed."""
    found = []
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = example.splitlines()
            end = next(n for n in range(1, len(lines) + 1) if "\n".join(lines[:n]).count("'") % 2 == 0)
            found.append(("\n".join(lines[:end]), "\n".join(lines[end:])))
    return found


def test_the_readme_has_examples_of_every_kind() -> None:
    commands = "\n".join(command for command, _ in examples())
    assert all(route in commands for route in ("/attack", "/channels", "/models"))


@pytest.mark.parametrize(("command", "output"), examples())
def test_a_readme_example_prints_what_the_readme_says(server: str, command: str, output: str) -> None:
    here = command.replace("127.0.0.1:8000", server)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", here], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == output.strip()


def test_the_readme_s_table_is_what_was_measured() -> None:
    table = README.partition("<!-- table: cifs models --markdown -->")[2].partition("<!-- end of table -->")[0]
    command = [sys.executable, "-m", "cifs.cli", "models", "--markdown"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert table.strip() == printed.strip()


def test_every_picture_and_file_the_readme_names_exists() -> None:
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", README) + re.findall(
        r"`((?:backend|cifs|checkpoints)/[\w./]*)`", README
    )
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
