"""`cifs statistics`, `cifs attack` and `cifs channels`: what an attack does, to some images or to a whole test set."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from cifs.cli.console import console
from cifs.cli.task import command
from cifs.records import NORMS
from cifs.tasks import AttackedImages, ChannelReadings, ExemplarsRecord, StatisticsRecord, SurveyRecord, Workspace


def print_statistics(result: StatisticsRecord, request: Mapping[str, Any], workspace: Workspace) -> None:
    """How far the attack over-activates NR and under-activates PR channels, with 95 % bootstrap intervals."""
    if result.saved:
        console.print(f"saved {result.saved}")
    title = f"{result.model}: {result.n} images, ε = {result.eps:g}; shift in % of the mean activation"
    table = Table("layer", "mean activation", "NR over-activation", "PR under-activation", title=title)
    for shift in result.layers:
        unit = shift.mean_activation
        shifts = (_percent(kind, unit) for kind in (shift.nr_over_activation, shift.pr_under_activation))
        table.add_row(shift.layer, f"{unit:.4g}", *shifts)
    console.print(table)


def _percent(estimate: tuple[float, float, float] | None, of: float) -> str:
    if estimate is None or not of:
        return "–"
    mean, low, high = (100 * value / of for value in estimate)
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


statistics = command("statistics", print_statistics)


def print_exemplars(result: ExemplarsRecord, request: Mapping[str, Any], workspace: Workspace) -> None:
    """Where they were saved, and of how many channels."""
    layers = ", ".join(f"{layer} ({n})" for layer, n in result.channels.items())
    attacked = f", also under {result.attack['name']}, ε = {result.attack['eps']:.4g}" if result.attack else ""
    console.print(
        f"saved {result.saved}: {result.n} test images of {result.dataset}{attacked}, channels of {layers}; "
        f"{result.seconds:.0f} s"
    )


exemplars = command("exemplars", print_exemplars)


def print_survey(result: SurveyRecord, request: Mapping[str, Any], workspace: Workspace) -> None:
    """How many images the attack flips, and the control."""
    console.print(
        f"Of {result.n} images {result.model} gets {result.right} right; {result.attack['name']} flips "
        f"{result.flipped} of them, noise as large {result.flipped_by_noise}\nsaved {result.saved}"
    )


survey = command("survey", print_survey)


def print_attacked(result: AttackedImages, request: Mapping[str, Any], workspace: Workspace) -> None:
    norm = NORMS[result.attack["norm"]]
    settings = ", ".join(f"{key} {value}" for key, value in result.attack.items() if value is not None)
    table = Table("image", "label", "natural", "attacked", f"‖x' − x‖, {norm}", title=settings)
    for image in result.images:
        natural = f"{image.natural} {100 * image.natural_probability:.1f} %"
        attacked = f"{image.attacked} {100 * image.attacked_probability:.1f} %"
        table.add_row(str(image.index), image.label, natural, attacked, f"{image.size:.4f}")
    console.print(table)


def print_channels(result: ChannelReadings, request: Mapping[str, Any], workspace: Workspace) -> None:
    title = f"{result.model} {result.layer}, image {result.index} of {result.data}"
    table = Table("channel", "relevance", "natural", "attacked", "importance", title=title)
    for row in result.channels:
        importance = "–" if row.importance is None else f"{row.importance:.3f}"
        figures = f"{row.relevance:+.3f}", f"{row.natural:.3f}", f"{row.attacked:.3f}"
        table.add_row(str(row.channel), *figures, importance)
    console.print(table)


attack = command("attack", print_attacked)
channels = command("channels", print_channels)
