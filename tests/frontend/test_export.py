"""The table to take away says what the table on the page says."""

import csv
import io

import pytest

from backend.schemas import Cell, Column, RobustnessRow, RobustnessTable
from frontend.export import DOWNLOADS, printed, printed_paper, to_csv, to_html, to_latex, to_markdown
from frontend.paper import COLUMNS, RESULTS


def row(title: str, **accuracies: float) -> RobustnessRow:
    cells = {key: Cell(accuracy=a, low=a - 0.01, high=a + 0.01, n=1000) for key, a in accuracies.items()}
    return RobustnessRow(
        model=title.lower(), title=title, method="cifs", dataset="d", arch="resnet10", width=16, eps=0.1, split="test",
        n=1000, cells=cells, strongest="cw", sweep=[], notes=[],
    )  # fmt: skip


@pytest.fixture
def table() -> RobustnessTable:
    columns = [Column(key=key, title=title, description="") for key, title in (("natural", "Natural"), ("cw", "C&W"))]
    return RobustnessTable(columns=columns, rows=[row("A_<b>", natural=0.9, cw=0.5)])


def test_html_escapes_titles_and_underlines_the_strongest(table: RobustnessTable) -> None:
    html = to_html(printed(table))
    assert "A_&lt;b&gt;" in html
    assert "C&amp;W" in html
    assert "<u>50.00</u><small>49.00–51.00</small>" in html
    assert "<u>90.00</u>" not in html


def test_markdown_is_a_table_with_one_line_a_model(table: RobustnessTable) -> None:
    assert to_markdown(printed(table)).splitlines() == [
        "| Model | Natural | C&W |",
        "| --- | ---: | ---: |",
        "| A_<b> | 90.00 (89.00–91.00) | <u>50.00</u> (49.00–51.00) |",
    ]


def test_latex_escapes_what_latex_reads(table: RobustnessTable) -> None:
    latex = to_latex(printed(table))
    assert r"Model & Natural & C\&W \\" in latex
    assert r"A\_<b> & 90.00 {\scriptsize (89.00--91.00)} & \underline{50.00} {\scriptsize (49.00--51.00)} \\" in latex


def test_csv_gives_fractions_one_line_a_measurement(table: RobustnessTable) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [(line["column"], float(line["accuracy"]), line["strongest"]) for line in lines] == [
        ("natural", 0.9, "False"),
        ("cw", 0.5, "True"),
    ]


def test_what_was_not_measured_is_a_dash(table: RobustnessTable) -> None:
    del table.rows[0].cells["cw"]
    for write in (to_html, to_markdown, to_latex):
        assert "–" in write(printed(table)) or "--" in write(printed(table))
    assert len(to_csv(table).splitlines()) == 2


def test_every_download_writes_something_for_an_empty_table() -> None:
    for kind in DOWNLOADS:
        assert kind.write(RobustnessTable(columns=[], rows=[]))


def test_the_papers_strongest_attack_is_pgd_100_in_every_row() -> None:
    for arch, results in RESULTS.items():
        paper = printed_paper(arch, COLUMNS, results)
        assert all(
            [bool(entry and entry.strongest) for entry in row.entries] == [False] * 4 + [True] for row in paper.rows
        )
