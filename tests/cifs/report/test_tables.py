"""The table to take away says what the table on the page says."""

import csv
import io

import pytest

from backend.schemas import (
    Cell,
    Column,
    ComparedColumn,
    Comparison,
    LastCheckpoint,
    MoreImages,
    PaperRow,
    RobustnessRow,
    RobustnessTable,
)
from cifs.plot.labels import eps_text, labels
from cifs.report import FORMATS, groups, printed, printed_paper, remark, remarks, to_csv, to_html, to_latex, to_markdown
from frontend.difference import printed_difference, verdict

COLUMNS = {"natural": "Natural", "cw": "C&W", "autoattack": "+ AutoAttack"}
SOURCE = "measured here (width 16, 30 epochs, n = 1,000)"


def cell(accuracy: float, n: int = 1000) -> Cell:
    return Cell(accuracy=accuracy, low=accuracy - 0.01, high=accuracy + 0.01, n=n)


def row(title: str, **changes: object) -> RobustnessRow:
    usual = {
        "model": title.lower(), "title": title, "method": "cifs", "dataset": "d", "arch": "resnet10", "width": 16,
        "epochs": 30, "eps": 0.1, "split": "test", "n": 1000, "strongest": "cw", "sweep": [], "notes": [],
        "cells": {"natural": cell(0.9), "cw": cell(0.5), "autoattack": cell(0.45, 100)},
    }  # fmt: skip
    return RobustnessRow.model_validate(usual | changes)


def paper_row(arch: str, accuracy: dict[str, float], **changes: object) -> PaperRow:
    usual = {
        "source": "poster", "title": "CIFS (softmax)", "method": "cifs", "imgf": "softmax", "dataset": "cifar10",
        "arch": arch, "width": 64, "epochs": 120, "eps": 0.1, "accuracy": accuracy, "strongest": "cw",
    }  # fmt: skip
    return PaperRow.model_validate(usual | changes)


@pytest.fixture
def table() -> RobustnessTable:
    columns = [Column(key=key, title=title, description="") for key, title in COLUMNS.items()]
    return RobustnessTable(columns=columns, rows=[row("A_<b>")])


def test_html_escapes_titles_and_underlines_the_strongest(table: RobustnessTable) -> None:
    html = to_html(printed(table))
    assert f"A_&lt;b&gt;<small>{SOURCE}</small>" in html
    assert "C&amp;W" in html
    assert "<u>50.00</u><small>49.00–&#8288;51.00</small>" in html  # a word joiner: not broken at its dash
    assert "<td>45.00<small>44.00–&#8288;46.00, n = 100</small>" in html
    assert "<u>90.00</u>" not in html


def test_markdown_is_a_table_with_one_line_a_model(table: RobustnessTable) -> None:
    assert to_markdown(printed(table)).splitlines() == [
        "Accuracy (%) on test images of d: resnet10, width 16, ℓ∞, ε = 0.1",
        "",
        "| Model | Natural | C&W | + AutoAttack |",
        "| --- | ---: | ---: | ---: |",
        f"| A_<b>, {SOURCE} | 90.00 (89.00–91.00) | <u>50.00</u> (49.00–51.00) | 45.00 (44.00–46.00, n = 100) |",
    ]


def test_latex_escapes_what_latex_reads(table: RobustnessTable) -> None:
    latex = to_latex(printed(table))
    assert latex.startswith("% Accuracy (%) on test images of d: resnet10, width 16, ℓ∞, ε = 0.1\n\\begin{tabular}")
    assert r"Model & Natural & C\&W & + AutoAttack \\" in latex
    assert rf"A\_<b>, {SOURCE} & 90.00 {{\scriptsize (89.00--91.00)}} & \underline{{50.00}} {{\scriptsize" in latex


def test_csv_gives_fractions_one_line_a_measurement(table: RobustnessTable) -> None:
    table.rows[0].last = LastCheckpoint(epoch=30, cells={"natural": cell(0.8)})
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    read = [(line["checkpoint"], line["column"], float(line["accuracy"]), line["n"]) for line in lines]
    assert read == [
        ("kept", "natural", 0.9, "1000"),
        ("kept", "cw", 0.5, "1000"),
        ("kept", "autoattack", 0.45, "100"),
        ("last", "natural", 0.8, "1000"),
    ]
    assert [line["strongest"] for line in lines] == ["False", "True", "False", "False"]
    assert (lines[0]["width"], lines[0]["epochs"]) == ("16", "30")


def test_what_was_not_measured_is_a_dash(table: RobustnessTable) -> None:
    del table.rows[0].cells["cw"]
    assert [entry and entry.text for entry in printed(table).rows[0].entries] == ["90.00", None, "45.00"]
    for write in (to_html, to_markdown, to_latex):
        assert "–" in write(printed(table)) or "--" in write(printed(table))
    assert len(to_csv(table).splitlines()) == 3


def test_the_last_checkpoint_stands_below_the_best(table: RobustnessTable) -> None:
    table.rows[0].last = LastCheckpoint(epoch=30, cells={"natural": cell(0.8)})
    best, last = printed(table).rows
    assert (best.title, best.kind, last.title, last.kind) == ("A_<b>", "measured", "A_<b>", "last")
    assert "epoch 30" in last.source
    assert [entry and entry.text for entry in last.entries] == ["80.00", None, None]


def test_what_was_measured_on_more_images_stands_below_with_its_n(table: RobustnessTable) -> None:
    table.rows[0].more = MoreImages(n=5000, cells={"natural": cell(0.8, 5000)})
    _, more = printed(table).rows
    assert (more.kind, more.source) == ("more", "n = 5,000")
    assert more.entries == [("80.00", "79.00–81.00", False), None, None]
    assert [line for line in to_csv(table).splitlines() if "5000" in line and line.endswith("False,")]


def test_the_paper_s_rows_stand_below_ours_of_the_same_kind_alone(table: RobustnessTable) -> None:
    paper = [
        paper_row("resnet18", {"natural": 0.8386, "cw": 0.5016}),
        paper_row("wrn28", {"cw": 0.532}, width=160, kept="the last"),
    ]
    ours = [row("Ours", dataset="cifar10", arch=arch) for arch in ("resnet18", "wrn28", "resnet10")]
    found = [printed(table.model_copy(update={"rows": [one], "paper": paper})).rows[1:] for one in ours]
    assert [[(line.title, line.source) for line in lines] for lines in found] == [
        [("CIFS (softmax)", "paper, poster (width 64, 120 epochs: which is not said)")],
        [("CIFS (softmax)", "paper, poster (width 160, 120 epochs: the last)")],
        [],
    ]
    assert [entry and (entry.text, entry.underlined) for entry in found[0][0].entries] == [
        ("83.86", False), ("50.16", True), None,
    ]  # fmt: skip


def test_csv_says_which_figures_are_the_paper_s(table: RobustnessTable) -> None:
    ours = row("Ours", dataset="cifar10", arch="resnet18", cells={"cw": cell(0.5)})
    paper = [paper_row("resnet18", {"cw": 0.5016}), paper_row("wrn28", {"cw": 0.532})]
    text = to_csv(table.model_copy(update={"rows": [ours], "paper": paper}))
    read = [
        [line[key] for key in ("source", "title", "width", "column", "accuracy", "n", "strongest", "note")]
        for line in csv.DictReader(io.StringIO(text))
    ]
    assert read == [
        ["measured here", "Ours", "16", "cw", "0.5", "1000", "True", ""],
        ["paper", "CIFS (softmax)", "64", "cw", "0.5016", "", "True", "poster"],
    ]


PARTIAL = {"name": "autoattack", "version": "custom", "stages": ["apgd-ce", "apgd-t"], "iterations": 100}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (PARTIAL, "APGD-CE, APGD-T only"),
        (PARTIAL | {"version": "standard", "stages": ["apgd-ce", "apgd-t", "fab-t", "square"]}, ""),
    ],
)
def test_an_autoattack_that_is_not_the_whole_standard_one_says_so_wherever_it_is_written(
    table: RobustnessTable, settings: dict[str, object], said: str
) -> None:
    table.rows[0].cells["autoattack"].settings = settings
    note = ", ".join(filter(None, ["44.00–46.00", "n = 100", said]))
    assert f"<small>{note}</small>" in to_html(printed(table)).replace("&#8288;", "")
    assert f"({note})" in to_markdown(printed(table))
    assert f"({note.replace('–', '--')})" in to_latex(printed(table))
    assert [line["note"] for line in csv.DictReader(io.StringIO(to_csv(table)))] == ["", "", said]


def test_a_group_is_of_one_data_set_network_and_budget_in_the_order_of_the_paper(table: RobustnessTable) -> None:
    rows = [row("C"), row("W", width=64), row("V", method="vanilla"), row("E", eps=0.2), row("D", dataset="e")]
    found = groups(table.model_copy(update={"rows": rows}))
    assert [[one.title for one in group.rows] for group in found.values()] == [["V", "C"], ["E"], ["W"], ["D"]]
    assert next(iter(found)) == "d, resnet10, width 16, ε = 0.1"


def test_models_of_one_title_are_told_apart_by_their_ids() -> None:
    rows = [row("A"), row("B"), row("A", model="a-2")]
    assert labels(rows) == {"a": "A (a)", "b": "B", "a-2": "A (a-2)"}


@pytest.mark.parametrize(("eps", "text"), [(8 / 255, "8/255"), (0.1, "0.1"), (0.0, "0"), (0.031, "0.031")])
def test_a_budget_is_written_as_people_write_it(eps: float, text: str) -> None:
    assert eps_text(eps) == text


def comparison(**columns: tuple[float, float, float]) -> Comparison:
    """By column: both accuracies and the p-value."""
    compared = [
        ComparedColumn(
            column=key,
            n=1000,
            first=a,
            second=b,
            only_first=50,
            only_second=2000,
            p_value=p,
            low=a - b - 0.01,
            high=a - b + 0.01,
        )
        for key, (a, b, p) in columns.items()
    ]
    return Comparison(first="a", second="b", dataset="d", split="test", eps=0.1, columns=compared)


def test_the_verdict_is_that_of_the_attacks_tried_alike_on_both() -> None:
    figures = {
        "natural": (0.9, 0.8, 0.0),
        "pgd100": (0.4, 0.45, 1e-5),
        "worst": (0.4, 0.3, 0.0),
        "autoattack": (0.4, 0.39, 0.4),
        "verdict": (0.35, 0.37, 0.001),
    }
    pgd, autoattack, ensemble = verdict(comparison(**figures), {"pgd100": "PGD-100"}, "A", "B")
    assert pgd == "**B is more robust than A** under “PGD-100” (1,000 images, p < 0.0001): by 5.00 points."
    assert autoattack.startswith("**Neither is shown to be more robust** under “autoattack” (1,000 images, p = 0.4)")
    assert ensemble.startswith("**B is more robust than A** under “verdict” (1,000 images, p = 0.001)")
    assert verdict(comparison(), {}, "A", "B") == []


def test_the_difference_is_that_of_the_first_less_the_second() -> None:
    line = printed_difference(comparison(cw=(0.4, 0.45, 0.01)), {"cw": "C&W"}, "A", "B").rows[0]
    assert (line.title, line.source) == ("C&W", "n = 1,000")
    assert [entry and entry.text for entry in line.entries] == [
        *("40.00", "45.00", "-5.00", "-6.00 to -4.00"),
        *("50", "2,000", "0.01"),
    ]


def test_every_download_writes_something_for_an_empty_table() -> None:
    for kind in FORMATS:
        assert kind.write(RobustnessTable(columns=[], rows=[]))
        assert kind.file(RobustnessTable(columns=[], rows=[])) == f"robustness{kind.ending}"


def test_no_group_s_download_takes_another_s_name(table: RobustnessTable) -> None:
    ours = [row("A"), row("B", dataset="cifar10", arch="resnet18", width=64, eps=8 / 255)]
    assert [FORMATS[0].file(table.model_copy(update={"rows": [one]})) for one in ours] == [
        "robustness-d-resnet10-w16-eps0.1.csv",
        "robustness-cifar10-resnet18-w64-eps8-255.csv",
    ]


def test_of_the_paper_s_own_table_only_its_columns_are_printed(table: RobustnessTable) -> None:
    found = printed_paper(
        [paper_row("wrn28", {"natural": 0.8, "cw": 0.532}), paper_row("wrn28", {"cw": 0.5})], table.columns
    )
    assert (found.corner, found.columns) == ("wrn28", ["Natural", "C&W"])
    assert [[entry and entry.text for entry in line.entries] for line in found.rows] == [
        ["80.00", "53.20"],
        [None, "50.00"],
    ]


def test_a_verdict_that_its_indicators_distrust_is_marked() -> None:
    cell = Cell(accuracy=0.5, low=0.4, high=0.6, n=100, trusted=False)
    assert remark(cell) == "not trusted"
    assert remark(cell.model_copy(update={"trusted": True})) == ""
    assert remark(cell.model_copy(update={"trusted": None})) == ""


def test_remarks_say_of_whom_they_are_where_not_of_all() -> None:
    partial = Cell(accuracy=0.4, low=0.3, high=0.5, n=100, settings=PARTIAL)
    doubted = Cell(accuracy=0.5, low=0.4, high=0.6, n=100, trusted=False)
    rows = {
        "A": row("A", cells={"autoattack": partial, "verdict": cell(0.5)}),
        "B": row("B", cells={"autoattack": partial, "verdict": doubted}),
    }
    assert remarks(rows, "autoattack") == "APGD-CE, APGD-T only"
    assert remarks(rows, "verdict") == "B: not trusted"
    assert remarks(rows, "natural") == remarks({}, "verdict") == ""


def test_a_verdict_on_more_images_than_autoattack_s_is_told_on_those_too() -> None:
    both = {"model": "a", "trusted": True, "stages": [], "n": 100, "first": 0.46, "second": 0.45}
    rest = {"only_first": 1, "only_second": 0, "low": 0, "high": 0, "p_value": 1}
    for n, said in ((1000, ", first 100: 46.00"), (100, "")):
        columns = [Column(key="verdict", title="Verdict", description="")]
        given = row("A", n=n, cells={"verdict": cell(0.5, n)}, agreement=both | rest)
        (line,) = printed(RobustnessTable(columns=columns, rows=[given])).rows
        assert line.entries[0] is not None
        assert line.entries[0].note == f"49.00–51.00{said}"
