"""Studies: experiments as data (TOML files in this folder): arms × regimes × seeds, and the comparisons that decide.

A study states its comparisons and its order before anything is run; docs/protocol.md says why.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from cifs.data import Images, load_images
from cifs.errors import InvalidParameter, UnknownName
from cifs.registry import settings
from cifs.studies.measure import BOUNDS, LEVELS, VERDICT_LEVELS
from cifs.training import Recipe
from cifs.training.recipe import recipe_with

STUDIES = Path(__file__).parent
Checkpoint = Literal["best", "last"]
CHECKPOINTS: tuple[Checkpoint, ...] = ("best", "last")


@settings
class Arm:
    """A method under study: what its trainings do differently from the common recipe."""

    title: str
    extends: str | None = Field(default=None, description="a recipe in the place of the study's")
    recipe: dict[str, Any] = Field(default_factory=dict, description="values over those of the regime")


@settings
class Regime:
    """Conditions all arms are trained under."""

    title: str
    recipe: dict[str, Any] = Field(default_factory=dict, description="values over those of the common recipe")


@settings
class Block:
    """Cells that are run together: seed by seed, every arm of one seed before the next seed."""

    regime: str
    arms: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)


@settings
class Comparison:
    """One test: does `arm` differ from `against`, over seeds and images?

    minus: compare the differences at this level with those at another (whether a gain depends on the attack).
    """

    name: str
    hypothesis: str = Field(default="", description="key of the hypothesis it bears on; none: it stands alone")
    expects: Literal["gain", "no gain"] = Field(default="gain", description="what that hypothesis says of it")
    arm: str
    against: str
    checkpoint: Checkpoint
    level: str
    minus: str | None = None
    regime: str


@settings
class Premise:
    """What has to be so for a study to say anything of a hypothesis: that an arm overfits."""

    hypothesis: str
    regime: str
    arm: str
    level: str
    loses: float = Field(gt=0, lt=1, description="accuracy, from the best checkpoint to the last, at least")


@settings
class Study:
    """A study: what is trained and measured, in which order, and what is compared."""

    title: str
    question: str
    recipe: str = Field(description="name of the recipe that every training extends")
    common: dict[str, Any] = Field(default_factory=dict, description="values over the recipe's")
    test_images: int = Field(ge=2, description="so many test images are measured, the first ones")
    test_from: int = Field(default=0, ge=0, description="but for so many: those that earlier studies were measured on")
    held_out: bool = Field(
        default=False,
        description="for explorations: not test images are measured but as many training images that no training and "
        "no choice of an epoch sees, those before the validation images",
    )
    levels: Literal["attacks", "verdict", "bounds"] = Field(
        default="attacks",
        description="how hard it is measured: cifs.studies.measure's levels, the verdict alone, or the training's own "
        "attack and the verdict",
    )
    alpha: float = Field(default=0.01, gt=0, lt=1, description="of a comparison, after Holm's correction over all")
    regimes: dict[str, Regime]
    arms: dict[str, Arm]
    blocks: tuple[Block, ...] = Field(min_length=1)
    hypotheses: dict[str, str] = Field(default_factory=dict, description="what the comparisons are to decide")
    premise: Premise | None = None
    comparisons: tuple[Comparison, ...] = ()

    @property
    def measured_levels(self) -> tuple[str, ...]:
        return {"attacks": LEVELS, "verdict": VERDICT_LEVELS, "bounds": BOUNDS}[self.levels]

    def images_of(self, recipe: Recipe) -> Images:
        """Those that are measured. Raises InvalidParameter where there are too few, or training leaves too few."""
        if not self.held_out:
            images = load_images(recipe.dataset, "test")
            if (end := self.test_from + self.test_images) > len(images):
                raise InvalidParameter(
                    f"test_from = {self.test_from}, test_images = {self.test_images}: {recipe.dataset} has only "
                    f"{len(images)} test images"
                )
            return images[self.test_from : end]
        images = load_images(recipe.dataset, "train")
        end = len(images) - recipe.validation
        if (start := end - self.test_images) < (recipe.images or end):
            raise InvalidParameter(
                f"test_images = {self.test_images}: of {len(images)} training images, {recipe.images or end} are "
                f"trained on and {recipe.validation} choose the epoch"
            )
        return images[start:end]

    def cells(self) -> Iterator["Cell"]:
        """Every training once, in the order it is run."""
        seen: set[str] = set()
        for block in self.blocks:
            for seed in block.seeds:
                for arm in block.arms:
                    cell = Cell(block.regime, arm, seed)
                    if cell.id not in seen:
                        seen.add(cell.id)
                        yield cell

    def chosen(self, ids: Collection[str]) -> list["Cell"]:
        """Those with these ids, in the order they are run; without any, all. Raises UnknownName."""
        cells = list(self.cells())
        _known("training", ids, [cell.id for cell in cells])
        return [cell for cell in cells if not ids or cell.id in ids]

    def recipe_of(self, cell: "Cell") -> Recipe:
        """Raises UnknownName or InvalidParameter."""
        regime, arm = self.regimes[cell.regime], self.arms[cell.arm]
        names = {"title": f"{arm.title}, {regime.title}, seed {cell.seed}", "seed": cell.seed}
        return recipe_with(arm.extends or self.recipe, self.common, regime.recipe, arm.recipe, names)


class Cell:
    """One training of a study, with its measurement."""

    def __init__(self, regime: str, arm: str, seed: int) -> None:
        self.regime, self.arm, self.seed = regime, arm, seed

    @property
    def id(self) -> str:
        return f"{self.regime}-{self.arm}-{self.seed}"


def study_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in STUDIES.glob("*.toml")))


def load_study(name: str) -> Study:
    """The study of this name, or of a .toml file; reads its recipes. Raises UnknownName or InvalidParameter."""
    if not name.endswith(".toml") and name not in study_names():
        raise UnknownName("study", name, study_names())
    path = Path(name) if name.endswith(".toml") else STUDIES / f"{name}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidParameter(f"study {name!r} cannot be read: {error}") from error
    return parse_study(name, values)


def parse_study(name: str, values: Mapping[str, Any]) -> Study:
    """Raises UnknownName or InvalidParameter."""
    try:
        study = TypeAdapter(Study).validate_python(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors())
        raise InvalidParameter(f"study {name!r}: {wrong}") from None
    for block in study.blocks:
        _known("regime", [block.regime], study.regimes)
        _known("arm", block.arms, study.arms)
    for comparison in study.comparisons:
        _known("regime", [comparison.regime], study.regimes)
        _known("arm", [comparison.arm, comparison.against], study.arms)
        _known("level", [comparison.level, comparison.minus or comparison.level], study.measured_levels)
        _known("hypothesis", [comparison.hypothesis] if comparison.hypothesis else [], study.hypotheses)
    if (premise := study.premise) is not None:
        _known("hypothesis", [premise.hypothesis], study.hypotheses)
        _known("regime", [premise.regime], study.regimes)
        _known("arm", [premise.arm], study.arms)
        _known("level", [premise.level], study.measured_levels)
    _check_names(name, [comparison.name for comparison in study.comparisons])
    for cell in study.cells():
        if study.recipe_of(cell).validation == 0 and study.levels == "attacks":
            raise InvalidParameter(
                f"study {name!r}: validation = 0 in {cell.id}, but levels = 'attacks' chooses an attack on validation "
                "images; give some, or take levels = 'bounds'"
            )
    return study


def _check_names(name: str, comparisons: Sequence[str]) -> None:
    """Raises InvalidParameter: a verdict finds its tests by their names, and would take one for the other."""
    for comparison in comparisons:
        if comparisons.count(comparison) > 1:
            raise InvalidParameter(f"study {name!r}: {comparison!r} names two comparisons; give each its own name")


def _known(kind: str, names: Any, allowed: Any) -> None:
    for name in names:
        if name not in allowed:
            raise UnknownName(kind, name, tuple(allowed))
