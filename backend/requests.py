"""What is checked of a request before anything looks at its meaning: its size, and that its JSON is JSON."""

import json
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import ProblemResponse, Refusal, shown

MAX_MEMBERS = 64  # of one JSON object


class BodyLimit:
    """ASGI middleware: refuses a body longer than `limit` bytes without reading it to the end.

    FastAPI's own `max_body_size` answers in plain text.
    """

    def __init__(self, app: ASGIApp, limit: int, uploads: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.uploads = uploads or {}  # paths to which files are sent, and their own limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        length, limit = Headers(scope=scope).get("content-length", "0"), self.limit
        if scope["method"] == "POST":
            limit = self.uploads.get(scope["path"], limit)
        if length.isdecimal() and int(length) > limit:
            return await ProblemResponse(Request(scope), 413, _too_large(limit))(scope, receive, send)
        await self.app(scope, self._counting(receive, limit), send)

    def _counting(self, receive: Receive, limit: int) -> Receive:
        """`receive`, for a body that came without its length."""
        total = 0

        async def counting() -> Message:
            nonlocal total
            message = await receive()
            total += len(message.get("body", b""))
            if total > limit:
                raise Refusal(413, _too_large(limit))
            return message

        return counting


def _too_large(limit: int) -> str:
    return f"the request's body is larger than this server takes, {limit} bytes"


class StrictRequest(Request):
    """Python's json reads NaN, Infinity and 1e999, which JSON has no numbers for."""

    async def json(self) -> Any:
        return json.loads(
            await self.body(), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_few_members
        )


def _refuse(constant: str) -> NoReturn:
    message = f"{shown(constant)} is no JSON number: numbers must be finite"
    raise Refusal(422, message, location="body")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _few_members(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """A million unknown names would each become an error to report."""
    if len(members) > MAX_MEMBERS:
        message = f"a JSON object with {len(members)} members; allowed: up to {MAX_MEMBERS}"
        raise Refusal(422, message, location="body")
    return dict(members)


class StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict
