"""Adversarial training by recipe."""

from cifs.training.adversarial import Progress, Run, natural_accuracy
from cifs.training.ranks import Ranks, joined
from cifs.training.recipe import Recipe, load_recipe, recipe_names

__all__ = ["Progress", "Ranks", "Recipe", "Run", "joined", "load_recipe", "natural_accuracy", "recipe_names"]
