"""Models and data sets brought in and taken away."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile

from backend import uploads
from backend.dependencies import LabDep, ModelId, SettingsDep
from backend.errors import Refusal, located
from backend.openapi import responses
from backend.schemas import DatasetInfo, ModelInfo
from cifs.attacks import ATTACKS
from cifs.data.datasets import data_dir
from cifs.registry import configure

router = APIRouter()
WORDS = 200  # characters of a name


def about_model(
    id: Annotated[
        str, Form(min_length=1, max_length=WORDS, description="the name it gets here", examples=["my-resnet18"])
    ],
    layout: Annotated[
        str | None, Form(description="without config: which names its weights have", examples=["kuangliu"])
    ] = None,
    dataset: Annotated[str, Form(max_length=WORDS)] = "cifar10",
    method: Annotated[str, Form(description="natural, or vanilla with its eps")] = "natural",
    eps: Annotated[str | None, Form(description="ε of its adversarial training", examples=["8/255"])] = None,
    title: Annotated[str | None, Form(max_length=WORDS)] = None,
) -> uploads.ModelAbout:
    return uploads.ModelAbout(id, title, dataset, method, _budget(eps), layout)


@router.post("/models", status_code=201, tags=["models"], responses=responses(400, 409, 413, 422, 500, 507))
def upload_model(
    file: Annotated[UploadFile, File(description=".safetensors, or a torch file; read as weights alone")],
    about: Annotated[uploads.ModelAbout, Depends(about_model)],
    lab: LabDep,
    settings: SettingsDep,
    # None as FastAPI has it would let a form send a null, which it cannot.
    config: Annotated[UploadFile, File(description="its config.json, of a model of this project")] = None,  # type: ignore[assignment]
) -> ModelInfo:
    """Bring a model: weights with their config.json, or of another project in a layout that `cifs import` knows.

    Its shapes are compared before a network is made, an image goes through it, and its SHA-256 stays with it.
    """
    written = None if config is None else config.file.read(uploads.CONFIG_BYTES + 1)
    with uploads.incoming(lab.zoo.root) as folder:
        brought = uploads.store(file.file, file.filename or "weights", folder, settings.max_model_bytes)
        entry = uploads.add_model(lab.zoo, brought, about, written, settings.max_model_bytes)
    return lab.describe(entry.id)


@router.delete("/models/{id}", status_code=204, tags=["models"], responses=responses(404, 409, 422))
def delete_model(model_id: ModelId, lab: LabDep, request: Request) -> None:
    """Remove a model that is not part of the release. It stays in the zoo's `.trash` for a day."""
    lab.require(model_id)
    jobs = request.app.state.jobs
    if jobs is not None and (busy := jobs.at_work_on(model_id)) is not None:
        raise Refusal(409, f"job {busy} is at work on {model_id!r}; cancel it first, or wait for it", location="id")
    uploads.remove_model(lab.zoo, model_id)


@router.post("/datasets", status_code=201, tags=["data"], responses=responses(400, 409, 413, 422, 500, 507))
def upload_dataset(
    file: Annotated[UploadFile, File(description="a .npz in MedMNIST's layout, or a zip of class folders")],
    name: Annotated[
        str, Form(min_length=1, max_length=WORDS, description="the name it gets here", examples=["my_images"])
    ],
    lab: LabDep,
    settings: SettingsDep,
) -> DatasetInfo:
    """Bring a data set: uint8 arrays `train_images`, `train_labels`, `test_images`, `test_labels` in a .npz.

    Or a zip of PNG and JPEG files in a folder a class, below `train` and `test`, or divided here.
    """
    with uploads.incoming(data_dir()) as folder:
        brought = uploads.store(file.file, file.filename or "data", folder, settings.max_dataset_bytes)
        added = uploads.add_dataset(data_dir(), brought, name, settings.max_dataset_bytes)
    return lab.describe_dataset(added.name)


def _budget(eps: str | None) -> float | None:
    with located("eps"):
        return None if eps is None else float(configure(ATTACKS, "pgd", {"eps": eps}).eps)
