"""The backend over HTTP, typed: requests and answers are the models of `backend.schemas`.

BackendError
├── BackendUnreachable   nothing answers at the address
├── BackendSlow          no answer in time
├── BackendBusy          503: the queue is full, try again after `retry_after` seconds
├── BackendRefused       4xx: the request was wrong, and the message says what is allowed
└── BackendBroken        5xx, or an answer that is not what the contract says
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from backend.schemas import (
    AttackRequest,
    AttackResponse,
    ChannelsRequest,
    ChannelsResponse,
    ChannelStatistics,
    Comparison,
    DatasetInfo,
    Described,
    Example,
    Health,
    MapsRequest,
    MapsResponse,
    ModelInfo,
    Problem,
    RobustnessTable,
    Samples,
)
from backend.schemas.laboratory import (
    ChannelProfile,
    CircuitRequest,
    CircuitResponse,
    FaithfulnessRequest,
    FaithfulnessResponse,
    FilmRequest,
    FilmResponse,
    MarginRequest,
    MarginResponse,
    ResponseRequest,
    ResponseResponse,
    SaliencyRequest,
    SaliencyResponse,
    TransferRequest,
    TransferResponse,
    WhatIfRequest,
    WhatIfResponse,
)

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


class BackendBroken(BackendError):
    title = "The backend failed"


@dataclass(frozen=True)
class ClientSettings:
    base_url: str = "http://127.0.0.1:8000"
    timeout: float = 120.0  # seconds; an attack of many steps on a CPU takes its time
    connect_timeout: float = 3.0

    @classmethod
    def from_environment(cls) -> "ClientSettings":
        given = os.environ.get("CIFS_BACKEND_TIMEOUT", str(cls.timeout))
        try:
            timeout = float(given)
        except ValueError:
            raise BackendError(f"CIFS_BACKEND_TIMEOUT is {given!r}; it has to be a number of seconds.") from None
        return cls(base_url=os.environ.get("CIFS_BACKEND_URL", cls.base_url).rstrip("/"), timeout=timeout)


class Client:
    """One method an endpoint. Raises BackendError, and nothing else, when the backend does not deliver."""

    def __init__(self, settings: ClientSettings):
        self.settings = settings

    def health(self) -> Health:
        return self._get("/health", Health)

    def models(self) -> list[ModelInfo]:
        return self._get("/models", list[ModelInfo])

    def datasets(self) -> list[DatasetInfo]:
        return self._get("/datasets", list[DatasetInfo])

    def samples(self, dataset: str, *, split: str, label: int | None, offset: int, limit: int) -> Samples:
        return self._get(f"/datasets/{dataset}/samples", Samples, split=split, label=label, offset=offset, limit=limit)

    def attacks(self) -> list[Described]:
        return self._get("/attacks", list[Described])

    def imgfs(self) -> list[Described]:
        return self._get("/imgfs", list[Described])

    def relevances(self) -> list[Described]:
        return self._get("/relevances", list[Described])

    def robustness(self) -> RobustnessTable:
        return self._get("/robustness", RobustnessTable)

    def compare(self, first: str, second: str) -> Comparison:
        return self._get("/robustness/compare", Comparison, first=first, second=second)

    def channel_statistics(self, model: str, *, class_index: int, layer: str | None = None) -> ChannelStatistics:
        return self._get(
            f"/models/{model}/channel-statistics", ChannelStatistics, **{"class": class_index, "layer": layer}
        )

    def example(self, model: str, dataset: str) -> Example:
        return self._get(f"/models/{model}/example", Example, dataset=dataset)

    def attack(self, request: AttackRequest) -> AttackResponse:
        return self._post("/attack", request, AttackResponse)

    def channels(self, request: ChannelsRequest) -> ChannelsResponse:
        return self._post("/channels", request, ChannelsResponse)

    def maps(self, request: MapsRequest) -> MapsResponse:
        return self._post("/channels/maps", request, MapsResponse)

    def margin(self, request: MarginRequest) -> MarginResponse:
        return self._post("/channels/margin", request, MarginResponse)

    def circuit(self, request: CircuitRequest) -> CircuitResponse:
        return self._post("/channels/circuit", request, CircuitResponse)

    def what_if(self, request: WhatIfRequest) -> WhatIfResponse:
        return self._post("/channels/what-if", request, WhatIfResponse)

    def response(self, request: ResponseRequest) -> ResponseResponse:
        return self._post("/channels/response", request, ResponseResponse)

    def faithfulness(self, request: FaithfulnessRequest) -> FaithfulnessResponse:
        return self._post("/channels/faithfulness", request, FaithfulnessResponse)

    def channel_page(self, model: str, layer: str, channel: int) -> ChannelProfile:
        return self._get(f"/models/{model}/layers/{layer}/channels/{channel}", ChannelProfile)

    def film(self, request: FilmRequest) -> FilmResponse:
        return self._post("/channels/film", request, FilmResponse)

    def saliency(self, request: SaliencyRequest) -> SaliencyResponse:
        return self._post("/channels/saliency", request, SaliencyResponse)

    def transfer(self, request: TransferRequest) -> TransferResponse:
        return self._post("/attack/transfer", request, TransferResponse)

    def _get(self, path: str, answer: type[T], **query: Any) -> T:
        given = {name: value for name, value in query.items() if value is not None}
        return parse(self.exchange("GET", str(httpx.URL(path, params=given)), None), answer)

    def _post(self, path: str, request: BaseModel, answer: type[T]) -> T:
        return parse(self.exchange("POST", path, request.model_dump_json(exclude_none=True)), answer)

    def exchange(self, method: str, path: str, body: str | None) -> bytes:
        """The one place where bytes travel; a subclass can put a cache here."""
        return send(self.settings, method, path, body)


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
    timeout = httpx.Timeout(settings.timeout, connect=settings.connect_timeout)
    headers = {**(headers or {}), **({"Content-Type": "application/json"} if body is not None else {})}
    fields, files = form or (None, None)
    try:
        # the backend is a neighbour: a proxy from the environment would only stand between
        with httpx.Client(base_url=settings.base_url, timeout=timeout, trust_env=False, verify=_tls(settings)) as http:
            response = http.request(method, path, content=body, data=fields, files=files, headers=headers)
    except httpx.ConnectTimeout as error:
        raise _unreachable(settings) from error
    except httpx.TimeoutException as error:
        patience = f"No answer to {method} {path} within {settings.timeout:g} seconds."
        raise BackendSlow(f"{patience} Fewer steps or a smaller model answer sooner.") from error
    except httpx.ConnectError as error:
        raise _unreachable(settings) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BackendBroken(
            f"The connection to {settings.base_url} broke off: {error or type(error).__name__}"
        ) from error
    _raise_for_status(response)
    return response.content


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
    if response.status_code == 503:
        after = response.headers.get("Retry-After", "")
        raise BackendBusy(message, int(after) if after.isdigit() else None)
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
