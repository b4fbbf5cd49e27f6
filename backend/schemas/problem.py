"""Errors: RFC 9457 problem+json."""

from pydantic import BaseModel, Field


class ProblemError(BaseModel):
    location: str = Field(description="where in the request", examples=["attack.eps"])
    message: str = Field(description="what was wrong, with which value, and what is allowed")


class Problem(BaseModel):
    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="for people: what was wrong, with which value, and what is allowed")
    instance: str | None = None
    errors: list[ProblemError] = []
