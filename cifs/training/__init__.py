"""Adversarial training by recipe."""

from cifs.training.adversarial import Run
from cifs.training.estimate import estimate_seconds
from cifs.training.finish import finish
from cifs.training.material import Material, check_model, gather
from cifs.training.ranks import Ranks, check_processes, joined
from cifs.training.recipe import Recipe, load_recipe, recipe_diff, recipe_names
from cifs.training.validation import natural_accuracy

__all__ = [
    "Material",
    "Ranks",
    "Recipe",
    "Run",
    "check_model",
    "check_processes",
    "estimate_seconds",
    "finish",
    "gather",
    "joined",
    "load_recipe",
    "natural_accuracy",
    "recipe_diff",
    "recipe_names",
]
