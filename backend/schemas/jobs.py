"""Work that lasts: jobs, their events, and the kinds there are."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JobState = Literal["waiting", "running", "cancelling", "finished", "failed", "cancelled"]


class JobRequest(BaseModel):
    """A kind of job and its own request, whose JSON Schema is under `GET /jobs/kinds`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str = Field(examples=["train"])
    request: dict[str, Any] = Field(examples=[{"recipe": "cpu/fmnist-mini-vanilla-lesson"}])
    shards: int = Field(
        1,
        ge=1,
        le=64,
        description="jobs it is divided into, for as many workers: each measures the next images that nobody has, and "
        "the result is that of one, bit for bit. Of evaluate, curves, autoattack and verdict",
    )
    processes: int = Field(
        1, ge=1, le=64, description="of one host, started by torchrun; on GPUs one for each. Of train"
    )


class JobProgress(BaseModel):
    doing: str
    done: int
    total: int | None = Field(None, description="null: not known")
    metrics: dict[str, float | None] = Field({}, description="figures of now: loss, accuracy, …")


class JobEvent(BaseModel):
    """What happened: a change of state, or progress. Numbers of a job's events start at 1 and have no gaps."""

    number: int
    at: float = Field(description="seconds since 1970, UTC")
    event: Literal["state", "progress"]
    state: JobState | None = Field(None, description="of a change of state: the new one")
    attempt: int | None = None
    error: str | None = None
    progress: JobProgress | None = None


class JobShard(BaseModel):
    """A part of a job in shards: itself a job, by whose id its own log and events are found."""

    id: str
    state: JobState
    worker: str | None
    attempt: int
    progress: JobProgress | None = Field(description="of the whole job, as this one saw it last")
    error: str | None


class Job(BaseModel):
    id: str
    kind: str
    model: str | None = Field(description="the model it makes or measures")
    request: dict[str, Any]
    notes: list[str] = Field(description="what to know of it, for people")
    state: JobState
    attempt: int = Field(description="from 1; one more with every resume, and every change of worker")
    worker: str | None
    created: float = Field(description="seconds since 1970, UTC")
    started: float | None
    ended: float | None
    progress: JobProgress | None = Field(description="the latest")
    events: int = Field(description="how many there are")
    result: Any = Field(description="what a finished job measured")
    error: str | None = Field(description="of a failed job, for people")
    resumable: bool
    processes: int = Field(1, description="of one attempt, on one host")
    parent: str | None = Field(None, description="of a shard: the job it is of")
    shards: list[JobShard] = Field([], description="of a job that is divided: its parts")


class JobPage(BaseModel):
    total: int = Field(description="how many match, of which this is a page, the newest first")
    offset: int
    jobs: list[Job]
