"""The command line: what it prints and writes, and that its errors are one clear line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner

from cifs.attacks import ATTACKS, GradientAttack
from cifs.channels import ChannelStatistics
from cifs.cli import app
from cifs.cli.console import console
from cifs.data import load_images
from cifs.evaluation import COLUMNS, TABLE, Bench, accuracy_curves, compare_evaluations, unpack
from cifs.files import write_json
from cifs.records import Curves
from cifs.training import recipe_names
from cifs.zoo import Entry, Info, Zoo
from tests.cifs.tiny import npz, tiny

COMMANDS = {command.name for command in app.registered_commands}
Cifs = Callable[..., Any]


@pytest.fixture
def zoo(data: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """A plain and a CIFS model for a tiny data set; the command line finds them by its environment variable."""
    npz(data)
    found = Zoo(data.parent / "zoo")
    for method in ("plain", "cifs"):
        info = Info(title=method.upper(), dataset="tiny", method="natural" if method == "plain" else method, eps=None)
        found.save(f"tiny-{method}", tiny(method, num_classes=3), info)
    monkeypatch.setenv("CIFS_CHECKPOINTS", str(found.root))
    monkeypatch.setattr(console, "width", 200)
    return found


@pytest.fixture
def cifs(zoo: Zoo) -> Cifs:
    """Runs the command line; anything that is no orderly exit comes out as the exception it is."""

    def run(*arguments: object) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def saved(entry: Entry) -> dict[str, Any] | None:
    """evaluation.json as it is."""
    evaluation = entry.evaluation()
    return None if evaluation is None else evaluation.as_json()


def test_help_lists_every_command(cifs: Cifs) -> None:
    result = cifs("--help")
    assert result.exit_code == 0
    assert all(str(name) in result.output for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(map(str, COMMANDS)))
def test_every_command_explains_itself(name: str, cifs: Cifs) -> None:
    result = cifs(name, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_recipes_lists_every_recipe(cifs: Cifs) -> None:
    result = cifs("recipes")
    assert result.exit_code == 0
    assert all(name in result.output for name in recipe_names())


def test_models_lists_every_model(cifs: Cifs) -> None:
    for result in (cifs("models"), cifs("models", "--markdown")):
        assert result.exit_code == 0
        assert "tiny-plain" in result.output
        assert "tiny-cifs" in result.output


def test_models_without_a_verdict_and_autoattack_are_said_to_be_without(cifs: Cifs) -> None:
    assert cifs("models", "--verdicts").output.strip() == "No model has both a verdict and AutoAttack."
    assert cifs("models", "--verdicts", "--json").output.strip() == "[]"


@pytest.mark.parametrize("model", ["tiny-plain", "tiny-cifs"])
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_shows_every_image_before_and_after(model: str, name: str, cifs: Cifs) -> None:
    result = cifs("attack", model, "--attack", name, "--set", "eps=8/255", "--index", 0, "--index", 4, "--data", "tiny")
    if name == "apgd_t":  # there are but three classes
        assert result.exit_code == 1
        assert "the targeted DLR loss needs 4 classes, there are 3" in result.output
        return
    assert result.exit_code == 0, result.output
    rows = [line for line in result.output.splitlines() if "class " in line]
    assert len(rows) == 2
    assert "class 0" in rows[0].split("│")[2]
    assert "class 1" in rows[1].split("│")[2]
    assert all(float(row.split("│")[5]) <= 0.0314 for row in rows)


def test_report_writes_one_page_or_says_what_is_wrong(cifs: Cifs, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    about = ("report", "tiny-cifs", "--data", "tiny", "--set", "eps=8/255", "--set", "steps=2")
    result = cifs(*about, "--index", 1, "--out", page)
    assert result.exit_code == 0, result.output
    assert "image 1 of tiny (test)" in page.read_text()
    assert "images 0 to" in cifs(*about, "--index", 10_000).output
    assert "a page's name ends in .html" in cifs(*about, "--out", tmp_path / "page.txt").output
    assert "unknown layer 'x'" in cifs(*about, "--layer", "x").output
    assert [path.name for path in tmp_path.glob("*page*")] == ["page.html"]


def test_channels_orders_by_the_weight_row_of_the_label(cifs: Cifs, zoo: Zoo) -> None:
    result = cifs("channels", "tiny-plain", "--data", "tiny", "--index", 1, "--most", 3)
    order = zoo.load("tiny-plain").fc.weight[1].argsort(descending=True).tolist()
    shown = [line.split("│")[1].strip() for line in result.output.splitlines() if line.count("│") == 6]
    assert [int(channel) for channel in shown if channel.isdigit()] == [*order[:3], *order[-3:]]


def test_channels_of_a_modified_layer_show_the_importance_the_model_gives_them(cifs: Cifs, zoo: Zoo) -> None:
    result = cifs("channels", "tiny-cifs", "--data", "tiny", "--index", 1, "--most", 2, "--layer", "layer3.0")
    x, _ = load_images("tiny", "test").batch(torch.tensor([1]))
    importance = zoo.load("tiny-cifs").trace(x).layers["layer3.0"].importance[0].tolist()
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if line.count("│") == 6
    ]
    shown = {int(row[0]): float(row[4]) for row in rows if row[0].isdigit()}
    assert len(shown) == 4
    for channel, value in shown.items():
        assert value == pytest.approx(importance[channel], abs=1e-3)


def test_evaluate_keeps_the_result_and_writes_the_card(cifs: Cifs, zoo: Zoo) -> None:
    result = cifs("evaluate", "tiny-plain", "--precision", "float32")
    assert result.exit_code == 0, result.output
    found = saved(zoo.entry("tiny-plain"))
    assert found is not None
    assert found["n"] == 12
    assert set(found["cells"]) == set(TABLE)
    for key, cell in found["cells"].items():
        assert f"{100 * cell['accuracy']:.2f}" in result.output, key
    assert f"{100 * found['cells']['pgd20']['accuracy']:.2f}" in (zoo.root / "tiny-plain" / "README.md").read_text()
    assert not list((zoo.root / "tiny-plain").glob("*.partial.json"))
    assert f"{100 * found['cells']['pgd20']['accuracy']:.2f}" in cifs("models").output


def test_evaluate_of_some_images_prints_and_keeps_nothing(cifs: Cifs, zoo: Zoo) -> None:
    result = cifs("evaluate", "tiny-cifs", "--n", 4, "--column", "natural", "--column", "fgsm", "--eps", "4/255")
    assert result.exit_code == 0, result.output
    assert "4 test images" in result.output
    assert "0.0156863" in result.output
    assert {path.name for path in (zoo.root / "tiny-cifs").iterdir()} == {"config.json", "model.safetensors"}


def test_a_table_of_the_first_images_stays_until_there_is_one_of_more(cifs: Cifs, zoo: Zoo) -> None:
    entry = zoo.entry("tiny-plain")
    for n, expected in ((8, 8), (12, 12), (4, 12)):
        result = cifs("evaluate", "tiny-plain", "--n", n, "--precision", "float32")
        assert result.exit_code == 0, result.output
        assert f"{n} test images" in result.output
        assert (saved(entry) or {})["n"] == expected
        assert ("not saved" in result.output) == (n < expected)
        card = (zoo.root / "tiny-plain" / "README.md").read_text()
        assert ("first 8 of 12 test images" in card) == ("`cifs evaluate tiny-plain --n 8`" in card) == (n == 8)


def test_a_column_of_more_images_than_the_table_stands_beside_it(cifs: Cifs, zoo: Zoo) -> None:
    entry = zoo.entry("tiny-cifs")
    few = ("--precision", "float32", "--sweep", 4)
    cifs("evaluate", "tiny-cifs", "--n", 8, *few)
    before = saved(entry)
    for columns in (("natural",), ("fgsm",), ("natural", "fgsm")):  # one by one, and again both
        result = cifs("evaluate", "tiny-cifs", *(word for key in columns for word in ("--column", key)), *few)
        assert result.exit_code == 0, result.output
        if columns == ("fgsm",):
            one_by_one = (saved(entry) or {})["more"]
    after = saved(entry)
    assert before is not None
    assert after is not None
    more = after["more"]
    assert {key: value for key, value in after.items() if key != "more"} == before
    assert (more["n"], list(more["cells"])) == (12, ["natural", "fgsm"])
    assert without_time(one_by_one["cells"]["fgsm"]) == without_time(more["cells"]["fgsm"])
    assert len(one_by_one["sweep"]) == len(more["sweep"])
    x, y = load_images("tiny", "test").batch(slice(None))
    assert more["cells"]["natural"]["correct"] == int((entry.load()(x).argmax(dim=1) == y).sum())
    assert "On 12 images: Natural" in (card := (entry.folder / "README.md").read_text())
    assert "`cifs evaluate tiny-cifs --column natural --column fgsm --sweep 4`" in card
    natural = more["cells"]["natural"]["accuracy"]
    assert f"({100 * natural:.2f}, n = 12)" in cifs("models", "--markdown").output
    cifs("evaluate", "tiny-cifs", "--n", 10, "--column", "natural", *few)  # of fewer: what is kept of more stays
    cifs("evaluate", "tiny-cifs", "--n", 8, "--column", "natural", *few)  # of no more: nothing is kept
    cifs("evaluate", "tiny-cifs", "--n", 8, *few)  # the table anew does not lose it
    assert (saved(entry) or {})["more"] == more
    cifs("evaluate", "tiny-cifs", *few)  # a table of as many makes it needless
    assert "more" not in (saved(entry) or {})
    assert not list(entry.folder.glob("*.partial.json"))


def test_evaluate_with_another_imgf_keeps_nothing_and_measures_that_one(cifs: Cifs, zoo: Zoo) -> None:
    """A softmax so flat that every importance is 1."""
    model = zoo.load("tiny-cifs")
    x, y = load_images("tiny", "test").batch(slice(None))
    for layer in model.modified:
        model.selector(layer).imgf = torch.ones_like
    expected = 100 * float((model(x).argmax(dim=1) == y).float().mean())
    flat = ["--imgf", "softmax", "--set", "temperature=10000", "--set", "per_channel=true"]
    result = cifs("evaluate", "tiny-cifs", "--column", "natural", *flat)
    assert result.exit_code == 0, result.output
    assert f"{expected:.2f}" in result.output
    assert "its own" not in result.output
    assert saved(zoo.entry("tiny-cifs")) is None


def test_another_imgf_is_compared_with_the_model_s_own_on_the_same_images(cifs: Cifs, zoo: Zoo) -> None:
    cifs("evaluate", "tiny-cifs", "--precision", "float32")
    before = zoo.entry("tiny-cifs").evaluation_path.read_bytes()
    own = json.loads(before)
    few = unpack(own["cells"]["natural"]["robust"], 8)
    result = cifs("evaluate", "tiny-cifs", "--column", "natural", "--imgf", "sigmoid", "--n", "8")
    assert result.exit_code == 0, result.output
    (line,) = (line for line in result.output.split("its own importance map")[1].splitlines() if "Natural" in line)
    assert f"{100 * float(few.float().mean()):.2f}" in line
    assert zoo.entry("tiny-cifs").evaluation_path.read_bytes() == before


def test_compare_prints_mcnemar_s_test_and_on_demand_every_setting_of_the_sweep(cifs: Cifs, zoo: Zoo) -> None:
    for model in ("tiny-cifs", "tiny-plain"):
        cifs("evaluate", model, "--precision", "float32")
    first, second = (zoo.entry(model).evaluation() for model in ("tiny-cifs", "tiny-plain"))
    assert first is not None
    assert second is not None
    comparison = compare_evaluations(first, second)
    plain = cifs("compare", "tiny-cifs", "tiny-plain").output
    assert json.loads(cifs("compare", "tiny-cifs", "tiny-plain", "--json").stdout) == comparison.model_dump()
    for found in comparison.columns:
        (line,) = (line for line in plain.splitlines() if f"│ {COLUMNS[found.column].title} " in line)
        figures = [cell.strip() for cell in line.split("│")[2:4]]
        assert figures == [f"{100 * accuracy:.2f}" for accuracy in (found.first, found.second)]
    assert "was not swept" in cifs("compare", "tiny-plain", "tiny-cifs", "--settings").output
    swept = cifs("compare", "tiny-cifs", "tiny-plain", "--settings").output.removeprefix(plain.rstrip())
    assert [line.split("│")[1].strip() for line in swept.splitlines() if "β =" in line and "PGD-20" in line] == [
        f"PGD-20, β = {tried.settings['beta']}"
        + (", through the map" if tried.settings["through_mask"] else "")
        + (" (counted)" if tried.counted else "")
        for tried in comparison.settings
        if tried.column == "pgd20"
    ]


def without_time(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_time(v) for key, v in value.items() if key != "seconds"}
    return value


def test_evaluate_at_another_eps_does_not_replace_what_is_kept(cifs: Cifs, zoo: Zoo) -> None:
    cifs("evaluate", "tiny-plain", "--precision", "float32")
    before = zoo.entry("tiny-plain").evaluation_path.read_bytes()
    assert cifs("evaluate", "tiny-plain", "--precision", "float32", "--eps", "2/255").exit_code == 0
    assert zoo.entry("tiny-plain").evaluation_path.read_bytes() == before


def test_an_attack_s_parameters_are_numbers_where_they_look_like_them(cifs: Cifs) -> None:
    """FGSM takes one step: the number 1, not the text."""
    given = ["--set", "steps=1", "--set", "random_start=true", "--set", "eps=8/255"]
    result = cifs("attack", "tiny-cifs", "--data", "tiny", "--attack", "fgsm", *given)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("changed", [{"marked": 1}, {"weights": "others"}])
def test_what_another_process_kept_meanwhile_is_not_lost(
    changed: dict[str, Any], cifs: Cifs, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifs("evaluate", "tiny-plain", "--precision", "float32")
    path = zoo.entry("tiny-plain").evaluation_path

    def measured_while_another_writes(bench: Bench, attack: GradientAttack) -> Curves:
        curves = accuracy_curves(bench, attack)
        write_json(path, json.loads(path.read_text()) | changed)
        return curves

    monkeypatch.setattr("cifs.tasks.robustness.accuracy_curves", measured_while_another_writes)
    result = cifs("evaluate", "tiny-plain", "--suite", "curves", "--n", 4)
    kept = json.loads(path.read_text())
    assert kept.items() >= changed.items()
    assert ("curves" in kept) == (result.exit_code == 0) == ("marked" in changed)
    assert ("changed meanwhile (weights)" in result.output) == ("weights" in changed)


def test_curves_and_autoattack_add_to_the_table(cifs: Cifs, zoo: Zoo) -> None:
    pytest.importorskip("pyautoattack")
    entry = zoo.entry("tiny-plain")
    refused = cifs("evaluate", "tiny-plain", "--suite", "curves")
    assert refused.exit_code == 1
    assert "has not been evaluated" in refused.output
    cifs("evaluate", "tiny-plain", "--precision", "float32", "--column", "natural")  # a part of the table is not kept
    assert saved(entry) is None
    cifs("evaluate", "tiny-plain", "--precision", "float32")
    before = saved(entry)
    assert before is not None
    assert cifs("evaluate", "tiny-plain", "--suite", "curves", "--n", 6).exit_code == 0
    attacked = cifs("evaluate", "tiny-plain", "--suite", "autoattack", "--stage", "apgd-ce", "--n", 4)
    assert attacked.exit_code == 0
    assert cifs("evaluate", "tiny-plain", "--precision", "float32").exit_code == 0  # the table anew loses neither
    found = saved(entry)
    assert found is not None
    assert found["curves"]["n"] == 6
    assert found["curves"]["settings"]["name"] == "pgd"
    cell = found["cells"].pop("autoattack")
    assert cell["n"] == 4
    assert f"after apgd-ce: {cell['correct']} left" in attacked.output
    assert "(n = 4; APGD-CE only)" in cifs("models", "--markdown").output
    assert without_time({key: found[key] for key in before}) == without_time(before)
    assert f"withstood all else, {cell['correct']} after apgd-ce." in (entry.folder / "README.md").read_text()
    assert not list(entry.folder.glob("*.partial.json"))
    for less in (("curves", "--n", 3), ("autoattack", "--stage", "square", "--n", 4)):
        before = entry.evaluation_path.read_bytes()
        result = cifs("evaluate", "tiny-plain", "--suite", *less)
        assert result.exit_code == 0
        assert "what is measured now is not saved" in " ".join(result.output.split())
        assert entry.evaluation_path.read_bytes() == before
    stale = cifs("evaluate", "tiny-plain", "--suite", "curves", "--eps", "1/255")
    assert stale.exit_code == 1
    assert "--eps: not with --suite curves, which takes: model, n, precision" in stale.stderr


def test_statistics_of_more_images_at_the_usual_budget_stay(cifs: Cifs, zoo: Zoo) -> None:
    path = zoo.entry("tiny-cifs").statistics_path
    cifs("statistics", "tiny-cifs", "--n", 6)
    for n, eps, kept in ((4, None, True), (6, 0.02, True), (12, 0.02, True), (6, None, False), (8, None, False)):
        before = path.stat().st_mtime_ns
        result = cifs("statistics", "tiny-cifs", "--n", n, *(() if eps is None else ("--eps", eps)))
        assert result.exit_code == 0
        assert ("is not saved" in " ".join(result.output.split())) == kept
        assert (path.stat().st_mtime_ns == before) == kept


def test_a_model_without_weights_is_a_clear_error(cifs: Cifs, zoo: Zoo) -> None:
    (zoo.entry("tiny-cifs").folder / "model.safetensors").unlink()
    for command in ("evaluate", "check"):
        result = cifs(command, "tiny-cifs")
        assert result.exit_code == 1
        assert "tiny-cifs/model.safetensors cannot be read" in result.output


def test_more_images_than_there_are_is_all_of_them(cifs: Cifs, zoo: Zoo) -> None:
    few = ("tiny-plain", "--precision", "float32")
    cifs("evaluate", *few)
    before = saved(zoo.entry("tiny-plain"))
    cifs("evaluate", *few, "--column", "natural", "--n", 99)
    assert saved(zoo.entry("tiny-plain")) == before


def test_statistics_are_written_beside_the_weights(cifs: Cifs, zoo: Zoo) -> None:
    result = cifs("statistics", "tiny-cifs", "--n", 6, "--eps", 0.02)
    assert result.exit_code == 0, result.output
    found = ChannelStatistics.load(zoo.entry("tiny-cifs").statistics_path)
    assert found.counts.tolist() == [2, 2, 2]
    assert found.attack["eps"] == 0.02
    for layer in found.layers:
        shift = found.shift(layer)
        assert shift is not None
        (row,) = (line for line in result.output.splitlines() if layer in line)
        for kind in (shift.nr_over_activation, shift.pr_under_activation):
            assert kind is None or f"{100 * kind.mean / shift.mean_activation:+.2f} (" in row


def test_train_puts_a_model_into_the_zoo(cifs: Cifs, zoo: Zoo, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'title = "Mine"\nmethod = "vanilla"\ndataset = "tiny"\nepochs = 1\nbatch_size = 16\nvalidation = 16\n'
        'model = { arch = "resnet10", width = 4 }\nattack = { name = "pgd", steps = 1, eps = "8/255", beta = inf }\n'
    )
    arguments = ["train", recipe, "--id", "mine", "--set", "epochs=2", "--runs", tmp_path / "runs"]
    result = cifs(*arguments)
    assert result.exit_code == 0, result.output
    entry = zoo.entry("mine")
    assert (entry.info.method, entry.info.eps, entry.info.dataset) == ("vanilla", 8 / 255, "tiny")
    assert "--set epochs=2" in str(entry.info.command)
    assert entry.load().num_classes == 3
    assert "2 epochs, batch 16" in (entry.folder / "README.md").read_text()
    assert len((tmp_path / "runs" / "mine" / "metrics.jsonl").read_text().splitlines()) == 10
    assert cifs(*arguments).exit_code == 0  # nothing is left to do


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_last_weights_are_kept_and_measured_beside_the_best(
    keep: str, cifs: Cifs, zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'title = "Mine"\nmethod = "natural"\ndataset = "tiny"\nepochs = 3\nbatch_size = 16\nvalidation = 16\n'
        f'model = {{ arch = "resnet10", width = 4 }}\nkeep = "{keep}"\nstorage = "float16"\n'
    )
    scores = iter([0.5, 0.7, 0.6])
    monkeypatch.setattr("cifs.training.validation.natural_accuracy", lambda *args, **kwargs: next(scores))
    assert cifs("train", recipe, "--runs", tmp_path / "runs").exit_code == 0
    entry = zoo.entry("mine")
    assert entry.last_path.exists() == (keep == "best")
    assert cifs("evaluate", "mine", "--precision", "float32").exit_code == 0
    found = saved(entry)
    assert found is not None
    if keep == "last":
        assert "last" not in found
        return
    assert found["last"]["epoch"] == 3
    state = torch.load(tmp_path / "runs" / "mine" / "state.pt", weights_only=True)
    x, y = load_images("tiny", "test").batch(slice(None))
    for which, weights in ((False, state["best"]["model"]), (True, state["model"])):
        torch.testing.assert_close(entry.load(last=which).state_dict(), weights, atol=1e-3, rtol=1e-3)
    right = int((entry.load(last=True)(x).argmax(dim=1) == y).sum())
    assert found["last"]["cells"]["natural"]["correct"] == right
    assert "last epoch" in (entry.folder / "README.md").read_text()


WRONG: dict[str, tuple[list[object], str]] = {
    "model": (["attack", "nothing"], "unknown model 'nothing'; choose from: tiny-cifs, tiny-plain"),
    "model outside": (["evaluate", "../zoo/tiny-cifs"], "unknown model '../zoo/tiny-cifs'"),
    "model like markup": (["attack", "[/bold]"], "unknown model '[/bold]'"),
    "model like a tag": (["attack", "[red]x"], "unknown model '[red]x'"),
    "attack": (["attack", "tiny-cifs", "--attack", "deepfool"], "unknown attack 'deepfool'; choose from: fgsm"),
    "eps": (["attack", "tiny-cifs", "--set", "eps=8/0"], "eps = '8/0'"),
    "nan": (["attack", "tiny-cifs", "--set", "eps=nan"], "eps = 'nan'"),
    "steps": (["attack", "tiny-cifs", "--set", "steps=1000000000"], "less than or equal to 10000"),
    "parameter": (["attack", "tiny-cifs", "--set", "epsilon=1"], "no parameter 'epsilon'; it takes: eps"),
    "no value": (["attack", "tiny-cifs", "--set", "eps"], "write parameter=value"),
    "index": (["attack", "tiny-cifs", "--data", "tiny", "--index", 12], "tiny has test images 0 to 11"),
    "data": (["attack", "tiny-cifs", "--data", "nothing"], "unknown data set 'nothing'"),
    "images of another shape": (["attack", "tiny-cifs", "--data", "fashion_mnist_mini"], "(1, 28, 28)"),
    "channels of another shape": (["channels", "tiny-cifs"], "(1, 28, 28)"),
    "evaluation of another shape": (["evaluate", "tiny-cifs", "--data", "fashion_mnist_mini", "--n", 1], "(1, 28, 28)"),
    "layer": (["channels", "tiny-cifs", "--data", "tiny", "--layer", "layer9"], "unknown layer 'layer9'"),
    "column": (["evaluate", "tiny-cifs", "--column", "pgd7", "--n", 1], "unknown column 'pgd7'"),
    "split": (
        ["evaluate", "tiny-cifs", "--split", "validation"],
        "unknown split 'validation'; choose from: train, test",
    ),
    "imgf": (["evaluate", "tiny-cifs", "--imgf", "relu"], "unknown IMGF 'relu'; choose from: softmax"),
    "parameters of no imgf": (["evaluate", "tiny-cifs", "--set", "temperature=2"], "Name it with --imgf"),
    "imgf without CIFS": (["evaluate", "tiny-plain", "--imgf", "softmax"], "has no CIFS layers"),
    "budget": (["evaluate", "tiny-cifs", "--eps", "2"], "eps = '2'"),
    "recipe": (["train", "cpu/nothing"], "unknown recipe 'cpu/nothing'"),
    "override": (["train", "cpu/fmnist-resnet10-w16-natural", "--set", "epochs"], "write key=value"),
    "id": (["train", "cpu/fmnist-resnet10-w16-natural", "--id", "../x"], "../x"),
    "device": (["attack", "tiny-cifs", "--data", "tiny", "--device", "warp"], "warp"),
    "absent device": (["attack", "tiny-cifs", "--data", "tiny", "--device", "cuda:7"], "cuda:7"),
    "card": (["card", "nothing"], "unknown model 'nothing'"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_an_error_is_one_clear_line_and_exit_code_1(kind: str, cifs: Cifs) -> None:
    arguments, message = WRONG[kind]
    result = cifs(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


def test_a_corrupt_checkpoint_is_one_clear_line(cifs: Cifs, zoo: Zoo) -> None:
    (zoo.root / "tiny-cifs" / "model.safetensors").write_bytes(b"nothing")
    result = cifs("attack", "tiny-cifs", "--data", "tiny")
    assert result.exit_code == 1
    assert "checkpoint 'tiny-cifs'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_version_is_the_packages(cifs: Cifs) -> None:
    from cifs import __version__

    assert __version__ in cifs("--version").output


def test_the_data_of_a_model_may_be_renamed_away_with_a_clear_message(cifs: Cifs, data: Path) -> None:
    (data / "tiny.npz").unlink()
    result = cifs("evaluate", "tiny-plain")
    assert result.exit_code == 1
    assert "unknown data set 'tiny'" in result.stderr


def test_the_app_is_a_typer_application_that_keeps_tracebacks_plain() -> None:
    assert isinstance(app, typer.Typer)
    assert app.pretty_exceptions_enable is False


def test_settings_of_a_result_are_json(cifs: Cifs, zoo: Zoo) -> None:
    cifs("evaluate", "tiny-plain", "--precision", "float32")
    json.loads((zoo.root / "tiny-plain" / "evaluation.json").read_text(), parse_constant=pytest.fail)
