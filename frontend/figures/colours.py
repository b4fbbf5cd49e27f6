"""Four colours that mean the same on every chart, in the light and the dark theme.

A test simulates the three kinds of colour blindness and measures how far apart they stay, and their contrast on both
backgrounds.
"""

NATURAL = "#1464D7"
ADVERSARIAL = "#B54008"
PR = "#10A86D"
NR = "#C74BA6"

NEUTRAL = "#8A8F98"
ATTACK_SHADES = ("#F0B48F", "#E08A58", "#CC6227", "#B54008", "#7E2B05")  # of ADVERSARIAL, the weakest attack first
SEQUENTIAL = "Cividis"  # feature maps: made for the colour-blind


def translucent(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha:g})"
