"""The attack as a film: plays in the browser, without asking again."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cifs.plot.colours import ADVERSARIAL, NATURAL, NEUTRAL, NR, PR
from cifs.plot.layout import compact

FRAME_MS = 350
BELOW = -0.15  # of the charts' height: the buttons, under the names of the layers, which are tilted on a phone


class FilmInfo(NamedTuple):
    """Lists are by step, the starting point first."""

    images: Sequence[str]  # base64 PNG
    perturbations: Sequence[str]
    margin: Sequence[float]
    predictions: Sequence[str]
    divergence: Mapping[str, Sequence[float]]  # by layer in forward order
    falls_at: int | None
    magnification: float


def film_figure(info: FilmInfo, *, height: int = 590) -> go.Figure:
    """Image and perturbation; the margin with a mark at the step shown; how far each layer has diverged by then."""
    figure = make_subplots(
        rows=2, cols=2, column_widths=[0.36, 0.64], horizontal_spacing=0.12, vertical_spacing=0.25,
        subplot_titles=("the image", "margin: best wrong class − label", f"the change, ×{info.magnification:.3g}",
                        "distance by layer, ‖z_t − z‖ / ‖z‖"),
    )  # fmt: skip
    steps = list(range(len(info.margin)))
    last = steps[-1]
    figure.add_trace(_picture(info.images[last]), 1, 1)
    figure.add_trace(_picture(info.perturbations[last]), 2, 1)
    figure.add_scatter(
        x=steps, y=list(info.margin), customdata=list(info.predictions), mode="lines", name="margin",
        line={"color": ADVERSARIAL, "width": 2}, hovertemplate="step %{x}: %{y:.3g}, %{customdata}<extra></extra>",
        row=1, col=2,
    )  # fmt: skip
    figure.add_trace(_mark(info, last), 1, 2)
    figure.add_trace(_bars(info, last), 2, 2)
    figure.add_hline(y=0, line={"color": NEUTRAL, "dash": "dash", "width": 1}, row=1, col=2)
    if info.falls_at is not None:
        figure.add_vline(
            x=info.falls_at, line={"color": NEUTRAL, "dash": "dot", "width": 1}, row=1, col=2,
            annotation={"text": f"the label falls at step {info.falls_at}"},
            annotation_position="bottom right" if info.falls_at <= last / 2 else "top left",  # beside the curve
        )  # fmt: skip
    figure.frames = [_frame(info, step) for step in steps]
    figure.update_xaxes(visible=False, col=1)
    figure.update_yaxes(visible=False, col=1)
    figure.update_xaxes(title_text="step", row=1, col=2)
    highest = max(max(path) for path in info.divergence.values())
    figure.update_yaxes(range=[0, 1.05 * (highest or 1)], row=2, col=2)
    figure.update_annotations(font_size=12)  # titles that fit side by side on a phone
    compact(figure, height=height, legend=False)
    return figure.update_layout(updatemenus=[_buttons()], sliders=[_slider(steps)], margin={"t": 40, "b": 8})


def _picture(png: str) -> go.Image:
    return go.Image(source=f"data:image/png;base64,{png}", hoverinfo="skip")


def _mark(info: FilmInfo, step: int) -> go.Scatter:
    colour = ADVERSARIAL if info.margin[step] > 0 else NATURAL
    return go.Scatter(
        x=[step], y=[info.margin[step]], mode="markers+text", textfont={"color": colour}, text=[info.predictions[step]],
        textposition="bottom left" if step > len(info.margin) / 2 else "top right", hoverinfo="skip",
        marker={"size": 12, "color": colour}, cliponaxis=False,
    )  # fmt: skip


def _bars(info: FilmInfo, step: int) -> go.Bar:
    return go.Bar(
        x=list(info.divergence), y=[path[step] for path in info.divergence.values()],
        marker={"color": ADVERSARIAL, "line_width": 0}, hovertemplate="%{x}: %{y:.3f}<extra></extra>",
    )  # fmt: skip


def _frame(info: FilmInfo, step: int) -> go.Frame:
    data = [_picture(info.images[step]), _picture(info.perturbations[step]), _mark(info, step), _bars(info, step)]
    return go.Frame(name=str(step), data=data, traces=[0, 1, 3, 4])


def _animation(duration: int) -> dict[str, Any]:
    return {"frame": {"duration": duration, "redraw": True}, "transition": {"duration": 0}, "fromcurrent": True}


def _buttons() -> dict[str, Any]:
    play = {"label": "▶ play", "method": "animate", "args": [None, _animation(FRAME_MS)]}
    pause = {"label": "❚❚ pause", "method": "animate", "args": [[None], _animation(0) | {"mode": "immediate"}]}
    return {
        "type": "buttons", "direction": "left", "buttons": [play, pause], "x": 0, "y": BELOW, "xanchor": "left",
        "yanchor": "top", "showactive": False, "font": {"color": "#20262E"}, "bgcolor": "#E8ECF1",
    }  # fmt: skip


def _slider(steps: Sequence[int]) -> dict[str, Any]:
    at = [
        {"label": str(step), "method": "animate", "args": [[str(step)], _animation(0) | {"mode": "immediate"}]}
        for step in steps
    ]
    return {
        "steps": at, "active": steps[-1], "x": 0, "len": 1, "y": BELOW, "yanchor": "top", "pad": {"t": 36},
        "currentvalue": {"prefix": "step ", "visible": True, "xanchor": "right"},
    }  # fmt: skip


class PathInfo(NamedTuple):
    """One channel, by step."""

    channel: int
    relevance: float
    values: Sequence[float]


def paths_figure(paths: Sequence[PathInfo], quantity: str, falls_at: int | None, *, height: int = 320) -> go.Figure:
    """What each channel does from step to step, PR and NR told apart by colour."""
    figure = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
    for number, path in enumerate(paths):
        kind, colour = ("PR", PR) if path.relevance > 0 else ("NR", NR)
        figure.add_scatter(
            x=list(range(len(path.values))), y=list(path.values), name=f"{path.channel} ({kind})", mode="lines",
            line={"color": colour, "width": 2, "dash": dashes[number % len(dashes)]},
            hovertemplate="step %{x}: %{y:.4g}<extra>channel %{fullData.name}</extra>",
        )  # fmt: skip
    if falls_at is not None:
        figure.add_vline(x=falls_at, line={"color": NEUTRAL, "dash": "dot", "width": 1})
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(title_text=quantity)
    return compact(figure, height=height)
