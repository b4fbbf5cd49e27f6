"""Damaged files, one after another, to everything that takes a file: does any crash it, hang it or make it grow?

    python -m benchmarks.fuzz [--cases 100000] [--seed 0]

Valid uploads (safetensors, torch checkpoints, config.json, .npz, zips of class folders, PNG, JPEG) are mutated: bits
flipped, cut, spliced with one another, lengths overwritten, members swapped, zips that unpack to gigabytes, JSON nested
deep. They are sent to the app in this process. Every answer has to be a success or a 4xx problem that says why.
"""

import argparse
import asyncio
import base64
import io
import os
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from httpx2 import ASGITransport, AsyncClient
from PIL import Image
from safetensors.torch import save as as_safetensors

from backend.app import create_app
from backend.settings import Settings
from cifs.models import build
from cifs.zoo import Info, Zoo

INFO = Info(title="Fuzzed", dataset="fashion_mnist_mini", method="natural")
SLOWEST = 10.0  # seconds of CPU for one answer: longer is a hang
MEGABYTE = 2**20
BASE = "http://testserver"
INTERNAL = ("Traceback", "/tmp/", "site-packages", "most recent call")  # what no refusal is to tell
Mutation = Callable[[bytes, random.Random], bytes]


class Seed(NamedTuple):
    """A valid upload, and how it is sent."""

    target: str
    data: bytes


# ---- valid files ----------------------------------------------------------------------------------------------------
def seeds(folder: Path) -> list[Seed]:
    torch.manual_seed(0)
    model = build("resnet10", width=2, in_channels=1, image_size=28)
    entry = Zoo(folder).save("seed", model, INFO)
    weights, config = ((entry.folder / name).read_bytes() for name in ("model.safetensors", "config.json"))
    theirs = {name.replace("stem.0", "conv1").replace("stem.1", "bn1"): t for name, t in model.state_dict().items()}
    theirs = {name.replace("fc.", "linear."): tensor for name, tensor in theirs.items()}
    return [
        Seed("safetensors", weights),
        Seed("config", config),
        Seed("checkpoint", torch_file({"net": theirs})),
        Seed("checkpoint", torch_file({"net": theirs}, legacy=True)),
        Seed("checkpoint", as_safetensors(theirs)),
        Seed("npz", medmnist(compressed=True)),
        Seed("npz", medmnist(compressed=False)),
        Seed("zip", class_folders()),
        *(Seed("image", picture(kind, mode)) for kind in ("png", "jpeg") for mode in ("L", "RGB")),
        Seed("image", picture("png", "P")),
        Seed("image", picture("png", "I;16")),
    ]


def torch_file(thing: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def medmnist(*, compressed: bool) -> bytes:
    images, labels = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8), np.arange(6) % 3
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        "train_images": images,
        "train_labels": labels,
        "test_images": images,
        "test_labels": labels,
    }
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays, class_names=np.array(["a", "b", "c"]))
    return buffer.getvalue()


def class_folders() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(8):
            archive.writestr(f"c{i % 2}/{i}.png", picture("png", "RGB"))
        archive.writestr("dataset.toml", 'title = "Mine"\nsize = 8\n')
    return buffer.getvalue()


def picture(kind: str, mode: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    made = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 256) if mode == "I;16" else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (made if mode == "I;16" else made.convert(mode)).save(buffer, kind, **({} if kind == "png" else {"exif": EXIF}))
    return buffer.getvalue()


EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned


# ---- mutations ------------------------------------------------------------------------------------------------------
def flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(2 ** chance.randrange(8)):
        changed[near_a_header(len(data), chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def near_a_header(length: int, chance: random.Random) -> int:
    """Mostly within the first or the last bytes, where formats keep what matters."""
    reach = min(length, chance.choice((64, 512, length)))
    offset = chance.randrange(reach)
    return offset if chance.random() < 0.5 else length - 1 - offset


def cut(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return chance.choice((data[:end], data[start:], data[:start] + data[end:]))


def repeat(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return data[:end] + data[start:end] * chance.randrange(1, 4) + data[end:]


def overwrite_a_length(data: bytes, chance: random.Random) -> bytes:
    """Some integer of the file's becomes 0, 1, the largest there is, or nearly right."""
    form = chance.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(form)
    if len(data) < width:
        return b"\xff" * width
    at = min(near_a_header(len(data), chance), len(data) - width)
    most = 2 ** (8 * width) - 1
    value = chance.choice((0, 1, most, most // 2, most // 2 + 1, chance.randint(0, most), len(data), 2**31, 2**20))
    return data[:at] + struct.pack(form, min(value, most)) + data[at + width :]


def change_a_digit(data: bytes, chance: random.Random) -> bytes:
    """Numbers that are text: shapes, offsets, versions."""
    places = [i for i, byte in enumerate(data[:4096]) if 0x30 <= byte <= 0x39]
    if not places:
        return flip(data, chance)
    at = chance.choice(places)
    return data[:at] + chance.choice((b"-1", b"9" * 30, b"1e999", b"0", b"\x00", b'"')) + data[at + 1 :]


def nest(data: bytes, chance: random.Random) -> bytes:
    deep = chance.choice((100, 1000, 20_000))
    return chance.choice((b"[" * deep, b'{"arch":' * deep, b'{"info":' + b"[" * deep + b"]" * deep + b"}"))


def bomb(data: bytes, chance: random.Random) -> bytes:
    """A zip that unpacks to far more than it is, of names that belong there."""
    buffer = io.BytesIO()
    names = ["train_images.npy", "train_labels.npy", "a/data.pkl", "a/version", "c0/1.png", "c1/2.png", "dataset.toml"]
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in chance.sample(names, chance.randrange(1, 5)):
            archive.writestr(name, data[:512] + bytes(chance.choice((10**4, 10**6, 4 * 10**6))))
    made = bytearray(buffer.getvalue())
    if chance.random() < 0.5:  # with a directory that lies about a size
        at = made.find(b"PK\x01\x02") + 24
        made[at : at + 4] = struct.pack("<I", chance.choice((0, 1, 100, 2**31)))
    return bytes(made)


ANY: tuple[Mutation, ...] = (flip, flip, cut, repeat, overwrite_a_length, overwrite_a_length, change_a_digit)


def mutated(seed: Seed, others: list[Seed], chance: random.Random) -> bytes:
    if chance.random() < 0.02:
        return (nest if seed.target in ("config", "safetensors") else bomb)(seed.data, chance)
    data = inner_changed(seed, chance) if chance.random() < 0.3 else seed.data
    if chance.random() < 0.1:
        other = chance.choice(others).data
        data = data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]
    for _ in range(chance.randrange(1, 4)):
        data = chance.choice(ANY)(data or b"\0", chance)
    return data


def inner_changed(seed: Seed, chance: random.Random) -> bytes:
    """A member of an archive is damaged, and the archive made anew around it: its checksums are right."""
    if not zipfile.is_zipfile(io.BytesIO(seed.data)):
        return seed.data
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seed.data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        damaged = chance.choice(names)
        for name in names:
            data = old.read(name)
            new.writestr(name, chance.choice(ANY)(data or b"\0", chance) if name == damaged else data)
    return buffer.getvalue()


# ---- sending --------------------------------------------------------------------------------------------------------
async def send(client: AsyncClient, target: str, data: bytes, intact: dict[str, bytes]) -> Any:
    match target:
        case "safetensors" | "config":
            weights, config = (data, intact["config"]) if target == "safetensors" else (intact["safetensors"], data)
            files = {"file": ("mine.safetensors", weights), "config": ("config.json", config)}
            return await client.post("/models", data={"id": "mine"}, files=files)
        case "checkpoint":
            form = {"id": "mine", "layout": "kuangliu", "dataset": "fashion_mnist_mini"}
            name = "mine.safetensors" if data[8:9] == b"{" else "mine.pt"
            return await client.post("/models", data=form, files={"file": (name, data)})
        case "npz" | "zip":
            return await client.post("/datasets", data={"name": "mine"}, files={"file": (f"mine.{target}", data)})
        case _:
            image = {"png": base64.b64encode(data).decode()}
            body = {"model": "seed", "images": [image], "layer": "stem", "target": "prediction"}
            return await client.post("/channels", json=body)


@dataclass
class Findings:
    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)  # answers that are neither a success nor a clear refusal
    slowest: float = 0.0  # CPU seconds of one answer
    before: float = 0.0  # MB of memory once warm
    after: float = 0.0

    @property
    def fine(self) -> bool:
        return not self.wrong


def judge(answer: Any) -> str | None:
    """What is wrong with this answer."""
    if answer.is_success:
        return None
    if not 400 <= answer.status_code < 500:
        return f"{answer.status_code}: {answer.text[:300]}"
    said = answer.json().get("detail") if "problem+json" in answer.headers["content-type"] else None
    return None if said and not any(sign in said for sign in INTERNAL) else f"an unclear refusal: {answer.text[:300]}"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[AsyncClient]:
    """The app and its client on one event loop: no time goes into passing requests from thread to thread."""
    before = os.environ.get("CIFS_DATA")
    os.environ["CIFS_DATA"] = str(folder / "data")
    settings = Settings(
        checkpoints=folder / "zoo", max_model_bytes=4 * MEGABYTE, max_dataset_bytes=4 * MEGABYTE, threads=1
    )
    try:
        app = create_app(settings)
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with app.router.lifespan_context(app), AsyncClient(transport=transport, base_url=BASE) as client:
            yield client
    finally:
        if before is None:
            del os.environ["CIFS_DATA"]
        else:
            os.environ["CIFS_DATA"] = before


def fuzz(folder: Path, *, cases: int, seed: int, keep: Path | None = None) -> Findings:
    """Sends so many damaged files; those that were answered wrongly are kept."""
    return asyncio.run(_fuzz(folder, cases=cases, seed=seed, keep=keep))


async def _fuzz(folder: Path, *, cases: int, seed: int, keep: Path | None) -> Findings:
    chance, findings = random.Random(seed), Findings()
    every = seeds(folder / "zoo")
    intact = {each.target: each.data for each in reversed(every)}
    async with serving(folder) as client:
        for each in every:  # what is not damaged is taken
            await forget(client, each.target, await send(client, each.target, each.data, intact))
        for number in range(cases):
            if number == cases // 10:
                findings.before = resident()
            each = chance.choice(every)
            data = mutated(each, every, chance)
            await try_one(client, each.target, data, intact, findings, keep)
        findings.after = resident()
    return findings


async def try_one(
    client: AsyncClient, target: str, data: bytes, intact: dict[str, bytes], findings: Findings, keep: Path | None
) -> None:
    began = time.process_time()
    answer = await send(client, target, data, intact)
    spent = time.process_time() - began
    findings.slowest = max(findings.slowest, spent)
    findings.cases[target] += 1
    findings.statuses[answer.status_code] += 1
    wrong = f"{spent:.1f} s for {answer.status_code}" if spent > SLOWEST else judge(answer)
    if wrong is not None:
        findings.wrong.append(f"{target} ({len(data)} bytes): {wrong}")
        if keep is not None:
            (keep / f"{target}-{len(findings.wrong)}").write_bytes(data)
    if answer.status_code == 201:
        await forget(client, target, answer)


async def forget(client: AsyncClient, target: str, answer: Any) -> None:
    """Makes room for the next of this name."""
    if not answer.is_success:
        raise SystemExit(f"{target}: {answer.status_code} {answer.text}")
    if target in ("safetensors", "config", "checkpoint"):
        await client.delete("/models/mine")
    elif target in ("npz", "zip"):
        root = Path(os.environ["CIFS_DATA"])
        for path in [*root.glob("mine*/*/*"), *root.glob("mine*/*"), *root.glob("mine*")]:
            path.rmdir() if path.is_dir() else path.unlink()


def resident() -> float:
    """MB"""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / MEGABYTE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for what was answered wrongly")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cifs-fuzz-") as folder:
        findings = fuzz(Path(folder), cases=options.cases, seed=options.seed, keep=options.keep)
    for wrong in findings.wrong[:50]:
        print(wrong)
    counted = ", ".join(f"{number} {target}" for target, number in findings.cases.most_common())
    answers = ", ".join(f"{number} × {status}" for status, number in findings.statuses.most_common())
    print(f"{sum(findings.cases.values())} cases in {time.monotonic() - began:.0f} s, seed {options.seed}: {counted}")
    print(f"answers: {answers}; the slowest took {findings.slowest:.2f} s of CPU")
    print(f"memory {findings.before:.0f} MB after a tenth, {findings.after:.0f} MB at the end")
    print(f"{len(findings.wrong)} answered wrongly")
    return 0 if findings.fine else 1


if __name__ == "__main__":
    sys.exit(main())
