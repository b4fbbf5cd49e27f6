"""Adversarial training by recipe."""

from cifs.training.adversarial import Progress, Run, natural_accuracy
from cifs.training.material import Material, gather
from cifs.training.ranks import Ranks, joined
from cifs.training.recipe import Recipe, load_recipe, recipe_diff, recipe_names

__all__ = [
    "Material",
    "Progress",
    "Ranks",
    "Recipe",
    "Run",
    "gather",
    "joined",
    "load_recipe",
    "natural_accuracy",
    "recipe_diff",
    "recipe_names",
]
