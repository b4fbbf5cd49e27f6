"""What is checked of a request before anything looks at its meaning: its size, and that its JSON is JSON."""

import asyncio
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
MAX_ITEMS = 65_536  # commas of a body: four times the longest list there is
SHORT = 4096  # bytes of a body that is parsed in less time than another thread takes to begin
EXACT = 2**53  # integers below this are floats without loss
PARSERS = asyncio.Semaphore(2)  # bodies that are parsed at once, off the event loop


class BodyLimit:
    """ASGI middleware: refuses a body longer than `limit` bytes without reading it to the end.

    FastAPI's own `max_body_size` answers in plain text.
    """

    def __init__(
        self, app: ASGIApp, limit: int, uploads: Mapping[str, int] | None = None, at_once: int = 2**28
    ) -> None:
        self.app = app
        self.limit = limit
        self.uploads = uploads or {}  # paths to which files are sent, and their own limits
        self.memory, self.disk = Room(at_once), Room(2 * max(self.uploads.values(), default=0))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        length, limit, room = Headers(scope=scope).get("content-length", "0"), self.limit, self.memory
        if scope["method"] == "POST" and scope["path"] in self.uploads:
            limit, room = self.uploads[scope["path"]], self.disk
        if length.isdecimal() and int(length) > limit:
            return await ProblemResponse(Request(scope), 413, _too_large(limit))(scope, receive, send)
        counted = Counted(receive, limit, room)
        try:
            await self.app(scope, counted, send)
        finally:
            room.held -= counted.total


class Room:
    """For the bytes of all requests that are being answered: bodies stay in memory, files that are sent on disk."""

    def __init__(self, most: int) -> None:
        self.most, self.held = most, 0

    def hold(self, length: int) -> None:
        """Raises Refusal (503) where so many bytes more would be too many at once."""
        if self.held + length > self.most:
            message = "requests of too many bytes are being answered already; retry in 1 s"
            raise Refusal(503, message, headers={"Retry-After": "1"})
        self.held += length


class Counted:
    """`receive` that counts what came, for a body may come without its length, and many may come at once."""

    def __init__(self, receive: Receive, limit: int, room: Room) -> None:
        self.receive, self.limit, self.room = receive, limit, room
        self.total = 0

    async def __call__(self) -> Message:
        message = await self.receive()
        length = len(message.get("body", b""))
        if self.total + length > self.limit:
            raise Refusal(413, _too_large(self.limit))
        self.room.hold(length)
        self.total += length
        return message


def _too_large(limit: int) -> str:
    return f"the request's body is larger than this server takes, {limit} bytes"


class StrictRequest(Request):
    """Python's json reads NaN, Infinity and 1e999, which JSON has no numbers for."""

    async def json(self) -> Any:
        """Off the event loop where it is long, for a hook in Python is called for every number and object."""
        body = await self.body()
        if (items := body.count(b",")) > MAX_ITEMS:  # before parsing, which would take seconds and gigabytes
            message = f"a body of more than {items} items; allowed: up to {MAX_ITEMS}"
            raise Refusal(413, message, location="body")
        if len(body) <= SHORT:
            return _parse(body)
        async with PARSERS:
            return await asyncio.to_thread(_parse, body)


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_few_members)
    except RecursionError:
        raise Refusal(400, "a body nested too deep to be read", location="body") from None


def _refuse(constant: str) -> NoReturn:
    message = f"{shown(constant)} is no JSON number: numbers must be finite"
    raise Refusal(422, message, location="body")


def _finite(text: str) -> float | int:
    """JSON has one kind of number: 20.0 is an integer too."""
    number = float(text)
    if not math.isfinite(number):
        _refuse(text)
    return int(number) if number.is_integer() and abs(number) < EXACT else number


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
