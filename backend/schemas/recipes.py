"""Recipes of training, and what overrides make of them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class RecipeInfo(BaseModel):
    name: str = Field(examples=["cpu/fmnist-mini-vanilla-lesson"])
    title: str
    dataset: str
    method: str
    ready: bool = Field(description="whether the data, and the model it starts from, are on this server")
    values: dict[str, Any] = Field(description="the whole recipe")


class RecipeBook(BaseModel):
    recipes: list[RecipeInfo]
    archs: list[str]
    methods: list[str]


class PlanRequest(BaseModel):
    """A recipe with overrides, as a job of kind train takes them."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"recipe": "cpu/fmnist-mini-vanilla-lesson"}]}
    )

    recipe: str = Field(max_length=200)
    set: list[str] = Field(default=[], max_length=100, description="overrides, e.g. epochs=2 or attack.steps=3")
    estimate: bool = Field(False, description="also measure how long it would take here; takes seconds itself")


class Changed(BaseModel):
    key: str = Field(examples=["attack.steps"])
    before: Any = Field(description="null: there was nothing")
    after: Any = Field(description="null: there is nothing")


class RecipePlan(BaseModel):
    values: dict[str, Any]
    changes: list[Changed]
    seconds: float | None = Field(description="about, on this server as busy as it is now; null: not asked for")
