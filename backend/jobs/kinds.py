"""Kinds of jobs: a registry of tasks as jobs speak of them. The one place that knows what a task looks like.

A registry comes from a module that has its `Workspace` as well, `cifs.tasks` unless a test brings its own.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from backend.schemas import Described
from cifs.progress import Report
from cifs.registry import Registry, configure, described, json_schema

Place = Mapping[str, Any]  # checkpoints, runs (folders) and device; shards (a folder) of a job in shards; processes


class Checked(NamedTuple):
    """A request that can be done."""

    request: dict[str, Any]  # with every default, JSON-safe
    model: str | None  # that it makes or measures
    notes: list[str]  # what to know before it starts, for people
    divides: bool  # whether it can be done in shards
    distributes: bool  # whether several processes of one host can do it, started by torchrun


class Kinds:
    def __init__(self, tasks: Registry[Any], workspace: Callable[..., Any]) -> None:
        self.tasks, self.workspace = tasks, workspace

    def parse(self, kind: str, request: Mapping[str, Any]) -> Any:
        """The task. Raises InvalidParameter for what its schema does not allow."""
        return configure(self.tasks, kind, request, strict=True)

    def check(self, kind: str, request: Mapping[str, Any], place: Place) -> Checked:
        """Raises the CIFSError that the command line would: UnknownName, InvalidParameter, CheckpointError, …"""
        task = configure(self.tasks, kind, request)
        prepared = task.prepare(self._workspace(place))
        asked = TypeAdapter(type(task)).dump_python(task, mode="json")
        notes = [without_folders(note, place) for note in prepared.notes]
        divides, distributes = getattr(prepared, "divides", False), getattr(prepared, "distributes", False)
        return Checked(asked, model_of(task), notes, divides, distributes)

    def run(self, kind: str, request: Mapping[str, Any], place: Place, report: Report) -> Any:
        """The task's record."""
        return configure(self.tasks, kind, request).prepare(self._workspace(place)).run(report)

    def _workspace(self, place: Place) -> Any:
        more = {"processes": place["processes"]} if place.get("processes", 1) > 1 else {}
        more |= {"shards": Path(place["shards"])} if place.get("shards") else {}
        return self.workspace(Path(place["checkpoints"]), Path(place["runs"]), place["device"], **more)

    def described(self) -> list[Described]:
        return [_described(kind, task) for kind, task in self.tasks.items()]


def _described(kind: str, task: type[Any]) -> Described:
    title, description = described(task)
    return Described(name=kind, title=title, description=cleandoc(description), parameters=json_schema(task))


def model_of(task: Any) -> str | None:
    """The model a task makes or measures."""
    name = getattr(task, "model_id", None) or getattr(task, "model", None)
    return name if isinstance(name, str) else None


def without_folders(said: str, place: Place) -> str:
    """Where the server keeps things is not for whoever asked."""
    return said.replace(f"{place['checkpoints']}/", "").replace(f"{place['runs']}/", "")


def load_kinds(name: str) -> Kinds:
    """Of the registry called "module:attribute"."""
    module_name, _, attribute = name.partition(":")
    module = import_module(module_name)
    return Kinds(getattr(module, attribute), module.Workspace)
