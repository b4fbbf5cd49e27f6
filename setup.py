"""What pyproject.toml cannot say: the wheel carries the Fashion-MNIST models and the studies' records.

So it serves without the repository.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

EMBEDDED = "fmnist-*"
ROOT = Path(__file__).parent


class BuildWithModels(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # runs from the repository, which has them all
            return
        for model in sorted((ROOT / "checkpoints").glob(EMBEDDED)):
            partial = shutil.ignore_patterns("*.partial.json", ".*", "notes")
            shutil.copytree(model, Path(self.build_lib) / "cifs" / "checkpoints" / model.name, ignore=partial)
        for record in sorted((ROOT / "docs" / "studies").glob("*/record.json")):
            place = Path(self.build_lib) / "cifs" / "studies" / "published" / record.parent.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(record, place)


setup(cmdclass={"build_py": BuildWithModels})
