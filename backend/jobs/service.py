"""What the API does with jobs: checks a request as the command line would, and writes to the ledger."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from backend.errors import Refusal, located
from backend.jobs.attempt import log_of
from backend.jobs.kinds import load_kinds
from backend.jobs.ledger import ACTIVE, Event, Ledger, LedgerAway, Row, engine_of
from backend.jobs.queue import enqueuing, prepare
from backend.log import log
from backend.settings import Settings
from cifs.errors import InvalidParameter, UnknownName

REQUEST_BYTES = 32_768  # what one request may be, as JSON


class Jobs:
    """Raises LedgerError when the server is not set up for jobs, LedgerAway for each call the database misses."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = engine_of(settings.jobs_url)
        self.ledger = Ledger(self.engine, enqueuing(self.engine))
        self.kinds = load_kinds(settings.tasks)

    def open(self) -> None:
        """Creates what is missing. A database that does not answer now may do so later."""
        if self.settings.database_url is None:
            self.settings.runs.mkdir(parents=True, exist_ok=True)
        try:
            self.ledger.open()
            prepare(self.settings.jobs_url)
        except LedgerAway as error:
            log.warning("jobs are not served yet", error=str(error))

    def close(self) -> None:
        self.engine.dispose()

    def submit(self, kind: str, request: Mapping[str, Any]) -> Row:
        """Raises what the command line would for this request, or Refusal (409) where the same is at work already."""
        with located("kind"):
            _ = self.kinds.tasks[kind]
        with located("request"):
            if (size := len(to_json(request))) > REQUEST_BYTES:
                raise InvalidParameter(f"a request of {size} bytes; allowed: up to {REQUEST_BYTES}")
            checked = self.kinds.check(kind, request, self.settings.workspace)
        job_id, new = self.ledger.submit(kind, checked.model, checked.request, checked.notes)
        if not new:
            raise Refusal(409, f"job {job_id} is at work on this already; cancel it first, or wait for it")
        return self.job(job_id)

    def job(self, job_id: str) -> Row:
        """Raises UnknownName."""
        if (job := self.ledger.job(job_id)) is None:
            _, latest = self.ledger.page(offset=0, limit=5)
            raise UnknownName("job", job_id, [job.id for job in latest])
        return job

    def at_work_on(self, model: str) -> str | None:
        """The id of a job that makes or measures this model, or waits to."""
        _, rows = self.ledger.page(states=ACTIVE, model=model, offset=0, limit=1)
        return rows[0].id if rows else None

    def cancel(self, job_id: str) -> Row:
        """A job that is over, or being cancelled, stays as it is."""
        self.job(job_id)
        self.ledger.cancel(job_id)
        return self.job(job_id)

    def resume(self, job_id: str) -> Row:
        """Raises Refusal (409) for a job that neither failed nor was cancelled."""
        job = self.job(job_id)
        if not self.ledger.resume(job_id):
            raise Refusal(409, f"job {job_id} is {job.state}; only one that failed or was cancelled can be resumed")
        return self.job(job_id)

    def events(self, job_id: str, after: int) -> list[Event]:
        return self.ledger.events(job_id, after=after)

    def log(self, job_id: str) -> Path | None:
        """The log of a job that has written one."""
        path = log_of(self.settings, self.job(job_id).id)
        return path if path.exists() else None
