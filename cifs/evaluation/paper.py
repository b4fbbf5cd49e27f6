"""The paper's own results, to hold ours against: arXiv 2102.05311, its Figure 2 and the table of its poster.

All on CIFAR-10's test images under ℓ∞, ε = 8/255, of networks trained and attacked by the authors. Neither says of
which epoch a row is; of two rows the authors' result files do (HanshuYAN/CIFS, commit 2792315, results.txt).
"""

from cifs.methods import METHODS
from cifs.records import PaperRow

DATASET = "cifar10"
LAST = "the last, ckp_119.pt"
POSTER = ("natural", "fgsm", "pgd20", "cw", "pgd100")


def _row(
    source: str,
    arch: str,
    width: int,
    method: str,
    accuracy: dict[str, float],
    imgf: str | None,
    epochs: int,
    kept: str | None = None,
) -> PaperRow:
    """accuracy: per cent, by column. The poster underlines the lowest of a row."""
    return PaperRow(
        source=source,
        title=METHODS[method].title + (f" ({imgf})" if imgf else ""),
        method=method,
        imgf=imgf,
        dataset=DATASET,
        arch=arch,
        width=width,
        epochs=epochs,
        kept=kept,
        eps=8 / 255,
        accuracy={key: round(value / 100, 4) for key, value in accuracy.items()},
        strongest=min(accuracy, key=accuracy.__getitem__) if len(accuracy) > 1 else None,
    )


def _poster(
    arch: str,
    width: int,
    method: str,
    *accuracy: float,
    imgf: str | None = None,
    epochs: int = 120,
    kept: str | None = None,
) -> PaperRow:
    return _row("poster", arch, width, method, dict(zip(POSTER, accuracy, strict=True)), imgf, epochs, kept)


def _figure_2(method: str, pgd20: float, *, imgf: str | None = None) -> PaperRow:
    return _row("Figure 2", "resnet18", 64, method, {"pgd20": pgd20}, imgf, 120)


REPORTED = (
    _poster("resnet18", 64, "vanilla", 84.56, 55.11, 46.62, 45.95, 44.72, kept=LAST),
    _poster("resnet18", 64, "cas", 86.73, 55.99, 45.29, 44.18, 43.22, epochs=200),
    _poster("resnet18", 64, "cifs", 83.86, 58.86, 51.23, 50.16, 48.70, imgf="softmax", kept=LAST),
    _figure_2("vanilla", 46.64),
    _figure_2("cifs", 49.87, imgf="sigmoid"),
    _figure_2("cifs", 50.38, imgf="softplus"),
    _figure_2("cifs", 51.23, imgf="softmax"),
    _poster("wrn28", 160, "vanilla", 87.29, 58.50, 49.17, 48.68, 47.08),
    _poster("wrn28", 160, "cas", 88.05, 57.94, 49.03, 47.97, 47.25, epochs=200),
    _poster("wrn28", 160, "cifs", 85.56, 61.34, 53.74, 53.20, 51.51, imgf="softmax"),
)
