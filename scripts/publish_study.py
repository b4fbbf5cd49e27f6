"""A study's outcomes, as the documentation shows them: from the folder of runs into docs/studies and a page's tables.

    .venv/bin/python scripts/publish_study.py overfitting --runs runs --page docs/study.md \\
        --arms vanilla cifs-softmax probes

Copies the measured cells, writes record.json, report.md and the parts of the page between its marks anew, and draws
docs/studies/NAME.png and NAME-arms.png of the study's first regime with Chromium ($CHROMIUM).
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import plotly.graph_objects as go

from cifs.cli.study import show
from cifs.plot.study import arm_panels, panels_figure, study_figure, study_info
from cifs.records import StudyRecord

STUDIES = Path(__file__).parents[1] / "docs" / "studies"
WIDTH = 1360


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--runs", type=Path, help="folder of runs; none: what is published already")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--arms", nargs="*", help="those in the first figure; default: all")
    given = parser.parse_args()
    folder = STUDIES / given.name
    folder.mkdir(parents=True, exist_ok=True)
    if given.runs is not None:
        for cell in (given.runs / "studies" / given.name).glob("*-*-*.json"):
            shutil.copy(cell, folder)
    show(given.name, runs=STUDIES.parent, into=given.page)
    record = StudyRecord.model_validate_json((folder / "record.json").read_bytes())
    regime = record.accuracies[0].regime
    draw(study_figure(study_info(record, regime, arms=given.arms)), STUDIES / f"{given.name}.png")
    draw(panels_figure(arm_panels(record, regime)), STUDIES / f"{given.name}-arms.png")


def draw(figure: go.Figure, path: Path) -> None:
    """The figure as a picture, at one and a half times its size."""
    figure.update_layout(width=WIDTH, template="plotly_white")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "figure.html"
        body = figure.to_html(include_plotlyjs=True, config={"displayModeBar": False})
        page.write_text(body.replace("<body>", '<body style="margin:0">'), encoding="utf-8")
        subprocess.run(
            [
                os.environ.get("CHROMIUM", "chromium"), "--headless", "--no-sandbox", "--hide-scrollbars",
                "--force-device-scale-factor=1.5", "--virtual-time-budget=20000", f"--user-data-dir={folder}/profile",
                f"--window-size={WIDTH},{figure.layout.height}", f"--screenshot={path}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


if __name__ == "__main__":
    main()
