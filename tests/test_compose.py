"""compose.yaml by itself and as a cluster: docker is not asked, so what it would start is held against the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from backend.jobs.ledger import engine_of
from backend.settings import Settings
from cifs.cli import app

ROOT = Path(__file__).resolve().parent.parent
CLUSTER = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / "cluster.env").read_text(), re.MULTILINE))


def composed(variables: dict[str, str]) -> dict[str, Any]:
    """compose.yaml with ${NAME} and ${NAME:-default} filled in."""

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1]) or match[2] or ""

    filled = re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", value, (ROOT / "compose.yaml").read_text())
    made: dict[str, Any] = yaml.safe_load(filled)
    return made


def settings_of(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """As the backend would read them from this service's environment."""
    for name, value in service["environment"].items():
        assert name.removeprefix("CIFS_").lower() in Settings.model_fields
        monkeypatch.setenv(name, str(value or ""))
    return Settings()


def test_without_a_profile_there_are_backend_and_dashboard_and_jobs_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    services = composed({})["services"]
    assert [name for name, service in services.items() if "profiles" not in service] == ["backend", "frontend"]
    settings = settings_of(services["backend"], monkeypatch)
    assert (settings.jobs, settings.database_url) == ("embedded", None)
    assert settings.jobs_url.startswith("sqlite:///")


def test_the_cluster_is_a_database_and_two_workers_that_share_it_and_the_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = composed(CLUSTER)
    services = made["services"]
    backend, worker, database = services["backend"], services["worker"], services["database"]
    assert worker["profiles"] == database["profiles"] == ["cluster"]
    assert worker["deploy"]["replicas"] == 2
    assert worker["depends_on"]["database"]["condition"] == "service_healthy"
    assert "healthcheck" in database
    assert worker["volumes"] == backend["volumes"]  # models, data, and the runs with shards and locks
    named = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert named == set(made["volumes"])

    settings = [settings_of(service, monkeypatch) for service in (backend, worker)]
    assert [one.jobs for one in settings] == ["external", "external"]
    assert len({one.jobs_url for one in settings}) == 1
    url = sa.make_url(settings[0].jobs_url)
    assert url.host in services
    assert (url.username, url.password) == (
        database["environment"]["POSTGRES_USER"], database["environment"]["POSTGRES_PASSWORD"],
    )  # fmt: skip
    assert engine_of(settings[0].jobs_url).dialect.name == "postgresql"


def test_every_command_is_one_there_is() -> None:
    program, command = composed(CLUSTER)["services"]["worker"]["command"]
    assert program == "cifs"
    assert command in [one.name or one.callback.__name__ for one in app.registered_commands if one.callback]
