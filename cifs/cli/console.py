"""What commands have in common: one-line errors, progress, an orderly stop."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from cifs.errors import CIFSError
from cifs.progress import Cancelled, Progress, Report

console = Console()
errors = Console(stderr=True)

Checkpoints = Annotated[Path, typer.Option(help="folder of the zoo", envvar="CIFS_CHECKPOINTS")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")]
Json = Annotated[bool, typer.Option("--json", help="print the record as JSON")]
DEFAULT_ZOO = Path("checkpoints")


def one_line_errors(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose own errors are one clear line and exit code 1."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except CIFSError as error:
            message = escape(" ".join(str(error).split()))  # one line, in which [x] is no markup
            errors.print(f"[red]error:[/] {message}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None

    return run


@contextmanager
def progress_bar(*columns: TextColumn, shown: bool = True) -> Iterator[Bar]:
    """A bar on a terminal; in a log file nothing but what the caller prints."""
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        *columns,
        console=errors,
        disable=not (shown and errors.is_terminal),
    ) as bar:
        yield bar


@contextmanager
def stopping_on_signal() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask for an orderly stop; a second one ends at once."""
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked:
            sys.exit(130)
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def reporting(title: str, after_a_stop: str) -> Iterator[Report]:
    """Gives a report for something that lasts: a bar on a terminal, else a line for every new thing that is done.

    It raises Cancelled once a stop was asked for; the command then says `after_a_stop` and exits with 130.
    """
    with progress_bar() as bar, stopping_on_signal() as stop:
        task = bar.add_task(title, total=None)
        last = ""

        def report(progress: Progress) -> None:
            nonlocal last
            bar.update(task, description=f"{title} {progress.doing}", completed=progress.done, total=progress.total)
            if progress.doing != last and not errors.is_terminal:
                errors.print(f"{title} {progress.doing}", soft_wrap=True, highlight=False)
            last = progress.doing
            if stop():
                raise Cancelled(f"stopped; {after_a_stop}")

        try:
            yield report
        except Cancelled as stopped:
            errors.print(str(stopped))
            raise typer.Exit(130) from None


def print_json(value: Any) -> None:
    """A record, or anything JSON-safe, alone on the standard output."""
    text = value.model_dump_json(indent=1, exclude_unset=True) if isinstance(value, BaseModel) else json.dumps(value)
    typer.echo(text)
