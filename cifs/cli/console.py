"""What commands have in common: one-line errors, progress, an orderly stop."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cifs.errors import CIFSError

console = Console()
errors = Console(stderr=True)

Checkpoints = Annotated[Path, typer.Option(help="folder of the zoo", envvar="CIFS_CHECKPOINTS")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")]
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
def progress_bar(*columns: TextColumn, shown: bool = True) -> Iterator[Progress]:
    """A bar on a terminal; in a log file nothing but what the caller prints."""
    with Progress(
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
def measuring(model: str, after_a_stop: str) -> Iterator[Callable[[str, int, int], None]]:
    """Gives a function to be told what is measured, and how much of how much: a bar on a terminal, else lines.

    That function raises KeyboardInterrupt once a stop was asked for; the command then says `after_a_stop` and exits.
    """
    with progress_bar() as bar, stopping_on_signal() as stop:
        task = bar.add_task(model, total=None)
        last = ""

        def tell(doing: str, done: int, total: int) -> None:
            nonlocal last
            bar.update(task, description=f"{model} {doing}", completed=done, total=total)
            if doing != last and not errors.is_terminal:
                console.print(f"{model} {doing}")
            last = doing
            if stop():
                raise KeyboardInterrupt

        try:
            yield tell
        except KeyboardInterrupt:
            console.print(f"stopped; {after_a_stop}")
            raise typer.Exit(130) from None
