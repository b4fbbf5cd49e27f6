"""What every answer carries, and what becomes of an error nobody expected."""

from uuid import uuid4

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from backend.errors import on_unexpected_error

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
}


class Guarded:
    """ASGI middleware: an id for every request, in its answer and in the log; headers that browsers heed.

    An unexpected error becomes a 500 problem here, and not in Starlette, which would raise it once more and so break
    the connection for the requests that follow on it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request_id, started = uuid4().hex[:16], False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "X-Request-ID": request_id}.items():
                    headers.setdefault(name, value)
            await send(message)

        with bound_contextvars(request=request_id):
            try:
                await self.app(scope, receive, sending)
            except Exception as error:
                if started:
                    raise
                answer = await on_unexpected_error(Request(scope), error)
                await answer(scope, receive, sending)
