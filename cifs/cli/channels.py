"""`cifs statistics`, `cifs attack` and `cifs channels`: what an attack does, to some images or to a whole test set."""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import typer
from rich.table import Table

from cifs.attacks import ATTACKS, perturb
from cifs.channels import RELEVANCES, view
from cifs.cli.arguments import parameters, test_images
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, console
from cifs.cli.task import command
from cifs.data import dataset
from cifs.registry import configure
from cifs.tasks import ExemplarsRecord, StatisticsRecord, Workspace


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
    console.print(f"saved {result.saved}: {result.n} test images of {result.dataset}, channels of {layers}")


exemplars = command("exemplars", print_exemplars)


def attack(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    name: Annotated[str, typer.Option("--attack", help="a registered attack")] = "pgd",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="parameter, e.g. --set eps=8/255 --set steps=20")
    ] = None,
    index: Annotated[list[int] | None, typer.Option(help="indices of test images")] = None,
    data: Annotated[str, typer.Option(help="data set")] = "fashion_mnist_mini",
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Attack some test images and show what the model says before and after."""
    workspace = Workspace(checkpoints, device=device)
    entry = workspace.zoo.entry(model)
    settings, network = configure(ATTACKS, name, parameters(set_)), workspace.load(entry, data)
    classes = dataset(data).classes
    x, y = test_images(data, index or [0])
    x_adv = perturb(network, x.to(device), y.to(device), settings).cpu()
    with torch.no_grad():
        before, after = (network(images.to(device)).softmax(dim=1).cpu() for images in (x, x_adv))
    table = Table("image", "label", "natural", "attacked", "max |x' − x|", title=str(settings))
    for i, image in enumerate(index or [0]):
        shown = (f"{classes[int(p.argmax())]} {100 * p.max():.1f} %" for p in (before[i], after[i]))
        table.add_row(str(image), classes[int(y[i])], *shown, f"{(x_adv[i] - x[i]).abs().max():.4f}")
    console.print(table)


def channels(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    layer: Annotated[str | None, typer.Option(help="layer; default: the last")] = None,
    index: Annotated[int, typer.Option(help="index of a test image")] = 0,
    data: Annotated[str, typer.Option(help="data set")] = "fashion_mnist_mini",
    name: Annotated[str, typer.Option("--attack", help="a registered attack")] = "pgd",
    set_: Annotated[list[str] | None, typer.Option("--set", help="the attack's parameters")] = None,
    most: Annotated[int, typer.Option(help="how many channels of either end", min=1)] = 8,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """The most and least relevant channels of a layer, natural against attacked."""
    workspace = Workspace(checkpoints, device=device)
    settings, network = configure(ATTACKS, name, parameters(set_)), workspace.load(workspace.zoo.entry(model), data)
    layer = layer or network.layers[-1]
    x, y = (t.to(device) for t in test_images(data, [index]))
    x_adv = perturb(network, x, y, settings)
    natural, adversarial = (
        view(network, layer, images, relevance=RELEVANCES["true"](), classes=y) for images in (x, x_adv)
    )
    order = natural.relevance[0].argsort(descending=True)
    table = Table(
        "channel", "relevance", "natural", "attacked", "importance", title=f"{model} {layer}, image {index} of {data}"
    )
    for channel in (*order[:most].tolist(), *order[-most:].tolist()):
        m = "–" if natural.importance is None else f"{natural.importance[0, channel]:.3f}"
        a, b = natural.activation[0, channel], adversarial.activation[0, channel]
        table.add_row(str(channel), f"{natural.relevance[0, channel]:+.3f}", f"{a:.3f}", f"{b:.3f}", m)
    console.print(table)
