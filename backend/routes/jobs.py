"""`/jobs`: work that lasts."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from backend.errors import Refusal
from backend.jobs.ledger import ACTIVE, RESUMABLE, Event, Row
from backend.jobs.service import Jobs
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import Described, Job, JobEvent, JobPage, JobRequest, JobState

router = APIRouter(route_class=StrictRoute, tags=["jobs"])
LOOK = 0.5  # seconds between two looks for new events
MAX_PAGE = 200


def get_jobs(request: Request) -> Jobs:
    """Raises Refusal (404) on a server that runs none."""
    jobs: Jobs | None = request.app.state.jobs
    if jobs is None:
        raise Refusal(404, "this server runs no jobs; `cifs serve` does, or CIFS_JOBS=embedded, or external")
    return jobs


JobsDep = Annotated[Jobs, Depends(get_jobs)]
JobId = Annotated[str, Path(alias="id", examples=["4f1c2a9b7d3e6058"])]


def get_job(job_id: JobId, jobs: JobsDep) -> Row:
    return jobs.job(job_id)


JobDep = Annotated[Row, Depends(get_job)]


@router.post("/jobs", status_code=202, responses=responses(400, 404, 409, 413, 422, 503))
def submit(body: JobRequest, jobs: JobsDep, response: Response) -> Job:
    """Put a job into the queue. It is checked as on the command line first; nothing is started that cannot run."""
    row = jobs.submit(body.kind, body.request, shards=body.shards, processes=body.processes)
    response.headers["Location"] = f"/jobs/{row.id}"
    return shown(jobs, row)


@router.get("/jobs", responses=responses(404, 422, 503))
def listing(
    jobs: JobsDep,
    state: Annotated[list[JobState] | None, Query(description="any of these")] = None,
    kind: Annotated[str | None, Query()] = None,
    model: Annotated[str | None, Query(description="the model it makes or measures")] = None,
    offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
) -> JobPage:
    """A page of the jobs there are, the newest first."""
    total, rows = jobs.ledger.page(states=state or (), kind=kind, model=model, offset=offset, limit=limit)
    return JobPage(total=total, offset=offset, jobs=all_shown(jobs, rows))


@router.get("/jobs/kinds", responses=responses(404))
def kinds(jobs: JobsDep) -> list[Described]:
    """The kinds of jobs there are, and the JSON Schema of their requests."""
    return jobs.kinds.described()


@router.get("/jobs/{id}", responses=responses(404, 422, 503))
def job(job: JobDep, jobs: JobsDep) -> Job:
    return shown(jobs, job)


@router.delete("/jobs/{id}", status_code=202, responses=responses(404, 409, 422, 503))
def cancel(job: JobDep, jobs: JobsDep) -> Job:
    """Cancel it. A running one is asked to save and end, and killed when that takes too long; it can be resumed."""
    return shown(jobs, jobs.cancel(job.id))


@router.post("/jobs/{id}/resume", status_code=202, responses=responses(404, 409, 422, 503))
def resume(job: JobDep, jobs: JobsDep) -> Job:
    """Another attempt at a job that failed or was cancelled: it goes on from what was saved."""
    return shown(jobs, jobs.resume(job.id))


@router.get("/jobs/{id}/log", response_class=PlainTextResponse, responses=responses(404, 422, 503))
def log(job: JobDep, jobs: JobsDep) -> str:
    """What the job printed; the end of it where that was much."""
    return jobs.log(job)


@router.get("/jobs/{id}/events", response_class=EventSourceResponse, responses=responses(404, 422, 503))
async def events(
    job: JobDep,
    jobs: JobsDep,
    last_event_id: Annotated[int, Header(ge=0, le=2**31, description="go on after this one")] = 0,
    follow: Annotated[bool, Query(description="wait for more; false: what there is, and the end")] = True,
) -> AsyncIterator[ServerSentEvent]:
    """Its events as they happen (server-sent), until it is over. A client that reconnects misses none."""
    after = last_event_id
    while True:
        news = await asyncio.to_thread(jobs.events, job.id, after)
        for event in news:
            after = event.number
            yield ServerSentEvent(id=str(event.number), event=event.event, data=as_json(event))
        if not news:
            if not follow:
                return
            now = await asyncio.to_thread(jobs.job, job.id)
            if now.state not in ACTIVE and now.events <= after:
                return
            await asyncio.sleep(LOOK)


def as_json(event: Event) -> dict[str, Any]:
    data = {"progress": event.data} if event.event == "progress" else event.data
    made = JobEvent.model_validate({"number": event.number, "at": event.at, "event": event.event, **data})
    return made.model_dump(exclude_none=True)


def all_shown(jobs: Jobs, rows: Sequence[Row]) -> list[Job]:
    shards = jobs.ledger.shards([row.id for row in rows])
    return [
        Job.model_validate(
            {**vars(row), "resumable": row.parent is None and row.state in RESUMABLE}
            | {"shards": [vars(shard) for shard in shards.get(row.id, ())]}
        )
        for row in rows
    ]


def shown(jobs: Jobs, row: Row) -> Job:
    (job,) = all_shown(jobs, [row])
    return job
