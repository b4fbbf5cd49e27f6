"""Sentences about what is shown, made of its numbers: the theory is told elsewhere."""

import re
from collections.abc import Sequence
from math import isclose

from backend.schemas import Choice
from backend.schemas.laboratory import WhatIfResult
from cifs.plot.activation import ActivationInfo, Chance, MeanShift, most_raised
from cifs.plot.by_class import ByClassInfo
from cifs.plot.curves import Curve
from cifs.plot.importance import ImportanceInfo
from cifs.plot.labels import eps_text

EVEN = 0.5  # of the channels of a kind; fewer show nothing


def shift_sentence(shift: MeanShift) -> str:
    """What the attack did to both kinds of channel, and whether that is the paper's pattern."""
    chance = shift.nr_by_chance
    numbers = (
        f"Here the attack raised **{shift.nr_over_activated:.0%} of the NR channels** (mean activation "
        f"{shift.nr_natural:.3g} → {shift.nr_adversarial:.3g}; as many random ones: by {chance.low:+.2g} "
        f"to {chance.high:+.2g}) and lowered **{shift.pr_under_activated:.0%} of the PR channels** "
        f"({shift.pr_natural:.3g} → {shift.pr_adversarial:.3g})."
    )
    return f"{numbers} {_pattern(shift)}"


def class_sentence(info: ActivationInfo, shift: MeanShift, quantity: str = "activation") -> str:
    """What the attack did to a class's channels: its NR ones, the control, its PR ones. Markdown, a point each."""
    n_nr, most = len(info.channels) - info.n_pr, most_raised(info, 3)
    furthest = f", furthest {', '.join(map(str, most))}" if most else ""
    return (
        f"- **{n_nr} NR channels**: mean {quantity} {_from_to(shift.nr_natural, shift.nr_adversarial)}; "
        f"{shift.nr_over_activated:.0%} of them rise{furthest}.\n"
        f"- The control, {n_nr} channels drawn at random: {_chance(shift.nr_by_chance)}.\n"
        f"- **{info.n_pr} PR channels**: {_from_to(shift.pr_natural, shift.pr_adversarial)}; "
        f"{shift.pr_under_activated:.0%} of them fall."
    )


def _from_to(before: float, after: float) -> str:
    """As in "0.11 → 0.56, +0.45 or **+409 %**"."""
    share = f" or **{(after - before) / abs(before):+.0%}**" if before else ""
    return f"{before:.3g} → {after:.3g}, {after - before:+.3g}{share}"


def _chance(chance: Chance) -> str:
    return f"{chance.mean:+.2g} (95 % of draws: {chance.low:+.2g} to {chance.high:+.2g})"


def _pattern(shift: MeanShift) -> str:
    """The paper's claim: NR channels are over-activated, PR channels under-activated, and by more than by chance.

    One control does for both kinds: they are all channels there are, so one departs from the mean as the other does.
    """
    nr = shift.nr_over_activated > EVEN and shift.nr_over_activation > 0
    pr = shift.pr_under_activated > EVEN and shift.pr_under_activation > 0
    by_chance = shift.nr_over_activation <= shift.nr_by_chance.high
    doubt = "; random channels change as much, so it may be chance" if by_chance else ""
    if nr and pr:
        return f"That is the paper's pattern{doubt}."
    if nr or pr:
        shown, missing = ("NR channels are over-activated", "PR") if nr else ("PR channels are under-activated", "NR")
        return (
            f"That is half of the paper's pattern: {shown}, but most {missing} channels do not follow it on this "
            f"image{doubt}."
        )
    return "It does **not** show the paper's pattern on this image."


def outcome(answer: WhatIfResult, held: int, channels: int, label: str) -> str:
    """Of holding channels back, with the control beside the claim."""
    after = answer.adversarial.after.class_name
    mine = f"With {held} of {channels} channels held back, the attacked image is taken for **{after}**"
    mine += ", as it should be." if after == label else f", not {label}: here this does not undo the attack."
    if answer.control is None:
        return mine
    right, draws = answer.control.adversarial_right, answer.control.draws
    theirs = f"The control: with as many random channels held back it is right in **{right} of {draws} draws**."
    if after != label:
        return f"{mine} {theirs}"
    return f"{mine} {theirs} {whether_it_matters(right, draws)}."


def whether_it_matters(right: int, draws: int) -> str:
    """Which channels are held back, where random ones do as well in `right` of so many draws."""
    if 4 * right <= draws:
        return "So it matters which channels"
    return "So it matters only in part which channels" if 4 * right < 3 * draws else "So it hardly matters which, here"


def road_sentence(info: ImportanceInfo) -> str:
    """What the map does to the channels that speak for the class, and to the others."""
    said = []
    for curve in info.curves:
        speaks_for = curve.relevance > 0
        means = [f"{curve.importance[kind].mean():.2g}" for kind in (speaks_for, ~speaks_for) if kind.any()]
        said.append(f"{' and '.join(means)} ({curve.name})")
    m = "m" if info.factor == 1 else "C · m"
    return (
        f"The same channels at three stations. Mean {m} of the channels with g > 0, and of the others: "
        f"{'; '.join(said)}."
    )


def beyond_sentence(curves: Sequence[Curve], trained: float) -> str:
    """What each model keeps at the ε that networks were trained for, and at the largest that was tried."""
    largest = max(curve.x[-1] for curve in curves)
    falls = [
        f"{curve.model} {here:.1f} → {curve.accuracy[-1]:.1f} %"
        for curve in curves
        for eps, here in zip(curve.x, curve.accuracy, strict=True)
        if isclose(eps, trained) and curve.x[-1] == largest > eps
    ]
    if not falls:
        return ""
    return f"From ε = {eps_text(trained, trained)} to {eps_text(largest, trained)}: {'; '.join(falls)}."


def weakest_sentence(info: ByClassInfo) -> str:
    """The class that each model defends least, and the one it defends best."""
    said = []
    for model, shares in zip(info.models, info.accuracy, strict=True):
        known = [(share, name) for share, name in zip(shares, info.classes, strict=True) if share is not None]
        (low, worst), (high, best) = min(known), max(known)
        said.append(
            f"{model}: {worst} {low:.1f}, {best} {high:.1f}" if low < high else f"{model}: {low:.1f} of every one"
        )
    return f"Accuracy (%) on the images of each class. Least and most: {'; '.join(said)}."


def kind_of(info: ActivationInfo, channel: int) -> str:
    """PR or NR."""
    return "PR" if channel in info.channels[: info.n_pr] else "NR"


def most_changed(info: ActivationInfo) -> int:
    """The channel to show first: where the attack moved the activation the most, else the most relevant one."""
    if info.adversarial is None:
        return int(info.channels[0])
    return int(info.channels[abs(info.adversarial - info.natural).argmax()])


def channel_sentence(info: ActivationInfo, channel: int) -> str:
    """Of which kind a channel is, and what became of it."""
    kind = f"Channel {channel} is **{kind_of(info, channel)}**"
    if info.adversarial is None:
        return f"{kind}."
    rank = int((info.channels == channel).argmax())
    before, after = float(info.natural[rank]), float(info.adversarial[rank])
    way = "rose" if after > before else "fell" if after < before else "stayed"
    most = "; no other moved as much" if channel == most_changed(info) else ""
    return f"{kind} and {way} from {before:.3g} to {after:.3g}{most}."


def attack_title(attack: Choice, classes: Sequence[str] = ()) -> str:
    """As in "PGD, ε = 0.1, 20 steps, towards Bag"."""
    given = attack.parameters
    steps, target = given.get("steps", 1), given.get("target")
    parts = [attack.name.upper()]
    parts += [f"ε = {given['eps']}{' (ℓ2)' if given.get('norm') == 'l2' else ''}"] if "eps" in given else []
    parts += [f"{steps} steps"] if steps != 1 else []
    parts += [f"towards {classes[target] if target < len(classes) else target}"] if target is not None else []
    return ", ".join(parts)


def card_body(card: str) -> str:
    """A card without its front matter, which is for the Hub, its headings one level below the page's."""
    text = card.partition("\n---\n")[2] if card.startswith("---\n") else card
    blocks = text.split("```")  # every other one is code, where # begins a comment
    blocks[::2] = [re.sub(r"^(#+ )", r"#\1", block, flags=re.MULTILINE) for block in blocks[::2]]
    return "```".join(blocks)


def card_tables(card: str) -> dict[str, list[dict[str, str]]]:
    """The tables of a card by the heading above each: rows by column, as they are printed."""
    tables = {}
    for section in re.split(r"^#+ ", card, flags=re.MULTILINE)[1:]:
        heading, *lines = section.splitlines()
        printed = [_cells(line) for line in lines if line.startswith("|")]
        if printed:
            columns, _, *rows = printed
            tables[heading] = [dict(zip(columns, row, strict=True)) for row in rows]
    return tables


def _cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
