"""The backend's lasting work, over HTTP: jobs, recipes, models brought and taken away. Nothing is remembered here."""

import json

from backend.schemas import Job, JobEvent, JobPage, JobRequest, ModelInfo, PlanRequest, RecipeBook, RecipePlan
from frontend.client import Client, Form, parse, send


class Desk(Client):
    """Asks the backend every time: what it answers changes while one looks at it."""

    def jobs(self, *, kind: str | None = None, state: str | None = None, limit: int = 50) -> JobPage:
        return self._get("/jobs", JobPage, kind=kind, state=state, limit=limit)

    def job(self, job_id: str) -> Job:
        return self._get(f"/jobs/{job_id}", Job)

    def submit(self, kind: str, request: dict[str, object]) -> Job:
        return self._post("/jobs", JobRequest(kind=kind, request=request), Job)

    def cancel(self, job_id: str) -> Job:
        return parse(self.exchange("DELETE", f"/jobs/{job_id}", None), Job)

    def resume(self, job_id: str) -> Job:
        return parse(self.exchange("POST", f"/jobs/{job_id}/resume", None), Job)

    def log(self, job_id: str) -> str:
        return self.exchange("GET", f"/jobs/{job_id}/log", None).decode(errors="replace")

    def events(self, job_id: str, after: int) -> list[JobEvent]:
        """Those there are by now, after that number."""
        path = f"/jobs/{job_id}/events?follow=false"
        told = send(self.settings, "GET", path, None, headers={"Last-Event-ID": str(after)}).decode()
        lines = (line.removeprefix("data: ") for line in told.splitlines() if line.startswith("data: "))
        return [JobEvent.model_validate(json.loads(line)) for line in lines]

    def recipes(self) -> RecipeBook:
        return self._get("/recipes", RecipeBook)

    def plan(self, request: PlanRequest) -> RecipePlan:
        return self._post("/recipes/plan", request, RecipePlan)

    def card(self, model: str) -> str:
        return self.exchange("GET", f"/models/{model}/card", None).decode(errors="replace")

    def bring_model(self, form: Form) -> ModelInfo:
        return parse(send(self.settings, "POST", "/models", None, form=form), ModelInfo)

    def bring_dataset(self, form: Form) -> None:
        send(self.settings, "POST", "/datasets", None, form=form)

    def delete_model(self, model: str) -> None:
        self.exchange("DELETE", f"/models/{model}", None)
