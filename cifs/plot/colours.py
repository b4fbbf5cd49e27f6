"""Four colours that mean the same on every chart, in the light and the dark theme.

A test simulates the three kinds of colour blindness and measures how far apart they stay, and their contrast on both
backgrounds.
"""

from plotly.colors import unlabel_rgb

NATURAL = "#085CE5"
ADVERSARIAL = "#F1590C"
PR = "#0FA86B"
NR = "#C52CA5"

NEUTRAL = "#8A8F98"
METHODS = {"natural": "#666666", "vanilla": "#479AD1", "cas": "#975F0C", "cifs": "#A02BEE"}  # of training
UNNAMED = "#B0413E"  # a method from elsewhere
# of ADVERSARIAL, the weakest attack first
ATTACK_SHADES = ("#FCD5BE", "#FAB28A", "#F68A52", "#F1590C", "#C24506", "#8A2F02", "#571E01")
SEQUENTIAL = "Cividis"  # feature maps: made for the colour-blind


def method_colour(method: str) -> str:
    return METHODS.get(method, UNNAMED)


def method_rank(method: str) -> int:
    """The paper's order of training methods; those from elsewhere come last."""
    return list(METHODS).index(method) if method in METHODS else len(METHODS)


def ink(background: str) -> str:
    """Black or white, whichever is told apart better from `rgb(…)`: at least 4.5:1, as WCAG AA asks of text."""
    shares = (float(share) / 255 for share in unlabel_rgb(background))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#FFFFFF"


def translucent(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"
