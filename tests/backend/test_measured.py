"""Channel statistics and robustness: what the files hold is what is served."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from fastapi.testclient import TestClient

from cifs.attacks import PGD
from cifs.channels import ChannelStatistics, channel_statistics
from cifs.data import load_images
from cifs.evaluation import COLUMNS, Bench, mcnemar, robustness_table, unpack
from cifs.evaluation.rows import robustness_columns, row_of
from cifs.files import write_json
from cifs.report import printed, to_markdown
from cifs.report.card import card
from cifs.zoo import Zoo

Serve = Callable[..., TestClient]
N = 12


@pytest.fixture(scope="module")
def measured(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo, with a plain and a CIFS model measured on a few images."""
    root = shutil.copytree(checkpoints, tmp_path_factory.mktemp("measured") / "checkpoints")
    images = load_images("fashion_mnist_mini", "test")[:N]
    about = {"dataset": "fashion_mnist_mini", "split": "test"}
    for model_id in ("tiny-natural", "tiny-cifs"):
        entry = Zoo(root).entry(model_id)
        model = entry.load()
        bench = Bench(model, images, 0.1, {"model": model_id, **about, **entry.digests()}, precision="float32")
        write_json(entry.evaluation_path, robustness_table(bench, ["natural", "fgsm", "pgd20"]).as_json())
        channel_statistics(model, [images], PGD(eps=0.1, steps=2), **about).save(entry.statistics_path)
    return root


@pytest.fixture(scope="module")
def client(serve: Serve, measured: Path) -> Iterator[TestClient]:
    with serve(checkpoints=measured) as client:
        yield client


def test_the_table_has_a_row_for_every_evaluated_model(client: TestClient, measured: Path) -> None:
    table = client.get("/robustness").json()
    assert [column["key"] for column in table["columns"]] == list(COLUMNS)
    assert [row["model"] for row in table["rows"]] == ["tiny-cifs", "tiny-natural"]
    for row in table["rows"]:
        saved = json.loads((measured / row["model"] / "evaluation.json").read_text())
        assert row["n"] == N
        assert row["eps"] == 0.1
        assert row["strongest"] == saved["strongest"]
        for key, cell in row["cells"].items():
            assert cell["low"] <= cell["accuracy"] <= cell["high"]
            for name in ("accuracy", "low", "high", "n", "settings"):
                assert cell[name] == saved["cells"][key][name]
        assert client.get(f"/models/{row['model']}/robustness").json() == row
        assert client.get(f"/models/{row['model']}").json()["evaluation"] == row["cells"]


def test_the_whole_sweep_is_served_and_the_strongest_counted(client: TestClient) -> None:
    row = client.get("/models/tiny-cifs/robustness").json()
    assert {entry["column"] for entry in row["sweep"]} == {"fgsm", "pgd20"}
    for column in ("fgsm", "pgd20"):
        entries = [entry for entry in row["sweep"] if entry["column"] == column]
        (counted,) = (entry for entry in entries if entry["counted"])
        assert counted["accuracy"] == min(entry["accuracy"] for entry in entries) == row["cells"][column]["accuracy"]


@pytest.mark.parametrize("model", ["tiny-natural", "tiny-cifs"])
def test_channel_statistics_are_the_means_over_the_images_of_the_class(client: TestClient, model: str) -> None:
    labels = load_images("fashion_mnist_mini", "test").labels[:N].tolist()
    statistics = client.get(f"/models/{model}/channel-statistics?class={labels[0]}&layer=layer4.0").json()
    mine = [i for i, label in enumerate(labels) if label == labels[0]]
    assert statistics["n"] == len(mine)
    request: dict[str, Any] = {
        "model": model,
        "layer": "layer4.0",
        "images": [{"dataset": "fashion_mnist_mini", "index": i} for i in mine],
        "attack": {"name": "pgd", "eps": 0.1, "steps": 2},
    }
    seen = client.post("/channels", json=request).json()["results"]
    for inputs in ("natural", "adversarial"):
        for quantity in ("activation", "relevance", "importance", "selected"):
            rows = [result[inputs][quantity] for result in seen]
            if rows[0] is None:
                assert statistics[inputs][quantity] is None
                continue
            means = [sum(values) / len(values) for values in zip(*rows, strict=True)]
            assert statistics[inputs][quantity] == pytest.approx(means, rel=1e-3, abs=1e-5)
        assert all(0 <= share <= 1 for share in statistics[inputs]["frequency"])


def test_how_far_each_class_is_parted_follows_from_its_own_statistics(client: TestClient) -> None:
    address = "/models/tiny-natural/channel-statistics?class={}&layer=layer3.0"
    known = sorted(set(load_images("fashion_mnist_mini", "test").labels[:N].tolist()))
    partings = client.get(address.format(known[0])).json()["partings"]
    assert [k for k, parting in enumerate(partings) if parting is not None] == known
    for k in known:
        of = client.get(address.format(k)).json()
        channels = list(
            zip(of["natural"]["relevance"], of["natural"]["activation"], of["adversarial"]["activation"], strict=True)
        )
        nr, pr = ([b - a for g, a, b in channels if (g > 0) is sign] for sign in (False, True))
        unit = mean(abs(a) for _, a, _ in channels)
        assert partings[k] == pytest.approx((mean(nr) - mean(pr)) / unit, rel=1e-4)


@pytest.mark.parametrize("model", ["tiny-natural", "tiny-cifs"])
def test_the_shift_is_that_of_each_image_s_own_nr_and_pr_channels(client: TestClient, model: str) -> None:
    labels = load_images("fashion_mnist_mini", "test").labels[:N].tolist()
    statistics = client.get(f"/models/{model}/channel-statistics?class={labels[0]}&layer=layer3.0").json()
    address = f"/models/{model}/channel-statistics?class={labels[0]}&layer=layer3.0&all_classes=false"
    assert client.get(address).json() == statistics | {"shift_all": None}
    request: dict[str, Any] = {
        "model": model,
        "layer": "layer3.0",
        "images": [{"dataset": "fashion_mnist_mini", "index": i} for i in range(N)],
        "attack": {"name": "pgd", "eps": 0.1, "steps": 2},
    }
    seen = client.post("/channels", json=request).json()["results"]
    mine = [result for result in seen if result["label"] == labels[0]]
    for results, shift in ((mine, statistics["shift"]), (seen, statistics["shift_all"])):
        for sign, field in ((-1, "nr_over_activation"), (1, "pr_under_activation")):
            shifts = [
                mean([sign * (a - b) for g, a, b in channels if (g > 0) == (sign > 0)])
                for channels in map(by_channel, results)
            ]
            assert shift[field]["n"] == len(shifts)
            assert shift[field]["mean"] == pytest.approx(mean(shifts), rel=1e-3, abs=1e-5)
            assert min(shifts) - 1e-5 <= shift[field]["low"] <= shift[field]["high"] <= max(shifts) + 1e-5
        activations = [mean(result["natural"]["activation"]) for result in seen]
        assert shift["mean_activation"] == pytest.approx(mean(activations), rel=1e-3)


def by_channel(result: dict[str, Any]) -> list[tuple[float, float, float]]:
    natural, adversarial = result["natural"], result["adversarial"]
    return list(zip(natural["relevance"], natural["activation"], adversarial["activation"], strict=True))


def test_statistics_of_before_the_shift_was_kept_are_served_without(
    serve: Serve, measured: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    path = Zoo(root).entry("tiny-cifs").statistics_path
    replace(ChannelStatistics.load(path), labels=None, shifts=None).save(path)
    with serve(checkpoints=root) as client:
        statistics = client.get("/models/tiny-cifs/channel-statistics?class=9").json()
    assert statistics["n"] > 0
    assert (statistics["shift"], statistics["shift_all"]) == (None, None)


def test_the_last_layer_is_the_default(client: TestClient) -> None:
    statistics = client.get("/models/tiny-cifs/channel-statistics?class=9").json()
    assert statistics["layer"] == "layer4.0"
    assert statistics["layers"] == ["stem", "layer1.0", "layer2.0", "layer3.0", "layer4.0"]
    assert statistics["class_name"] == "Ankle boot"


def test_a_layer_without_statistics_is_told_with_those_that_have_them(client: TestClient) -> None:
    response = client.get("/models/tiny-cifs/channel-statistics?class=9&layer=conv1")
    assert response.status_code == 422
    assert "'conv1'" in response.json()["detail"]
    assert "stem" in response.json()["detail"]


def test_a_class_without_images_is_told_to_be_so(client: TestClient) -> None:
    missing = sorted(set(range(10)) - set(load_images("fashion_mnist_mini", "test").labels[:N].tolist()))[0]
    response = client.get(f"/models/tiny-cifs/channel-statistics?class={missing}")
    assert response.status_code == 404
    assert f"class {missing}" in response.json()["detail"]


CELL = {"accuracy": 0.5, "low": 0.2, "high": 0.8, "n": 6, "correct": 3}
STAGES_LEFT = [
    {"stage": "apgd-ce", "through_mask": False, "correct": 4, "remarks": []},
    {"stage": "square", "through_mask": False, "correct": 3, "remarks": ["zero gradients"]},
]
EXTRAS: dict[str, Any] = {
    "class_counts": [2, 2, 2, 1, 1, 1, 1, 1, 1, 0],
    "curves": {
        "n": 6,
        "settings": {"name": "pgd", "beta": "inf"},
        "eps": [CELL | {"eps": 0.0}, CELL | {"eps": 0.1}],
        "steps": [CELL | {"steps": 1}, CELL | {"steps": 100}],
    },
    "more": {"n": 12, "cells": {"natural": CELL | {"n": 12}}},
    "last": {"epoch": 30, "cells": {"natural": CELL, "pgd20": CELL | {"by_class": [1, 1, 1] + 7 * [0]}}},
}
CHECKS = {
    "n": 6,
    "eps": 0.1,
    "criterion": "McNemar",
    "checks": {
        name: {"title": name.upper(), "passed": passed, "statement": f"{name}: found", "numbers": {}, "settings": {}}
        for name, passed in (("one_step", True), ("square", False), ("through_mask", None))
    },
}


@pytest.fixture
def serve_changed(serve: Serve, measured: Path, tmp_path: Path) -> Callable[..., TestClient]:
    """A client of a zoo in which tiny-cifs has another evaluation.json, and a checks.json."""
    root = shutil.copytree(measured, tmp_path / "checkpoints")

    def changed(change: Callable[[dict[str, Any]], Any], checks: Any = None) -> TestClient:
        path = root / "tiny-cifs" / "evaluation.json"
        write_json(path, change(json.loads(path.read_text())))
        if checks is not None:
            (root / "tiny-cifs" / "checks.json").write_text(json.dumps(checks))
        return serve(checkpoints=root)

    return changed


def test_all_that_was_measured_is_served_as_it_was_written(serve_changed: Callable[..., TestClient]) -> None:
    def change(found: dict[str, Any]) -> dict[str, Any]:
        found["cells"]["autoattack"] = CELL | {"by_class": [1, 1, 1] + 7 * [0], "after": STAGES_LEFT}
        return found | EXTRAS

    with serve_changed(change, CHECKS) as client:
        row = client.get("/robustness").json()["rows"][0]
    for key in ("class_counts", "curves", "more", "last"):
        assert holds(row[key], EXTRAS[key])
    assert holds(row["cells"]["autoattack"], CELL | {"after": STAGES_LEFT})
    assert sum(row["cells"]["pgd20"]["by_class"]) == row["cells"]["pgd20"]["correct"]
    assert len(row["classes"]) == len(row["class_counts"])
    assert row["trained_eps"] == 0.1
    assert {key: row["checks"][key] for key in ("n", "eps", "criterion")} == {
        "n": 6,
        "eps": 0.1,
        "criterion": "McNemar",
    }
    assert row["checks"]["results"] == [
        {"name": name, **{key: check[key] for key in ("title", "passed", "statement")}}
        for name, check in CHECKS["checks"].items()
    ]


def holds(found: Any, written: Any) -> bool:
    """Whether everything written is found; fields with defaults may come on top."""
    if isinstance(written, dict):
        return all(holds(found[key], value) for key, value in written.items())
    if isinstance(written, list):
        return len(found) == len(written) and all(map(holds, found, written))
    return bool(found == written)


def test_an_evaluation_of_before_all_this_was_measured_is_served_without(
    serve_changed: Callable[..., TestClient],
) -> None:
    def change(found: dict[str, Any]) -> dict[str, Any]:
        new = ("by_class", "correct")
        cells = {key: {k: v for k, v in cell.items() if k not in new} for key, cell in found["cells"].items()}
        return {key: value for key, value in found.items() if key not in EXTRAS} | {"cells": cells}

    with serve_changed(change) as client:
        row = client.get("/robustness").json()["rows"][0]
    assert row["model"] == "tiny-cifs"
    assert [row[key] for key in ("class_counts", "curves", "more", "last", "epochs", "checks")] == [None] * 6
    assert row["cells"]["pgd20"]["by_class"] is None


@pytest.mark.parametrize("checks", [[], {}, CHECKS | {"checks": []}, {"checks": CHECKS["checks"]}])
def test_malformed_checks_leave_the_row(serve_changed: Callable[..., TestClient], checks: Any) -> None:
    with serve_changed(dict, checks) as client:
        assert client.get("/models/tiny-cifs/robustness").json()["checks"] is None


def test_the_epochs_are_those_of_the_recipe(serve: Serve, measured: Path, tmp_path: Path) -> None:
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    path = root / "tiny-cifs" / "config.json"
    config = json.loads(path.read_text())
    config["info"]["training"] = {"recipe": {"epochs": 30}}
    path.write_text(json.dumps(config))
    with serve(checkpoints=root) as client:
        row = client.get("/models/tiny-cifs/robustness").json()
    assert (row["epochs"], row["kept"]) == (30, None)


@pytest.mark.parametrize(
    ("keep", "expected"), [("best", "epoch 12 of 13, best on validation images"), ("last", "epoch 12 of 13")]
)
def test_a_row_says_which_of_its_training_s_networks_it_is(
    keep: str, expected: str, serve: Serve, measured: Path, tmp_path: Path
) -> None:
    """Five epochs after a start of eight, the fourth of them kept."""
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    path = root / "tiny-cifs" / "config.json"
    config = json.loads(path.read_text())
    training = {"recipe": {"epochs": 5, "keep": keep}, "total_epochs": 13, "kept_epoch": 4}
    path.write_text(json.dumps(config | {"info": config["info"] | {"training": training}}))
    evaluation = path.with_name("evaluation.json")
    evaluation.write_text(json.dumps(json.loads(evaluation.read_text()) | {"last": {"epoch": 5, "cells": {}}}))
    with serve(checkpoints=root) as client:
        row = client.get("/models/tiny-cifs/robustness").json()
    assert row["kept"] == expected
    assert row["last"]["epoch"] == 13  # counted alike


def test_the_table_can_be_of_one_data_set(client: TestClient) -> None:
    assert len(client.get("/robustness?dataset=fashion_mnist_mini").json()["rows"]) == 2
    assert client.get("/robustness?dataset=cifar10").json()["rows"] == []


def test_the_paper_s_figures_stand_beside_ours_as_fractions_and_are_those_of_the_data_set(client: TestClient) -> None:
    rows = client.get("/robustness").json()["paper"]
    assert client.get("/robustness?dataset=cifar10").json()["paper"] == rows
    assert client.get("/robustness?dataset=fashion_mnist_mini").json()["paper"] == []
    poster = [row for row in rows if row["source"] == "poster"]
    assert [(row["arch"], row["title"]) for row in poster] == [
        (arch, title) for arch in ("resnet18", "wrn28") for title in ("Vanilla AT", "CAS", "CIFS (softmax)")
    ]
    assert [row["accuracy"]["pgd100"] for row in poster] == [0.4472, 0.4322, 0.487, 0.4708, 0.4725, 0.5151]
    assert {row["strongest"] for row in poster} == {"pgd100"}
    # results.txt of the authors' repository names files for ResNet-18's vanilla and CIFS alone; docs/study.md
    last = "the last, ckp_119.pt"
    assert [row["kept"] for row in poster] == [last, None, last, None, None, None]
    assert {row["title"]: row["accuracy"] for row in rows if row["source"] == "Figure 2"} == {
        "Vanilla AT": {"pgd20": 0.4664},
        "CIFS (sigmoid)": {"pgd20": 0.4987},
        "CIFS (softplus)": {"pgd20": 0.5038},
        "CIFS (softmax)": {"pgd20": 0.5123},
    }
    assert {row["eps"] for row in rows} == {8 / 255}


def test_a_cifs_row_names_its_imgf(client: TestClient) -> None:
    found = {row["model"]: row["imgf"] for row in client.get("/robustness").json()["rows"]}
    assert found == {"tiny-cifs": "softmax", "tiny-natural": None}


def test_two_models_are_compared_on_the_same_images(client: TestClient, measured: Path) -> None:
    found = client.get("/robustness/compare?first=tiny-cifs&second=tiny-natural").json()
    first, second = (
        json.loads(Zoo(measured).entry(model).evaluation_path.read_text()) for model in ("tiny-cifs", "tiny-natural")
    )
    assert [column["column"] for column in found["columns"]] == ["natural", "fgsm", "pgd20"]
    for column in found["columns"]:
        cells = [evaluation["cells"][column["column"]] for evaluation in (first, second)]
        assert [column["first"], column["second"]] == [cell["accuracy"] for cell in cells]
        assert column["only_first"] - column["only_second"] == cells[0]["correct"] - cells[1]["correct"]
        assert column["p_value"] == mcnemar(*(unpack(cell["robust"], N) for cell in cells)).p_value
    for tried, entry in zip(found["settings"], first["sweep"], strict=True):
        assert (tried["column"], tried["counted"]) == (entry["column"], entry["counted"])
        assert (tried["first"], tried["second"]) == (
            entry["accuracy"],
            second["cells"][entry["column"]]["accuracy"],
        )
        if tried["counted"]:
            (counted,) = (column for column in found["columns"] if column["column"] == tried["column"])
            assert counted.items() <= tried.items()
    assert {tried["column"] for tried in found["settings"]} == {"fgsm", "pgd20"}
    back = client.get("/robustness/compare?first=tiny-natural&second=tiny-cifs").json()
    assert back["settings"] == []  # the natural model has no probes to sweep


def test_the_table_does_not_list_which_images_withstood(client: TestClient) -> None:
    (row,) = (row for row in client.get("/robustness").json()["rows"] if row["model"] == "tiny-cifs")
    assert not any("robust" in cell for cell in [*row["sweep"], *row["cells"].values()])


def test_models_evaluated_unlike_are_not_compared(serve_changed: Callable[..., TestClient]) -> None:
    with serve_changed(lambda found: found | {"eps": 0.2}) as client:
        response = client.get("/robustness/compare?first=tiny-cifs&second=tiny-natural")
    assert response.status_code == 422
    assert "same images with the same ε: eps = 0.2 and 0.1" in response.json()["detail"]


@pytest.mark.parametrize("content", [b"not json", b"[]", b"{}", b'{"cells": {"natural": {"accuracy": "high"}}}'])
def test_a_malformed_evaluation_takes_nothing_else_down(
    serve: Serve, measured: Path, tmp_path: Path, content: bytes
) -> None:
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    (root / "tiny-cifs" / "evaluation.json").write_bytes(content)
    with serve(checkpoints=root) as client:
        assert [row["model"] for row in client.get("/robustness").json()["rows"]] == ["tiny-natural"]
        assert client.get("/models/tiny-cifs").json()["evaluation"] is None
        response = client.get("/models/tiny-cifs/robustness")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"


def test_malformed_statistics_are_a_clear_problem(serve: Serve, measured: Path, tmp_path: Path) -> None:
    root = shutil.copytree(measured, tmp_path / "checkpoints")
    (root / "tiny-cifs" / "channel_statistics.npz").write_bytes(b"nothing")
    with serve(checkpoints=root) as client:
        response = client.get("/models/tiny-cifs/channel-statistics?class=9")
    assert response.status_code == 500
    assert "corrupt" in response.json()["detail"]


# ---- as text --------------------------------------------------------------------------------------------------------


def test_a_group_is_exported_as_the_dashboard_prints_it(client: TestClient, measured: Path) -> None:
    names = client.get("/robustness/groups").json()
    assert names == ["fashion_mnist_mini, resnet10, width 4, ε = 0.1"]
    rows = [row for model in ("tiny-natural", "tiny-cifs") if (row := row_of(Zoo(measured).entry(model)))]
    expected = printed(robustness_columns(rows))
    exported = client.get("/robustness/export", params={"group": names[0], "format": "markdown"})
    assert exported.headers["content-type"].startswith("text/markdown")
    assert exported.text == to_markdown(expected)
    table = client.get("/robustness/export", params={"group": names[0], "format": "csv"}).text
    assert [line.split(",")[1] for line in table.splitlines()[1:]][:1] == ["tiny-natural"]
    assert r"\begin{tabular}" in client.get("/robustness/export", params={"group": names[0], "format": "latex"}).text


def test_an_unknown_group_or_format_is_refused_with_the_known_ones(client: TestClient) -> None:
    refused = client.get("/robustness/export", params={"group": "nothing"})
    assert refused.status_code == 422
    assert "unknown group 'nothing'" in refused.json()["detail"]
    assert client.get("/robustness/export", params={"group": "nothing", "format": "xls"}).status_code == 422


def test_a_card_is_served_as_it_would_be_written(client: TestClient, measured: Path) -> None:
    answer = client.get("/models/tiny-cifs/card")
    assert answer.headers["content-type"].startswith("text/markdown")
    assert answer.text == card(Zoo(measured).entry("tiny-cifs"))
    assert client.get("/models/nothing/card").status_code == 404
