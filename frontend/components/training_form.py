"""What to train: a recipe, and a form of what is changed most often."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import streamlit as st

from backend.schemas import DatasetInfo, Described, RecipeBook, RecipeInfo
from frontend import state
from frontend.components.lab import Lab
from frontend.components.schema_form import field
from frontend.overrides import lines, of_choice, of_method, overrides, value_at
from frontend.parameters import check_all, read_schema

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


def order_form(recipe: RecipeInfo, book: RecipeBook, lab: Lab) -> Order:
    """The recipe with what the reader changed of it."""
    chosen: dict[str, Any] = {}
    left, right = st.columns(2)
    with left:
        chosen |= _what(recipe, book, lab.datasets())
        changed = _imgf(recipe, chosen, lab.imgfs())
    with right:
        chosen |= _how_long(recipe)
        changed += _attack(recipe, lab.attacks())
    with st.expander("More overrides"):
        by_hand = st.text_area(
            "One a line, as `cifs train --set` takes them", key=f"more-{recipe.name}", placeholder="lr=0.1"
        )
    return Order(recipe, [*overrides(recipe.values, chosen), *changed, *lines(by_hand)])


def _what(recipe: RecipeInfo, book: RecipeBook, datasets: Sequence[DatasetInfo]) -> dict[str, Any]:
    values = recipe.values
    chosen: dict[str, Any] = {
        "dataset": _select(recipe, "Data set", "dataset", [d.name for d in datasets if d.available])
    }
    chosen["model.arch"] = _select(recipe, "Network", "model.arch", book.archs)
    chosen["model.width"] = _integer(recipe, "Width", "model.width", 1, 512)
    methods = [m for m in book.methods if (m == "natural") == (values["method"] == "natural")]
    return chosen | of_method(_select(recipe, "Method", "method", methods), values)


def _imgf(recipe: RecipeInfo, chosen: dict[str, Any], imgfs: Sequence[Described]) -> list[str]:
    """A form of the IMGF's own parameters, where the method has one. What of_method says of it is said here."""
    if chosen.get("method", recipe.values["method"]) != "cifs":
        return []
    said = {key.rpartition(".")[2]: chosen.pop(key) for key in [*chosen] if key.startswith("model.imgf.")}
    own = value_at(recipe.values, "model.imgf") or {}
    return _choice(recipe, "IMGF", "model.imgf", imgfs, own, start=own | said)


def _attack(recipe: RecipeInfo, attacks: Sequence[Described]) -> list[str]:
    """A form of the training attack's own parameters."""
    own = recipe.values["attack"]
    if own is None:
        return []
    steps = [attack for attack in attacks if "random_start" in attack.parameters.get("properties", {})]
    return _choice(recipe, "Attack in training", "attack", steps, own, start=own, first=("eps", "steps"))


def _choice(
    recipe: RecipeInfo,
    label: str,
    prefix: str,
    options: Sequence[Described],
    own: Mapping[str, Any],
    *,
    start: Mapping[str, Any],
    first: tuple[str, ...] = (),
) -> list[str]:
    """One of what is registered with a form of its parameters, as overrides. start: what the form begins with."""
    by_name = {option.name: option for option in options}
    began = start.get("name")
    if began not in by_name:  # a plug-in's that this form knows nothing of stays as it is
        return []
    name = st.selectbox(label, list(by_name), index=list(by_name).index(began), key=f"{prefix}-{recipe.name}")
    parameters = [p for p in read_schema(by_name[name].parameters) if len(p.choices) != 1 and p.name != "target"]
    kept = start if name == began else {key: start[key] for key in first if key in start}
    parameters = sorted(parameters, key=lambda p: p.name not in first)
    raw: dict[str, Any] = {}
    rest = next((number for number, p in enumerate(parameters) if p.name not in first), len(parameters))
    for shown, place in ((parameters[:rest], st.container()), (parameters[rest:], st.expander("All settings"))):
        for parameter in shown:
            value, key = kept.get(parameter.name, parameter.default), f"{prefix}.{parameter.name}-{name}-{recipe.name}"
            with place:
                raw[parameter.name] = field(parameter, value, key=key)
    values, complaints = check_all(parameters, raw)
    for complaint in complaints:
        st.error(complaint)
    return of_choice(prefix, own, name, values, {p.name: p.default for p in parameters})


def _how_long(recipe: RecipeInfo) -> dict[str, Any]:
    return {
        "epochs": _integer(recipe, "Epochs", "epochs", 1, 1000),
        "batch_size": _integer(recipe, "Batch size", "batch_size", 2, 4096),
        "seed": _integer(recipe, "Seed", "seed", 0, 2**31 - 1),
    }


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
