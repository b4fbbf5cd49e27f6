"""The page of one image: what it says was computed, what it holds is all it needs."""

import json
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from plotly.offline import get_plotlyjs
from torch import Tensor

from cifs.attacks import PGD
from cifs.report.analysis import About, Findings, analysis_page
from cifs.report.as_code import as_curl, as_python
from cifs.tasks.analysing import Subject, about, analyse
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import images, tiny

HOSTILE = "</script><img src=x onerror=alert(1)>"
Page = tuple[Findings, About, Tensor, Subject]


@pytest.fixture(params=["plain", "cifs"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Page:
    x, y = images(1)
    method = {"plain": "vanilla"}.get(request.param, request.param)
    entry = Zoo(tmp_path).save("m", tiny(request.param), Info(title=HOSTILE, dataset="cifar10", method=method, eps=0.1))
    model = entry.load()
    of = Subject(model, model.layers[-1], x, y, PGD(eps=0.1, steps=5))
    found, x_adv = analyse(of)
    return found, about(of, x_adv, entry, HOSTILE, {"curl": HOSTILE}), x_adv, of


class Reader(HTMLParser):
    """What a browser would fetch, and which elements there are."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "srcset", "data") and value]


def test_what_it_says_is_what_the_network_does(page: Page) -> None:
    found, _, x_adv, of = page
    with torch.no_grad():
        logits = [of.model(x)[0] for x in (of.x, x_adv)]
    for probabilities, scores in zip((found.natural, found.adversarial), logits, strict=True):
        assert probabilities == pytest.approx(scores.softmax(dim=0).tolist(), abs=1e-5)
    margins = [float(scores[found.rival] - scores[found.label]) for scores in logits]
    assert found.margins == pytest.approx(margins, abs=1e-4)
    assert sum(found.by_channel) + sum(found.elsewhere.values()) == pytest.approx(margins[1] - margins[0], abs=1e-4)
    assert [step.step for step in found.trajectory] == list(range(6))
    assert found.patched.reached == (not found.circuit or found.circuit[-1].margin < 0)


def test_the_page_fetches_nothing_and_holds_plotly_once(page: Page) -> None:
    found, of, _, _ = page
    text = analysis_page(of, found)
    reader = Reader()
    reader.feed(text)
    assert all(address.startswith("data:") for address in reader.fetched)
    assert text.count(get_plotlyjs()) == 1
    assert text.count("Plotly.newPlot(") - get_plotlyjs().count("Plotly.newPlot(") == reader.tags.count("h2") - 2
    assert reader.tags.count("img") == 3
    assert HOSTILE not in text
    assert ("Importance" in text) == (found.readings[0].importance is not None)


def test_a_request_to_copy_is_read_by_the_shell_and_by_python_as_it_was_written() -> None:
    body = {"model": "it's", "images": [{"index": 0}], "eps": 0.1, "on": True}
    words = shlex.split(as_curl("http://here", "/attack", body, keyed=True))
    assert words[:2] == ["curl", "http://here/attack"]
    assert json.loads(words[-1]) == body
    for keyed in (False, True):
        tree = compile(as_python("http://here", "/attack", body, keyed=keyed), "copied", "exec")
        assert ("CIFS_API_KEY" in str(tree.co_consts)) == keyed
