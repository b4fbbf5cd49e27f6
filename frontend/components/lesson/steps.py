"""The seven steps: what is told, what is asked, and what live data says to it."""

from collections.abc import Callable
from typing import NamedTuple

from frontend.components.lesson.abnormal import abnormal
from frontend.components.lesson.attack import attack
from frontend.components.lesson.channel import channel
from frontend.components.lesson.honest import honest
from frontend.components.lesson.hypothesis import hypothesis
from frontend.components.lesson.material import Material
from frontend.components.lesson.relevance import relevance
from frontend.components.lesson.suppression import suppression


class Step(NamedTuple):
    title: str
    show: Callable[[int, Material], None]


STEPS = (
    Step("What a channel says", channel),
    Step("For the class, or against it", relevance),
    Step("The attack", attack),
    Step("Abnormal channels", abnormal),
    Step("The hypothesis, tried by hand", hypothesis),
    Step("CIFS", suppression),
    Step("What an honest attacker finds", honest),
)
