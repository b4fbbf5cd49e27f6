"""One method an endpoint: requests and answers are the models of `backend.schemas`."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

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
    InterveneRequest,
    InterveneResponse,
    Job,
    JobEvent,
    JobPage,
    JobRequest,
    MapsRequest,
    MapsResponse,
    ModelInfo,
    PlanRequest,
    Ready,
    RecipeBook,
    RecipePlan,
    RobustnessRow,
    RobustnessTable,
    Samples,
    StudyInfo,
    StudyView,
)
from backend.schemas.laboratory import (
    ChannelNote,
    ChannelProfile,
    CircuitRequest,
    CircuitResponse,
    FaithfulnessRequest,
    FaithfulnessResponse,
    FilmRequest,
    FilmResponse,
    MarginRequest,
    MarginResponse,
    NoteText,
    ReportRequest,
    ResponseRequest,
    ResponseResponse,
    SaliencyRequest,
    SaliencyResponse,
    TransferRequest,
    TransferResponse,
    VisualiseRequest,
    VisualiseResponse,
    WhatIfRequest,
    WhatIfResponse,
)
from backend.schemas.survey import SurveyRequest, SurveyResponse
from cifs_client.transport import ClientSettings, Form, lines, parse, send

T = TypeVar("T")


class Client:
    """One method an endpoint, by default of the server that CIFS_BACKEND_URL names, with the key CIFS_API_KEY.

    Raises BackendError, and nothing else, when the backend does not deliver.
    """

    def __init__(self, settings: ClientSettings | None = None):
        self.settings = settings or ClientSettings.from_environment()

    def health(self) -> Health:
        return self._get("/health", Health)

    def ready(self) -> Ready:
        """Raises BackendBusy where it cannot take work now."""
        return self._get("/ready", Ready)

    def models(self) -> list[ModelInfo]:
        return self._get("/models", list[ModelInfo])

    def model(self, model: str) -> ModelInfo:
        return self._get(f"/models/{model}", ModelInfo)

    def datasets(self) -> list[DatasetInfo]:
        return self._get("/datasets", list[DatasetInfo])

    def samples(self, dataset: str, *, split: str, label: int | None, offset: int, limit: int) -> Samples:
        return self._get(f"/datasets/{dataset}/samples", Samples, split=split, label=label, offset=offset, limit=limit)

    def pictures(self, dataset: str, *, split: str, index: list[int]) -> Samples:
        """These images, in this order."""
        return self._get(f"/datasets/{dataset}/samples", Samples, split=split, index=index)

    def attacks(self) -> list[Described]:
        return self._get("/attacks", list[Described])

    def imgfs(self) -> list[Described]:
        return self._get("/imgfs", list[Described])

    def relevances(self) -> list[Described]:
        return self._get("/relevances", list[Described])

    def robustness(self) -> RobustnessTable:
        return self._get("/robustness", RobustnessTable)

    def robustness_of(self, model: str) -> RobustnessRow:
        return self._get(f"/models/{model}/robustness", RobustnessRow)

    def groups(self) -> list[str]:
        """Of models that may stand in one table."""
        return self._get("/robustness/groups", list[str])

    def export(self, group: str, form: str = "markdown") -> str:
        """The table of a group as a file: csv, markdown or latex."""
        path = httpx.URL("/robustness/export", params={"group": group, "format": form})
        return self.exchange("GET", str(path), None).decode()

    def compare(self, first: str, second: str) -> Comparison:
        return self._get("/robustness/compare", Comparison, first=first, second=second)

    def channel_statistics(
        self, model: str, *, class_index: int, layer: str | None = None, all_classes: bool = True
    ) -> ChannelStatistics:
        """all_classes: with the shift over all classes, which takes longer."""
        about = {"class": class_index, "layer": layer, "all_classes": None if all_classes else "false"}
        return self._get(f"/models/{model}/channel-statistics", ChannelStatistics, **about)

    def example(self, model: str, dataset: str) -> Example:
        return self._get(f"/models/{model}/example", Example, dataset=dataset)

    def attack(self, request: AttackRequest) -> AttackResponse:
        return self._post("/attack", request, AttackResponse)

    def channels(self, request: ChannelsRequest) -> ChannelsResponse:
        return self._post("/channels", request, ChannelsResponse)

    def maps(self, request: MapsRequest) -> MapsResponse:
        return self._post("/channels/maps", request, MapsResponse)

    def intervene(self, request: InterveneRequest) -> InterveneResponse:
        return self._post("/channels/intervene", request, InterveneResponse)

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

    def survey(self, request: SurveyRequest) -> SurveyResponse:
        return self._post("/survey", request, SurveyResponse)

    # Work that lasts

    def kinds(self) -> list[Described]:
        return self._get("/jobs/kinds", list[Described])

    def jobs(self, *, kind: str | None = None, state: Sequence[str] = (), limit: int = 50) -> JobPage:
        """state: any of these; none: whatever state."""
        return self._get("/jobs", JobPage, kind=kind, state=state, limit=limit)

    def job(self, job_id: str) -> Job:
        return self._get(f"/jobs/{job_id}", Job)

    def submit(self, kind: str, request: dict[str, object], *, shards: int = 1, processes: int = 1) -> Job:
        return self._post("/jobs", JobRequest(kind=kind, request=request, shards=shards, processes=processes), Job)

    def cancel(self, job_id: str) -> Job:
        return parse(self.exchange("DELETE", f"/jobs/{job_id}", None), Job)

    def resume(self, job_id: str) -> Job:
        return parse(self.exchange("POST", f"/jobs/{job_id}/resume", None), Job)

    def log(self, job_id: str) -> str:
        return self.exchange("GET", f"/jobs/{job_id}/log", None).decode(errors="replace")

    def follow(self, job_id: str, after: int = 0) -> Iterator[JobEvent]:
        """Its events after that number, each as it happens, until the job is over."""
        for line in lines(self.settings, f"/jobs/{job_id}/events", {"Last-Event-ID": str(after)}):
            if line.startswith("data: "):
                yield JobEvent.model_validate(json.loads(line.removeprefix("data: ")))

    def recipes(self) -> RecipeBook:
        return self._get("/recipes", RecipeBook)

    def plan(self, request: PlanRequest) -> RecipePlan:
        return self._post("/recipes/plan", request, RecipePlan)

    def studies(self) -> list[StudyInfo]:
        return self._get("/studies", list[StudyInfo])

    def study(self, name: str) -> StudyView:
        return self._get(f"/studies/{name}", StudyView)

    # Models and data brought and taken away

    def card(self, model: str) -> str:
        return self.exchange("GET", f"/models/{model}/card", None).decode(errors="replace")

    def visualise(self, request: VisualiseRequest) -> VisualiseResponse:
        return self._post("/channels/visualise", request, VisualiseResponse)

    def notes(self, model: str) -> list[ChannelNote]:
        return parse(send(self.settings, "GET", f"/models/{model}/notes", None), list[ChannelNote])

    def write_note(self, model: str, layer: str, channel: int, text: str) -> ChannelNote:
        body = NoteText(text=text).model_dump_json()
        return parse(
            send(self.settings, "PUT", f"/models/{model}/layers/{layer}/channels/{channel}/note", body), ChannelNote
        )

    def delete_note(self, model: str, layer: str, channel: int) -> ChannelNote:
        return parse(
            send(self.settings, "DELETE", f"/models/{model}/layers/{layer}/channels/{channel}/note", None), ChannelNote
        )

    def report(self, request: ReportRequest) -> str:
        """HTML: one image's whole analysis as one page."""
        body = request.model_dump_json(exclude_none=True)
        return self.exchange("POST", "/channels/report", body).decode(errors="replace")

    def bring_model(self, form: Form) -> ModelInfo:
        return parse(send(self.settings, "POST", "/models", None, form=form), ModelInfo)

    def bring_dataset(self, form: Form) -> DatasetInfo:
        return parse(send(self.settings, "POST", "/datasets", None, form=form), DatasetInfo)

    def delete_model(self, model: str) -> None:
        self.exchange("DELETE", f"/models/{model}", None)

    def _get(self, path: str, answer: type[T], **query: Any) -> T:
        given = {name: value for name, value in query.items() if value is not None}
        return self.ask("GET", str(httpx.URL(path, params=given)), None, answer)

    def _post(self, path: str, request: BaseModel, answer: type[T]) -> T:
        return self.ask("POST", path, request.model_dump_json(exclude_none=True), answer)

    def ask(self, method: str, path: str, body: str | None, answer: type[T]) -> T:
        return parse(self.exchange(method, path, body), answer)

    def exchange(self, method: str, path: str, body: str | None) -> bytes:
        """The one place where bytes travel; a subclass can put a cache here."""
        return send(self.settings, method, path, body)
