"""The figures of a training show what was reported."""

import pytest

from cifs.plot.training import ATTACKED, LOSS, NATURALLY, TRAINING, VALIDATION, training_figures, training_info


def told(done: int, doing: str = "training", **metrics: float) -> dict[str, object]:
    return {"doing": doing, "done": done, "total": 9, "metrics": metrics}


def test_losses_and_accuracies_stand_at_their_steps() -> None:
    progress = [
        told(1, loss=3.0),
        told(2, loss=2.0, validation_natural=0.5),
        told(3, loss=1.0, validation_natural=0.75),
    ]
    info = training_info("a", progress)
    assert info.losses == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert info.validated == {"validation_natural": [(2, 0.5), (3, 0.75)]}


def test_a_step_that_was_made_again_after_a_kill_counts_once() -> None:
    info = training_info("a", [told(1, loss=3.0), told(2, loss=2.0), told(1, loss=3.0), told(2, loss=1.5)])
    assert info.losses == [(1, 3.0), (2, 1.5)]


def test_progress_of_a_validation_is_no_step() -> None:
    assert training_info("a", [told(1, loss=3.0), told(400, "validation"), told(0, "starting")]).losses == [(1, 3.0)]


def test_the_network_and_its_probes_are_averaged_over_an_epoch_and_stand_at_its_end() -> None:
    steps = [told(i, epoch=1 + (i > 2), accuracy=i / 10, **{"probe layer4.0": i / 20}) for i in (1, 2, 3, 4)]
    info = training_info("a", steps)
    assert info.trained == {
        "accuracy": [(2, pytest.approx(0.15)), (4, pytest.approx(0.35))],
        "probe layer4.0": [(2, pytest.approx(0.075)), (4, pytest.approx(0.175))],
    }
    figure = training_figures([info])[TRAINING]
    assert [trace.name for trace in figure.data] == ["the network", "probe layer4.0"]


def test_one_run_shows_what_it_reports_and_nothing_else() -> None:
    info = training_info("a", [told(1, loss=3.0, validation_natural=0.5)])
    figures = training_figures([info])
    assert list(figures) == [LOSS, VALIDATION]
    assert figures[VALIDATION].data[0].name == "natural"


def test_several_runs_lie_over_each_other_each_in_one_colour() -> None:
    runs = [training_info(name, [told(1, loss=1.0, validation_robust=0.5, validation_natural=0.7)]) for name in "ab"]
    figures = training_figures(runs)
    assert list(figures) == [LOSS, NATURALLY, ATTACKED]
    colours = [{trace.name: trace.line.color for trace in figure.data} for figure in figures.values()]
    assert colours[0] == colours[1] == colours[2]
    assert len(set(colours[0].values())) == 2
