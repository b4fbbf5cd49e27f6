"""What there is: the server's health, models, data sets, and everything registered by name."""

from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Annotated, Any

from fastapi import APIRouter, Query

from backend.dependencies import InferenceDep, LabDep, ModelDep, ServedJobs, SettingsDep
from backend.errors import Refusal, unfit
from backend.images import png
from backend.lab import Lab
from backend.openapi import responses
from backend.requests import StrictRoute
from backend.schemas import DatasetInfo, Described, Health, ModelInfo, Ready, Sample, Samples
from backend.schemas.images import Split
from cifs import __version__
from cifs.attacks import ATTACKS
from cifs.channels import RELEVANCES
from cifs.data import Images
from cifs.registry import described, json_schema
from cifs.selection import IMGFS

router = APIRouter(route_class=StrictRoute)


@router.get("/health", tags=["service"])
async def health(lab: LabDep, inference: InferenceDep) -> Health:
    """Whether the server answers, and how busy it is."""
    return Health(
        status="ok",
        version=__version__,
        device=str(lab.device),
        models=list(lab.zoo.ids()),
        models_loaded=lab.loaded,
        computing=inference.computing,
        queue_length=inference.waiting,
        queue_limit=inference.queue_length,
    )


@router.get("/ready", tags=["service"], responses=responses(503))
def ready(lab: LabDep, inference: InferenceDep, jobs: ServedJobs) -> Ready:
    """Whether the server can take work now; `/health` tells only that it is alive."""
    if not lab.zoo.root.is_dir():
        raise _unready("its folder of models is not there")
    if inference.closed or inference.waiting >= max(inference.queue_length, 1):
        raise _unready("it is shutting down" if inference.closed else "its queue is full")
    if jobs is not None:
        jobs.ledger.page(offset=0, limit=1)  # raises LedgerError, which is a 503 as well
    return Ready(ready=True, models=len(lab.zoo.ids()), jobs=jobs is not None)


def _unready(why: str) -> Refusal:
    return Refusal(503, f"the server is not ready: {why}", headers={"Retry-After": "5"})


@router.get("/models", tags=["models"])
def models(lab: LabDep) -> list[ModelInfo]:
    """Every model that can be read."""
    return lab.describe_all()


@router.get("/models/{id}", tags=["models"], responses=responses(404, 422, 500))
def model(model: ModelDep) -> ModelInfo:
    """One model: its data set, architecture, layers and measured robustness."""
    return model


@router.get("/datasets", tags=["data"])
def datasets(lab: LabDep) -> list[DatasetInfo]:
    """Data sets by name, and whether they are on this server."""
    return lab.describe_datasets()


@router.get("/datasets/{name}/samples", tags=["data"], responses=responses(404, 422))
def samples(
    name: str,
    lab: LabDep,
    settings: SettingsDep,
    split: Split = "test",
    label: Annotated[int | None, Query(ge=0, description="only images of this class")] = None,
    offset: Annotated[int, Query(ge=0, le=2**31, description="how many matching images to skip")] = 0,
    limit: Annotated[int, Query(ge=1, description="how many to return")] = 24,
    index: Annotated[list[int] | None, Query(description="these images instead of a page, in this order")] = None,
) -> Samples:
    """A page of a data set's images, to choose from."""
    if limit > settings.max_page:
        raise unfit("limit", f"limit = {limit}; allowed: 1 to {settings.max_page}")
    if index is not None:
        return named(lab, name, split, index)
    return page(lab, name, split, label, offset, limit)


def named(lab: Lab, name: str, split: Split, chosen: Sequence[int]) -> Samples:
    """The chosen images of a split."""
    images, classes = lab.images(name, split), lab.dataset(name).classes
    if len(chosen) > lab.settings.max_page:
        raise unfit("index", f"{len(chosen)} images; allowed: up to {lab.settings.max_page}")
    if wrong := [i for i in chosen if not 0 <= i < len(images)]:
        raise unfit("index", f"index = {wrong[0]}: the {split} split of {name!r} has images 0 to {len(images) - 1}")
    samples = [_sample(i, images, classes) for i in chosen]
    return Samples(dataset=name, split=split, total=len(chosen), offset=0, samples=samples)


def page(lab: Lab, name: str, split: Split, label: int | None, offset: int, limit: int) -> Samples:
    """Images `offset` to `offset + limit` of those that match."""
    classes = lab.dataset(name).classes
    if label is not None and label >= len(classes):
        raise unfit("label", f"label = {label}: no such class; allowed: 0 to {len(classes) - 1}")
    images = lab.images(name, split)
    matching = range(len(images)) if label is None else (images.labels == label).nonzero()[:, 0].tolist()
    chosen = matching[offset : offset + limit]
    return Samples(
        dataset=name,
        split=split,
        total=len(matching),
        offset=offset,
        samples=[_sample(index, images, classes) for index in chosen],
    )


def _sample(index: int, images: Images, classes: Sequence[str]) -> Sample:
    x, y = images.batch(slice(index, index + 1))
    label = int(y)
    name = classes[label] if label < len(classes) else f"class {label}"  # of a user's own file
    return Sample(index=index, label=label, class_name=name, png=png(x[0]))


@router.get("/attacks", tags=["choices"])
async def attacks(settings: SettingsDep) -> list[Described]:
    """Attacks and the JSON Schema of their parameters, with this server's limits as maxima."""
    described = describe(ATTACKS)
    for attack in described:
        for name, limit in settings.attack_limits.items():
            schema = attack.parameters["properties"].get(name, {})
            if "maximum" in schema:
                schema["maximum"] = min(schema["maximum"], limit)
    return described


@router.get("/imgfs", tags=["choices"])
async def imgfs() -> list[Described]:
    """Importance map generating functions and the JSON Schema of their parameters."""
    return describe(IMGFS)


@router.get("/relevances", tags=["choices"])
async def relevances() -> list[Described]:
    """Relevances and the JSON Schema of their parameters."""
    return describe(RELEVANCES)


def describe(registry: Mapping[str, type[Any]]) -> list[Described]:
    return [_described(name, cls) for name, cls in registry.items()]


def _described(name: str, cls: type[Any]) -> Described:
    title, description = described(cls)
    return Described(name=name, title=title, description=cleandoc(description), parameters=json_schema(cls))
