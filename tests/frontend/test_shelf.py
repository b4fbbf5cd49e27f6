"""What a view shows and asks is there to be taken away, each once, of the inner view first."""

import csv
import io

import plotly.graph_objects as go

from cifs.report import table_of
from cifs.report.figure_page import figure_page
from frontend.shelf import ShownFigure, opened, put_figure, put_request, writers

ROWS = [
    {"arm": "CIFS_softmax & more", "robust %": 51.5, "n": 1000, "note": None},
    {"arm": "a, b", "robust %": 1 / 3, "n": 2, "note": "x|y"},
]


def test_shelves_inside_each_other_keep_apart_what_they_hold() -> None:
    put_request("POST", "/attack", "{}")  # no shelf, nowhere to go
    with opened() as outer:
        put_request("POST", "/attack", "{}")
        with opened() as inner:
            put_figure(ShownFigure("a", "a", "", go.Figure()))
        put_request("POST", "/attack", "{}")
        put_request("POST", "/survey", "x" * 300_000)  # files
        for listing in ("/models", "/datasets/cifar10/samples?offset=0", "/jobs?kind=train"):
            put_request("GET", listing, None)
        put_request("GET", "/models/one/card", None)
    assert list(inner.figures) == ["a"]
    assert not outer.figures
    assert [(asked.method, asked.path) for asked in outer.requests] == [
        ("POST", "/attack"),
        ("GET", "/models/one/card"),
    ]
    outer.take(inner)
    assert list(outer.figures) == ["a"]


def test_a_table_is_the_same_in_every_format() -> None:
    write = writers(table_of(ROWS))
    rows = list(csv.DictReader(io.StringIO(write[".csv"]())))
    assert rows == [
        {"arm": "CIFS_softmax & more", "robust %": "51.5", "n": "1000", "note": ""},
        {"arm": "a, b", "robust %": "0.333333", "n": "2", "note": "x|y"},
    ]
    head, rule, *lines = write[".md"]().splitlines()
    assert head == "| arm | robust % | n | note |"
    assert rule.count("---") == 4
    assert lines[1] == "| a, b | 0.333333 | 2 | x\\|y |"
    latex = write[".tex"]()
    assert r"CIFS\_softmax \& more & 51.5 & 1000 & -- \\" in latex
    assert r"arm & robust \% & n & note \\" in latex


def test_a_figures_page_needs_nothing_else() -> None:
    page = figure_page("<b>", go.Figure(go.Bar(y=[1, 2, 3])))
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.partition("<script>")[0]
    assert 'src="http' not in page
    assert '"y":[1,2,3]' in page.replace(" ", "")
