"""The backend's lasting work, over HTTP: jobs, recipes, models brought and taken away. Nothing is remembered here."""

import json

from backend.schemas import JobEvent
from cifs_client import Client, send
from frontend.shelf import put_request

PLANS = "/recipes/plan"


class Desk(Client):
    """Asks the backend every time: what it answers changes while one looks at it."""

    def exchange(self, method: str, path: str, body: str | None) -> bytes:
        if method == "GET" or path.startswith(PLANS):  # what changes nothing may be asked again
            put_request(method, path, body)
        return super().exchange(method, path, body)

    def events(self, job_id: str, after: int) -> list[JobEvent]:
        """Those there are by now, after that number."""
        path = f"/jobs/{job_id}/events?follow=false"
        stream = send(self.settings, "GET", path, None, headers={"Last-Event-ID": str(after)}).decode()
        lines = (line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: "))
        return [JobEvent.model_validate(json.loads(line)) for line in lines]
