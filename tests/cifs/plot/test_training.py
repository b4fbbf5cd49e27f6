"""The figure of a training shows what was reported."""

from cifs.plot.training import training_figure, training_info


def told(done: int, doing: str = "training", **metrics: float) -> dict[str, object]:
    return {"doing": doing, "done": done, "total": 9, "metrics": metrics}


def test_losses_and_accuracies_stand_at_their_steps() -> None:
    progress = [
        told(1, loss=3.0),
        told(2, loss=2.0, validation_natural=0.5),
        told(3, loss=1.0, validation_natural=0.75),
    ]
    info = training_info("a", progress)
    assert (info.steps, info.losses) == ([1, 2, 3], [3.0, 2.0, 1.0])
    assert info.accuracies == {"validation_natural": [(2, 0.5), (3, 0.75)]}


def test_a_step_that_was_made_again_after_a_kill_counts_once() -> None:
    info = training_info("a", [told(1, loss=3.0), told(2, loss=2.0), told(1, loss=3.0), told(2, loss=1.5)])
    assert (info.steps, info.losses) == ([1, 2], [3.0, 1.5])


def test_progress_of_a_validation_is_no_step() -> None:
    assert training_info("a", [told(1, loss=3.0), told(400, "validation"), told(0, "starting")]).steps == [1]


def test_two_runs_differ_by_their_dashes_and_names() -> None:
    runs = [training_info(name, [told(1, loss=1.0, validation_robust=0.5)]) for name in "ab"]
    figure = training_figure(runs)
    assert [trace.name for trace in figure.data] == ["a: loss", "a: attacked images", "b: loss", "b: attacked images"]
    assert len({trace.line.dash for trace in figure.data}) == 2
    assert len({trace.line.color for trace in figure.data}) == 2
