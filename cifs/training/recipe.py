"""Recipes: training runs as data (TOML files under cifs/recipes), overridable key by key."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cached_property
from math import cos, pi
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from cifs.attacks import ATTACKS, Attack
from cifs.errors import InvalidParameter, UnknownName
from cifs.methods import METHODS, PLAIN
from cifs.registry import configure, settings
from cifs.zoo import Storage

RECIPES = Path(__file__).parent.parent / "recipes"
Share = Annotated[float, Field(ge=0, le=1)]


@settings
class Recipe:
    """One training run: min over all weights of E max over ‖x' − x‖_∞ ≤ ε of ℓ_β(x', y) (arXiv 2102.05311, eq. 6)."""

    title: str
    method: str = Field(description="under METHODS")
    dataset: str
    seed: int = Field(default=0, ge=0, lt=2**31)
    model: dict[str, Any] = Field(description="arch and options, as cifs.models.build")
    attack: dict[str, Any] | None = Field(
        default=None, description="the training attack {name, parameters}; none: natural training"
    )
    fold: bool = Field(
        default=False,
        description="follow the gradients of a copy with batch norm folded into the convolutions: the same function, "
        "fewer operations, rounded otherwise; worth it for attacks of several steps",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="N-FGSM: k, images are moved by uniform noise of k·ε before the attack, whose ball is then around "
        "the noisy image (arXiv 2202.01181: 2, for FGSM with a step of ε and no random start); 0: none",
    )
    validation_attack: dict[str, Any] | None = Field(
        default=None, description="by which the best checkpoint is chosen; none: by natural accuracy"
    )
    further_attacks: tuple[dict[str, Any], ...] = Field(
        default=(), description="of the validation, on what its attack leaves standing; the best withstands them all"
    )
    validate_every: int = Field(default=1, ge=1, description="epochs from one validation to the next; the last counts")
    beta: float = Field(default=2.0, ge=0, description="β of ℓ_β")
    loss_scale: float = Field(
        default=1.0,
        gt=0,
        description="ℓ_β times this is what is minimised. The authors of CIFS (at β = 2) and of CAS minimise "
        "CE + β·mean CE(probe), which is (1 + β)·ℓ_β: beside weight decay and a fixed lr that matters",
    )
    init: str | None = Field(
        default=None,
        description="id of a zoo model, or a folder like one of the zoo's: weights of the same name and shape are "
        "the start, and its mean and std are kept unless the recipe states others",
    )
    label_smoothing: Share = Field(default=0.0, description="share of the label that is spread over all classes")
    ema: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of the weights, which is then validated and stored; 0: none",
    )
    epochs: int = Field(default=12, ge=1)
    batch_size: int = Field(default=128, ge=2)
    lr: float = Field(default=0.1, gt=0, description="peak learning rate")
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: float = Field(default=5e-4, ge=0)
    schedule: Literal["one_cycle", "multistep"] = "one_cycle"
    warm_up: Share = Field(default=0.2, description="one_cycle: share of the run in which the rate rises")
    lr_end: float = Field(default=0.0, ge=0, description="one_cycle: the rate at the end, for a run others start from")
    milestones: tuple[Share, ...] = Field(
        default=(0.625, 0.75), description="multistep: after which shares of the run it falls tenfold"
    )
    padding: int = Field(default=4, ge=0, description="random crop")
    flip: bool = True
    precision: Literal["float32", "bf16"] = "bf16"
    images: int | None = Field(
        default=None, ge=1, description="train on the first so many of the training images; none: on all"
    )
    validation: int = Field(default=1000, ge=0, description="last images of the training split, kept out of training")
    keep: Literal["best", "last"] = Field(
        default="best", description="which checkpoint is kept, the best on the validation images or the last"
    )
    storage: Storage = Field(default="float32", description="of weight matrices in the checkpoint")

    @cached_property
    def training_attack(self) -> Attack | None:
        return _attack(self.attack)

    @cached_property
    def checking_attack(self) -> Attack | None:
        return _attack(self.validation_attack)

    @cached_property
    def further_checking_attacks(self) -> tuple[Attack, ...]:
        return tuple(attack for choice in self.further_attacks if (attack := _attack(choice)) is not None)

    def lr_at(self, progress: float) -> float:
        """Learning rate when this share of the run is done."""
        if self.schedule == "multistep":
            return self.lr * 0.1 ** sum(progress >= milestone for milestone in self.milestones)
        if progress < self.warm_up:
            return self.lr * progress / self.warm_up
        fall = 0.5 * (1 + cos(pi * (progress - self.warm_up) / (1 - self.warm_up + 1e-9)))
        return self.lr_end + (self.lr - self.lr_end) * fall

    def as_dict(self) -> dict[str, Any]:
        """JSON-safe: β = ∞ is "inf", which is read back as a number, as is the "Infinity" of earlier files."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)), parse_constant=lambda infinite: "inf")
        return values


def _attack(choice: Mapping[str, Any] | None) -> Attack | None:
    if choice is None:
        return None
    parameters = dict(choice)
    if "name" not in parameters:
        raise InvalidParameter(f"attack {parameters}: its name is missing, for example name = 'pgd'")
    return configure(ATTACKS, parameters.pop("name"), parameters)


def recipe_names() -> tuple[str, ...]:
    return tuple(sorted(str(path.relative_to(RECIPES).with_suffix("")) for path in RECIPES.rglob("*.toml")))


def load_recipe(name: str, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe of this name, or of a .toml file, with overrides such as "epochs=2" or "attack.steps=3".

    An override that names another function (model.imgf.name=softplus) drops the parameters of the former;
    model.sites.0.probe.name=linear reaches into the first site.
    A recipe may extend another (`extends = "cpu/…"`), or several: it states only what differs from them, and where
    they differ from one another the later counts, except that no recipe counts over one that extends it.
    Raises UnknownName or InvalidParameter.
    """
    return recipe_with(name, *(_nested(*given) for given in sorted(map(_override, overrides), key=_general_first)))


def recipe_diff(name: str, overrides: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """What overrides change of a recipe: {"attack.steps": (before, after)}; None where there is, or was, nothing."""
    before, after = (_flat(load_recipe(name, given).as_dict()) for given in ((), overrides))
    keys = {**before, **after}
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    """{"model.sites.0.layer": …} of tables in tables and lists."""
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        items = list(enumerate(value))
    else:
        return {at: value}
    return {key: leaf for name, part in items for key, leaf in _flat(part, f"{at}.{name}" if at else str(name)).items()}


def _override(text: str) -> tuple[list[str], Any]:
    """ "attack.steps=3" → (["attack", "steps"], 3)"""
    key, separator, value = text.partition("=")
    if not separator:
        raise InvalidParameter(f"override {text!r}: write key=value, for example epochs=2 or attack.steps=3")
    return key.split("."), _toml_value(value)


def _general_first(override: tuple[list[str], Any]) -> tuple[int, bool]:
    """A table before what is in it, and its name, which drops the parameters of another, before its parameters."""
    path, _ = override
    return len(path), path[-1] != "name"


def _nested(path: list[str], value: Any) -> dict[str, Any]:
    """(["a", "b"], 1) → {"a": {"b": 1}}"""
    for key in reversed(path):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def recipe_with(name: str, *tables: Mapping[str, Any]) -> Recipe:
    """The recipe of this name with tables of other values over it, the later ones above."""
    values = _read(name)
    for table in tables:
        values = _merged(values, table)
    return parse_recipe(name, values)


def parse_recipe(name: str, values: Mapping[str, Any]) -> Recipe:
    """Raises UnknownName or InvalidParameter."""
    try:
        recipe = TypeAdapter(Recipe).validate_python(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors())
        raise InvalidParameter(f"recipe {name!r}: {wrong}") from None
    # So that a wrong method or attack is an error now.
    _ = recipe.training_attack, recipe.checking_attack, recipe.further_checking_attacks
    _check_method(name, recipe)
    if recipe.noise and recipe.attack is None:
        raise InvalidParameter(f"recipe {name!r}: noise = {recipe.noise:g} goes with an attack, and there is none")
    return recipe


def _check_method(name: str, recipe: Recipe) -> None:
    """What is trained by a method that selects features has its layers; one that has them may be trained otherwise."""
    inside = recipe.model.get("method", PLAIN)
    if METHODS[recipe.method].selects and inside != recipe.method:
        raise InvalidParameter(
            f"recipe {name!r}: method = {recipe.method!r}, but model.method = {inside!r}; expected {recipe.method!r}"
        )


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word is a string


def _read(name: str) -> dict[str, Any]:
    """Each file of the lineage over those before it."""
    values: dict[str, Any] = {}
    for own in _lineage(name).values():
        values = _merged(values, {key: value for key, value in own.items() if key != "extends"})
    return values


def _lineage(name: str, below: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """The recipe's file and all it extends, each once, what is extended before what extends it."""
    if name in below:
        raise InvalidParameter(f"recipe {name!r} extends itself: {' → '.join((*below, name))}")
    own = _file(name)
    extends = own.get("extends", [])
    parents = [extends] if isinstance(extends, str) else extends
    if not isinstance(parents, list) or not all(isinstance(parent, str) for parent in parents):
        raise InvalidParameter(f"recipe {name!r}: extends = {extends!r}: a name, or a list of names")
    lineage: dict[str, dict[str, Any]] = {}
    for parent in parents:
        lineage |= _lineage(parent, (*below, name))  # a file met before keeps its place
    return {**lineage, name: own}


def _file(name: str) -> dict[str, Any]:
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not name.endswith(".toml") and name not in recipe_names():
        raise UnknownName("recipe", name, recipe_names())
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidParameter(f"recipe {name!r} cannot be read: {error}") from error


def _merged(below: dict[str, Any], above: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """`above` over `below`, table by table; a table that names another choice leaves the parameters of the former.

    {"0": …} over a list is over its first item.
    """
    merged = dict(below)
    for key, value in above.items():
        under = below.get(key)
        if isinstance(value, Mapping) and isinstance(under, list):
            items = _merged({str(i): item for i, item in enumerate(under)}, value, f"{at}{key}.")
            if set(items) != {str(i) for i in range(len(under))}:
                raise InvalidParameter(f"{at}{key} has items 0 to {len(under) - 1}, not {', '.join(value)}")
            merged[key] = list(items.values())
        elif isinstance(value, Mapping) and isinstance(under, dict) and value.get("name") in (None, under.get("name")):
            merged[key] = _merged(under, value, f"{at}{key}.")
        elif isinstance(value, Mapping) and not isinstance(under, dict | None):
            raise InvalidParameter(f"{at}{key} = {under!r}: {key!r} is no table")
        else:
            merged[key] = value
    return merged
