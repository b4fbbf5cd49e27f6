"""`cifs statistics`, `cifs attack` and `cifs channels`: what an attack does, to some images or to a whole test set."""

from typing import Annotated

import torch
import typer
from rich.table import Table

from cifs.attacks import ATTACKS, PGD, perturb
from cifs.channels import RELEVANCES, ChannelStatistics, Estimate, channel_statistics, view
from cifs.cli.arguments import budget_of, load, parameters, test_images
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, console, progress_bar
from cifs.data import Images, dataset, load_images
from cifs.registry import configure
from cifs.zoo import Zoo


def statistics(
    model: Annotated[str, typer.Argument(help="id in the zoo")],
    n: Annotated[int | None, typer.Option(help="first n test images only", min=1)] = None,
    eps: Annotated[str | None, typer.Option(help="ε of the PGD-20 attack; default: the data set's")] = None,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Channel statistics by class, natural against PGD-20: writes channel_statistics.npz (Figures 1 and 2).

    Prints how far the attack over-activates NR and under-activates PR channels, with 95 % bootstrap intervals.
    """
    entry = Zoo(checkpoints).entry(model)
    images = load_images(entry.info.dataset, "test")
    images = images if n is None else images[:n]
    attack = PGD(eps=budget_of(eps, entry.info.dataset), steps=20)
    if better := entry.statistics_path.exists() and _is_better(
        ChannelStatistics.load(entry.statistics_path), images, attack
    ):
        console.print(
            f"{entry.statistics_path} is of more images, or of the data set's own ε; what is found is not kept"
        )
    batches = (images[index] for index in torch.arange(len(images)).split(250))
    with progress_bar() as bar:
        task = bar.add_task(model, total=len(images))
        found = channel_statistics(
            entry.load(device),
            batches,
            attack,
            dataset=entry.info.dataset,
            split="test",
            report=lambda done: bar.update(task, advance=done),
        )
    if not better:
        found.save(entry.statistics_path)
        console.print(f"saved {entry.statistics_path}")
    title = f"{model}: {len(images)} images, ε = {attack.eps:g}; shift in % of the mean activation"
    table = Table("layer", "mean activation", "NR over-activation", "PR under-activation", title=title)
    for layer in found.layers:
        if shift := found.shift(layer):
            unit = shift.mean_activation
            shifts = (_percent(kind, unit) for kind in (shift.nr_over_activation, shift.pr_under_activation))
            table.add_row(layer, f"{unit:.4g}", *shifts)
    console.print(table)


def _is_better(kept: ChannelStatistics, images: Images, attack: PGD) -> bool:
    """Whether the kept ones are the better to have: at the data set's own ε, or at the same and of more images."""
    usual, eps = dataset(kept.dataset).eps, kept.attack["eps"]
    if (eps == usual) != (attack.eps == usual):
        return bool(eps == usual)
    return bool(eps == attack.eps and kept.counts.sum() > len(images))


def _percent(estimate: Estimate | None, of: float) -> str:
    if estimate is None or not of:
        return "–"
    mean, low, high = (100 * value / of for value in (estimate.mean, estimate.low, estimate.high))
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


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
    entry = Zoo(checkpoints).entry(model)
    settings, network = configure(ATTACKS, name, parameters(set_)), load(entry, device, data)
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
    settings, network = configure(ATTACKS, name, parameters(set_)), load(Zoo(checkpoints).entry(model), device, data)
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
