"""`cifs report`: one image's whole analysis as one HTML page."""

import shlex
from pathlib import Path
from typing import Annotated

import torch
import typer

from cifs.attacks import ATTACKS
from cifs.cli.arguments import model_ids, parameters
from cifs.cli.console import DEFAULT_ZOO, Checkpoints, Device, console, reporting
from cifs.errors import InvalidParameter, UnknownName
from cifs.files import replacing
from cifs.registry import configure
from cifs.report.analysis import analysis_page
from cifs.tasks import Workspace
from cifs.tasks.analysing import Subject, about, analyse, image_of


def report(
    model: Annotated[str, typer.Argument(help="id in the zoo", autocompletion=model_ids)],
    data: Annotated[str, typer.Option(help="data set")] = "fashion_mnist_mini",
    index: Annotated[int, typer.Option(help="index of a test image")] = 0,
    layer: Annotated[str | None, typer.Option(help="layer; default: the last")] = None,
    attack: Annotated[str, typer.Option(help="a registered attack")] = "pgd",
    set_: Annotated[list[str] | None, typer.Option("--set", help="its parameters, e.g. eps=8/255 or steps=20")] = None,
    out: Annotated[Path | None, typer.Option(help="the file; default: report-<model>-<index>.html")] = None,
    checkpoints: Checkpoints = DEFAULT_ZOO,
    device: Device = "cpu",
) -> None:
    """Write one image's whole analysis (attack, channels, margin, circuit, card, digests) as one HTML page."""
    workspace = Workspace(checkpoints, device=device)
    entry = workspace.zoo.entry(model)
    cnn = workspace.load(entry, data)
    chosen = layer or cnn.layers[-1]
    if chosen not in cnn.layers:
        raise UnknownName("layer", chosen, cnn.layers)
    x, y = (part.to(torch.device(device)) for part in image_of(data, index))
    subject = Subject(cnn, chosen, x, y, configure(ATTACKS, attack, parameters(set_)))
    path = out or Path(f"report-{model}-{index}.html")
    if path.suffix != ".html":
        raise InvalidParameter(f"--out {path}: a page's name ends in .html")
    with reporting(model, "nothing was written") as told:
        found, x_adv = analyse(subject, report=told)
    words = ["cifs", "report", model, "--data", data, "--index", str(index), "--layer", chosen, "--attack", attack]
    words += [word for pair in set_ or () for word in ("--set", pair)]
    of = about(subject, x_adv, entry, f"image {index} of {data} (test)", {"Command line": shlex.join(words)})
    with replacing(path) as temporary:
        temporary.write_text(analysis_page(of, found), encoding="utf-8")
    console.print(f"wrote {path}", soft_wrap=True)
