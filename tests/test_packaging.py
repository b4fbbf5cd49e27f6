"""The demo starts, announces and ends its children; the pins cover what is declared; imports run one way."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cifs.cli.demo import DemoError, choose_port, end_group, is_free, wanted_port

ROOT = Path(__file__).resolve().parent.parent

# A service that answers 200 and, like a backend with a worker, has started a process of its own.
SERVER = textwrap.dedent("""
    import http.server, subprocess, sys
    child = subprocess.Popen(["sleep", "300"])
    print("grandchild", child.pid, flush=True)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            if self.path == "/die":
                print("out of ideas", flush=True)
                import os
                os._exit(3)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
""")

DRIVER = textwrap.dedent("""
    import sys
    from pathlib import Path
    from cifs.cli.demo import Demo, DemoError, Service

    server, logs, *ports = sys.argv[1:]
    services = [
        Service(name, [sys.executable, "-c", server, port], health=f"http://127.0.0.1:{port}/")
        for name, port in zip(["alpha", "beta"], ports)
    ]
    try:
        Demo(services, logs=Path(logs)).run("READY", patience=30)
    except DemoError as error:
        sys.exit(str(error))
""")


@pytest.fixture
def ports() -> list[int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return [one.getsockname()[1], two.getsockname()[1]]


@pytest.fixture
def demo(ports: list[int], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A running demo of two services, past its announcement."""
    command = [sys.executable, "-c", DRIVER, SERVER, str(tmp_path), *map(str, ports)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "READY\n":
                break
        else:
            pytest.fail(f"The demo never announced itself: {process.communicate()}")
        yield process
        process.kill()


def everything_ended(ports: list[int], logs: Path) -> bool:
    grandchildren = [int(pid) for log in logs.glob("*.log") for pid in re.findall(r"grandchild (\d+)", log.read_text())]
    assert len(grandchildren) == len(ports)
    deadline = time.monotonic() + 10
    while any(map(alive, grandchildren)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, grandchildren)) and all(map(is_free, ports))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_stop_ends_both_services_and_what_they_started(demo, ports, tmp_path, signum):
    demo.send_signal(signum)
    out, err = demo.communicate(timeout=30)
    assert demo.returncode == 0, err
    assert out.rstrip().endswith("Stopped.")
    assert everything_ended(ports, tmp_path)


def test_when_one_service_dies_the_other_ends_and_its_last_words_are_shown(demo, ports, tmp_path):
    subprocess.run(
        [sys.executable, "-c", f"import urllib.request as r; r.urlopen('http://127.0.0.1:{ports[1]}/die')"], check=False
    )
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert "The beta has ended (exit code 3)" in err
    assert "| out of ideas" in err
    assert everything_ended(ports, tmp_path)


def test_a_child_that_ignores_the_polite_request_is_killed():
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        end_group(process, patience=0.3)
        assert process.returncode == -signal.SIGKILL


def test_a_busy_port_gives_way_to_the_next_free_one():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        busy = listener.getsockname()[1]
        assert not is_free(busy)
        chosen = choose_port(busy)
        assert busy < chosen <= busy + 20
        assert choose_port(busy, taken=[chosen]) > chosen


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "8000.5", "٨٠٠٠"])
def test_a_port_that_is_none_is_refused_with_its_name_and_value(text):
    with pytest.raises(DemoError, match=f"CIFS_BACKEND_PORT='{re.escape(text)}'.*1 to 65535"):
        wanted_port("CIFS_BACKEND_PORT", 8000, {"CIFS_BACKEND_PORT": text})


def test_an_empty_port_means_the_default():
    assert wanted_port("CIFS_BACKEND_PORT", 8000, {"CIFS_BACKEND_PORT": ""}) == 8000


def test_every_declared_dependency_is_pinned_and_no_pin_names_a_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin) for pin in pins)

    def plain(requirement: str) -> str:
        return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", requirement)[0]).lower()

    assert {plain(requirement) for requirement in declared} <= {plain(pin) for pin in pins}


def test_imports_run_one_way():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_wheel_alone_serves_the_embedded_models(tmp_path, ports):
    """Installed without the repository: `cifs demo` starts both, with the Fashion-MNIST models and images inside."""
    wheels, site, empty = (tmp_path / name for name in ("wheels", "site", "empty"))
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=shutil.ignore_patterns(".*", "runs", "checkpoints"))
    of_cifar = shutil.ignore_patterns("cifar10-*")
    shutil.copytree(ROOT / "checkpoints", source / "checkpoints", ignore=of_cifar)
    shutil.copytree(ROOT / "frontend" / ".streamlit", source / "frontend" / ".streamlit")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, source], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", site, *wheels.glob("*.whl")], check=True)
    empty.mkdir()
    environment = {
        **os.environ, "PYTHONPATH": str(site), "XDG_DATA_HOME": str(tmp_path / "share"),
        "CIFS_BACKEND_PORT": str(ports[0]), "CIFS_DASHBOARD_PORT": str(ports[1]), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "cifs", "demo"]
    with subprocess.Popen(command, cwd=empty, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            announced = [line for line in iter(process.stdout.readline, "Ctrl-C ends both.\n") if line]
            assert any("Dashboard" in line for line in announced), announced
            models = httpx.get(f"http://127.0.0.1:{ports[0]}/models", trust_env=False, timeout=60).json()
            assert [model["id"] for model in models] == sorted(
                path.name for path in (ROOT / "checkpoints").glob("fmnist-*")
            )
            study = httpx.get(f"http://127.0.0.1:{ports[0]}/studies/overfitting", trust_env=False, timeout=60).json()
            assert study["published"]
            image = {"dataset": "fashion_mnist_mini", "index": 0}
            request = {"model": models[0]["id"], "images": [image], "attack": {"name": "fgsm"}}
            answer = httpx.post(f"http://127.0.0.1:{ports[0]}/attack", json=request, trust_env=False, timeout=60)
            assert answer.is_success
        finally:
            process.terminate()
            process.wait(30)
    assert {path.name for path in (tmp_path / "share" / "cifs-lab" / "checkpoints").iterdir()} == {
        model["id"] for model in models
    }


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "reference" / "attacks.html").read_text(encoding="utf-8")
    assert "Adversarial images x" in reference  # of a docstring
