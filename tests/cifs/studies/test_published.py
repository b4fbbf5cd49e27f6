"""What the documentation says of a study is what the committed outcomes say."""

import re
from pathlib import Path
from typing import Any

import pytest

from backend.answers import STUDIES
from cifs.errors import InvalidParameter, UnknownName
from cifs.plot.study import arm_panels, panels_figure
from cifs.records import StudyRecord, StudyVerdict
from cifs.studies import filled, load_study, markdown, study_names, summary, verdicts

DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = [name for name in study_names() if (DOCS / "studies" / name / "record.json").exists()]
PAGES = {
    "overfitting": "study.md",
    "exploration": "exploration.md",
    "verdict": "repetition.md",
    "confirmation": "confirmation.md",
    "full-data": "full-data.md",
    "full-data-parts": "full-data-parts.md",
    "authors": "authors.md",
}


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request: pytest.FixtureRequest) -> tuple[str, StudyRecord]:
    name = request.param
    return name, summary(name, load_study(name), DOCS / "studies" / name)


def approximately(value: Any) -> Any:
    """The same to nine digits: how the last one of a p-value comes out, the processor's mathematics decide."""
    if isinstance(value, dict):
        return {key: approximately(one) for key, one in value.items()}
    if isinstance(value, list):
        return [approximately(one) for one in value]
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


def test_the_record_and_the_report_are_those_of_the_cells_beside_them(published: tuple[str, StudyRecord]) -> None:
    name, record = published
    folder = DOCS / "studies" / name
    written = StudyRecord.model_validate_json((folder / "record.json").read_bytes())
    assert record.model_dump() == approximately(written.model_dump())
    assert (folder / "report.md").read_text(encoding="utf-8") == markdown(record)


def test_the_page_s_tables_are_those_of_the_command(published: tuple[str, StudyRecord]) -> None:
    name, record = published
    page = (DOCS / PAGES[name]).read_text(encoding="utf-8")
    assert filled(page, record, verdicts(load_study(name), record)) == page
    assert "<!-- study: accuracies -->" in page


def test_the_two_pages_have_the_confirmation_s_table() -> None:
    page, record = (DOCS / "claim.md").read_text(encoding="utf-8"), record_of("confirmation")
    assert "<!-- study: comparisons -->" in page
    assert filled(page, record, verdicts(load_study("confirmation"), record)) == page


def record_of(name: str = "overfitting") -> StudyRecord:
    return StudyRecord.model_validate_json((DOCS / "studies" / name / "record.json").read_bytes())


def test_the_api_s_example_is_of_the_record_there_is() -> None:
    shown, record = STUDIES["GET /studies/{name}"], record_of()
    of_record = shown["record"]
    assert (of_record["measured"], of_record["planned"]) == (record.measured, record.planned)
    assert (of_record["alpha"], of_record["levels"]) == (record.alpha, record.levels)
    assert of_record["tests"][0]["p_corrected"] == pytest.approx(record.tests[0].p_corrected, rel=1e-3)
    assert shown["verdicts"] == [verdicts(load_study("overfitting"), record)[0].model_dump()]


def test_only_what_stands_between_the_marks_is_written_anew() -> None:
    said = [StudyVerdict(name="H", statement="it helps", outcome="refuted", sentence="-1 points.")]
    page = "before\n<!-- study: hypotheses -->\nold\n<!-- end of study -->\nafter <!-- a remark -->\n"
    after = filled(page, record_of(), said)
    expected = "- **H** (it helps): **refuted**. -1 points."
    assert after == page.replace("\nold\n", f"\n\n{expected}\n\n")
    assert filled(after, record_of(), said) == after


def test_a_page_without_marks_or_with_an_unknown_part_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no place for a study"):
        filled("# Nothing here", record_of(), [])
    with pytest.raises(UnknownName, match="part of a study 'tables'"):
        filled("<!-- study: tables --><!-- end of study -->", record_of(), [])


def test_a_panel_an_arm_shows_training_both_attacks_and_what_test_images_say() -> None:
    record = record_of()
    panels = arm_panels(record, "overfitting")
    assert [panel.arm for panel in panels] == [
        title for arm, title in record.arms.items() if any(c.arm == arm for c in record.curves)
    ]
    for panel in panels:
        assert [curve.attack for curve in panel.curves] == ["training", "unadaptive", "adaptive"]
        (best, _), (last, kept) = panel.measured
        assert best <= last == 32
        assert re.match(r"\d+\.\d", f"{kept:.1f}")
    assert len(panels_figure(panels).data) == 4 * len(panels)
