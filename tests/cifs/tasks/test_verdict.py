"""The verdict as a task and as commands: it joins the record, its proof holds, and only for these weights."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from cifs.cli import app
from cifs.errors import CIFSError, InvalidParameter
from cifs.evaluation import standing_of
from cifs.evaluation.merge import merge_table
from cifs.progress import Cancelled, Progress
from cifs.records import Evaluation
from cifs.tasks import Evaluate, ReachVerdict, Workspace, run_task, verified
from cifs.zoo import Info, Zoo
from tests.cifs.tiny import npz, tiny


@pytest.fixture
def workspace(data: Path) -> Workspace:
    npz(data)
    zoo = Zoo(data.parent / "zoo")
    zoo.save("one", tiny(num_classes=3), Info(title="one", dataset="tiny", method="vanilla", eps=8 / 255))
    return Workspace(zoo.root, data.parent / "runs")


def evaluated(workspace: Workspace) -> Evaluation:
    result = run_task(Evaluate(model="one"), workspace)
    assert isinstance(result, Evaluation)
    return result


def invoke(workspace: Workspace, *arguments: object) -> tuple[int, str]:
    command = [*map(str, arguments), "--checkpoints", str(workspace.checkpoints)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "300"})
    return result.exit_code, result.output


def test_it_joins_the_record_and_its_proof_is_confirmed(workspace: Workspace) -> None:
    table = evaluated(workspace)
    result = run_task(ReachVerdict(model="one"), workspace)
    entry = workspace.zoo.entry("one")
    assert isinstance(result, Evaluation)
    assert entry.evaluation() == result
    assert {key: cell for key, cell in result.cells.items() if key != "verdict"} == table.cells
    cell = result.cells["verdict"]
    assert not (standing_of(cell) & ~standing_of(table.cells["worst"])).any()
    assert cell.settings is not None
    assert (cell.n, cell.settings["name"]) == (12, "verdict")
    card = (entry.folder / "README.md").read_text()
    assert "Verdict stage by stage" in card
    assert "`cifs evaluate one --suite verdict`" in card
    proof = workspace.runs / "verdict" / "one-12.npz"
    assert [path.name for path in proof.parent.iterdir()] == [proof.name]
    check = verified(workspace, "one", proof)
    assert check.valid
    assert check.robust == cell.correct
    assert invoke(workspace, "verify", "one", proof)[0] == 0


def test_a_table_measured_anew_leaves_the_verdict_where_it_is(workspace: Workspace) -> None:
    table = evaluated(workspace)
    result = run_task(ReachVerdict(model="one"), workspace)
    assert isinstance(result, Evaluation)
    assert merge_table(result, table).cells["verdict"] == result.cells["verdict"]


def test_other_weights_refute_the_proof(workspace: Workspace) -> None:
    evaluated(workspace)
    run_task(ReachVerdict(model="one"), workspace)
    proof = workspace.runs / "verdict" / "one-12.npz"
    info = workspace.zoo.entry("one").info
    workspace.zoo.save("one", tiny(num_classes=3, seed=5), info)
    check = verified(workspace, "one", proof)
    assert not check.valid
    assert check.problems[0].startswith("weights")
    code, output = invoke(workspace, "verify", "one", proof)
    assert code == 1
    assert "the proof is of something else: weights" in output


def test_fewer_images_do_not_replace_a_verdict_of_more(workspace: Workspace) -> None:
    evaluated(workspace)
    before = run_task(ReachVerdict(model="one"), workspace)
    prepared = ReachVerdict(model="one", n=5).prepare(workspace)
    assert "Verdict" in prepared.notes[1]
    assert "of 12 images" in prepared.notes[1]
    prepared.run(lambda progress: None)
    assert workspace.zoo.entry("one").evaluation() == before
    assert verified(workspace, "one", workspace.runs / "verdict" / "one-5.npz").n == 5


def test_without_a_table_of_these_weights_there_is_nothing_to_join(workspace: Workspace) -> None:
    with pytest.raises(CIFSError, match="has not been evaluated"):
        ReachVerdict(model="one").prepare(workspace)
    evaluated(workspace)
    path = workspace.zoo.entry("one").evaluation_path
    path.write_text(path.read_text().replace('"eps": 0.03', '"eps": 0.04'))
    with pytest.raises(InvalidParameter, match="other weights or ε"):
        ReachVerdict(model="one").prepare(workspace)


def test_it_stops_in_order_and_writes_nothing_half_done(workspace: Workspace) -> None:
    table = evaluated(workspace)

    def stop(progress: Progress) -> None:
        if progress.doing == "verdict, cross-entropy":
            raise Cancelled

    with pytest.raises(Cancelled):
        run_task(ReachVerdict(model="one"), workspace, stop)
    assert workspace.zoo.entry("one").evaluation() == table
    assert not list(workspace.runs.glob("verdict/*.npz"))


def test_the_command_prints_stages_and_indicators(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated(workspace)
    monkeypatch.chdir(workspace.checkpoints.parent)
    code, output = invoke(workspace, "evaluate", "one", "--suite", "verdict", "--n", 6)
    assert code == 0, output
    assert "after targets:" in output
    assert "passed: 0 of" in output
    assert torch.is_grad_enabled()
