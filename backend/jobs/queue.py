"""The seam to DBOS Transact, which brings each attempt to a worker: nothing else here imports it.

An attempt is the workflow `<job>.<attempt>`; what is known of the job is in our own ledger, in the same database and
written in the same transaction. DBOS tells a worker that was started again under its name what it was at. Every value
it stores is JSON.
"""

import logging
from collections.abc import Callable, Collection

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSConfig, EnqueueOptions, Serializer
from pydantic_core import from_json, to_json

QUEUE = "jobs"
WORKFLOW = "attempt"
APPLICATION = "cifs-lab"
VERSION = "1"  # pinned, for a worker takes up again only what is of its own version
POLL = 0.5  # seconds
TAKEN_AT_MOST = 1000  # by DBOS; ours, which explains itself, is lower


class JSONSerializer(Serializer):
    """Not DBOS's default, which is pickle."""

    def serialize(self, data: object) -> str:
        return to_json(data, fallback=str).decode()

    def deserialize(cls, serialized_data: str) -> object:
        return from_json(serialized_data)

    def name(self) -> str:
        return "cifs_json"


def prepare(url: str) -> None:
    """Creates or migrates DBOS's own tables."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS.migrate(url)


class Queue:
    """What is on its way to a worker."""

    def __init__(self, engine: sa.Engine) -> None:
        self.client = DBOSClient(
            system_database_engine=engine, serializer=JSONSerializer(), application_name=APPLICATION, lazy=True
        )

    def put(self, connection: sa.Connection, job_id: str, attempt: int) -> None:
        """Within a transaction of the caller's."""
        options: EnqueueOptions = {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": _workflow_id(job_id, attempt),
            "app_version": VERSION,
        }
        self.client.enqueue_in_transaction(connection, options, job_id, attempt)

    def lacks(self, attempts: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
        """Which of these (job, attempt) it does not hold: it has given them to a worker. Waits for its database."""
        lacked = {_workflow_id(*attempt): attempt for attempt in attempts}
        if lacked:
            held = self.client.list_workflows(workflow_ids=[*lacked], status="ENQUEUED", load_input=False)
            for workflow in held:
                del lacked[workflow.workflow_id]
        return set(lacked.values())


def _workflow_id(job_id: str, attempt: int) -> str:
    return f"{job_id}.{attempt}"


def serve(
    work: Callable[[str, int], None], *, url: str, engine: sa.Engine, worker: str, at_once: int
) -> Callable[[], None]:
    """Runs `work(job, attempt)` on threads of this process for what the queue brings; returns what ends that.

    DBOS() is one for a process, so this is for the worker process alone. First it takes up again what a worker of
    this name was at when it was killed.
    """
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": url,
        "system_database_engine": engine,
        "application_version": VERSION,
        "executor_id": worker,
        "serializer": JSONSerializer(),
        "log_level": "WARNING",
        "notification_listener_polling_interval_sec": 2.0,  # nobody waits for an event of DBOS's own
        "scheduler_polling_interval_sec": 3600.0,
    }
    DBOS(config=config)
    logging.getLogger("dbos").setLevel(logging.WARNING)

    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=TAKEN_AT_MOST)
    def attempt(job_id: str, number: int) -> None:
        work(job_id, number)

    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=at_once, polling_interval_sec=POLL)
    return lambda: DBOS.destroy(workflow_completion_timeout_sec=10)
