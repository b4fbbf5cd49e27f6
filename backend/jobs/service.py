"""What the API does with jobs: checks a request as the command line would, and writes to the ledger."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from backend.errors import Refusal, invalid, located, unfit
from backend.jobs.attempt import log_of
from backend.jobs.kinds import Checked, load_kinds, without_folders
from backend.jobs.ledger import ACTIVE, Event, Ledger, LedgerAway, Row, engine_of
from backend.jobs.queue import Queue, prepare
from backend.log import log
from backend.settings import Settings
from cifs.data.datasets import data_dir
from cifs.errors import CheckpointError, DataError, InvalidParameter, UnknownName

REQUEST_BYTES = 32_768  # what one request may be, as JSON


class Jobs:
    """Raises LedgerError when the server is not set up for jobs, LedgerAway for each call the database misses."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine = engine_of(settings.jobs_url)
        self.ledger = Ledger(self.engine, Queue(self.engine).put)
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

    def submit(self, kind: str, request: Mapping[str, Any], *, shards: int = 1, processes: int = 1) -> Row:
        """Raises what the command line would for this request, or Refusal (409) where the same is at work already."""
        with located("kind"):
            _ = self.kinds.tasks[kind]
        with located("request", invalid):
            self.kinds.parse(kind, request)
        with located("request"):
            if (size := len(to_json(request))) > REQUEST_BYTES:
                raise InvalidParameter(f"a request of {size} bytes; allowed: up to {REQUEST_BYTES}")
            checked = self._check(kind, request, processes)
        if shards > 1 and not checked.divides:
            raise unfit("shards", f"shards = {shards}: {kind} is not done in shards; allowed: 1")
        if processes > 1 and not checked.distributes:
            raise unfit("processes", f"processes = {processes}: {kind} is done by one process; allowed: 1")
        job_id, new = self.ledger.submit(
            kind, checked.model, checked.request, checked.notes, shards=shards, processes=processes
        )
        if not new:
            raise Refusal(409, f"job {job_id} is at work on this already; cancel it first, or wait for it")
        return self.job(job_id)

    def _check(self, kind: str, request: Mapping[str, Any], processes: int) -> Checked:
        """What is missing or damaged here is told as on the command line, but for where it would lie."""
        place = self.settings.workspace
        try:
            return self.kinds.check(kind, request, {**place, "processes": processes})
        except (CheckpointError, DataError, InvalidParameter) as error:
            said = without_folders(str(error), place).replace(f" ({data_dir()})", "").replace(f"{data_dir()}/", "")
            raise InvalidParameter(said) from error

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
        """A job that is over, or being cancelled, stays as it is. Raises Refusal (409) for a shard of one."""
        self._whole(job_id)
        self.ledger.cancel(job_id)
        return self.job(job_id)

    def resume(self, job_id: str) -> Row:
        """Raises Refusal (409) for a job that neither failed nor was cancelled."""
        job = self._whole(job_id)
        if not self.ledger.resume(job_id):
            raise Refusal(409, f"job {job_id} is {job.state}; only one that failed or was cancelled can be resumed")
        return self.job(job_id)

    def _whole(self, job_id: str) -> Row:
        job = self.job(job_id)
        if job.parent is not None:
            raise Refusal(409, f"{job_id} is a shard of job {job.parent}, which is cancelled and resumed as a whole")
        return job

    def events(self, job_id: str, after: int) -> list[Event]:
        return self.ledger.events(job_id, after=after)

    def log(self, job: Row) -> str:
        """What it printed; of a job in shards what each did, under a line that says which."""
        shards = self.ledger.shards([job.id]).get(job.id, [])
        if not shards:
            return self._log(job.id)
        return "\n".join(f"--- shard {shard.shard} ---\n{self._log(shard.id)}" for shard in shards)

    def _log(self, job_id: str) -> str:
        path = log_of(self.settings, job_id)
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
