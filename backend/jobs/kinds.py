"""Kinds of jobs: a registry of tasks as jobs speak of them. The one place that knows what a task looks like."""

from collections.abc import Mapping
from importlib import import_module
from inspect import cleandoc
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from backend.schemas import Described
from cifs.progress import Report
from cifs.registry import Registry, configure, described, json_schema
from cifs.tasks import Workspace


class Checked(NamedTuple):
    """A request that can be done."""

    request: dict[str, Any]  # with every default, JSON-safe
    model: str | None  # that it makes or measures
    notes: list[str]  # what to know before it starts, for people


class Kinds:
    def __init__(self, tasks: Registry[Any]) -> None:
        self.tasks = tasks

    def check(self, kind: str, request: Mapping[str, Any], workspace: Workspace) -> Checked:
        """Raises the CIFSError that the command line would: UnknownName, InvalidParameter, CheckpointError, …"""
        task = configure(self.tasks, kind, request)
        notes = task.prepare(workspace).notes
        return Checked(TypeAdapter(type(task)).dump_python(task, mode="json"), model_of(task), list(notes))

    def run(self, kind: str, request: Mapping[str, Any], workspace: Workspace, report: Report) -> Any:
        """The task's record."""
        return configure(self.tasks, kind, request).prepare(workspace).run(report)

    def described(self) -> list[Described]:
        return [_described(kind, task) for kind, task in self.tasks.items()]


def _described(kind: str, task: type[Any]) -> Described:
    title, description = described(task)
    return Described(name=kind, title=title, description=cleandoc(description), parameters=json_schema(task))


def model_of(task: Any) -> str | None:
    """The model a task makes or measures."""
    name = getattr(task, "model", None)
    return name if isinstance(name, str) else None


def load_kinds(name: str) -> Kinds:
    """Of the registry called "module:attribute"."""
    module, _, attribute = name.partition(":")
    return Kinds(getattr(import_module(module), attribute))


def workspace_of(given: Mapping[str, str]) -> Workspace:
    return Workspace(Path(given["checkpoints"]), Path(given["runs"]), given["device"])
