"""What to train: a recipe, and a form of what is changed most often."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import DatasetInfo, Described, RecipeBook, RecipeInfo
from frontend import state
from frontend.overrides import lines, of_method, overrides, value_at

USUAL = "cpu/fmnist-mini-vanilla-lesson"


class Order(NamedTuple):
    recipe: RecipeInfo
    set: list[str]


def pick_recipe(book: RecipeBook) -> RecipeInfo | None:
    """Of those whose data and start are on the server."""
    ready = {recipe.name: recipe for recipe in book.recipes if recipe.ready}
    if not ready:
        st.info("None of the recipes' data sets is on this server.", icon=":material/inventory_2:")
        return None
    first = USUAL if USUAL in ready else next(iter(ready))
    name = state.choose(st.selectbox, "Recipe", "recipe", sorted(ready, key=_lessons_first), default=first)
    recipe = ready[name]
    waiting = len(book.recipes) - len(ready)
    elsewhere = f" {waiting} recipes wait for data or a start that is not here." if waiting else ""
    st.caption(f"{recipe.title} on {recipe.dataset}.{elsewhere}")
    return recipe


def _lessons_first(name: str) -> tuple[bool, str]:
    return not name.endswith("-lesson"), name


def order_form(
    recipe: RecipeInfo, book: RecipeBook, datasets: Sequence[DatasetInfo], imgfs: Sequence[Described]
) -> Order:
    """The recipe with what the reader changed of it."""
    chosen: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        chosen |= _what(recipe, book, datasets, imgfs)
    with right:
        chosen |= _how_long(recipe) | _attack(recipe)
    with st.expander("More overrides"):
        by_hand = st.text_area(
            "One a line, as `cifs train --set` takes them", key=f"more-{recipe.name}", placeholder="lr=0.1"
        )
    return Order(recipe, [*overrides(recipe.values, chosen), *lines(by_hand)])


def _what(
    recipe: RecipeInfo, book: RecipeBook, datasets: Sequence[DatasetInfo], imgfs: Sequence[Described]
) -> dict[str, Any]:
    values = recipe.values
    chosen: dict[str, Any] = {
        "dataset": _select(recipe, "Data set", "dataset", [d.name for d in datasets if d.available])
    }
    chosen["model.arch"] = _select(recipe, "Network", "model.arch", book.archs)
    chosen["model.width"] = _integer(recipe, "Width", "model.width", 1, 512)
    methods = [m for m in book.methods if (m == "natural") == (values["method"] == "natural")]
    method = _select(recipe, "Method", "method", methods)
    chosen |= of_method(method, values)
    if method == "cifs":
        own = value_at(values, "model.imgf.name") or "softmax"
        names = [imgf.name for imgf in imgfs]
        imgf = st.selectbox("IMGF", names, index=names.index(own), key=f"imgf-{recipe.name}")
        if imgf != own:
            chosen = {k: v for k, v in chosen.items() if not k.startswith("model.imgf.")} | {"model.imgf.name": imgf}
    return chosen


def _how_long(recipe: RecipeInfo) -> dict[str, Any]:
    return {
        "epochs": _integer(recipe, "Epochs", "epochs", 1, 1000),
        "batch_size": _integer(recipe, "Batch size", "batch_size", 2, 4096),
        "seed": _integer(recipe, "Seed", "seed", 0, 2**31 - 1),
    }


def _attack(recipe: RecipeInfo) -> dict[str, Any]:
    if recipe.values["attack"] is None:
        return {}
    chosen: dict[str, Any] = {}
    if (steps := value_at(recipe.values, "attack.steps")) is not None:
        chosen["attack.steps"] = _integer(recipe, "Steps of the attack in training", "attack.steps", 1, max(100, steps))
    eps = value_at(recipe.values, "attack.eps")
    text = st.text_input("ε of that attack", str(eps), key=f"attack.eps-{recipe.name}")
    chosen["attack.eps"] = None if text == str(eps) else text if "/" in text else _number(text)
    return chosen


def _number(text: str) -> float | str:
    """What is no number is left to the backend, which says what is allowed."""
    try:
        return float(text)
    except ValueError:
        return text


def _select(recipe: RecipeInfo, label: str, key: str, options: Sequence[str]) -> str:
    own = value_at(recipe.values, key)
    names = [*options] if own in options else [own, *options]
    picked: str = st.selectbox(label, names, index=names.index(own), key=f"{key}-{recipe.name}")
    return picked


def _integer(recipe: RecipeInfo, label: str, key: str, low: int, high: int) -> int | None:
    own = value_at(recipe.values, key)
    if own is None:
        return None
    return int(st.number_input(label, low, high, int(own), step=1, key=f"{key}-{recipe.name}"))
