"""What commands have in common: one-line errors, progress, an orderly stop."""

import json
import os
import signal
import sys
import time
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
Runs = Annotated[Path, typer.Option(help="folder of runs, from which a killed run resumes")]
DEFAULT_ZOO, DEFAULT_RUNS = Path("checkpoints"), Path("runs")


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


def speaks() -> bool:
    """Whether this is the process that shows anything: alone, or the first of those torchrun started."""
    return os.environ.get("RANK", "0") == "0"


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
    """Gives a report for something that lasts: a bar on a terminal, lines in a log.

    It raises Cancelled once a stop was asked for; the command then says `after_a_stop` and exits with 130. Of several
    processes that train together, the first alone shows anything.
    """
    shown = speaks()
    with progress_bar(shown=shown) as bar, stopping_on_signal() as stop:
        show, lines = _on_bar(bar, title), _Lines(title)

        def report(progress: Progress) -> None:
            show(progress)
            if shown and not errors.is_terminal:
                lines.show(progress)
            if stop():
                raise Cancelled(f"stopped; {after_a_stop}")

        try:
            yield report
        except Cancelled as stopped:
            if shown:
                errors.print(str(stopped), soft_wrap=True)
            raise typer.Exit(130) from None


def _on_bar(bar: Bar, title: str) -> Report:
    task = bar.add_task(title, total=None)

    def show(progress: Progress) -> None:
        figures = "".join(f"  {key} {progress.metrics[key]:.3g}" for key in ("loss",) if key in progress.metrics)
        bar.update(
            task, description=f"{title} {progress.doing}{figures}", completed=progress.done, total=progress.total
        )

    return show


class _Lines:
    """A line for every new thing that is done; where there are figures, one every 50 steps and at a validation."""

    def __init__(self, title: str) -> None:
        self.title, self.doing = title, ""
        self.began, self.first = time.monotonic(), 0

    def show(self, progress: Progress) -> None:
        if progress.doing != self.doing:
            self.doing, self.began, self.first = progress.doing, time.monotonic(), progress.done
            errors.print(f"{self.title} {progress.doing}", soft_wrap=True, highlight=False)
        validated = any(key.startswith("validation") for key in progress.metrics)
        if progress.metrics and (validated or progress.done % 50 == 0):
            figures = "  ".join(f"{key} {value:.4g}" for key, value in progress.metrics.items())
            left = f"  {self._minutes_left(progress):.1f} min left" if progress.total else ""
            errors.print(f"{progress.done}/{progress.total}  {figures}{left}", soft_wrap=True, highlight=False)

    def _minutes_left(self, progress: Progress) -> float:
        pace = (time.monotonic() - self.began) / max(1, progress.done - self.first)
        return pace * ((progress.total or 0) - progress.done) / 60


def print_json(value: Any) -> None:
    """A record, or anything JSON-safe, alone on the standard output."""
    text = value.model_dump_json(indent=1, exclude_unset=True) if isinstance(value, BaseModel) else json.dumps(value)
    typer.echo(text)
