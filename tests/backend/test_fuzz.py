"""Damaged files, and what the command that sends 100,000 of them makes of answers."""

from pathlib import Path

import httpx2
import pytest

from benchmarks.fuzz import fuzz, judge

TYPE = {"content-type": "application/problem+json"}


@pytest.mark.filterwarnings("ignore")  # pillow's, of damaged files
def test_damaged_files_are_refused_with_a_reason_or_taken(tmp_path: Path) -> None:
    """`python -m benchmarks.fuzz` sends 100,000."""
    findings = fuzz(tmp_path, cases=400, seed=7)
    assert findings.wrong == []
    assert findings.cases.total() == 400
    assert findings.statuses[422] > 200


@pytest.mark.parametrize(
    ("status", "body", "headers", "wrong"),
    [
        (201, "{}", {}, False),
        (422, '{"detail": "a damaged image file"}', TYPE, False),
        (422, '{"detail": "a damaged image file"}', {"content-type": "application/json"}, True),
        (422, '{"detail": ""}', TYPE, True),
        (422, '{"detail": "no int (Exception raised from f.h:79 (most recent call first): …)"}', TYPE, True),
        (422, '{"detail": "/tmp/x/upload.bin cannot be read"}', TYPE, True),
        (500, '{"detail": "the server failed on this request"}', TYPE, True),
    ],
)
def test_an_answer_is_wrong_unless_it_succeeds_or_says_what_was_wrong(
    status: int, body: str, headers: dict[str, str], wrong: bool
) -> None:
    assert (judge(httpx2.Response(status, text=body, headers=headers)) is not None) is wrong
