"""What a notebook draws from: views, recorded attacks and the records beside a checkpoint. None of it needs the app."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from cifs import plot
from cifs.attacks import PGD, Step, perturb
from cifs.channels import RELEVANCES, Shift, view
from cifs.channels.shift import bootstrap
from cifs.evaluation import COLUMNS, compare_evaluations
from cifs.records import (
    Column,
    Evaluation,
    RobustnessRow,
    RobustnessTable,
)
from tests.cifs.tiny import images, tiny

CHECKPOINTS = Path(__file__).parents[3] / "checkpoints"


def test_importing_the_figures_loads_neither_torch_nor_the_app() -> None:
    heavy = "{'torch', 'streamlit', 'fastapi', 'httpx', 'backend', 'frontend'}"
    code = f"import sys, cifs.plot; print({heavy} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_every_public_name_is_there() -> None:
    assert [name for name in plot.__all__ if not hasattr(plot, name)] == []
    assert [name for name in plot.__all__ if callable(getattr(plot, name)) and not getattr(plot, name).__doc__] == []


def test_a_view_is_read_one_image_at_a_time() -> None:
    x, y = images(3)
    seen = view(tiny("cifs"), "layer4.0", x, relevance=RELEVANCES["true"](), classes=y)
    one = plot.reading(seen, 2)
    assert one.activation == seen.activation[2].tolist()
    assert one.relevance == seen.relevance[2].tolist()
    assert one.importance is not None
    assert one.selected == pytest.approx(np.multiply(one.importance, one.activation))
    info = plot.importance_info(one, plot.reading(seen, 1), imgf={"name": "softmax", "per_channel": True})
    assert info is not None
    assert [len(curve.importance) for curve in info.curves] == [len(one.activation)] * 2
    assert plot.activation_figure(plot.activation_info(one.relevance, one.activation, None)).data


def test_a_plain_layer_is_read_without_an_importance() -> None:
    x, y = images(1)
    one = plot.reading(view(tiny(), "layer2.0", x, relevance=RELEVANCES["true"](), classes=y))
    assert (one.assessed, one.importance, one.selected) == (None, None, None)
    assert plot.importance_info(one) is None


def test_a_recorded_attack_is_drawn_as_the_model_saw_it() -> None:
    model, (x, y), steps = tiny(), images(2), list[Step]()
    x_adv = perturb(model, x, y, PGD(eps=0.1, steps=3), record=steps.append)
    run = plot.iterates(steps, 1)
    assert [one.step for one in run] == [0, 1, 2, 3]
    last = model(x_adv[1:]).softmax(dim=1)[0]
    assert run[-1].probabilities == pytest.approx(last.tolist(), abs=1e-5)
    assert run[-1].prediction == int(last.argmax())
    assert plot.trajectory_info(run, int(y[1])).probability[0] == pytest.approx(
        model(x[1:]).softmax(dim=1)[0, y[1]].item(), abs=1e-5
    )


def test_what_a_restart_voids_is_not_drawn() -> None:
    def step(number: int, *of: int) -> Step:
        return Step(
            number, torch.tensor(of), torch.zeros(len(of)), torch.eye(2)[: len(of)], torch.zeros(len(of), 1, 2, 2)
        )

    steps = [step(0, 0, 1), step(1, 0, 1), step(0, 1), step(1, 1)]
    assert [len(plot.iterates(steps, image)) for image in (0, 1, 2)] == [2, 2, 0]
    assert plot.iterates(steps, 1)[0].prediction == 0


def test_a_targeted_attack_is_drawn_by_its_target() -> None:
    def at(step: int, prediction: int) -> plot.RecordedIterate:
        return plot.RecordedIterate(step, 3.0 - step, prediction, [0.1 * k for k in range(3)])

    info = plot.trajectory_info([at(0, 0), at(1, 1), at(2, 2)], label=0, target=2)
    assert (info.watched, info.fooled_at, info.probability) == (2, 2, [0.2] * 3)
    figure = plot.trajectory_figure(info, ["a", "b", "c"])
    assert figure.data[1].name == "probability of c"
    assert figure.layout.yaxis.title.text == "loss (minimised)"
    assert plot.trajectory_info([at(0, 0), at(1, 1)], label=0).fooled_at == 1


def test_the_measured_shift_of_the_science_is_drawn_as_it_is() -> None:
    measured = Shift(bootstrap(np.array([1.0, 1.0])), None, 2.0)
    bars, _ = plot.shift_info({"a": measured})
    assert (bars.models, bars.mean) == (["a"], [50.0])


def kept(model: str) -> tuple[Evaluation, RobustnessRow]:
    """What stands beside a checkpoint, as the record and as a row of the table."""
    folder = CHECKPOINTS / model
    evaluation = Evaluation.model_validate_json((folder / "evaluation.json").read_text())
    config = json.loads((folder / "config.json").read_text())
    about = config["info"]
    row = evaluation.as_json() | {
        "title": about["title"], "method": about["method"], "arch": config["arch"], "width": config["width"],
        "notes": [], "classes": [f"class {k}" for k in range(config["num_classes"])],
    }  # fmt: skip
    return evaluation, RobustnessRow.model_validate(row)


@pytest.fixture(scope="module")
def table() -> RobustnessTable:
    columns = [Column(key=c.key, title=c.title, description=c.description) for c in COLUMNS.values()]
    methods = ("natural", "vanilla", "cas", "cifs-softmax")
    return RobustnessTable(columns=columns, rows=[kept(f"fmnist-resnet10-w16-{method}")[1] for method in methods])


def test_every_figure_of_a_record_can_be_drawn_from_what_is_kept(table: RobustnessTable) -> None:
    by_class = plot.by_class_info(table.rows, "pgd20")
    assert by_class is not None
    drawn: list[go.Figure] = [
        plot.robustness_figure(plot.robustness_info(table)),
        plot.eps_figure(plot.curve_info(table.rows, "eps"), [0.1]),
        plot.steps_figure(plot.curve_info(table.rows, "steps")),
        plot.by_class_figure(by_class),
        plot.sweep_figure(plot.sweep_info(table.rows[-1]), {}),
    ]
    assert all(figure.data for figure in drawn)
    natural = plot.robustness_info(table).bars[0]
    assert natural.accuracy == [pytest.approx(100 * row.cells["natural"].correct / row.n) for row in table.rows]  # type: ignore[operator]


def test_two_records_are_compared_and_the_margins_drawn() -> None:
    comparison = compare_evaluations(*(kept(f"fmnist-resnet10-w16-{of}")[0] for of in ("cifs-softmax", "vanilla")))
    assert plot.margin_figure(plot.margins(comparison, {}, {}), "cifs", "vanilla").data
    for margins in plot.setting_margins(comparison).values():
        assert plot.setting_margin_figure(margins, "cifs", "vanilla").data
