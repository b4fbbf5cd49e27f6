"""The paper's own results, to hold ours against: accuracy in per cent on CIFAR-10 (arXiv 2102.05311 and its poster)."""

from typing import NamedTuple


class Results(NamedTuple):
    """One table of the poster."""

    network: str
    source: str
    rows: dict[str, tuple[float, ...]]  # a value for each of COLUMNS


DATASET = "cifar10"
ROWS = {"vanilla": "Vanilla AT", "cas": "CAS", "cifs": "CIFS"}  # by method
COLUMNS = {"natural": "Natural", "fgsm": "FGSM", "pgd20": "PGD-20", "cw": "C&W", "pgd100": "PGD-100"}
RESULTS = {
    "resnet18": Results(
        "ResNet-18",
        "paper (width 64, 120 epochs, CAS 200)",
        {
            "Vanilla AT": (84.56, 55.11, 46.62, 45.95, 44.72),
            "CAS": (86.73, 55.99, 45.29, 44.18, 43.22),
            "CIFS": (83.86, 58.86, 51.23, 50.16, 48.70),
        },
    ),
    "wrn28": Results(
        "WRN-28-10",
        "paper (width 160, 120 epochs, CAS 200)",
        {
            "Vanilla AT": (87.29, 58.50, 49.17, 48.68, 47.08),
            "CAS": (88.05, 57.94, 49.03, 47.97, 47.25),
            "CIFS": (85.56, 61.34, 53.74, 53.20, 51.51),
        },
    ),
}


def margins(dataset: str, arch: str, first: str, second: str) -> dict[str, float]:
    """Points by which the paper has one method ahead of another, by column; {} where it compares no such two."""
    if dataset != DATASET or arch not in RESULTS or not {first, second} <= set(ROWS) or first == second:
        return {}
    a, b = (RESULTS[arch].rows[ROWS[method]] for method in (first, second))
    return {key: x - y for key, x, y in zip(COLUMNS, a, b, strict=True)}
