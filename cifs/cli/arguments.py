"""From words on the command line to images and settings."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from cifs.errors import InvalidParameter
from cifs.training import recipe_names
from cifs.zoo import Zoo


def model_ids(incomplete: str) -> list[str]:
    """For the shell: ids of the zoo that begin so."""
    zoo = Zoo(Path(os.environ.get("CIFS_CHECKPOINTS", "checkpoints")))
    return [model_id for model_id in zoo.ids() if model_id.startswith(incomplete)]


def recipe_ids(incomplete: str) -> list[str]:
    """For the shell: recipes that begin so."""
    return [name for name in recipe_names() if name.startswith(incomplete)]


def parameters(overrides: list[str] | None) -> dict[str, Any]:
    pairs = [override.partition("=") for override in overrides or []]
    if wrong := [key for key, separator, _ in pairs if not separator]:
        raise InvalidParameter(f"--set {wrong[0]!r}: write parameter=value, for example eps=8/255")
    return {key: _number_or_text(value) for key, _, value in pairs}


def _number_or_text(value: str) -> Any:
    """20, 0.1 and true as JSON has them, 8/255 as it stands."""
    with suppress(ValueError):
        return json.loads(value, parse_constant=str)
    return value
