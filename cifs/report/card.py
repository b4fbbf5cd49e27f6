"""Model cards: README.md of a checkpoint, from its config.json, evaluation.json and checks.json alone."""

from collections.abc import Mapping
from typing import Any

from cifs.attacks import STAGES
from cifs.data import dataset
from cifs.evaluation import COLUMNS, compare_verdict
from cifs.evaluation.rows import last_of
from cifs.files import replacing
from cifs.methods import METHODS, PLAIN
from cifs.records import NORMS, Evaluation, MaskingChecks, Measurement, MoreMeasurements
from cifs.zoo import Entry

MARKS = {True: "pass", False: "FAIL", None: "–"}  # of a check; None: it does not apply


def write_card(entry: Entry) -> None:
    with replacing(entry.folder / "README.md") as temporary:
        temporary.write_text(card(entry), encoding="utf-8")


def card(entry: Entry) -> str:
    """The card as Markdown."""
    sections = [_head(entry), _training(entry), _evaluation(entry), _checks(entry), _use(entry), _limits(entry)]
    return "\n\n".join(filter(None, sections)) + "\n"


def excerpt(entry: Entry) -> str:
    """What the model is, what was measured of it and where that ends, Markdown."""
    return "\n\n".join([_head(entry).rpartition("---\n\n")[2], _evaluation(entry), _limits(entry)]) + "\n"


def _head(entry: Entry) -> str:
    info, config = entry.info, entry.config
    spec = dataset(info.dataset)
    method = METHODS[info.method].sentence
    imgf = f", IMGF: {_settings(config['imgf'])}" if config.get("imgf") else ""
    return (
        f"---\nlibrary_name: cifs-lab\nlicense: mit\ndatasets: [{info.dataset}]\n"
        "tags: [adversarial-robustness, cifs]\n---\n\n"
        f"# {entry.id}\n\n{info.title}: {entry.network} on {spec.title}, {method}{imgf}. "
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
    epochs = training.get("total_epochs", recipe["epochs"])
    total = f" ({epochs} with those of its start)" if epochs > recipe["epochs"] else ""
    lines = [
        f"- command: `{entry.info.command}`",
        *(
            [f"- starts from the weights of `{recipe['init']}`: train or import that first"]
            if recipe.get("init")
            else []
        ),
        *([f"- trained on the first {recipe['images']} images alone"] if recipe.get("images") else []),
        f"- {recipe['epochs']} epochs{total}, batch {recipe['batch_size']}, "
        f"SGD with {recipe['schedule']} schedule, peak lr {recipe['lr']}, "
        f"weight decay {recipe['weight_decay']}, crop (pad {recipe['padding']}){' + flip' if recipe['flip'] else ''}, "
        f"{recipe['precision']}, seed {recipe['seed']}",
        f"- training attack: {_settings(attack)}{_noise(recipe)}" if attack else "- no training attack",
        *([f"- {softened}"] if (softened := _softened(recipe)) else []),
        f"- kept: {training['kept']}, epoch {training['kept_epoch']}. {_validation(training)} "
        "Test images had no part in choosing it.",
        f"- wall time {training['seconds'] / 60:.0f} min on {training['threads']} CPU threads ({training['device']}), "
        f"torch {training['versions']['torch']}{_instructions(training)}",
    ]
    if start := training.get("imported_start"):
        lines.append(
            f"- this began with weights not trained here, {start}: on which images is not known, so the validation "
            "images may not have been unseen"
        )
    if recipe["model"].get("method", PLAIN) != PLAIN:
        lines.insert(1, f"- loss ℓ_β with β = {recipe['beta']}; modified by {_settings(recipe['model'])}")
    return "## Training\n\n" + "\n".join(lines)


def _noise(recipe: Mapping[str, Any]) -> str:
    return f", after uniform noise of {recipe['noise']:g} ε" if recipe.get("noise") else ""


def _softened(recipe: Mapping[str, Any]) -> str:
    """What a recipe of an earlier version does not have."""
    ema, smoothing = recipe.get("ema"), recipe.get("label_smoothing")
    parts = [f"weights averaged with decay {ema:g}"] if ema else []
    parts += [f"{smoothing:g} of each label spread over all classes"] if smoothing else []
    return ", ".join(parts)


def _instructions(training: Mapping[str, Any]) -> str:
    """On a CPU the same recipe gives the same weights by the same instructions alone."""
    by = training.get("instructions")  # earlier files do not tell
    return f", bf16 products by {by}" if by else ""


def _evaluation(entry: Entry) -> str:
    evaluation = entry.evaluation()
    if evaluation is None:
        return "## Robustness\n\nNot evaluated."
    paragraphs = [
        _table(evaluation),
        _sweep(evaluation),
        _stage_by_stage(evaluation),
        _more(entry, evaluation),
        _last(entry, evaluation),
        f"Reproduce: {', '.join(f'`{command}`' for command in _commands(entry, evaluation))}.",
    ]
    return "## Robustness\n\n" + "\n\n".join(filter(None, paragraphs))


def _table(evaluation: Evaluation) -> str:
    rows = [
        f"| {COLUMNS[key].title} | {100 * cell.accuracy:.2f} | {100 * cell.low:.2f} – {100 * cell.high:.2f} | "
        f"{cell.n} | {_settings(cell.settings) if cell.settings and key != 'verdict' else COLUMNS[key].description} |"
        for key, cell in evaluation.cells.items()
    ]
    n, of = evaluation.n, evaluation.of or evaluation.n
    part = str(n) if n == of else f"the first {n} of {of}"
    return (
        f"Accuracy in % on {part} {evaluation.split} images of {evaluation.dataset}, {NORMS[evaluation.norm]}, "
        f"ε = {evaluation.eps:g}, 95 % Wilson intervals. {evaluation.criterion.capitalize()}; "
        f"{evaluation.precision}.\n\n"
        "| | accuracy | interval | n | settings |\n| --- | --- | --- | --- | --- |\n" + "\n".join(rows)
    )


def _first(evaluation: Evaluation | MoreMeasurements) -> int:
    """On how many images every setting of the sweep was measured."""
    return min((entry.n for entry in evaluation.sweep), default=evaluation.n)


def _sweep(evaluation: Evaluation) -> str:
    if not evaluation.sweep:
        return ""
    first = _first(evaluation)
    staged = f" on the first {first} images, the two most promising on all" if first < evaluation.n else ""
    return (
        "The model hides a path from ordinary attacks, so attacks were tried with "
        f"{len(evaluation.sweep)} settings in all (β_atk of the joint loss, and through the importance maps)"
        f"{staged}, of which the strongest counts; PGD-100 takes the strongest of PGD-20. "
        "evaluation.json keeps the sweep."
    )


def _stage_by_stage(evaluation: Evaluation) -> str:
    """What each ensemble's stages left standing, what the reference remarked, and how far apart the two are."""
    cells = [(COLUMNS[key].title.removeprefix("+ "), cell) for key, cell in evaluation.cells.items() if cell.after]
    return "\n\n".join(filter(None, [*(_stages(title, cell) for title, cell in cells), _agreement(evaluation)]))


def _agreement(evaluation: Evaluation) -> str:
    if (both := compare_verdict(evaluation)) is None:
        return ""
    return (
        f"Of the first {both.n} images the verdict leaves {100 * both.first:.2f} %, AutoAttack with all above it "
        f"{100 * both.second:.2f} %: {both.only_first} fell to these alone, {both.only_second} to the verdict alone."
    )


def _stages(title: str, cell: Measurement) -> str:
    if cell.indicators is not None:
        return _verdict(title, cell)
    after = cell.after or []
    left = ", ".join(
        f"{stage.correct} after {stage.stage}{' through the importance maps' * stage.through_mask}" for stage in after
    )
    remarks = dict.fromkeys(remark for stage in after for remark in stage.remarks)
    attacked = (cell.settings or {}).get("n", cell.n)
    return f"{title} stage by stage: of the first {cell.n} images {attacked} withstood all else, {left}." + (
        f" Its authors' implementation remarked: {'; '.join(remarks).removesuffix('.')}." if remarks else ""
    )


def _verdict(title: str, cell: Measurement) -> str:
    left = ", ".join(f"{stage.correct} after “{stage.stage}”" for stage in cell.after or [])
    signs = "; ".join(
        f"{sign.title}: {sign.count} of {sign.of}{'' if sign.passed else f' (more than {sign.limit:.1%})'}"
        for sign in cell.indicators or []
    )
    trust = "Every indicator passed" if cell.trusted else "**Not to be trusted**, by its own indicators"
    return (
        f"{title} stage by stage: of the first {cell.n} images {left}; {(cell.passes or 0) / cell.n:.0f} forward and "
        f"backward passes an image. {trust}: {signs}."
    )


def _more(entry: Entry, evaluation: Evaluation) -> str:
    if (more := evaluation.more) is None:
        return ""
    figures = ", ".join(
        f"{COLUMNS[key].title} {100 * cell.accuracy:.2f} ({100 * cell.low:.2f} – {100 * cell.high:.2f})"
        for key, cell in more.cells.items()
    )
    few = _first(more)
    options = "".join(f" --column {key}" for key in more.cells)
    options += f" --n {more.n}" if more.n < (evaluation.of or evaluation.n) else ""
    options += f" --sweep {few}" if few < more.n else ""
    return f"On {more.n} images: {figures}; `cifs evaluate {entry.id}{options}` measures it."


def _last(entry: Entry, evaluation: Evaluation) -> str:
    if (last := last_of(entry.info, evaluation)) is None:
        return ""
    figures = ", ".join(f"{COLUMNS[key].title} {100 * cell.accuracy:.2f}" for key, cell in last.cells.items())
    return (
        "These are the figures of the checkpoint that was best on the validation images. "
        f"After the last epoch ({last.epoch}): {figures}."
    )


def _commands(entry: Entry, evaluation: Evaluation) -> list[str]:
    """What measures all this again."""
    n, first = evaluation.n, _first(evaluation)
    options = (f" --n {n}" if n < (evaluation.of or n) else "") + (f" --sweep {first}" if first < n else "")
    commands = [f"cifs evaluate {entry.id}{options}"]
    if evaluation.curves is not None:
        commands.append(f"cifs evaluate {entry.id} --suite curves")
    for key, cell in evaluation.cells.items():
        if cell.after is not None:
            commands.append(f"cifs evaluate {entry.id} --suite {key}{_chosen(key, cell, evaluation.of or n)}")
    return commands


def _chosen(key: str, cell: Measurement, of: int) -> str:
    """The options an ensemble was run with, where they are not its defaults."""
    if key == "verdict":
        return f" --n {cell.n}" if cell.n < of else ""
    stages = (cell.settings or {}).get("stages", [])
    return "" if stages == [*STAGES] else "".join(f" --stage {stage}" for stage in stages)


def _validation(training: Mapping[str, Any]) -> str:
    validation = training["recipe"]["validation"]
    if not validation:
        return "All training images were trained on, none kept for validation."
    text = f"The last {validation} training images were the validation images and were not trained on"
    if seen := validation - training.get("held_out", validation):
        text += f", but its start was trained on {seen} of them"
    return f"{text}."


def _checks(entry: Entry) -> str:
    checks = entry.checks()
    if checks is None:
        return ""
    sources = "".join(f" --source {source}" for source in checks.sources)
    rows = [f"| {c.title} | {MARKS[c.passed]} | {c.statement} |" for c in checks.checks.values()]
    return (
        f"## Gradient-masking checks\n\nOn {checks.n} {checks.split} images of {checks.dataset}, "
        f"{NORMS[checks.norm]}, ε = {checks.eps:g}; {checks.criterion}. A FAIL says that white-box figures are not to "
        "be trusted; passing proves nothing.\n\n| check | | result |\n| --- | --- | --- |\n" + "\n".join(rows)
    ) + f"\n\nReproduce: `cifs check {entry.id} --n {checks.n}{sources}`."


def _use(entry: Entry) -> str:
    return (
        "## Use\n\n```python\nfrom pathlib import Path\n\nfrom cifs.zoo import Zoo\n\n"
        f'model = Zoo(Path("checkpoints")).load("{entry.id}")\nlogits = model(images)  # images in [0, 1]\n```'
    )


def _limits(entry: Entry) -> str:
    untried = _untried(entry.evaluation(), entry.checks())
    robustness = (
        "It is fooled by the smallest attacks and is here to be fooled."
        if entry.info.eps is None
        else f"Its robustness is empirical, for ℓ∞ perturbations up to {entry.info.eps:g} only; no certificate"
        f"{untried and f', and no {untried} was run'}."
    )
    if entry.info.source:
        return f"## Limits\n\n{robustness} How it was trained, and on which images, is known to its authors alone."
    network = "A narrow network on a" if (entry.config["width"] or 64) < 64 else "A"
    return (
        f"## Limits\n\n{robustness} {network} short schedule, "
        "made to be looked at on a CPU: do not compare its figures with those of papers."
    )


def _untried(evaluation: Evaluation | None, checks: MaskingChecks | None) -> str:
    """Which strong attacks were not run."""
    cell = evaluation and evaluation.cells.get("autoattack")
    stages = ((cell and cell.settings) or {}).get("stages", [])
    missing = [stage for stage in STAGES if stage not in stages]
    square = "square" not in missing or (checks is not None and "square" in checks.checks)
    autoattack = "AutoAttack" if len(missing) == len(STAGES) else f"{' or '.join(missing)} of AutoAttack"
    return " or ".join([autoattack] * bool(missing) + ["gradient-free attack"] * (not square))


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_shown(value)}" for key, value in values.items() if value is not None)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_settings(value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
