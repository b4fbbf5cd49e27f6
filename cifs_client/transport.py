"""Bytes to the backend and back, and what can go wrong on the way.

BackendError
├── BackendUnreachable   nothing answers at the address
├── BackendSlow          no answer in time
├── BackendBusy          503, 429: the queue is full or the quota used, try again after `retry_after` seconds
├── BackendRefused       4xx: the request was wrong, or the key may not do this; the message says what is allowed
│   └── BackendMissing   404: what it names is not there
└── BackendBroken        5xx, or an answer that is not what the contract says
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from backend.schemas import Problem

T = TypeVar("T")


class BackendError(Exception):
    """Something to tell the reader; `str(error)` is a sentence for people."""

    title = "The backend did not answer"


class BackendUnreachable(BackendError):
    title = "The backend is not running"


class BackendSlow(BackendError):
    title = "The backend is taking too long"


class BackendBusy(BackendError):
    title = "The backend is busy"

    def __init__(self, message: str, retry_after: int | None = None):
        super().__init__(message)
        self.retry_after = retry_after


class BackendRefused(BackendError):
    title = "The backend refused this request"


class BackendMissing(BackendRefused):
    title = "The backend does not have this"


class BackendBroken(BackendError):
    title = "The backend failed"


@dataclass(frozen=True)
class ClientSettings:
    base_url: str = "http://127.0.0.1:8000"
    timeout: float = 120.0  # seconds; an attack of many steps on a CPU takes its time
    connect_timeout: float = 3.0
    api_key: str | None = field(default=None, repr=False)
    name: str | None = field(default=None, repr=False)  # the server is fair to each name

    @classmethod
    def from_environment(cls) -> "ClientSettings":
        given = os.environ.get("CIFS_BACKEND_TIMEOUT", str(cls.timeout))
        try:
            timeout = float(given)
        except ValueError:
            raise BackendError(f"CIFS_BACKEND_TIMEOUT is {given!r}; it has to be a number of seconds.") from None
        url = os.environ.get("CIFS_BACKEND_URL", cls.base_url).rstrip("/")
        return cls(base_url=url, timeout=timeout, api_key=os.environ.get("CIFS_API_KEY"))


class Form(NamedTuple):
    """What a request with files carries."""

    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]]  # (name of the file, what is in it) by field


def send(
    settings: ClientSettings,
    method: str,
    path: str,
    body: str | None,
    *,
    form: Form | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    headers = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
    fields, files = form or (None, None)
    with _connected(settings, f"{method} {path}") as http:
        response = http.request(method, path, content=body, data=fields, files=files, headers=headers)
    _raise_for_status(response)
    return response.content


def lines(settings: ClientSettings, path: str, headers: Mapping[str, str]) -> Iterator[str]:
    """What is sent piece by piece, line by line as it comes; `timeout` is the longest silence."""
    with _connected(settings, f"GET {path}") as http, http.stream("GET", path, headers=dict(headers)) as response:
        if not response.is_success:
            response.read()
        _raise_for_status(response)
        yield from response.iter_lines()


@contextmanager
def _connected(settings: ClientSettings, what: str) -> Iterator[httpx.Client]:
    """A client, whose errors are ours."""
    timeout = httpx.Timeout(settings.timeout, connect=settings.connect_timeout)
    given = {"Authorization": settings.api_key and f"Bearer {settings.api_key}", "X-Client": settings.name}
    headers = {header: value for header, value in given.items() if value}
    try:
        # the backend is a neighbour: a proxy from the environment would only stand between
        with httpx.Client(
            base_url=settings.base_url, timeout=timeout, trust_env=False, verify=_tls(settings), headers=headers
        ) as http:
            yield http
    except httpx.ConnectTimeout as error:
        raise _unreachable(settings) from error
    except httpx.TimeoutException as error:
        patience = f"No answer to {what} within {settings.timeout:g} seconds."
        raise BackendSlow(f"{patience} Fewer steps or a smaller model answer sooner.") from error
    except httpx.ConnectError as error:
        raise _unreachable(settings) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BackendBroken(
            f"The connection to {settings.base_url} broke off: {error or type(error).__name__}"
        ) from error


def _tls(settings: ClientSettings) -> bool:
    return settings.base_url.startswith("https")  # loading certificates for plain http would cost tens of milliseconds


def _unreachable(settings: ClientSettings) -> BackendUnreachable:
    return BackendUnreachable(
        f"Nothing answers at {settings.base_url}. Start the backend, or set CIFS_BACKEND_URL to where it runs."
    )


def _raise_for_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    message = problem_message(response.content, response.status_code)
    if response.status_code in (429, 503):
        after = response.headers.get("Retry-After", "")
        raise BackendBusy(message, int(after) if after.isdigit() else None)
    if response.status_code == 404:
        raise BackendMissing(message)
    raise (BackendRefused if response.is_client_error else BackendBroken)(message)


def problem_message(content: bytes, status: int) -> str:
    """The readable part of a problem+json answer; a plain sentence for anything else."""
    try:
        problem = Problem.model_validate_json(content)
    except ValidationError:
        return f"It answered with HTTP status {status} and no explanation."
    details = [f"{error.location}: {error.message}" for error in problem.errors if error.message not in problem.detail]
    return "\n\n".join([problem.detail, *details])


def parse(content: bytes, answer: type[T]) -> T:
    try:
        return TypeAdapter(answer).validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole answer"
        raise BackendBroken(
            f"Its answer is not what the contract says ({where}: {first['msg']}). Is it another version?"
        ) from error
