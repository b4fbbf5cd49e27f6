"""Requests that do not arrive: what is half sent is not kept open for ever. Real sockets, the server's own protocol."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.app import create_app
from backend.connection import MAX_HEADERS, Patient
from backend.dependencies import get_lab
from backend.settings import Settings

SECONDS = 0.5  # what the server's patience is in these tests
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"


class Impatient(Patient):
    seconds = SECONDS


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with how long the body was."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(length, Impatient) as port:
        yield port


@contextmanager
def serving(app: ASGIApp, protocol: type[Patient]) -> Iterator[int]:
    """The port of a server in this process."""
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


HALF = {
    "nothing": b"",
    "half of the headers": HEAD,
    "half of the body": HEAD + b"Content-Length: 10\r\n\r\nhalf",
    "an empty line": b"\r\n",
}


@pytest.mark.parametrize("sent", HALF.values(), ids=HALF)
def test_half_a_request_is_answered_408_and_closed(port: int, sent: bytes) -> None:
    """150 half-sent headers once stayed open for as long as their clients liked."""
    began = time.monotonic()
    with connected(port) as connection:
        connection.sendall(sent)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"] == "the request did not arrive within 0.5 s"
    assert SECONDS <= time.monotonic() - began < 10 * SECONDS


def test_a_byte_now_and_then_does_not_hold_a_connection(port: int) -> None:
    began = time.monotonic()
    with connected(port) as connection, pytest.raises(OSError):  # whichever tells that it is closed
        connection.sendall(HEAD)
        for _ in range(100):
            connection.sendall(b"a")
            time.sleep(SECONDS / 5)
    assert time.monotonic() - began < 10 * SECONDS


def test_a_long_body_has_the_time_it_takes(port: int) -> None:
    size, parts = 2**17, 8
    with connected(port) as connection:
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(parts):
            time.sleep(2 * SECONDS / parts)  # twice as long as a short one may take
            connection.sendall(bytes(size // parts))
        assert everything(connection).endswith(b"%d" % size)


def test_headers_without_end_are_refused(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(HEAD + b"A: " + b"a" * MAX_HEADERS)
        assert everything(connection).startswith(b"HTTP/1.1 431 ")


def test_a_kept_connection_serves_one_request_after_the_other(port: int) -> None:
    with connected(port) as connection:
        for _ in range(3):
            connection.sendall(HEAD + b"Content-Length: 4\r\n\r\nbody")
            assert connection.recv(65536).endswith(b"4")
            time.sleep(SECONDS / 2)


def test_after_a_500_the_connection_serves_on(checkpoints: Path) -> None:
    """Once it broke, for whoever had kept it."""
    app = create_app(Settings(checkpoints=checkpoints, device="cpu"))

    def broken() -> None:
        raise RuntimeError("broken")

    app.dependency_overrides[get_lab] = broken
    with serving(app, Patient) as port, connected(port) as connection:
        for path, status in (("/models", 500), ("/imgfs", 200), ("/models", 500), ("/relevances", 200)):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            with HTTPResponse(connection) as answer:
                answer.begin()
                assert answer.status == status
                answer.read()
