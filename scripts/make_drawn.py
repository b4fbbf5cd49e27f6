"""Makes cifs/data/cifar10_drawn.npz: drawings of CIFAR-10's classes, which may be given away with the package.

    python scripts/make_drawn.py OPENCLIPART FLUENT

OPENCLIPART: /usr/share/openclipart/png of Debian's openclipart-png (public domain); FLUENT: the folder `assets` of the
package @lobehub/fluent-emoji-3d (MIT, LICENSES/fluent-emoji.txt). The drawings were picked by eye, as clear pictures of
their class, before any network saw them. Each stands on a plain scene of two colours with a little noise.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from cifs.data import dataset

SIDE, FINE = 32, 256  # pixels of an image, and of the canvas it is shrunk from
EACH = 8  # images of a class; where there are fewer drawings they come again, mirrored, in another scene
COVERS = 0.86  # of the canvas, by the longer side of a drawing
ROUGH = 9.0  # of 255: standard deviation of the scenes' noise

Colour = tuple[int, int, int]


class Scene(NamedTuple):
    above: Colour
    below: Colour
    horizon: float  # from the top; 1: nothing but sky


SKY, DUSK, CLOUD, FOG = (132, 178, 220), (214, 176, 150), (196, 208, 218), (176, 184, 186)
GRASS, FOREST, SAND, SNOW = (112, 138, 70), (70, 92, 56), (178, 156, 118), (222, 226, 230)
ROAD, SEA, DEEP, WALL, FLOOR = (120, 120, 124), (70, 112, 150), (40, 74, 104), (196, 184, 168), (140, 108, 82)

DRAWINGS: dict[str, tuple[list[str], list[Scene]]] = {
    "airplane": (
        [
            *(f"transportation/vehicles/aircraft_jarno_vasamaa{n}" for n in ("_", "1", "2", "3", "4")),
            *("2708-fe0f", "1f6e9-fe0f", "transportation/vehicles/plane_silhouet_mo_01"),
        ],
        [Scene(SKY, SKY, 1), Scene(CLOUD, CLOUD, 1), Scene(DUSK, DUSK, 1), Scene(SKY, GRASS, 0.85)],
    ),
    "automobile": (
        [
            *("transportation/car_jamin_ellis_", "1f697", "transportation/vehicles/road_runner_ganson"),
            *("transportation/blazer_01", "transportation/sportcar_sergio_luiz_ara_01", "transportation/vehicles/4wd"),
            *("transportation/dodge_neon_green_ganson", "transportation/skoda_car_alejandro_teja_"),
        ],
        [Scene(CLOUD, ROAD, 0.55), Scene(GRASS, ROAD, 0.5), Scene(SKY, SAND, 0.5), Scene(WALL, ROAD, 0.6)],
    ),
    "bird": (
        [
            *("animals/birds/gull_marcelo_staudt_01", "1f986", "animals/birds/aquila_frontale_architet_01"),
            *("animals/birds/gufo_civetta_architetto__01", "1f985", "animals/birds/gabbiano_architetto_fran_01"),
            *("animals/birds/uccello_profilo_02_archi_01", "1f9a2"),
        ],
        [Scene(SKY, GRASS, 0.7), Scene(FOREST, GRASS, 0.6), Scene(SKY, SKY, 1), Scene(CLOUD, SEA, 0.7)],
    ),
    "cat": (
        [
            *(f"animals/mammals/housecats/gatto_cat_architetto_fra_0{n}" for n in (1, 2, 3, 4)),
            *("1f408", "animals/mammals/housecats/kitten_gerald_g._01"),
            *("animals/mammals/housecats/gattina_cat_architetto_f_01", "1f408-200d-2b1b"),
        ],
        [Scene(WALL, FLOOR, 0.6), Scene(CLOUD, SAND, 0.55), Scene(GRASS, GRASS, 1), Scene(FOG, WALL, 0.6)],
    ),
    "deer": (
        ["1f98c", "animals/mammals/deer_matt_todd_01", "1face", "animals/mammals/fawn_mo_01"],
        [Scene(FOREST, GRASS, 0.55), Scene(GRASS, SAND, 0.5), Scene(CLOUD, GRASS, 0.5), Scene(FOREST, FOREST, 1)],
    ),
    "dog": (
        [
            *("animals/mammals/dogs/black_lab_ganson", "animals/mammals/dogs/beagle_copper_ganson", "1f415"),
            *(f"animals/mammals/dog_0{n}_drawn_with_strai_01" for n in (1, 4, 5, 6)),
            "animals/mammals/dogs/bulldog_puppy_ganson",
        ],
        [Scene(WALL, FLOOR, 0.6), Scene(SKY, GRASS, 0.45), Scene(GRASS, GRASS, 1), Scene(CLOUD, SNOW, 0.5)],
    ),
    "frog": (
        [
            *(f"animals/rana0{n}_architetto_france_01" for n in (1, 2, 3)),
            *("animals/red-eye_frog_mirko_maisc_01", "1f438"),
        ],
        [Scene(FOREST, SAND, 0.5), Scene(SAND, SAND, 1), Scene(FOREST, FOREST, 1), Scene(GRASS, FLOOR, 0.5)],
    ),
    "horse": (
        [
            *(f"animals/mammals/horses/cavallo_architetto_franc_0{n}" for n in (1, 2, 5, 6)),
            *("1f40e", "animals/mammals/horses/cavallo_architetto_franc_07", "1f434"),
            "animals/mammals/horses/cavallo_architetto_franc_03",
        ],
        [Scene(SKY, GRASS, 0.5), Scene(FOREST, GRASS, 0.55), Scene(CLOUD, SAND, 0.5), Scene(GRASS, SAND, 0.6)],
    ),
    "ship": (
        [
            *("1f6a2", "transportation/vehicles/trawler_01", "transportation/boating/boat_jarno_vasamaa1", "26f4-fe0f"),
            *("transportation/boating/boat_jarno_vasamaa_", "1f6f3-fe0f"),
            *("transportation/boating/sailboat_illustration", "1f6e5-fe0f"),
        ],
        [Scene(SKY, SEA, 0.6), Scene(CLOUD, DEEP, 0.65), Scene(DUSK, DEEP, 0.6), Scene(SKY, DEEP, 0.7)],
    ),
    "truck": (
        [
            *("transportation/truck_jarno_vasamaa_", "1f69a", "transportation/truck_jarno_vasamaa1", "1f69b"),
            *("transportation/small_truck_steffen_gluc_01", "1f6fb", "1f692", "transportation/big_truck_01"),
        ],
        [Scene(SKY, ROAD, 0.6), Scene(CLOUD, SAND, 0.6), Scene(GRASS, ROAD, 0.55), Scene(WALL, ROAD, 0.65)],
    ),
}


def drawing(name: str, openclipart: Path, fluent: Path) -> Image.Image:
    """RGBA, cut to what is drawn."""
    path = openclipart / f"{name}.png" if "/" in name else fluent / f"{name}.webp"
    opened = Image.open(path).convert("RGBA")
    return opened.crop(opened.getchannel("A").getbbox())


def backdrop(scene: Scene, noise: np.random.Generator) -> Image.Image:
    """A scene of FINE × FINE: two colours, a soft horizon, noise as coarse as an image's pixels and coarser."""
    canvas = np.empty((FINE, FINE, 3), np.float32)
    edge = round(scene.horizon * FINE)
    canvas[:edge], canvas[edge:] = scene.above, scene.below
    for grain in (8, 32):
        coarse = noise.normal(0, ROUGH, (FINE // grain, FINE // grain, 1)).astype(np.float32)
        canvas += coarse.repeat(grain, axis=0).repeat(grain, axis=1)
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(6))


def composed(of: Image.Image, scene: Scene, noise: np.random.Generator) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3)"""
    canvas = backdrop(scene, noise)
    scale = COVERS * FINE / max(of.size)
    size = round(of.width * scale), round(of.height * scale)
    fitted = of.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(fitted, ((FINE - size[0]) // 2, (FINE - size[1]) // 2), fitted)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX))


def images(openclipart: Path, fluent: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(N, SIDE, SIDE, 3) and labels (N,): one of every class, then the next of every class."""
    noise, shown, labels = np.random.default_rng(0), [], []
    for i in range(EACH):
        for label, name in enumerate(dataset("cifar10").classes):
            names, scenes = DRAWINGS[name]
            of = drawing(names[i % len(names)], openclipart, fluent)
            again = i // len(names)
            shown.append(composed(ImageOps.mirror(of) if again else of, scenes[(i + again) % len(scenes)], noise))
            labels.append(label)
    return np.stack(shown), np.array(labels, np.uint8)


if __name__ == "__main__":
    test_images, test_labels = images(*map(Path, sys.argv[1:3]))
    path = Path(__file__).parent.parent / "cifs" / "data" / "cifar10_drawn.npz"
    np.savez_compressed(path, test_images=test_images, test_labels=test_labels)
    print(f"{path}: {len(test_labels)} images, {path.stat().st_size / 1e3:.0f} kB")
