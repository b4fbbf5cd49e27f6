"""`cifs serve`."""

import os
from importlib import import_module
from typing import Annotated

import typer

from cifs.memory import importing

# Seconds a connection may idle, as nginx's: longer than clients and proxies keep one (httpx 5, undici 4, an ALB 60).
# Where both let go at once a request can meet a connection that is being closed, and is lost.
KEEP_ALIVE = 75


def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port", min=1, max=65535)] = 8000,
    log_level: Annotated[str, typer.Option(help="error, warning or info, which logs every request")] = "info",
) -> None:
    """Serve the REST API with a worker for its jobs (settings are CIFS_… environment variables)."""
    with importing():
        import uvicorn  # only here: the library needs no server

        import_module("backend.app")  # of which the science knows the name alone
    os.environ.setdefault("CIFS_JOBS", "embedded")
    # An event stream ends with its job, which may be in hours: connections get a few seconds.
    uvicorn.run(
        "backend.app:create_app",
        factory=True,
        host=host,
        port=port,
        workers=1,  # one queue for the device, whatever WEB_CONCURRENCY says
        http="backend.connection:Patient",
        log_level=log_level,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=5,
    )
