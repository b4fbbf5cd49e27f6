"""What uvicorn leaves open: how long a request may take to arrive, and how long its headers may be.

`cifs serve` serves with it, as `uvicorn.run(…, http="backend.connection:Patient")` does.
"""

from asyncio import Transport
from asyncio.events import TimerHandle
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backend.errors import ProblemResponse
from backend.schemas import Problem

SECONDS = 10.0  # from a connection, or a request's first byte, to the end of its headers and of a short body
BYTES_PER_SECOND = 2**14  # of a longer body: each has a second more for so many
MAX_HEADERS = 2**16  # bytes


class Patient(HttpToolsProtocol):
    """Ends a connection whose request does not arrive in time (408), or whose headers do not end (431)."""

    seconds = SECONDS
    transport: Transport

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: TimerHandle | None = None  # while a request is to come or is on its way
        self._began = 0.0
        self._arrived = 0  # bytes of it
        self._in_headers = True

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        if self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()  # even for what is no request yet, as an empty line
        super().data_received(data)
        self._arrived += len(data)
        if self._timer is not None and self._in_headers and self._arrived > MAX_HEADERS:
            self._end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"headers of more than {MAX_HEADERS} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop()
        self._began, self._arrived, self._in_headers = self.loop.time(), 0, True
        self._timer = self.loop.call_later(self.seconds, self._check)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        """It is late, unless much has come since, or the application is what does not read on."""
        left = self._began + self.seconds + self._arrived / BYTES_PER_SECOND - self.loop.time()
        if self.flow.read_paused:
            left = self.seconds
        if left > 0:
            self._timer = self.loop.call_later(left, self._check)
        else:
            self._end(HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {self.seconds:g} s")

    def _end(self, status: HTTPStatus, why: str) -> None:
        self._stop()
        answering = self.cycle is not None and not self.cycle.response_complete and self.cycle.response_started
        if not answering and not self.transport.is_closing():
            problem = Problem(title=status.phrase, status=status, detail=why).model_dump_json()
            head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {ProblemResponse.media_type}\r\n"
            length = f"Content-Length: {len(problem)}\r\nConnection: close\r\n\r\n"
            self.transport.write((head + length + problem).encode())
        self.transport.close()
