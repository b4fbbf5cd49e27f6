"""`/recipes`: what can be trained, and what a training would be before it is started."""

from fastapi import APIRouter

from backend.dependencies import LabDep, SettingsDep
from backend.errors import located, unfit
from backend.jobs.estimate import estimated
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import Changed, PlanRequest, RecipeBook, RecipeInfo, RecipePlan
from cifs.errors import CIFSError
from cifs.methods import METHODS
from cifs.models import MODELS
from cifs.training import Recipe, load_recipe, recipe_diff, recipe_names

router = APIRouter(route_class=StrictRoute, tags=["recipes"])


@router.get("/recipes")
def recipes(lab: LabDep) -> RecipeBook:
    """The recipes there are, and what else a recipe can name."""
    known = [_info(name, load_recipe(name), lab) for name in recipe_names()]
    return RecipeBook(recipes=known, archs=list(MODELS), methods=list(METHODS))


@router.post("/recipes/plan", responses=responses(400, 404, 413, 422))
def plan(body: PlanRequest, lab: LabDep, settings: SettingsDep) -> RecipePlan:
    """What overrides make of a recipe, and about how long it would take here."""
    if body.recipe not in recipe_names():
        raise unfit("recipe", f"unknown recipe {body.recipe!r}; GET /recipes lists them")
    with located("set"):
        recipe = load_recipe(body.recipe, body.set)
        changes = recipe_diff(body.recipe, body.set)
        seconds = estimated(body.recipe, body.set, settings) if body.estimate else None
    return RecipePlan(
        values=recipe.as_dict(),
        changes=[Changed(key=key, before=before, after=after) for key, (before, after) in changes.items()],
        seconds=seconds,
    )


def _info(name: str, recipe: Recipe, lab: Lab) -> RecipeInfo:
    return RecipeInfo(
        name=name,
        title=recipe.title,
        dataset=recipe.dataset,
        method=recipe.method,
        ready=_is_here(recipe.dataset, lab) and (recipe.init is None or recipe.init in lab.zoo.ids()),
        values=recipe.as_dict(),
    )


def _is_here(dataset: str, lab: Lab) -> bool:
    try:
        return lab.has(dataset, "train")
    except CIFSError:
        return False
