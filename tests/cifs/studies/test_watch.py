"""A study is watched by what lies in its folder, without touching it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cifs.errors import CheckpointError, InUse
from cifs.files import in_use, locked, write_json
from cifs.studies import load_study, record_of, summary, watch

HOLD = """
import sys, pathlib
from cifs.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""


def test_a_folder_is_in_use_while_another_process_holds_it_and_looking_does_not_take_it(tmp_path: Path) -> None:
    assert not in_use(tmp_path)
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert in_use(tmp_path)
        with pytest.raises(InUse), locked(tmp_path):
            pass
        other.communicate("\n")
    assert not in_use(tmp_path)
    with locked(tmp_path):
        assert in_use(tmp_path)


def test_every_cell_says_how_far_it_is(tmp_path: Path) -> None:
    study = load_study("overfitting")
    first, second, third, *_ = study.cells()
    write_json(tmp_path / f"{first.id}.json", {})
    for cell, last in ((first, 32), (second, 7)):
        steps = [{"epoch": 2, "validation_natural": 0.3, "validation_adaptive": 0.1}, {"epoch": last, "loss": 1.0}]
        lines = [*map(json.dumps, steps), '{"epoch": 8, "lo']  # killed while it wrote
        (tmp_path / "runs" / cell.id).mkdir(parents=True)
        (tmp_path / "runs" / cell.id / "metrics.jsonl").write_text("\n".join(lines))
    cells = {cell.id: cell for cell in watch(study, tmp_path)}
    assert [cells[cell.id].state for cell in (first, second, third)] == ["measured", "begun", "missing"]
    assert (cells[second.id].epoch, cells[second.id].epochs) == (7, 32)
    assert cells[second.id].validated == {"validation_natural": 0.3, "validation_adaptive": 0.1}
    assert len(cells) == len(list(study.cells()))
    with locked(tmp_path / "runs" / second.id / "claim"):
        assert {cell.id for cell in watch(study, tmp_path) if cell.state == "running"} == {second.id}


def test_a_record_of_ones_own_goes_before_the_published_one_once_it_is_of_as_many_trainings(tmp_path: Path) -> None:
    published, is_published = record_of("overfitting", tmp_path)
    assert published is not None
    assert is_published
    for measured, shown in ((1, True), (published.measured, False)):
        own = published.with_(measured=measured, question="own").model_dump(mode="json")
        write_json(tmp_path / "record.json", own)
        record, is_published = record_of("overfitting", tmp_path)
        assert record is not None
        assert (is_published, record.question != "own") == (shown, shown)
    assert record_of("another", tmp_path / "none") == (None, False)


def test_a_study_that_was_stopped_before_it_measured_anything_does_not_hide_the_published_record(
    tmp_path: Path,
) -> None:
    for name, expected in (("overfitting", True), ("another", False)):
        empty = summary(name, load_study("overfitting"), tmp_path / name)
        write_json(tmp_path / name / "record.json", empty.model_dump(mode="json"))
        record, published = record_of(name, tmp_path / name)
        assert (record is not None, published) == (expected, expected)


def test_a_record_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(CheckpointError, match="record.json of study overfitting cannot be read"):
        record_of("overfitting", tmp_path)
