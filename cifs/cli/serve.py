"""`cifs serve`."""

from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port", min=1, max=65535)] = 8000,
) -> None:
    """Serve the REST API (settings are CIFS_… environment variables)."""
    import uvicorn  # only here: the library needs no server

    uvicorn.run("backend.app:create_app", factory=True, host=host, port=port)
