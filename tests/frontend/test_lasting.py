"""Studies, Train, Jobs and Models on the real API with its ledger; there is no worker, so a job is where it was put."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
import uvicorn

from backend.app import create_app
from backend.jobs.ledger import Ledger
from backend.settings import Settings
from cifs.files import locked, write_json
from cifs.records import StudyRecord
from cifs.studies import load_study, verdicts
from tests.backend.conftest import save_models
from tests.frontend.dashboard import address, charts, fine, open_page, texts

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "studies" / "overfitting" / "record.json"


class Server:
    def __init__(self, folder: Path) -> None:
        self.runs = folder / "runs"
        settings = Settings(checkpoints=save_models(folder / "models"), runs=self.runs, jobs="external", device="cpu")
        self.app = create_app(settings)
        self.server = uvicorn.Server(uvicorn.Config(self.app, host="127.0.0.1", port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    @property
    def ledger(self) -> Ledger:
        found: Ledger = self.app.state.jobs.ledger
        return found

    def job(self, kind: str, model: str | None, request: dict[str, Any], state: str, *steps: dict[str, Any]) -> str:
        """A job as a worker would have left it."""
        job, _ = self.ledger.submit(kind, model, request)
        if state != "waiting":
            self.ledger.take(job, 1, "elsewhere")
            for number, metrics in enumerate(steps, start=1):
                told = {"doing": "training", "done": number, "total": len(steps), "metrics": metrics}
                self.ledger.tell_progress(job, 1, told)
        if state == "cancelling":
            self.ledger.cancel(job)
        elif state not in ("waiting", "running"):
            self.ledger.end(job, 1, state, error="no space left" if state == "failed" else None)  # type: ignore[arg-type]
        return job

    def training(self, name: str, state: str, *, height: float = 0.5) -> str:
        steps = [
            {"epoch": float(epoch), "loss": 2.0 / epoch, "accuracy": 0.1 * epoch, "validation_natural": height + 0.1,
             "validation_robust": height}
            for epoch in (1, 2, 3)
        ]  # fmt: skip
        return self.job("train", name, {"recipe": "cpu/fmnist-mini-vanilla-lesson", "id": name}, state, *steps)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    running = Server(tmp_path)
    monkeypatch.setenv("CIFS_BACKEND_URL", running.url)
    st.cache_data.clear()
    yield running
    running.server.should_exit = True
    running.thread.join()


# ---- Studies --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
def test_a_study_shows_the_verdict_of_what_was_published_and_can_be_run_here() -> None:
    page = fine(open_page("studies"))
    said = texts(page)
    assert "Does CIFS delay robust overfitting" in said
    record = StudyRecord.model_validate_json(PUBLISHED.read_bytes())
    for outcome in ("confirmed", "refuted", "undecided"):
        stated = [v for v in verdicts(load_study("overfitting"), record) if v.outcome == outcome]
        assert said.count(f"{outcome}]") == len(stated)
    assert f"{record.measured} of {record.planned} trainings" in said
    page.button(key="study-start").click().run()
    assert "waiting" in texts(fine(page))
    assert not [button for button in page.button if button.key == "study-start"]


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("view", "figures"), [("gains", 1), ("by epoch", 3), ("accuracies", 0), ("progress", 0)])
def test_every_view_of_a_study_opens(view: str, figures: int) -> None:
    page = fine(open_page("studies", show=view))
    assert len(charts(page)) == figures
    assert len(page.table) == {"accuracies": 1, "progress": 2}.get(view, 0)


def test_a_study_at_work_says_at_what_and_its_own_record_goes_first(server: Server) -> None:
    folder = server.runs / "studies" / "overfitting"
    first, second, *_ = load_study("overfitting").cells()
    record = StudyRecord.model_validate_json(PUBLISHED.read_bytes()).with_(measured=1, tests=[])
    write_json(folder / "record.json", record.model_dump(mode="json"))
    write_json(folder / f"{first.id}.json", {})
    run = folder / "runs" / second.id
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text(json.dumps({"epoch": 5, "validation_adaptive": 0.16}) + "\n")
    with locked(run / "claim"):
        page = fine(open_page("studies", study="overfitting", show="progress"))
    progress = page.get("progress")[0].proto.text
    assert progress == f"1 of 36 trainings are measured on this server: {second.id}, epoch 5 of 32"
    assert "came with the project" not in texts(page)
    seeds = page.table[0].value["seed 1"]
    assert list(seeds)[:3] == ["measured", "running, epoch 5 of 32, 16 % robust", "–"]


def test_robustness_shows_curves_by_epoch_of_studies_and_trainings(server: Server) -> None:
    server.training("mine", "finished")
    page = fine(open_page("robustness", show="by epoch"))
    assert len(charts(page)) == 3
    record = StudyRecord.model_validate_json(PUBLISHED.read_bytes())
    points = [p for p in record.curves if (p.regime, p.arm) == ("overfitting", "vanilla")]
    by_epoch = {point.epoch: 100 * sum(point.adaptive) / len(point.adaptive) for point in points}
    best = max(by_epoch, key=by_epoch.__getitem__)
    said = f"Vanilla AT {by_epoch[best]:.1f} % at its best (epoch {best}), {by_epoch[32]:.1f} % at the last"
    assert said in texts(page)
    page.selectbox(key="curves").select("trainings of this server").run()
    assert "mine 50.0 % at its best (epoch 1), 50.0 % at the last" in texts(fine(page))
    assert address(page, "curves") == "trainings of this server"
