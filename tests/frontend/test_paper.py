"""Which of the paper's figures stand beside a model of ours, and which do not."""

import pytest

from backend.schemas import PaperRow, RobustnessRow, RobustnessTable
from cifs.report import beside
from frontend import paper

EPS = 8 / 255
POSTER = {  # PAPER.md, section 6: PGD-20 and C&W of ResNet-18
    ("vanilla", None): {"pgd20": 0.4662, "cw": 0.4595},
    ("cas", None): {"pgd20": 0.4529, "cw": 0.4418},
    ("cifs", "softmax"): {"pgd20": 0.5123, "cw": 0.5016},
}
FIGURE_2 = {
    ("vanilla", None): {"pgd20": 0.4664},
    ("cifs", "sigmoid"): {"pgd20": 0.4987},
    ("cifs", "softplus"): {"pgd20": 0.5038},
    ("cifs", "softmax"): {"pgd20": 0.5123},
}


def reported() -> list[PaperRow]:
    return [
        PaperRow(
            source=source, title=f"{method} {imgf}", method=method, imgf=imgf, dataset="cifar10", arch="resnet18",
            width=64, epochs=120, eps=EPS, accuracy=accuracy, strongest=None,
        )
        for source, rows in (("poster", POSTER), ("Figure 2", FIGURE_2))
        for (method, imgf), accuracy in rows.items()
    ]  # fmt: skip


def ours(method: str, imgf: str | None = None, **changes: object) -> RobustnessRow:
    usual = {
        "model": "m", "title": "M", "method": method, "imgf": imgf, "dataset": "cifar10", "arch": "resnet18",
        "width": 16, "eps": EPS, "split": "test", "n": 1000, "cells": {}, "strongest": None, "sweep": [], "notes": [],
    }  # fmt: skip
    return RobustnessRow.model_validate(usual | changes)


def margins(first: RobustnessRow, second: RobustnessRow) -> dict[str, float]:
    found = paper.margins(reported(), first, second)
    return {} if found is None else found.points


@pytest.mark.parametrize(
    ("imgf", "points"),
    [("softmax", {"pgd20": 4.61, "cw": 4.21}), ("sigmoid", {"pgd20": 3.23}), ("softplus", {"pgd20": 3.74})],
)
def test_each_imgf_has_the_margin_the_paper_gives_it_over_vanilla(imgf: str, points: dict[str, float]) -> None:
    assert margins(ours("cifs", imgf), ours("vanilla")) == pytest.approx(points)
    assert margins(ours("vanilla"), ours("cifs", imgf)) == pytest.approx({key: -value for key, value in points.items()})


def test_the_margin_says_where_it_stands() -> None:
    found = [paper.margins(reported(), ours("cifs", imgf), ours("vanilla")) for imgf in ("softmax", "sigmoid")]
    assert [margin and margin.source for margin in found] == ["poster, width 64", "Figure 2, width 64"]


def test_the_paper_compares_its_own_rows_alone() -> None:
    assert margins(ours("cifs", "softmax"), ours("natural")) == {}
    assert margins(ours("cifs", "softmax"), ours("cifs", "softmax")) == {}
    assert margins(ours("cifs", "sigmoid"), ours("cas")) == {}  # Figure 2 has no CAS
    for place in ({"dataset": "fashion_mnist"}, {"arch": "resnet10"}, {"eps": 0.031}):
        assert margins(ours("cifs", "softmax", **place), ours("vanilla", **place)) == {}


def test_beside_ours_stands_the_poster_and_of_figure_2_what_the_poster_has_not() -> None:
    table = RobustnessTable(columns=[], rows=[ours("cifs", "softmax"), ours("vanilla")], paper=reported())
    assert [(row.source, row.method, row.imgf) for row in beside(table)] == [
        ("poster", "vanilla", None),
        ("poster", "cas", None),
        ("poster", "cifs", "softmax"),
        ("Figure 2", "cifs", "sigmoid"),
        ("Figure 2", "cifs", "softplus"),
    ]
    assert beside(table.model_copy(update={"rows": [ours("vanilla", arch="wrn28")]})) == []
