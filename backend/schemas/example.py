"""`GET /models/{id}/example`."""

from typing import Any

from pydantic import BaseModel, Field


class Example(BaseModel):
    """An image to begin with, chosen by a computation."""

    model: str
    dataset: str
    split: str
    index: int
    of: int = Field(description="the first images of the split, among which it was looked for")
    right: int = Field(description="of them, how many the model gets right")
    fooled: int = Field(description="of those, how many it gets wrong once they are attacked")
    telling: int = Field(
        description="of the fooled ones, how many show over-activated NR and under-activated PR channels, and are "
        "right again without their NR channels but not without as many random ones"
    )
    layers: list[str] = Field(description="where the channels were zeroed, at each by itself; the last to begin with")
    tells: bool = Field(description="whether the image is one of the telling ones; else it is fooled at most")
    rule: str = Field(description="how it was chosen, in one sentence")
    attack: dict[str, Any]
