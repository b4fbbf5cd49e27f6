"""Studies, Train, Jobs and Models on the real API with its ledger; there is no worker, so a job is where it was put."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from streamlit.testing.v1 import AppTest

from backend.app import create_app
from backend.jobs.ledger import Ledger
from backend.schemas import JobEvent
from backend.settings import Settings
from cifs.files import locked, write_json
from cifs.plot.training import ATTACKED, LOSS, NATURALLY, TRAINING, VALIDATION
from cifs.records import StudyRecord
from cifs.studies import load_study, verdicts
from frontend.captions import card_body, card_tables
from frontend.components.job_view import settled
from frontend.components.lab import forget
from tests.backend.conftest import save_models
from tests.frontend.dashboard import address, charts, fine, open_among_pages, open_page, texts
from tests.jobs import put, put_training

ROOT = Path(__file__).parents[2]
PUBLISHED, VERDICT = (ROOT / "docs" / "studies" / name / "record.json" for name in ("overfitting", "verdict"))


class Server:
    def __init__(self, folder: Path) -> None:
        self.runs, self.models = folder / "runs", folder / "models"
        settings = Settings(checkpoints=save_models(self.models), runs=self.runs, jobs="external", device="cpu")
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

    def training(self, name: str, state: str, *, height: float = 0.5) -> str:
        return put_training(self.ledger, name, state, height=height)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    running = Server(tmp_path)
    monkeypatch.setenv("CIFS_BACKEND_URL", running.url)
    forget()
    yield running
    running.server.should_exit = True
    running.thread.join()


# ---- Studies --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
def test_a_study_shows_the_verdict_of_what_was_published_and_can_be_run_here() -> None:
    page = fine(open_page("studies", study="overfitting"))
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


def test_a_study_by_the_verdict_shows_it_and_says_which_networks_it_does_not_trust(server: Server) -> None:
    record = StudyRecord.model_validate_json(VERDICT.read_bytes())
    doubted = next(a for a in record.accuracies if a.level == "verdict")
    doubted.untrusted = 2
    write_json(server.runs / "studies" / "verdict" / "record.json", record.model_dump(mode="json"))
    first = fine(open_page("studies", study="verdict"))
    assert "Verdict: what an ensemble" in texts(first)
    assert f"{doubted.checkpoint} epoch: 2 of {len(doubted.epochs)}" in first.warning[0].value  # beside what they found
    page = fine(open_page("studies", study="verdict", show="accuracies"))
    shown = page.table[0].value["verdict"]
    assert [f"{100 * doubted.mean:.2f}" in text for text in shown].count(True) == 1
    assert ["2 not trusted" in text for text in shown].count(True) == 1


@pytest.mark.parametrize("whole", [False, True])
def test_a_study_at_work_says_at_what_and_whose_record_is_shown(server: Server, whole: bool) -> None:
    folder = server.runs / "studies" / "overfitting"
    first, second, *_ = load_study("overfitting").cells()
    record = StudyRecord.model_validate_json(PUBLISHED.read_bytes())
    own = record if whole else record.with_(measured=1, tests=[])
    write_json(folder / "record.json", own.model_dump(mode="json"))
    write_json(folder / f"{first.id}.json", {})
    run = folder / "runs" / second.id
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text(json.dumps({"epoch": 5, "validation_adaptive": 0.16}) + "\n")
    with locked(run / "claim"):
        page = fine(open_page("studies", study="overfitting", show="progress"))
    progress = page.get("progress")[0].proto.text
    assert progress == f"1 of {record.planned} trainings are measured on this server: {second.id}, epoch 5 of 32"
    assert ("came with the project" in texts(page)) is not whole
    seeds = page.table[0].value["seed 1"]
    assert list(seeds)[:3] == ["measured", "running, epoch 5 of 32, 16 % robust", "–"]


def test_robustness_shows_curves_by_epoch_of_studies_and_trainings(server: Server) -> None:
    server.training("mine", "finished")
    record = StudyRecord.model_validate_json(PUBLISHED.read_bytes())
    study = f"{record.title}: {record.regimes['overfitting']}"
    page = fine(open_page("robustness", show="by epoch", curves=study))
    assert len(charts(page)) == 3
    points = [p for p in record.curves if (p.regime, p.arm) == ("overfitting", "vanilla")]
    by_epoch = {point.epoch: 100 * sum(point.adaptive) / len(point.adaptive) for point in points}
    best = max(by_epoch, key=by_epoch.__getitem__)
    said = f"Vanilla AT {by_epoch[best]:.1f} % at its best (epoch {best}), {by_epoch[32]:.1f} % at the last"
    assert said in texts(page)
    page.selectbox(key="curves").select("trainings of this server").run()
    assert "mine 50.0 % at its best (epoch 1), 50.0 % at the last" in texts(fine(page))
    assert address(page, "curves") == "trainings of this server"


@pytest.mark.parametrize(("times", "drawn"), [([10.1, 12.0, 14.9], 3), ([10.1, 12.0, 15.2], 2), ([], 0)])
def test_curves_of_what_runs_change_every_five_seconds(times: list[float], drawn: int) -> None:
    events = [JobEvent(number=k, at=at, event="progress") for k, at in enumerate(times, 1)]
    assert settled(events) == events[:drawn]


# ---- Train ----------------------------------------------------------------------------------------------------------


def diff(page: AppTest) -> dict[str, str]:
    tables = [table for table in page.dataframe if "recipe" in table.value]
    return {} if not tables else dict(zip(tables[0].value["setting"], tables[0].value["yours"], strict=True))


@pytest.mark.usefixtures("server")
def test_what_is_changed_of_a_recipe_is_shown_as_a_diff_and_started(server: Server) -> None:
    page = fine(open_among_pages("train"))
    assert diff(page) == {}
    page.number_input(key="epochs-cpu/fmnist-mini-vanilla-lesson").set_value(3).run()
    page.selectbox(key="attack-cpu/fmnist-mini-vanilla-lesson").select("fgsm").run()
    found = diff(fine(page))
    assert found["epochs"] == "3"
    assert found["attack.name"] == "fgsm"
    assert found["attack.steps"] == "–"  # FGSM has none
    assert "attack.eps" not in found  # ε stays the recipe's, though another attack has another default
    page.button(key="start").click().run()
    (row,) = server.ledger.page(offset=0, limit=9)[1]
    assert row.request["set"][:2] == ["epochs=3", 'attack.name="fgsm"']
    assert address(fine(page), "job") == row.id
    assert "It waits for a worker." in texts(page)


@pytest.mark.usefixtures("server")
def test_the_forms_of_method_and_imgf_are_made_of_their_schemas() -> None:
    recipe = "cpu/fmnist-mini-vanilla-lesson"
    page = fine(open_among_pages("train"))
    page.selectbox(key=f"method-{recipe}").select("cifs").run()
    assert diff(fine(page))["model.imgf.name"] == "softmax"
    page.text_input(key=f"model.imgf.temperature-softmax-{recipe}").set_value("0.5").run()
    assert diff(fine(page))["model.imgf.temperature"] == "0.5"
    page.text_input(key=f"model.imgf.temperature-softmax-{recipe}").set_value("-1").run()
    assert "-1" in texts(fine(page))


@pytest.mark.usefixtures("server")
def test_what_the_backend_refuses_is_told_and_nothing_starts(server: Server) -> None:
    page = open_among_pages("train")
    page.text_area(key="more-cpu/fmnist-mini-vanilla-lesson").set_value("epochs=0").run()
    assert "epochs" in "".join(str(error.value) for error in fine(page).error)
    assert not [button for button in page.button if button.key == "start"]
    assert server.ledger.page(offset=0, limit=9)[0] == 0


def test_runs_are_drawn_over_each_other_and_the_address_keeps_which(server: Server) -> None:
    first, second = server.training("first", "finished", height=0.4), server.training("second", "finished", height=0.6)
    page = fine(open_among_pages("train", job=second))
    assert list(drawn(page)) == [LOSS, VALIDATION, TRAINING]
    page.multiselect[0].select(first).run()
    figures = drawn(fine(page))
    assert list(figures) == [LOSS, NATURALLY, ATTACKED]
    assert [trace["name"] for trace in figures[ATTACKED]["data"]] == ["second", "first"]
    assert list(page.table[0].value["last"]) == [
        "70.0 % natural, 60.0 % attacked (step 3)",
        "50.0 % natural, 40.0 % attacked (step 3)",
    ]
    assert address(page, "compare") == first
    again = fine(open_among_pages("train", job=second, compare=first))
    assert list(drawn(again)) == [LOSS, NATURALLY, ATTACKED]


def drawn(page: AppTest) -> dict[str, Any]:
    """Figures by title: their keys end with the ids of their jobs."""
    titles = (LOSS, VALIDATION, TRAINING, NATURALLY, ATTACKED)
    specs = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    said = [title for element in page.markdown if (title := str(element.value).strip("*")) in titles]
    return dict(zip(said, specs, strict=True))


def test_a_finished_training_is_one_click_from_its_channels(server: Server) -> None:
    page = fine(open_among_pages("train", job=server.training("mine", "finished")))
    links = {link.proto.label: link.proto.query_string for link in page.get("page_link")}
    assert links["Look at the channels of mine"] == "model=mine"


# ---- Jobs -----------------------------------------------------------------------------------------------------------


def test_jobs_can_be_filtered_by_where_they_are(server: Server) -> None:
    states = ("waiting", "running", "cancelling", "finished", "failed", "cancelled")
    for state in states:
        server.training(state, state)
    page = fine(open_among_pages("jobs"))
    assert set(page.dataframe[0].value["state"]) == set(states)
    page.segmented_control[0].set_value("at work").run()
    assert set(fine(page).dataframe[0].value["state"]) == {"waiting", "running", "cancelling"}
    assert page.selectbox[0].value == server.ledger.page(states=["cancelling"], offset=0, limit=1)[1][0].id


def test_a_job_is_cancelled_and_resumed_from_its_page(server: Server) -> None:
    job = server.training("mine", "running")
    page = fine(open_among_pages("jobs", job=job))
    page.button(key=f"cancel-{job}").click().run()
    assert server.ledger.job(job).state == "cancelling"  # type: ignore[union-attr]
    server.ledger.end(job, 1, "cancelled")
    page = fine(open_among_pages("jobs", job=job))
    page.button(key=f"resume-{job}").click().run()
    found = server.ledger.job(job)
    assert found is not None
    assert (found.state, found.attempt) == ("waiting", 2)
    assert "attempt 2" in texts(fine(page))


def test_a_failed_job_says_why_and_shows_its_request(server: Server) -> None:
    page = fine(open_among_pages("jobs", job=server.training("mine", "failed")))
    assert "no space left" in "".join(str(error.value) for error in page.error)
    page.segmented_control[1].set_value("request").run()
    assert json.loads(fine(page).json[0].value)["recipe"] == "cpu/fmnist-mini-vanilla-lesson"


@pytest.mark.usefixtures("server")
def test_the_address_of_a_job_that_is_not_there_shows_the_rest(server: Server) -> None:
    server.training("mine", "finished")
    page = fine(open_among_pages("jobs", job="0123456789abcdef"))
    assert "there is no job '0123456789abcdef' here" in texts(page)
    assert len(page.dataframe[0].value) == 1


# ---- Models ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("server")
def test_a_model_shows_its_layers_and_its_card_below_the_pages_heading() -> None:
    page = fine(open_among_pages("models", model="tiny-cifs"))
    assert "layer4.0 *" in set(page.dataframe[0].value["layer"])
    card = next(str(element.value) for element in page.markdown if "## Training" in str(element.value))
    assert card.lstrip().startswith("## tiny-cifs")
    assert "\n### Training" in card
    links = {link.proto.label: link.proto.query_string for link in page.get("page_link")}
    assert links["Look at its channels"] == "model=tiny-cifs"


def test_code_in_a_card_keeps_its_comments() -> None:
    assert (
        card_body("---\na: 1\n---\n# a\n```python\n# a comment\n```\n## b")
        == "## a\n```python\n# a comment\n```\n### b"
    )


def test_the_tables_of_a_card_are_rows_by_column_under_their_headings() -> None:
    table = "| | accuracy |\n| --- | --- |\n| PGD-20 | 1.5 |\n| x\\|y | – |\n"
    card = f"# a\n## Robustness\nIn %.\n\n{table}\n## Use\n# a comment\n"
    assert card_tables(card) == {"Robustness": [{"": "PGD-20", "accuracy": "1.5"}, {"": "x|y", "accuracy": "–"}]}
    cards = list((ROOT / "checkpoints").glob("*/README.md"))
    assert all(card_tables(card.read_text(encoding="utf-8"))["Robustness"] for card in cards)


def test_a_model_that_is_deleted_is_gone(server: Server) -> None:
    page = fine(open_among_pages("models", model="tiny-cas"))
    page.button(key="delete-tiny-cas").click().run()
    assert "tiny-cas" not in fine(page).selectbox[0].options
    assert not (server.models / "tiny-cas").exists()


@pytest.mark.usefixtures("server")
def test_a_model_at_work_cannot_be_deleted(server: Server) -> None:
    job = put(server.ledger, "evaluate", "tiny-cifs", {"model": "tiny-cifs"}, "running")
    page = fine(open_among_pages("models", model="tiny-cifs"))
    page.button(key="delete-tiny-cifs").click().run()
    assert job in "".join(str(error.value) for error in fine(page).error)


def test_a_model_is_brought_with_its_config_and_a_wrong_one_is_refused_in_words(server: Server) -> None:
    weights, config = (
        (server.models / "tiny-natural" / name).read_bytes() for name in ("model.safetensors", "config.json")
    )
    page = fine(open_among_pages("models", do="bring a model"))
    largest = page.file_uploader(key="weights").proto.max_upload_size_mb * 2**20
    assert largest == Settings.model_fields["max_model_bytes"].default  # a ResNet-18 of width 64 has 45 MB in float32
    page.file_uploader(key="weights").upload("model.safetensors", weights, "application/octet-stream")
    page.file_uploader(key="config").upload("config.json", config, "application/json")
    page.text_input(key="new-model").set_value("brought").run()
    page.button(key="bring").click().run()
    assert "brought is here." in texts(fine(page))
    assert (server.models / "brought" / "model.safetensors").read_bytes() == weights
    page.text_input(key="new-model").set_value("").run()
    page.button(key="bring").click().run()
    assert [error.value for error in fine(page).error] == ["id: required, but missing"]
    page.file_uploader(key="weights").upload("model.safetensors", weights[:1000], "application/octet-stream")
    page.text_input(key="new-model").set_value("broken").run()
    page.button(key="bring").click().run()
    assert page.error
    assert not (server.models / "broken").exists()
