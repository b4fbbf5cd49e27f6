"""Four colours that mean the same on every chart, in the light and the dark theme.

Chosen near the Okabe–Ito palette; a test simulates the three kinds of colour blindness and measures how far apart
they stay, and their contrast on both backgrounds.
"""

NATURAL = "#2E8BD6"
ADVERSARIAL = "#DB5F12"
PR = "#0E9F78"
NR = "#BE6AA8"

NEUTRAL = "#8A8F98"
ATTACK_SHADES = ("#F3B88F", "#E8935A", "#DB5F12", "#B54A08", "#853402")  # of ADVERSARIAL, the weakest attack first
SEQUENTIAL = "Cividis"  # feature maps: made for the colour-blind


def translucent(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"
