"""What routes ask for in their signatures. Coroutines, where FastAPI would else start a thread for each."""

from collections.abc import Awaitable
from functools import partial
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Path, Request

from backend.inference import Inference, Work
from backend.jobs.service import Jobs
from backend.lab import Lab
from backend.schemas import ModelInfo
from backend.settings import Settings

T = TypeVar("T")


class Runner(Protocol):
    """Runs a computation in the queue, as long as the client waits for it."""

    def __call__(self, work: Work[T], *, gflops: float = 0.0) -> Awaitable[T]: ...


async def get_lab(request: Request) -> Lab:
    lab: Lab = request.app.state.lab
    return lab


async def get_inference(request: Request) -> Inference:
    inference: Inference = request.app.state.inference
    return inference


LabDep = Annotated[Lab, Depends(get_lab)]
InferenceDep = Annotated[Inference, Depends(get_inference)]


async def get_settings(lab: LabDep) -> Settings:
    return lab.settings


async def get_runner(request: Request, inference: InferenceDep) -> Runner:
    return partial(inference.run, request)


ModelId = Annotated[str, Path(alias="id", examples=["fmnist-resnet10-w16-natural"])]


def get_model_info(model_id: ModelId, lab: LabDep) -> ModelInfo:
    return lab.describe(model_id)


async def get_served_jobs(request: Request) -> Jobs | None:
    jobs: Jobs | None = request.app.state.jobs
    return jobs


ServedJobs = Annotated[Jobs | None, Depends(get_served_jobs)]
SettingsDep = Annotated[Settings, Depends(get_settings)]
RunDep = Annotated[Runner, Depends(get_runner)]
ModelDep = Annotated[ModelInfo, Depends(get_model_info)]
