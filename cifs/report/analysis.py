"""One image's whole analysis as one HTML page that needs nothing else: no network, no server, no other file.

What was computed comes in as plain numbers (`cifs.tasks.analyse` computes them); torch is not imported.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from cifs.plot.activation import activation_figure, activation_info, mean_shift
from cifs.plot.circuit import PatchInfo, patch_figure
from cifs.plot.colours import ADVERSARIAL, NATURAL
from cifs.plot.importance import curve_figure, importance_info
from cifs.plot.predictions import Belief, probability_figure, probability_info
from cifs.plot.reading import Reading
from cifs.plot.trajectory import RecordedIterate, trajectory_figure, trajectory_info
from cifs.plot.waterfall import waterfall_figure, waterfall_info


class About(NamedTuple):
    """Of what, and how."""

    model: str
    title: str
    image: str  # as in "image 34 of fashion_mnist_mini (test)"
    layer: str
    classes: Sequence[str]
    attack: Mapping[str, Any]  # resolved
    imgf: Mapping[str, Any] | None
    card: str  # Markdown
    facts: Mapping[str, str]  # versions and digests, by name
    commands: Mapping[str, str]  # that compute this again, by what they are for


class CircuitChannel(NamedTuple):
    channel: int
    margin: float  # with it and those before it patched


class Findings(NamedTuple):
    """What was computed of the image. K classes, C channels of the layer."""

    label: int
    rival: int  # the strongest wrong class of the attacked image
    pictures: Mapping[str, str]  # base64 PNG, by what it shows
    natural: Sequence[float]  # (K,) probabilities
    adversarial: Sequence[float]
    trajectory: Sequence[RecordedIterate]
    readings: tuple[Reading, Reading]  # natural and attacked image; relevance for the label
    margins: tuple[float, float]  # f_rival − f_label of either
    by_channel: Sequence[float]  # (C,) what each channel moved the margin by
    elsewhere: Mapping[str, float]  # what importance maps above, and paths around the layer, moved it by
    off: float  # how far the parts' sum is from the change
    exact: bool
    circuit: Sequence[CircuitChannel]
    patched: PatchInfo
    random_share: float  # of random sets as large as the circuit that do the same


class Section(NamedTuple):
    title: str
    words: str  # HTML
    figures: Mapping[str, go.Figure] = {}  # by what a screen reader says of them
    more: str = ""  # HTML below them


STYLE = """
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1c2333; background: #fff; }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; border-top: 1px solid #d5d9e2; padding-top: 1rem; }
.pictures { display: flex; gap: .8rem; flex-wrap: wrap; } .pictures figure { margin: 0; width: 9rem; }
.pictures img { width: 100%; image-rendering: pixelated; display: block; border-radius: .3rem; }
figcaption, small { font-size: .85rem; color: #4d566a; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
td, th { padding: .15rem .6rem .15rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e6e9f0; }
pre { white-space: pre-wrap; font-size: .8rem; background: #f3f5f9; padding: .7rem; border-radius: .3rem; }
details { margin: .5rem 0; } summary { cursor: pointer; }
.wide { overflow-x: auto; }
"""


def analysis_page(about: About, found: Findings) -> str:
    """A whole HTML document."""
    head = f"{_said(about, found.natural)} → {_said(about, found.adversarial)}"
    place = f"{about.title} ({about.model}), {about.image}, layer {about.layer}, {_attack(about.attack)}"
    sections = [
        _image(about, found), _climb(about, found), _channels(about, found), _importance(about, found),
        _margin(about, found), _circuit(about, found), _again(about), _model(about),
    ]  # fmt: skip
    body = "".join(_section(section, number) for number, section in enumerate(filter(None, sections)))
    title = escape(f"{about.classes[found.label]}: {head}")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body><h1>{escape(head)}</h1><p>{escape(place)}</p>{body}</body></html>\n"
    )


def _section(section: Section, number: int) -> str:
    drawn = "".join(
        _drawn(figure, alt, f"figure-{number}-{k}") for k, (alt, figure) in enumerate(section.figures.items())
    )
    return f"<section><h2>{escape(section.title)}</h2><p>{section.words}</p>{drawn}{section.more}</section>"


def _drawn(figure: go.Figure, alt: str, name: str) -> str:
    inner = figure.update_layout(template="plotly_white").to_html(
        full_html=False, include_plotlyjs=False, div_id=name, config={"displaylogo": False, "responsive": True}
    )
    return f'<div role="img" aria-label="{escape(alt)}">{inner}</div>'


def _said(about: About, probabilities: Sequence[float]) -> str:
    k = max(range(len(probabilities)), key=probabilities.__getitem__)
    return f"{about.classes[k]} ({probabilities[k]:.1%})"


def _attack(attack: Mapping[str, Any]) -> str:
    steps = f"-{attack['steps']}" if "steps" in attack else ""
    return f"{str(attack['name']).upper()}{steps}, ε = {attack['eps']:.4g}"


def _image(about: About, found: Findings) -> Section:
    pictures = "".join(
        f'<figure><img alt="{name}" src="data:image/png;base64,{png}"><figcaption>{name}</figcaption></figure>'
        for name, png in found.pictures.items()
    )
    beliefs = [Belief("natural", NATURAL, found.natural), Belief("adversarial", ADVERSARIAL, found.adversarial)]
    info = probability_info(about.classes, beliefs)
    words = f"The label is {escape(about.classes[found.label])}.</p><div class=pictures>{pictures}</div><p>"
    return Section("The image, and what the network says", words, {info.words: probability_figure(info)})


def _climb(about: About, found: Findings) -> Section:
    info = trajectory_info(found.trajectory, found.label, about.attack.get("target"))
    fell = "never" if info.fooled_at is None else f"at step {info.fooled_at} of {found.trajectory[-1].step}"
    label = about.classes[found.label]
    figures = {f"loss and probability of {label} by step": trajectory_figure(info, about.classes)}
    return Section("The attack", f"{escape(label)} falls {fell}.", figures, _table(about.attack.items()))


def _channels(about: About, found: Findings) -> Section:
    natural, attacked = found.readings
    info = activation_info(natural.relevance, natural.activation, attacked.activation)
    shift = mean_shift(info)
    assert shift is not None
    nr = len(info.channels) - info.n_pr
    words = (
        f"Of {len(info.channels)} channels {info.n_pr} are positively relevant (PR, g &gt; 0) for the label and {nr} "
        f"negatively (NR). The attack raised {shift.nr_over_activated:.0%} of the NR and lowered "
        f"{shift.pr_under_activated:.0%} of the PR channels."
    )
    alt = f"activation of every channel of {about.layer}, natural and attacked, by relevance"
    return Section("Every channel", words, {alt: activation_figure(info)}, _all_channels(found, info.channels.tolist()))


def _all_channels(found: Findings, order: Sequence[int]) -> str:
    natural, attacked = found.readings
    columns: dict[str, Sequence[float]] = {
        "relevance g": natural.relevance, "activation": natural.activation, "attacked": attacked.activation,
        "moved the margin by": found.by_channel,
    }  # fmt: skip
    if natural.importance is not None and attacked.importance is not None:
        columns |= {"importance m": natural.importance, "m, attacked": attacked.importance}
    head = "".join(f"<th>{name}</th>" for name in ("channel", "kind", *columns))
    rows = "".join(
        f"<tr><td>{c}</td><td>{'PR' if natural.relevance[c] > 0 else 'NR'}</td>"
        + "".join(f"<td>{values[c]:.4g}</td>" for values in columns.values())
        + "</tr>"
        for c in order
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<details><summary>The numbers of every channel</summary><div class=wide>{table}</div></details>"


def _importance(about: About, found: Findings) -> Section | None:
    info = importance_info(*found.readings, imgf=about.imgf)
    if info is None:
        return None
    words = "What the layer multiplies each channel by, against the relevance its probe assessed."
    return Section("Importance", words, {"importance against assessed relevance": curve_figure(info)})


def _margin(about: About, found: Findings) -> Section:
    info = waterfall_info(found.margins, found.by_channel, found.readings[0].relevance, above=found.elsewhere)
    label, rival = escape(about.classes[found.label]), escape(about.classes[found.rival])
    how = "exactly" if found.exact else "by an integral along the straight way"
    words = (
        f"The margin of {rival} over {label} went from {found.margins[0]:+.2f} to {found.margins[1]:+.2f}: NR channels "
        f"moved it by {info.by_nr:+.2f}, PR channels by {info.by_pr:+.2f}. Split {how}; the parts miss the change by "
        f"{found.off:.1g}."
    )
    return Section("Who carried it", words, {f"margin by channel, {label} and {rival}": waterfall_figure(info)})


def _circuit(about: About, found: Findings) -> Section:
    size, of = len(found.circuit), len(found.by_channel)
    if not size:
        return Section("The circuit", "The attacked image is taken for its label: there is nothing to restore.")
    label = escape(about.classes[found.label])
    does = "bring" if found.patched.reached else "do not bring"
    words = (
        f"{size} channels of {of}, given their natural activations in the attacked pass, {does} {label} back. "
        f"Of random sets of the same size {found.random_share:.0%} do."
    )
    listed = ", ".join(f"{entry.channel} ({entry.margin:+.2f})" for entry in found.circuit)
    more = f"<p><small>Channels in the order they were patched, with the margin after each: {listed}</small></p>"
    return Section(
        "The circuit", words, {"margin against the number of channels patched": patch_figure(found.patched)}, more
    )


def _again(about: About) -> Section:
    commands = "".join(f"<h3>{escape(name)}</h3><pre>{escape(text)}</pre>" for name, text in about.commands.items())
    return Section(
        "Versions and digests", "What this was computed of, and with.", {}, _table(about.facts.items()) + commands
    )


def _model(about: About) -> Section:
    return Section("The model", "From its card.", {}, f"<pre>{escape(about.card)}</pre>")


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    def cell(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, default=str)

    lines = (f"<tr><th>{escape(name)}</th><td>{escape(cell(value))}</td></tr>" for name, value in rows)
    return f"<div class=wide><table><tbody>{''.join(lines)}</tbody></table></div>"
