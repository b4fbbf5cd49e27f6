"""The README keeps its word: its commands run against a real server, its figures were measured."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from cifs.channels import ChannelStatistics
from cifs.data import load_images
from cifs.evaluation import compare_evaluations, compare_verdict
from cifs.zoo import Zoo
from tests.servers import ROOT, backend

README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a real backend on the embedded models."""
    with backend(tmp_path_factory.mktemp("readme") / "log") as (address, _):
        yield address.removeprefix("http://")


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


def test_the_readme_s_library_example_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    subprocess.run([sys.executable, "-c", example], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize(
    ("text", "command"),
    [(README, "cifs models --markdown"), (RESULTS, "cifs models --verdicts --markdown")],
    ids=["robustness", "verdicts"],
)
def test_a_table_is_what_its_command_prints(text: str, command: str) -> None:
    table = text.partition(f"<!-- table: {command} -->")[2].partition("<!-- end of table -->")[0]
    words = [sys.executable, "-m", *command.split()]
    printed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert table.strip() == printed.strip() != ""


def test_the_verdicts_that_leave_more_than_autoattack_are_named() -> None:
    """By more than 0.3 points of the same images, where its own indicators find nothing wrong."""
    zoo = Zoo(ROOT / "checkpoints")
    evaluations = filter(None, (zoo.entry(model).evaluation() for model in zoo.ids()))
    found = [both for evaluation in evaluations if (both := compare_verdict(evaluation)) and both.trusted]
    more = {both.model: round(100 * (both.first - both.second), 2) for both in found}
    assert {model for model, points in more.items() if points > 0.3} == {"fmnist-resnet10-w16-cifs-softmax"}
    points = [more[f"fmnist-resnet10-w16-{name}"] for name in ("vanilla", "cifs-softmax")]
    assert "{} points more of vanilla and {} of CIFS-softmax".format(*points) in RESULTS
    assert len(found) >= 10


CIFAR10 = ("cifar10-resnet18-w16", "cifar10-wrn28-w16", "cifar10-resnet18-w64")  # families of the zoo


@pytest.mark.parametrize("family", CIFAR10)
def test_the_tables_on_cifar10_are_what_was_measured(family: str) -> None:
    text, zoo = (ROOT / "docs" / "cifar10.md").read_text(encoding="utf-8"), Zoo(ROOT / "checkpoints")
    entries = [zoo.entry(model) for model in zoo.ids() if model.startswith(f"{family}-")]
    vanilla = zoo.entry(f"{family}-vanilla").evaluation()
    assert vanilla is not None
    for entry in entries:
        found = entry.evaluation()
        assert found is not None
        figures = [f"{100 * cell.accuracy:.2f}" for key, cell in found.cells.items() if cell.after is None]
        assert f"| {entry.info.title} | {' | '.join(figures)} |" in text
        if entry.info.method in ("cas", "cifs"):
            compared = {column.column: column for column in compare_evaluations(found, vanilla).columns}
            for key in ("natural", "pgd20", "cw", "pgd100", "worst"):
                difference = f"{100 * (compared[key].first - compared[key].second):+.2f} (p "
                rows = re.findall(rf"^\| {re.escape(entry.info.title)} \| [-+].*$", text, re.MULTILINE)
                assert any(difference in row for row in rows)


def test_every_model_on_cifar10_is_of_a_family_the_page_speaks_of() -> None:
    models = [model for model in Zoo(ROOT / "checkpoints").ids() if model.startswith("cifar10-")]
    assert len(models) == 11
    assert all(model.startswith(tuple(f"{family}-" for family in CIFAR10)) for model in models)


def test_the_shifts_on_cifar10_are_what_was_measured() -> None:
    text, zoo = (ROOT / "docs" / "cifar10.md").read_text(encoding="utf-8"), Zoo(ROOT / "checkpoints")
    for entry in (zoo.entry(model) for model in zoo.ids() if model.startswith("cifar10-resnet18-w16-")):
        shift = ChannelStatistics.load(entry.statistics_path).shift("layer4.1")
        assert shift is not None
        cells = []
        for estimate in (shift.nr_over_activation, shift.pr_under_activation):
            assert estimate is not None
            cells.append(f"{100 * estimate.mean / shift.mean_activation:+.1f}".replace("-", "−"))
        assert re.search(
            rf"^\| {entry.info.title} \| {re.escape(cells[0])} \(.*\| {re.escape(cells[1])} \(", text, re.MULTILINE
        )


def test_every_picture_and_file_the_readme_names_exists() -> None:
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", README) + re.findall(
        r"`((?:backend|cifs|checkpoints)/[\w./]*)`", README
    )
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("model_id", ["cifar10-resnet18-w16-natural", "cifar10-resnet18-w16-cifs-softmax"])
def test_as_many_drawings_are_right_as_the_results_say(model_id: str) -> None:
    said = re.search(rf"^\| {model_id} \| (\d+) \|$", (ROOT / "docs" / "results.md").read_text(), re.MULTILINE)
    x, y = load_images("cifar10_drawn", "test").batch(slice(None))
    with torch.no_grad():
        right = int((Zoo(ROOT / "checkpoints").load(model_id)(x).argmax(dim=1) == y).sum())
    assert said is not None
    assert int(said[1]) == right
