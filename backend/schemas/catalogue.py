"""What the backend has: models, data sets, and everything that is registered by name."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypeAliasType

from backend.schemas.robustness import Cell


class Choice(BaseModel):
    """Something registered by name, with its parameters beside it: `{"name": "pgd", "eps": "8/255", "steps": 20}`.

    The parameters each name takes are the JSON Schema under `GET /attacks`, `/imgfs` and `/relevances`.
    """

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


# The same to Python; their schemas have names, under which backend.choices puts what this server has.
AttackChoice = TypeAliasType("AttackChoice", Choice)
IMGFChoice = TypeAliasType("IMGFChoice", Choice)
RelevanceChoice = TypeAliasType("RelevanceChoice", Choice)
RelevanceName = TypeAliasType("RelevanceName", str)


class Described(BaseModel):
    """A registered name, and the JSON Schema of its parameters (titles, defaults and ranges included)."""

    name: str
    title: str
    description: str
    parameters: dict[str, Any] = Field(description="JSON Schema (2020-12) of an object")


class LayerInfo(BaseModel):
    name: str = Field(examples=["layer4.0"])
    channels: int
    height: int
    width: int
    modified: bool = Field(description="whether CIFS or CAS selects features here")


class ModelInfo(BaseModel):
    id: str = Field(examples=["fmnist-resnet10-w16-natural"])
    title: str = Field(description="for people", examples=["CIFS-softmax"])
    dataset: str
    arch: str
    width: int | None = Field(description="channels of the first stage; null where the architecture has no width")
    method: str = Field(description="by which it was trained", examples=["natural", "cifs"])
    imgf: Choice | None = Field(None, description="the IMGF of a CIFS model")
    eps: float | None = Field(None, description="the budget it was adversarially trained at; null for a natural model")
    default_eps: float = Field(description="the usual budget on its data set, for forms")
    parameters: int
    multiply_adds: int = Field(description="of one forward pass of one image; a gradient step takes thrice as many")
    classes: list[str]
    image_shape: tuple[int, int, int] = Field(description="(C, H, W) of the inputs, values in [0, 1]")
    layers: list[LayerInfo]
    evaluation: dict[str, Cell] | None = Field(
        None, description="robust accuracy by column of the table; null if not evaluated"
    )
    has_channel_statistics: bool


class DatasetInfo(BaseModel):
    name: str
    title: str
    available: bool = Field(description="false: it would have to be downloaded first")
    classes: list[str]
    image_shape: tuple[int, int, int]
    eps: float = Field(description="the usual perturbation budget on this data")
    sizes: dict[str, int] = Field(description="images by split; empty when not available")
    drawn: bool = Field(False, description="drawings to look at, not photographs: nothing is measured on them")
    notes: list[str] = Field(
        default_factory=list, description="what was decided about images in folders: which are for tests, which resized"
    )


class Sample(BaseModel):
    index: int
    label: int
    class_name: str
    png: str = Field(description="base64 PNG at the data's own size")


class Samples(BaseModel):
    dataset: str
    split: str
    total: int = Field(description="how many images match, of which this is a page")
    offset: int
    samples: list[Sample]


class Health(BaseModel):
    status: Literal["ok"]
    version: str
    device: str
    models: list[str] = Field(description="models that can be asked for")
    models_loaded: list[str] = Field(description="models in memory now")
    computing: int = Field(description="computations that run, or stand still for a shorter one")
    queue_length: int
    queue_limit: int


class Ready(BaseModel):
    ready: Literal[True]
    models: int = Field(description="how many can be asked for")
    jobs: bool = Field(description="whether this server takes jobs")
