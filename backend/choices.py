"""What requests choose by name, as the OpenAPI document tells it: every name with its own parameters and their bounds.

The types of backend.schemas are open there, for they know no torch; these take their places in the document.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from backend.jobs.kinds import Kinds
from backend.settings import Settings
from cifs.attacks import ATTACKS
from cifs.channels import RELEVANCES
from cifs.registry import Registry, described, json_schema
from cifs.selection import IMGFS

Schema = dict[str, Any]


def complete(components: dict[str, Schema], settings: Settings, kinds: Kinds | None) -> None:
    """Puts into the document's schemas what this server has: attacks, IMGFs, relevances and kinds of jobs."""
    for name, options in {
        "AttackChoice": [_bounded(option, settings.attack_limits) for option in _each(ATTACKS)],
        "IMGFChoice": list(_each(IMGFS)),
        "RelevanceName": [{"enum": list(RELEVANCES), "type": "string"}],
        "RelevanceChoice": list(_each(RELEVANCES)),
        "JobRequest": [] if kinds is None else [_job(components["JobRequest"], *kind) for kind in kinds.tasks.items()],
    }.items():
        if options:
            components[name] = {"title": name, "anyOf": options}


def _each(registry: Registry[type[Any]]) -> Iterator[Schema]:
    for name, cls in registry.items():
        schema = json_schema(cls)
        yield schema | {
            "title": name,
            "description": described(cls)[0],
            "properties": {"name": {"const": name, "type": "string"}, **schema.get("properties", {})},
            "required": ["name", *schema.get("required", ())],
        }


def _bounded(option: Schema, limits: Mapping[str, int]) -> Schema:
    """Within the operator's limits; where the default is not, a value has to be given."""
    properties, required = dict(option["properties"]), list(option["required"])
    for name in limits.keys() & properties.keys():
        own = properties[name]
        if own.get("maximum", own.get("const", 0)) > limits[name]:
            properties[name] = own | {"maximum": limits[name]}
            required += [name] if own.get("default", 0) > limits[name] else []
    return option | {"properties": properties, "required": required}


def _job(request: Schema, kind: str, task: type[Any]) -> Schema:
    own = {"kind": {"const": kind, "type": "string"}, "request": json_schema(task)}
    return request | {"title": kind, "description": described(task)[0], "properties": request["properties"] | own}
