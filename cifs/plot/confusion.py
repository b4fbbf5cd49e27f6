"""Which class is taken for which: counts, and the share of each class's images as colour."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from cifs.plot.colours import SEQUENTIAL, ink
from cifs.plot.layout import compact


class ConfusionInfo(NamedTuple):
    classes: list[str]
    counts: np.ndarray  # (K, K) images by label (row) and prediction (column)
    shares: np.ndarray  # (K, K) of the row's images, per cent; 0 where there are none

    @property
    def right(self) -> int:
        return int(self.counts.trace())

    def most_confused(self) -> tuple[int, int, int]:
        """Label, prediction and count of the largest entry off the diagonal."""
        wrong = self.counts - np.diag(self.counts.diagonal())
        label, prediction = np.unravel_index(wrong.argmax(), wrong.shape)
        return int(label), int(prediction), int(wrong[label, prediction])


def confusion_info(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> ConfusionInfo:
    """counts: (K, K)."""
    array = np.asarray(counts)
    return ConfusionInfo(list(classes), array, 100 * array / np.maximum(array.sum(axis=1, keepdims=True), 1))


def confusion_figure(info: ConfusionInfo, *, height: int = 430) -> go.Figure:
    """A heatmap of shares from 0 to 100 %, so that matrices compare; the counts written in it, but for zeros."""
    figure = go.Figure()
    figure.add_heatmap(
        z=info.shares, x=info.classes, y=info.classes, customdata=info.counts, zmin=0, zmax=100,
        colorscale=SEQUENTIAL, xgap=1, ygap=1, showscale=False,
        hovertemplate="%{y} taken for %{x}: %{customdata:,} images, %{z:.1f} %<extra></extra>",
    )  # fmt: skip
    rows, columns = np.nonzero(info.counts)
    shades = sample_colorscale(SEQUENTIAL, (info.shares[rows, columns] / 100).tolist()) if len(rows) else []
    figure.add_scatter(
        x=[info.classes[k] for k in columns], y=[info.classes[k] for k in rows], mode="text", hoverinfo="skip",
        text=[f"{n}" for n in info.counts[rows, columns]], textfont={"color": [ink(c) for c in shades], "size": 11},
    )  # fmt: skip
    figure.update_xaxes(title_text="taken for", tickangle=-45)
    figure.update_yaxes(title_text="label", autorange="reversed")
    return compact(figure, height=height, legend=False)
