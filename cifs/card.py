"""Model cards: README.md of a checkpoint, written from its config.json and evaluation.json and from nothing else."""

from collections.abc import Mapping
from typing import Any

from cifs.data import dataset
from cifs.evaluation import COLUMNS
from cifs.files import replacing
from cifs.zoo import Entry


def write_card(entry: Entry) -> None:
    with replacing(entry.folder / "README.md") as temporary:
        temporary.write_text(card(entry), encoding="utf-8")


def card(entry: Entry) -> str:
    """The card as Markdown."""
    return "\n\n".join([_head(entry), _training(entry), _evaluation(entry), _use(entry), _limits(entry)]) + "\n"


def _head(entry: Entry) -> str:
    info, config = entry.info, entry.config
    spec = dataset(info.dataset)
    method = {
        "natural": "trained on natural images; not robust",
        "vanilla": "adversarially trained, no feature selection",
        "cas": "adversarially trained with channel-wise activation suppressing (CAS, arXiv 2103.08307)",
        "cifs": "adversarially trained with channel-wise importance-based feature selection (CIFS, arXiv 2102.05311)",
    }[info.method]
    imgf = f", IMGF: {_settings(config['imgf'] or {})}" if info.method == "cifs" else ""
    return (
        f"---\nlibrary_name: cifs-lab\nlicense: mit\ndatasets: [{info.dataset}]\n"
        "tags: [adversarial-robustness, cifs]\n---\n\n"
        f"# {entry.id}\n\n{info.title}: {config['arch']} of width {config['width']} on {spec.title}, {method}{imgf}. "
        f"It takes images in [0, 1] of shape {spec.image_shape} and returns logits of {len(spec.classes)} classes; "
        "normalisation is inside."
    )


def _training(entry: Entry) -> str:
    training = entry.info.training
    if entry.info.source:
        return f"## Training\n\nNot trained here. The weights are {entry.info.source}: `{entry.info.command}`."
    if not training:
        return "## Training\n\nNot recorded."
    recipe = training["recipe"]
    attack = recipe["attack"]
    lines = [
        f"- command: `{entry.info.command}`",
        f"- {recipe['epochs']} epochs, batch {recipe['batch_size']}, "
        f"SGD with {recipe['schedule']} schedule, peak lr {recipe['lr']}, "
        f"weight decay {recipe['weight_decay']}, crop (pad {recipe['padding']}){' + flip' if recipe['flip'] else ''}, "
        f"{recipe['precision']}, seed {recipe['seed']}",
        f"- training attack: {_settings(attack)}" if attack else "- no training attack",
        f"- kept: {training['kept']}, epoch {training['kept_epoch']}; the last {recipe['validation']} training images "
        "were the validation images and were not trained on. No test image had a part in any choice.",
        f"- wall time {training['seconds'] / 60:.0f} min on {training['threads']} CPU threads ({training['device']}), "
        f"torch {training['versions']['torch']}",
    ]
    if recipe["model"].get("method", "plain") != "plain":
        lines.insert(1, f"- loss ℓ_β with β = {recipe['beta']}; modified by {_settings(recipe['model'])}")
    return "## Training\n\n" + "\n".join(lines)


def _evaluation(entry: Entry) -> str:
    evaluation = entry.evaluation()
    if evaluation is None:
        return "## Robustness\n\nNot evaluated."
    rows = [
        f"| {COLUMNS[key].title} | {100 * cell['accuracy']:.2f} | {100 * cell['low']:.2f} – {100 * cell['high']:.2f} | "
        f"{_settings(cell['settings']) if cell['settings'] else COLUMNS[key].description} |"
        for key, cell in evaluation["cells"].items()
    ]
    text = (
        f"## Robustness\n\nAccuracy in % on {evaluation['n']} {evaluation['split']} images of {evaluation['dataset']}, "
        f"ε = {evaluation['eps']:g}, 95 % Wilson intervals. {evaluation['criterion'].capitalize()}; "
        f"{evaluation['precision']}.\n\n"
        "| | accuracy | interval | settings |\n| --- | --- | --- | --- |\n" + "\n".join(rows)
    )
    if evaluation["sweep"]:
        text += (
            "\n\nThe model hides a path from ordinary attacks, so attacks were tried with "
            f"{len(evaluation['sweep'])} settings in all (β_atk of the joint loss, and through the importance maps), "
            "of which the strongest counts; PGD-100 takes the strongest of PGD-20. evaluation.json keeps the sweep."
        )
    return text + f"\n\nReproduce: `cifs evaluate {entry.id}`."


def _use(entry: Entry) -> str:
    return (
        "## Use\n\n```python\nfrom pathlib import Path\n\nfrom cifs.zoo import Zoo\n\n"
        f'model = Zoo(Path("checkpoints")).load("{entry.id}")\nlogits = model(images)  # images in [0, 1]\n```'
    )


def _limits(entry: Entry) -> str:
    robustness = (
        "It is fooled by the smallest attacks and is here to be fooled."
        if entry.info.eps is None
        else f"Its robustness is empirical, for ℓ∞ perturbations up to {entry.info.eps:g} only; no certificate, "
        "and no AutoAttack or gradient-free attack was run."
    )
    if entry.info.source:
        return f"## Limits\n\n{robustness} How it was trained, and on which images, is known to its authors alone."
    return (
        f"## Limits\n\n{robustness} A narrow network on a short schedule, made to be looked at on a CPU: "
        "do not compare its figures with those of wide networks in papers."
    )


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_shown(value)}" for key, value in values.items() if value is not None)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_settings(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
