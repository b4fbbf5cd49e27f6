"""`cifs …`: training, evaluation, attacks and channel analysis from the command line."""

from typing import Annotated

import typer

from cifs import __version__
from cifs.cli import channels, demo, report, robustness, serve, study, train, worker, zoo
from cifs.cli.console import console, one_line_errors

COMMANDS = (
    train.recipes,
    train.train,
    train.bench_training,
    zoo.import_,
    zoo.models,
    robustness.evaluate,
    robustness.compare,
    robustness.check,
    robustness.verify,
    channels.statistics,
    channels.exemplars,
    channels.survey,
    zoo.card,
    channels.attack,
    channels.channels,
    report.report,
    serve.serve,
    worker.worker,
    demo.demo,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="See, measure and teach why CNNs are fooled, channel by channel.",
)
for function in COMMANDS:
    app.command(name=function.__name__.rstrip("_").replace("_", "-"))(one_line_errors(function))

STUDY = typer.Typer(no_args_is_help=True, help="Experiments as data: arms × regimes × seeds, trained and compared.")
for command in study.COMMANDS:
    STUDY.command(name=command.__name__.removesuffix("_studies"))(one_line_errors(command))
app.add_typer(STUDY, name="study")


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        console.print(__version__)
        raise typer.Exit
