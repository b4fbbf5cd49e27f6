"""The four meanings stay apart for the colour-blind, and readable on both backgrounds."""

from itertools import combinations

import numpy as np
import pytest
from plotly.colors import sample_colorscale, unlabel_rgb

from cifs.plot.colours import (
    ADVERSARIAL,
    ATTACK_SHADES,
    METHODS,
    NATURAL,
    NEUTRAL,
    NR,
    PR,
    SEQUENTIAL,
    UNNAMED,
    ink,
    method_colour,
    method_rank,
    translucent,
)
from cifs.plot.robustness import OUTLINE

MEANINGS = {"natural": NATURAL, "adversarial": ADVERSARIAL, "PR": PR, "NR": NR}
BACKGROUNDS = ["#FFFFFF", "#14181D"]  # of frontend/.streamlit/config.toml
# linear RGB under full deficiency: Machado, Oliveira, Fernandes 2009, severity 1.0
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "deutan": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
    "tritan": np.array([[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]]),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def linear(colour: str) -> np.ndarray:
    c = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    t = XYZ @ rgb.clip(0, 1) / WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@pytest.mark.parametrize(
    ("one", "other"), [pair for kind in (MEANINGS, METHODS) for pair in combinations(kind.values(), 2)]
)
def test_two_meanings_never_look_alike(deficiency: str, one: str, other: str) -> None:
    seen = [lab(DEFICIENCIES[deficiency] @ linear(colour)) for colour in (one, other)]
    assert np.linalg.norm(seen[0] - seen[1]) > 25  # CIE76; about 2.3 is just noticeable


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("meaning", [*MEANINGS.values(), *METHODS.values(), UNNAMED])
def test_every_meaning_stands_out_from_the_background(meaning: str, background: str) -> None:
    lights = sorted(0.05 + (XYZ @ linear(colour))[1] for colour in (meaning, background))
    assert lights[1] / lights[0] >= 3  # WCAG 2.2, 1.4.11


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_bar_of_the_table_can_be_told_from_the_background(background: str) -> None:
    """The palest or the darkest shade is near one of them: an outline is not."""
    assert min(contrast(shade, background) for shade in ATTACK_SHADES) < 3
    assert OUTLINE["color"] == NEUTRAL
    assert contrast(NEUTRAL, background) >= 3


def contrast(one: str, other: str) -> float:
    low, high = sorted(0.05 + (XYZ @ linear(colour))[1] for colour in (one, other))
    return float(high / low)


def test_a_method_from_elsewhere_has_a_colour_and_comes_last() -> None:
    assert method_colour("theirs") == UNNAMED
    assert sorted(["theirs", *METHODS], key=method_rank) == [*METHODS, "theirs"]


@pytest.mark.parametrize("percent", range(101))
def test_text_can_be_read_on_every_colour_of_the_scale(percent: int) -> None:
    (background,) = sample_colorscale(SEQUENTIAL, [percent / 100])
    seen = "#" + "".join(f"{round(share):02X}" for share in unlabel_rgb(background))
    lights = sorted(0.05 + (XYZ @ linear(colour))[1] for colour in (seen, ink(background)))
    assert lights[1] / lights[0] >= 4.5  # WCAG 2.2, 1.4.3, level AA


def test_translucency_keeps_the_hue() -> None:
    assert translucent("#FF8000", 0.5) == "rgba(255, 128, 0, 0.5)"
