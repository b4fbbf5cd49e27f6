"""The application: `cifs serve`, or `uvicorn --factory backend.app:create_app`."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import torch
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.responses import PlainTextResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import PrometheusFastApiInstrumentator

from backend import adversarial, choices, errors, openapi
from backend.alone import check_alone
from backend.callers import Quota
from backend.guarded import Guarded
from backend.inference import Inference
from backend.jobs.embedded import EmbeddedWorker
from backend.jobs.kinds import Kinds
from backend.jobs.service import Jobs
from backend.keys import Keyed
from backend.lab import Lab
from backend.requests import BodyLimit
from backend.routes import (
    analysis,
    attack,
    catalogue,
    channel_pages,
    channels,
    example,
    jobs,
    laboratory,
    notes,
    recipes,
    robustness,
    studies,
    survey,
    uploads,
)
from backend.settings import Settings
from backend.uploads import sweep
from cifs import __version__
from cifs.data.datasets import data_dir

DESCRIPTION = """Why CNNs are fooled, channel by channel, and what CIFS (ICML 2021) changes about it.

Images are named by data set and index, or uploaded as base64 PNG or JPEG. The parameters of attacks, IMGFs and
relevances are under `/attacks`, `/imgfs` and `/relevances` as JSON Schema. Errors are RFC 9457 problem+json that say
which value was wrong and what is allowed."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The app with these settings; by default those of the environment."""
    check_alone()
    settings = settings or Settings()
    # FastAPI, with the documentation's scripts served from here: the lab works with no network.
    app = FastAPIOffline(title="CIFS Lab", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    app.state.lab = Lab(settings)
    quota = None if settings.key_seconds_per_hour is None else Quota(settings.key_seconds_per_hour)
    app.state.inference = Inference(settings.queue_length, settings.max_seconds, quota)
    app.state.jobs = None if settings.jobs == "off" else Jobs(settings)
    models = (catalogue, attack, channels, channel_pages, example, laboratory, analysis, notes, robustness, survey)
    for module in (*models, jobs, recipes, studies, uploads):
        app.include_router(module.router)
    errors.install(app)
    _add_middleware(app, settings)
    kinds = None if app.state.jobs is None else app.state.jobs.kinds
    app.openapi = cache(partial(_document, app.openapi, settings, kinds))  # type: ignore[method-assign]
    return app


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    torch.set_num_threads(app.state.lab.settings.threads)
    adversarial.bound(app.state.lab.settings.remembered_bytes)
    runs = app.state.lab.settings.runs
    for root in (app.state.lab.zoo.root, data_dir(), runs, runs / "jobs"):
        await asyncio.to_thread(sweep, root)
    async with serving_jobs(app.state.jobs):
        # Describing models takes seconds the first time, in which nobody has to wait.
        reading = asyncio.create_task(asyncio.to_thread(app.state.lab.describe_all))
        yield
        await asyncio.gather(reading, return_exceptions=True)  # what fails there fails again when it is asked for
        await app.state.inference.close()


@asynccontextmanager
async def serving_jobs(jobs: Jobs | None) -> AsyncIterator[None]:
    """With a worker of this server's own, where the settings say so. Raises LedgerUnreadable."""
    if jobs is None:
        yield
        return
    await asyncio.to_thread(jobs.open)
    worker = EmbeddedWorker(jobs.settings) if jobs.settings.jobs == "embedded" else None
    try:
        if worker is not None:
            worker.start()
        yield
    finally:
        if worker is not None:
            await worker.close()
        jobs.close()


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one added is the outermost."""
    uploads = {"/models": settings.max_model_bytes, "/datasets": settings.max_dataset_bytes}
    form = 2**17  # bytes of what goes with a file
    limits = {path: limit + form for path, limit in uploads.items()}
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, uploads=limits)
    if settings.api_keys:
        app.add_middleware(Keyed, keys=settings.api_keys)
    app.add_middleware(Guarded)
    app.add_middleware(GZipMiddleware, minimum_size=2048, compresslevel=3)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.allowed_hosts)
    metrics = PrometheusFastApiInstrumentator(registry=CollectorRegistry(), excluded_handlers=["/metrics"])
    metrics.instrument(app).expose(app, tags=["service"], response_class=PlainTextResponse)


def _document(generate: Callable[[], dict[str, Any]], settings: Settings, kinds: Kinds | None) -> dict[str, Any]:
    document = openapi.document(generate(), keyed=bool(settings.api_keys))
    choices.complete(document["components"]["schemas"], settings, kinds)
    return document
