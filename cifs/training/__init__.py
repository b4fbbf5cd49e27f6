"""Adversarial training by recipe."""

from cifs.training.adversarial import Progress, Run, natural_accuracy
from cifs.training.recipe import Recipe, load_recipe, recipe_names

__all__ = ["Progress", "Recipe", "Run", "load_recipe", "natural_accuracy", "recipe_names"]
