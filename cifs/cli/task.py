"""A command line for every task: its options are the request's own fields, so that none can say less than the API.

evaluate = command("evaluate", show=print_evaluation)
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cifs.cli.arguments import model_ids, parameters, recipe_ids
from cifs.cli.console import (
    DEFAULT_RUNS,
    DEFAULT_ZOO,
    Checkpoints,
    Device,
    Json,
    Runs,
    errors,
    print_json,
    reporting,
    speaks,
)
from cifs.errors import InvalidParameter
from cifs.memory import keep_freed
from cifs.tasks import TASKS, Workspace, task_of

Show = Callable[[Any, Mapping[str, Any], Workspace], None]  # record, request, where → prints
COMPLETED = {"model": model_ids, "first": model_ids, "second": model_ids, "source": model_ids, "recipe": recipe_ids}


def command(name: str, show: Show, suites: Mapping[str, str] | None = None) -> Callable[..., None]:
    """A command that prepares and runs the task registered as `name`; with suites, the one `--suite` names.

    suites: task by what `--suite` calls it, the usual one first; each takes the options its request has.
    """
    kinds = suites or {name: name}
    fields = {key: info for kind in reversed([*kinds.values()]) for key, info in _fields(kind).items()}
    ordered = {key: fields[key] for kind in kinds.values() for key in _fields(kind)}

    def run(**given: Any) -> None:
        suite = given.pop("suite", None) or next(iter(kinds))
        places = {key: given.pop(key) for key in ("checkpoints", "runs", "device") if key in given}
        workspace = Workspace(**places, files=True)
        as_json = given.pop("json")
        if suite not in kinds:
            raise InvalidParameter(f"--suite {suite}: choose from: {', '.join(kinds)}")
        request = _request(suite, kinds[suite], ordered, given)
        record = run_shown(kinds[suite], request, workspace)
        if not speaks():
            return
        if as_json:
            print_json(record)
        else:
            show(record, request | {"suite": suite}, workspace)

    described = [(TASKS[kind].__doc__ or "").strip().partition("\n")[0] for kind in kinds.values()]
    run.__doc__ = described[0] + (f" Suites: {'; '.join(kinds)}." if suites else "")
    run.__name__ = name
    _give_signature(run, ordered, kinds if suites else None)
    return run


def run_shown(kind: str, request: Mapping[str, Any], workspace: Workspace) -> BaseModel:
    """Does a task with its notes and its progress on the terminal; Ctrl-C stops in order and exits with 130."""
    prepared = task_of(kind, request).prepare(workspace)
    for note in prepared.notes if speaks() else ():
        errors.print(note, soft_wrap=True)
    keep_freed()
    after_a_stop = "the same command goes on from there" if prepared.resumes else "nothing was written"
    with reporting(
        str(request.get("model") or request.get("id") or request.get("recipe", kind)), after_a_stop
    ) as report:
        return prepared.run(report)


def _fields(kind: str) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = TASKS[kind].__pydantic_fields__  # type: ignore[attr-defined]
    return fields


def _request(suite: str, kind: str, fields: Mapping[str, FieldInfo], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as the task's request."""
    request = {key: value for key, value in given.items() if value is not None and value is not False and value != []}
    allowed = _fields(kind)
    if foreign := [key for key in request if key not in allowed]:
        raise InvalidParameter(f"--{foreign[0]}: not with --suite {suite}, which takes: {', '.join(allowed)}")
    return {key: parameters(value) if _is_mapping(fields[key]) else value for key, value in request.items()}


def _give_signature(function: Any, fields: Mapping[str, FieldInfo], suites: Mapping[str, str] | None) -> None:
    """What typer reads a command's arguments and options from."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [_parameter(key, info) for key, info in fields.items()]
    if suites:
        about = Annotated[str | None, typer.Option("--suite", help=f"what to measure: {', '.join(suites)}")]
        options.append(inspect.Parameter("suite", keyword, default=None, annotation=about))
    if "recipe" in fields:
        options.append(inspect.Parameter("runs", keyword, default=DEFAULT_RUNS, annotation=Runs))
    options += [
        inspect.Parameter("checkpoints", keyword, default=DEFAULT_ZOO, annotation=Checkpoints),
        inspect.Parameter("device", keyword, default="cpu", annotation=Device),
        inspect.Parameter("json", keyword, default=False, annotation=Json),
    ]
    function.__signature__ = inspect.Signature(options)
    function.__annotations__ = {option.name: option.annotation for option in options}


def _parameter(name: str, info: FieldInfo) -> inspect.Parameter:
    kind: Any = _option_type(info)
    complete = COMPLETED.get(name)
    keyword = inspect.Parameter.KEYWORD_ONLY
    if info.is_required():
        about = typer.Argument(help=info.description, autocompletion=complete)
        return inspect.Parameter(name, keyword, annotation=Annotated[kind, about])
    option = typer.Option(f"--{name}", help=info.description, autocompletion=complete)
    default: Any = False if kind is bool else None
    optional: Any = kind if kind is bool else kind | None
    return inspect.Parameter(name, keyword, default=default, annotation=Annotated[optional, option])


def _option_type(info: FieldInfo) -> Any:
    """What a word on the command line becomes before the request's own type has the last word."""
    kinds = _alternatives(info.annotation)
    if bool in kinds:
        return bool
    if int in kinds:
        return int
    return list[str] if any(get_origin(kind) in (tuple, dict) for kind in kinds) else str


def _alternatives(annotation: Any) -> Sequence[Any]:
    return get_args(annotation) if type(None) in get_args(annotation) else [annotation]


def _is_mapping(info: FieldInfo) -> bool:
    return any(get_origin(kind) is dict for kind in _alternatives(info.annotation))
