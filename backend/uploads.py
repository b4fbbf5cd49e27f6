"""Models and data sets that people bring: bounded, verified, and moved to their place in one step or not at all."""

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from backend.errors import Refusal, located, unfit
from cifs.data import SPLITS, Dataset, dataset, dataset_names
from cifs.data.datasets import verify
from cifs.data.folder import SUFFIXES
from cifs.errors import CheckpointError, CIFSError, DataError, InvalidParameter
from cifs.files import INCOMING, UNREADABLE_ZIP, incoming, move_whole, remove_stale, replacing, says_full
from cifs.foreign import LAYOUTS, import_model, read_weights
from cifs.models import CNN, build
from cifs.report.card import write_card
from cifs.zoo import Entry, Info, Zoo, checked_id, read_info, shapes_of

TRASH = ".trash"
STALE = 86_400.0  # seconds before what was left half-way or thrown away goes
CONFIG_BYTES = 65_536
CHUNK = 2**20
SHIPPED = "shipped.txt"  # of the zoo's folder: ids that are part of a release, and are not deleted
BAD_CONFIG = (CIFSError, KeyError, TypeError, ValueError, RuntimeError, OverflowError)
MOST_MEMBERS = 16  # of a .npz
MOST_IMAGES = 100_000  # of a zip
MOST_DEPTH = 4  # folders of a zip: one around all, split, class, file


class Brought(NamedTuple):
    """An uploaded file, on disk."""

    path: Path
    name: str  # as its owner calls it
    sha256: str

    @property
    def provenance(self) -> str:
        return f"the uploaded file {self.name!r}, SHA-256 {self.sha256}"


class ModelAbout(NamedTuple):
    """What the uploader says of a model."""

    id: str
    title: str | None
    dataset: str
    method: str
    eps: float | None
    layout: str | None


def store(file: BinaryIO, name: str, folder: Path, limit: int) -> Brought:
    """Copies to a name of ours: only the suffix is the owner's. Raises Refusal (413)."""
    suffix = ".safetensors" if name.endswith(".safetensors") else ".npz" if name.endswith(".npz") else ".bin"
    path, digest, size = folder / f"upload{suffix}", hashlib.sha256(), 0
    with path.open("wb") as out:
        while chunk := file.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise Refusal(413, f"a file of more than {limit} bytes; allowed: up to {limit}", location="file")
            digest.update(chunk)
            out.write(chunk)
    return Brought(path, Path(name).name[:200], digest.hexdigest())


# Models --------------------------------------------------------------------------------------------------------------
def add_model(zoo: Zoo, brought: Brought, about: ModelAbout, config: bytes | None, limit: int) -> Entry:
    """The zoo's new entry. Raises Refusal: 409 where the id is taken, 422 for what is no model of ours."""
    with located("id"):
        checked_id(about.id)
    if (zoo.root / about.id).exists():
        raise Refusal(409, f"{about.id!r} is there already; give another id, or delete it first", location="id")
    with located("file"), _as_a_refusal(brought.path.parent):
        _bounded_archive(brought.path, limit, members=MOST_IMAGES)
        model, info = _ours(brought, config) if config is not None else _foreign(brought, about)
        _passes_forward(model)
    return _moved_in(zoo, about.id, model, info)


def _moved_in(zoo: Zoo, model_id: str, model: CNN, info: Info) -> Entry:
    """Written in full to a new folder, which is then renamed: weights and configuration come as one."""
    with incoming(zoo.root) as folder:
        staged = Zoo(folder).save(model_id, model, info)
        write_card(staged)
        with replacing(staged.folder / ".gitignore") as temporary:
            temporary.write_text("# Brought here: no part of the repository.\n*\n", encoding="utf-8")
        try:
            move_whole(staged.folder, zoo.root / model_id)
        except OSError as error:
            if says_full(error):
                raise
            raise Refusal(409, f"{model_id!r} has just been made by another", location="id") from None
    return zoo.entry(model_id)


def _ours(brought: Brought, config: bytes) -> tuple[CNN, Info]:
    """A model of ours by its config.json."""
    with located("config"):
        values = _config(config)
        try:
            info = read_info(values.pop("info"))
            _ = dataset(info.dataset)
        except (CIFSError, KeyError, ValueError) as error:
            raise InvalidParameter(f"config.json has no info that this release knows: {error}") from None
    weights = read_weights(brought.path)
    fits_on_paper(values, weights)
    try:
        model = build(**values)
        model.load_state_dict(dict(weights))
    except BAD_CONFIG as error:
        raise InvalidParameter(f"weights and config.json do not fit: {error}") from None
    return model.eval(), replace(info, source=brought.provenance, command="POST /models")


def _config(text: bytes) -> dict[str, Any]:
    if len(text) > CONFIG_BYTES:
        raise InvalidParameter(f"config.json has {len(text)} bytes; allowed: up to {CONFIG_BYTES}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"config.json is no JSON: {error}") from None
    if not isinstance(values, dict) or not isinstance(values.get("arch"), str):
        raise InvalidParameter("config.json has to be an object with the model's arch, as those of the zoo are")
    return values


def _foreign(brought: Brought, about: ModelAbout) -> tuple[CNN, Info]:
    """A model of another project, by the layout of its names."""
    if about.layout is None:
        raise InvalidParameter(f"send its config.json too, or say which layout its names have: {', '.join(LAYOUTS)}")
    if about.method not in ("natural", "vanilla") or (about.method == "vanilla") != (about.eps is not None):
        raise InvalidParameter(
            f"method = {about.method!r}, eps = {about.eps}: write natural without ε, or vanilla with its ε"
        )
    data = dataset(about.dataset)
    arguments, weights = LAYOUTS[about.layout](read_weights(brought.path))
    fits_on_paper({**arguments, "image_size": data.image_shape[1]}, weights)
    info = Info(
        title=about.title or f"Imported {about.method}",
        dataset=data.name,
        method=about.method,
        eps=about.eps,
        command=f"POST /models (layout {about.layout})",
        source=brought.provenance,
    )
    return import_model(brought.path, about.layout, data), info


def fits_on_paper(arguments: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Shapes compared before a network is allocated: a width of 20,000 would take a terabyte.

    Raises InvalidParameter.
    """
    try:
        own = shapes_of(arguments)
    except BAD_CONFIG as error:
        raise InvalidParameter(f"no model of ours can be made of it: {error}") from None
    wrong = [
        f"{name} is {tuple(weights[name].shape) if name in weights else 'missing'}, expected {shape}"
        for name, shape in own.items()
        if not name.endswith("num_batches_tracked") and (name not in weights or weights[name].shape != shape)
    ]
    wrong += [f"{name} is not known" for name in weights if name not in own]
    if wrong:
        raise InvalidParameter(f"the weights do not fit: {'; '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}")


@torch.inference_mode()
def _passes_forward(model: CNN) -> None:
    logits = model(torch.full((1, *model.image_shape), 0.5))
    if tuple(logits.shape) != (1, model.num_classes) or not logits.isfinite().all():
        raise InvalidParameter(f"an image does not come through: the logits are {logits.tolist()}")


def shipped(zoo: Zoo) -> frozenset[str]:
    """Ids that are part of a release."""
    path = zoo.root / SHIPPED
    return frozenset(path.read_text(encoding="utf-8").split()) if path.exists() else frozenset()


def remove_model(zoo: Zoo, model_id: str) -> None:
    """Moves it to the trash, where it stays for a day. Raises UnknownName, or Refusal (409) for a shipped one."""
    folder = zoo.entry(model_id).folder
    if model_id in shipped(zoo):
        raise Refusal(409, f"{model_id!r} is part of the release and is not deleted", location="id")
    trash = zoo.root / TRASH
    trash.mkdir(exist_ok=True)
    os.rename(folder, trash / f"{model_id}-{time.time_ns()}")
    sweep(zoo.root)


def sweep(root: Path) -> None:
    """Removes what an upload or a save left half-way and what was thrown away, once it is a day old."""
    for folder in (root, *root.glob("*/")):
        remove_stale(folder)
    for path in (*root.glob(f"{INCOMING}*"), *root.glob(f"{TRASH}/*")):
        with suppress(FileNotFoundError):  # another process may have removed it
            if time.time() - path.stat().st_ctime > STALE:
                shutil.rmtree(path, ignore_errors=True)


def _bounded_archive(path: Path, limit: int, *, members: int) -> None:
    """Refuses an archive that would unpack to more than it may: told by its directory, before anything is unpacked."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except UNREADABLE_ZIP as error:
        raise InvalidParameter(f"a damaged archive: {error}") from None
    if len(entries) > members:
        raise InvalidParameter(f"an archive of {len(entries)} members; allowed: up to {members}")
    if (size := sum(entry.file_size for entry in entries)) > limit:
        raise InvalidParameter(f"an archive that unpacks to {size} bytes; allowed: up to {limit}")


# Data sets -----------------------------------------------------------------------------------------------------------
def add_dataset(root: Path, brought: Brought, name: str, limit: int) -> Dataset:
    """Of a .npz in MedMNIST's layout, or of a zip of class folders. Raises Refusal."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise unfit("name", f"name = {name!r}: up to 64 letters, digits, '_' and '-'")
    if name in dataset_names() or (root / name).exists():
        raise Refusal(409, f"a data set {name!r} is there already; give another name", location="name")
    is_npz = brought.path.suffix == ".npz"
    with located("file"), _as_a_refusal(brought.path.parent):
        _bounded_archive(brought.path, limit, members=MOST_MEMBERS if is_npz else MOST_IMAGES)
        staged = brought.path.with_name(f"{name}.npz") if is_npz else brought.path.with_name(name)
        if is_npz:
            brought.path.rename(staged)
        else:
            _unpack(brought.path, staged)
        verify(staged)
    move_whole(staged, root / staged.name)
    return dataset(name)


@contextmanager
def _as_a_refusal(folder: Path) -> Iterator[None]:
    """A file that somebody sent is their business, not the 500 of a file of the server's; where it lay is ours."""
    try:
        yield
    except (DataError, CheckpointError) as error:
        raise InvalidParameter(str(error).replace(f"{folder}/", "")) from None


def _unpack(path: Path, folder: Path) -> None:
    """Images of class folders, and dataset.toml. Raises InvalidParameter for any member that points elsewhere."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [entry for entry in archive.infolist() if not entry.is_dir()]
            places = [_place(entry.filename) for entry in members]
            shared = len({place.parts[0] for place in places}) == 1 and all(len(place.parts) > 2 for place in places)
            for entry, place in zip(members, places, strict=True):
                inner = PurePosixPath(*place.parts[1:]) if shared and place.parts[0] not in SPLITS else place
                if inner.suffix.lower() in SUFFIXES or str(inner) == "dataset.toml":
                    _write_member(archive, entry, folder / inner)
    except UNREADABLE_ZIP as error:
        if says_full(error):
            raise
        said = str(error) or type(error).__name__
        raise InvalidParameter(f"neither a .npz nor a zip that can be unpacked: {said}") from None
    if not folder.is_dir():
        raise InvalidParameter("the zip holds no PNG or JPEG files")


def _place(name: str) -> PurePosixPath:
    """Where a member belongs. Raises InvalidParameter for what would lie outside, whichever system it is meant for."""
    place = PurePosixPath(name)
    if place.is_absolute() or not place.parts or ".." in place.parts or any(c in name for c in "\\:\0"):
        raise InvalidParameter(f"the zip's member {name!r} does not lie within it")
    if len(place.parts) > MOST_DEPTH:
        raise InvalidParameter(f"the zip's member {name!r} lies deeper than {MOST_DEPTH} folders")
    return place


def _write_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """At most the size that its directory told: what is bounded is what is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as packed, path.open("wb") as out:
        out.write(packed.read(entry.file_size))
