"""Errors: RFC 9457 problem+json."""

from typing import Literal

from pydantic import BaseModel, Field

ProblemKind = Literal["about:blank", "urn:cifs:unfit"]


class ProblemError(BaseModel):
    location: str = Field(description="where in the request", examples=["attack.eps"])
    message: str = Field(description="what was wrong, with which value, and what is allowed")


class Problem(BaseModel):
    type: ProblemKind = Field(
        "about:blank",
        description="urn:cifs:unfit: a request as this document has it, which does not fit the model it names, the "
        "data or what this server takes; about:blank: all else",
    )
    title: str
    status: int
    detail: str = Field(description="for people: what was wrong, with which value, and what is allowed")
    instance: str | None = None
    errors: list[ProblemError] = []
