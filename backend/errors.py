"""Every error leaves as RFC 9457 problem+json: what was wrong, with which value, and what is allowed.

CIFSError
├── UnknownName        404 where the name is a resource (model, data set), 422 where it is a parameter
├── InvalidParameter   422; of type urn:cifs:unfit where the OpenAPI document allows the value
├── DataError          500: a file of the server's is corrupt; told without its path
├── CheckpointError    500: likewise
└── NoSpace            507, as any error that says that a disk of the server's is full
LedgerError            503: the database of jobs does not answer
Refusal                what the backend itself refuses: limits, malformed uploads, a full queue
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from backend.jobs.ledger import LedgerError
from backend.log import log
from backend.schemas import Problem, ProblemError, ProblemKind
from cifs.errors import CheckpointError, CIFSError, DataError, NoSpace, UnknownName
from cifs.files import says_full

RESOURCES = ("model", "data set", "job", "study")
CLIENT_CLOSED_REQUEST = 499  # nginx's number; nobody is left to read it, but the metrics count it
TITLES = {status.value: status.phrase for status in HTTPStatus} | {CLIENT_CLOSED_REQUEST: "Client Closed Request"}
SHOWN = 100  # characters of a refused value that are repeated in the message
UNREADABLE = "a file this request needs is corrupt or incomplete on the server; its log says which"
FULL = "the server's disk is full; nothing was changed, and this is possible again when there is space"
LONGEST = 2000  # characters of a message: cifs repeats refused values in full
MOST = 20  # errors listed
UNFIT: ProblemKind = "urn:cifs:unfit"
# which pydantic puts into locations
UNION_MEMBERS = {"DatasetImage", "UploadedImage", "ExactImage", "Choice", "int", "str"}


class Refusal(HTTPException):
    """A request that is not served, and why."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        location: str | None = None,
        headers: Mapping[str, str] | None = None,
        kind: ProblemKind = "about:blank",
    ) -> None:
        super().__init__(status, detail, headers)
        self.errors = [ProblemError(location=location, message=detail)] if location else []
        self.kind = kind


def invalid(location: str, message: str) -> Refusal:
    """422 for the value at `location` in the request, which the OpenAPI document does not allow."""
    return Refusal(422, message, location=location)


def unfit(location: str, message: str) -> Refusal:
    """422 for a value that the OpenAPI document allows, but not this model, these data or this server."""
    return Refusal(422, message, location=location, kind=UNFIT)


@contextmanager
def located(location: str, refuse: Callable[[str, str], Refusal] = unfit) -> Iterator[None]:
    """Errors of cifs raised inside are about `location` in the request."""
    try:
        yield
    except (CheckpointError, DataError, NoSpace):
        raise
    except CIFSError as error:
        if _status(error) == 404:
            raise Refusal(404, str(error), location=location) from error
        raise refuse(location, str(error)) from error


def shown(value: Any) -> str:
    """A refused value, short enough to repeat."""
    return shorten(repr(value), SHOWN)


def shorten(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


class ProblemResponse(Response):
    media_type = "application/problem+json"

    def __init__(
        self,
        request: Request,
        status: int,
        detail: str,
        *,
        errors: Sequence[ProblemError] = (),
        headers: Mapping[str, str] | None = None,
        kind: ProblemKind = "about:blank",
    ) -> None:
        problem = Problem(
            type=kind,
            title=TITLES[status],
            status=status,
            detail=shorten(detail),
            instance=request.url.path,
            errors=[ProblemError(location=e.location, message=shorten(e.message)) for e in errors[:MOST]],
        )
        # Plain ASCII: a refused value may hold lone surrogates, which UTF-8 cannot.
        super().__init__(json.dumps(problem.model_dump(exclude_none=True)), status, headers)


def _status(error: CIFSError) -> int:
    return 404 if isinstance(error, UnknownName) and error.kind in RESOURCES else 422


def _explain(error: Mapping[str, Any]) -> ProblemError:
    """One of pydantic's errors, with the value it was about."""
    location = _location(error["loc"])
    value = error.get("input")
    if error["type"] == "json_invalid":
        where = f"{error['ctx']['error']} at character {error['loc'][-1]}"
        return ProblemError(location="body", message=f"not JSON: {where}")
    if error["type"] == "missing":
        return ProblemError(location=location or "body", message="required, but missing")
    if isinstance(value, bytes):
        return ProblemError(location="body", message="send a JSON object, with Content-Type: application/json")
    return ProblemError(location=location or "body", message=f"{error['msg']}; got {shown(value)}")


def _location(parts: Sequence[int | str]) -> str:
    """'images.0.index' for ('body', 'images', 0, 'DatasetImage', 'index')"""
    names = [str(part) for part in parts[1:]]
    return ".".join(name for name in names if name not in UNION_MEMBERS and not name.startswith("literal["))


async def on_validation_error(request: Request, error: RequestValidationError) -> Response:
    errors = [_explain(e) for e in error.errors()[:MOST]]
    detail = "; ".join(f"{e.location}: {e.message}" for e in errors)
    return ProblemResponse(request, 422, detail, errors=errors)


async def on_http_exception(request: Request, error: HTTPException) -> Response:
    detail, headers = str(error.detail), dict(error.headers or {})
    if says_full(error.__cause__):  # while a form's files were stored
        return await on_full_disk(request, error)
    if isinstance(error, Refusal):
        return ProblemResponse(
            request, error.status_code, detail, errors=error.errors, headers=headers, kind=error.kind
        )
    if error.status_code == 404:
        detail = f"there is no {request.url.path!r} here; GET /openapi.json lists what there is"
    if error.status_code == 405:
        detail = f"{request.method} is not allowed on {request.url.path!r}; allowed: {headers.get('Allow', 'none')}"
    return ProblemResponse(request, error.status_code, detail, headers=headers)


async def on_cifs_error(request: Request, error: CIFSError) -> Response:
    if isinstance(error, NoSpace):
        return await on_full_disk(request, error)
    if isinstance(error, CheckpointError | DataError):
        log.error("unreadable file", path=request.url.path, error=str(error))
        return ProblemResponse(request, 500, UNREADABLE)
    status = _status(error)
    return ProblemResponse(request, status, str(error), kind="about:blank" if status == 404 else UNFIT)


async def on_ledger_error(request: Request, error: LedgerError) -> Response:
    log.error("no ledger of jobs", path=request.url.path, error=str(error))
    return ProblemResponse(request, 503, str(error), headers={"Retry-After": "5"})


async def on_full_disk(request: Request, error: Exception) -> Response:
    log.error("disk full", path=request.url.path, error=str(error.__cause__ or error))
    return ProblemResponse(request, 507, FULL)


async def on_unexpected_error(request: Request, error: Exception) -> Response:
    if says_full(error):
        return await on_full_disk(request, error)
    log.exception("unexpected error", method=request.method, path=request.url.path, exc_info=error)
    return ProblemResponse(request, 500, "the server failed on this request; its log says why")


def install(app: FastAPI) -> None:
    handlers: dict[type[Exception], Any] = {
        RequestValidationError: on_validation_error,
        HTTPException: on_http_exception,
        CIFSError: on_cifs_error,
        LedgerError: on_ledger_error,
        Exception: on_unexpected_error,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
