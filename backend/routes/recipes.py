"""`/recipes`: what can be trained, and what a training would be before it is started."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fastapi import APIRouter

from backend.dependencies import LabDep, SettingsDep
from backend.errors import Refusal, located
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import Changed, PlanRequest, RecipeBook, RecipeInfo, RecipePlan
from cifs.data import available, load_images
from cifs.errors import CIFSError
from cifs.methods import METHODS
from cifs.models import MODELS
from cifs.training import Recipe, estimate_seconds, load_recipe, recipe_diff, recipe_names
from cifs.zoo import Zoo

router = APIRouter(route_class=StrictRoute, tags=["recipes"])
FEW = 8  # images of a step that is timed


@router.get("/recipes")
def recipes(lab: LabDep) -> RecipeBook:
    """The recipes there are, and what else a recipe can name."""
    known = [_info(name, load_recipe(name), lab.zoo) for name in recipe_names()]
    return RecipeBook(recipes=known, archs=list(MODELS), methods=list(METHODS))


@router.post("/recipes/plan", responses=responses(400, 404, 413, 422))
def plan(body: PlanRequest, lab: LabDep, settings: SettingsDep) -> RecipePlan:
    """What overrides make of a recipe, and about how long it would take here."""
    with located("recipe"):
        if body.recipe not in recipe_names():
            raise Refusal(422, f"unknown recipe {body.recipe!r}; GET /recipes lists them", location="recipe")
    with located("set"):
        recipe = load_recipe(body.recipe, body.set)
        changes = recipe_diff(body.recipe, body.set)
        seconds = about_seconds(recipe, lab.zoo, settings.job_device) if body.estimate else None
    return RecipePlan(
        values=recipe.as_dict(),
        changes=[Changed(key=key, before=before, after=after) for key, (before, after) in changes.items()],
        seconds=seconds,
    )


def _info(name: str, recipe: Recipe, zoo: Zoo) -> RecipeInfo:
    return RecipeInfo(
        name=name,
        title=recipe.title,
        dataset=recipe.dataset,
        method=recipe.method,
        ready=_is_here(recipe.dataset) and (recipe.init is None or recipe.init in zoo.ids()),
        values=recipe.as_dict(),
    )


def _is_here(dataset: str) -> bool:
    try:
        return available(dataset, "train")
    except CIFSError:
        return False


def about_seconds(recipe: Recipe, zoo: Zoo, device: str) -> float:
    """From a small step with a short attack, by counting gradients: even a large network answers in seconds.

    Raises what the training would raise at its start.
    """
    attack = recipe.attack
    if attack is not None and "steps" in attack:
        attack = {**attack, "steps": 1}
    small = replace(recipe, batch_size=FEW, images=FEW * FEW, attack=attack, validation=0, epochs=1)
    gradients = FEW * FEW * (2 + _steps(small.attack))  # those of the weights cost about two
    seconds = estimate_seconds(small, zoo, steps=1, device=device) / gradients
    images = recipe.images or len(load_images(recipe.dataset, "train")) - recipe.validation
    training = recipe.epochs * images * (2 + _steps(recipe.attack))
    validating = recipe.epochs / recipe.validate_every * recipe.validation * (1 + _steps(recipe.validation_attack))
    return seconds * (training + validating)


def _steps(attack: Mapping[str, Any] | None) -> int:
    return 0 if attack is None else int(attack.get("steps", 1))
