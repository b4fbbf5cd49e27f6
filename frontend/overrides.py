"""A recipe's values and what a form made of them, as the overrides that `cifs train --set` takes."""

import json
from collections.abc import Mapping
from typing import Any

# What a method other than the recipe's own needs beside its name: on a short schedule the authors' choices for CIFS
# stall or leak the label (cpu/fmnist-resnet10-w16-cifs-softmax).
METHOD_NEEDS: dict[str, dict[str, Any]] = {
    "vanilla": {"model.method": "plain"},
    "cas": {"model.method": "cas"},
    "cifs": {
        "model.method": "cifs",
        "model.label_in_training": False,
        "model.imgf.name": "softmax",
        "model.imgf.per_channel": True,
    },
}


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """Of "attack.steps" in a recipe's values; None where there is nothing."""
    value: Any = values
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def overrides(values: Mapping[str, Any], chosen: Mapping[str, Any]) -> list[str]:
    """["epochs=2", …] for what differs from the recipe; None leaves it as it is."""
    return [
        f"{key}={json.dumps(value)}"
        for key, value in chosen.items()
        if value is not None and value != value_at(values, key)
    ]


def of_method(method: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What choosing a method changes; nothing where it is the recipe's own."""
    if method == values["method"]:
        return {}
    return {"method": method, **METHOD_NEEDS.get(method, {})}


def of_choice(
    prefix: str, own: Mapping[str, Any], name: str, values: Mapping[str, Any], defaults: Mapping[str, Any]
) -> list[str]:
    """["attack.steps=3", …]: what makes of the recipe's `own` {name, parameters} this one.

    Another name drops the recipe's parameters, so that what differs from the defaults has to be said.
    """
    same = own.get("name") == name
    before = {**defaults, **own} if same else defaults
    changed = {key: value for key, value in values.items() if value is not None and value != before.get(key)}
    named = {} if same else {"name": name}
    return [f"{prefix}.{key}={_toml(value)}" for key, value in (named | changed).items()]


def _toml(value: Any) -> str:
    return json.dumps(value).replace("Infinity", "inf")


def lines(text: str) -> list[str]:
    """Overrides written by hand, one a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def duration(seconds: float) -> str:
    """As people say it: "about 40 s", "about 12 min", "about 3 h"."""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"
