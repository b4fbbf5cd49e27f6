"""A study's record as Markdown, for people."""

import re
from collections.abc import Sequence

from cifs.errors import InvalidParameter, UnknownName
from cifs.records import StudyAccuracy, StudyGain, StudyRecord, StudyVerdict

MARKED = re.compile(r"(<!-- study: ([\w ]+) -->).*?(<!-- end of study -->)", re.DOTALL)


def markdown(record: StudyRecord) -> str:
    """Accuracies by arm, the comparisons stated beforehand, and every gain over the first arm."""
    parts = _parts(record, ())
    return "\n\n".join(parts[name] for name in ("measured", "comparisons", "accuracies", "gains") if parts[name]) + "\n"


def filled(page: str, record: StudyRecord, verdicts: Sequence[StudyVerdict]) -> str:
    """The page with what the study says now between `<!-- study: PART -->` and `<!-- end of study -->`.

    Raises UnknownName for a part there is none of, InvalidParameter for a page without any.
    """
    parts = _parts(record, verdicts)
    if not MARKED.search(page):
        raise InvalidParameter(f"the page has no place for a study; write <!-- study: {next(iter(parts))} -->")

    def fill(found: re.Match[str]) -> str:
        if found[2] not in parts:
            raise UnknownName("part of a study", found[2], parts)
        return f"{found[1]}\n\n{parts[found[2]]}\n\n{found[3]}"

    return MARKED.sub(fill, page)


def _parts(record: StudyRecord, verdicts: Sequence[StudyVerdict]) -> dict[str, str]:
    return {
        "measured": f"{record.title}: {record.measured} of {record.planned} trainings, {record.images_said}, "
        f"{100 * (1 - record.alpha):g} % intervals over seeds and images.",
        "hypotheses": "\n".join(f"- **{v.name}** ({v.statement}): **{v.outcome}**. {v.sentence}" for v in verdicts),
        "comparisons": _tests(record),
        "accuracies": "\n\n".join(filter(None, (_accuracies(record, regime) for regime in record.regimes))),
        "gains": _gains(record),
    }


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _accuracies(record: StudyRecord, regime: str) -> str:
    """Rows: arm and checkpoint. Columns: levels."""
    cells: dict[tuple[str, str], dict[str, StudyAccuracy]] = {}
    for accuracy in record.accuracies:
        if accuracy.regime == regime:
            cells.setdefault((accuracy.arm, accuracy.checkpoint), {})[accuracy.level] = accuracy
    rows = []
    for (arm, checkpoint), levels in cells.items():
        any_level = next(iter(levels.values()))
        epochs = ", ".join(map(str, any_level.epochs))
        figures = [_accuracy(levels[level]) for level in record.levels]
        rows.append([record.arms[arm], str(len(any_level.by_seed)), f"{checkpoint} ({epochs})", *figures])
    if not rows:
        return ""
    return f"{record.regimes[regime]}\n\n" + _table(["arm", "seeds", "epochs", *record.levels], rows)


def _accuracy(accuracy: StudyAccuracy) -> str:
    said = f"{100 * accuracy.mean:.2f}"
    return f"{said} ({accuracy.untrusted} not trusted)" if accuracy.untrusted else said


def _tests(record: StudyRecord) -> str:
    rows = [
        [
            test.name, _difference(test), interval(test), _by_seed(test), p_value(test.p_corrected),
            p_value(test.p_bootstrap), "none would do" if test.seeds_needed is None else str(test.seeds_needed),
        ]
        for test in record.tests
    ]  # fmt: skip
    head = ["comparison", "points", "interval", "by seed", "p (Holm)", "p (bootstrap)", "seeds to find 1 point"]
    return _table(head, rows) if rows else ""


def _gains(record: StudyRecord) -> str:
    rows = [
        [record.regimes[g.regime], record.arms[g.arm], g.checkpoint, g.level, _difference(g), interval(g), p_value(g.p)]
        for g in record.gains
    ]
    against = record.arms[record.gains[0].against] if rows else ""
    head = ["regime", "arm", "epoch", "level", f"points ahead of {against}", "interval", "p (not corrected)"]
    return _table(head, rows) if rows else ""


def _difference(gain: StudyGain) -> str:
    return f"{100 * gain.mean:+.2f}"


def _by_seed(gain: StudyGain) -> str:
    return ", ".join(f"{100 * value:+.2f}" for _, value in sorted(gain.by_seed.items()))


def interval(gain: StudyGain) -> str:
    return f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f}"


def p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"
